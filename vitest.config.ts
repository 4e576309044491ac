import { defineConfig } from 'vitest/config'

// The file name decides how a test runs. *.test.ts (unit, golden) and *.prop.test.ts (properties) run more files at a
// time than there are cores, since some wait for time-outs. *.int.test.ts (processes, sockets, time-outs) run two at a
// time, since many clusters on few cores would elect each other's leaders away. *.vm.test.ts run in a context with
// other globals.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.int.test.ts', 'test/**/*.vm.test.ts'],
          testTimeout: 20_000,
          maxWorkers: '150%',
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'vm',
          include: ['test/**/*.vm.test.ts'],
          testTimeout: 20_000,
          pool: 'vmForks',
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
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
