import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: (process.env.QUORATE_MUTATION_TESTS ?? 'test/**/*.test.ts').split(','),
    // Many mutants hang a test.
    testTimeout: 10_000,
  },
})
