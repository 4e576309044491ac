import { defineConfig } from 'vitest/config'

// The file name decides how a test runs. *.test.ts (unit, golden) and *.prop.test.ts (properties) run in parallel, half
// as many files again as there are cores, since some wait for real time-outs. *.int.test.ts (processes, sockets,
// time-outs) run two files at a time, since they mostly wait, but many clusters on few cores would elect each other's
// leaders away. *.vm.test.ts run in a context with globals of its own.
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
          maxWorkers: '150%',
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
