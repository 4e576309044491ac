import { defineConfig } from 'vitest/config'

// The file name decides how a test runs: *.test.ts (unit, golden) and *.prop.test.ts (properties) in
// parallel; *.int.test.ts (processes, sockets, time-outs) one after another, since two clusters that
// compete for two cores measure each other. (Order 0 would mean last to a project with one worker.)
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.int.test.ts'],
          testTimeout: 20_000,
          maxWorkers: '100%',
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'int',
          include: ['test/**/*.int.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
