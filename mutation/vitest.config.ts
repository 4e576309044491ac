import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: (process.env.QUORATE_MUTATION_TESTS ?? 'test/**/*.test.ts').split(','),
    // A mutant often hangs: what takes so long hangs.
    testTimeout: 10_000,
  },
})
