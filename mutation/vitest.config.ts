import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: (process.env.QUORATE_MUTATION_TESTS ?? 'test/**/*.test.ts').split(','),
    testTimeout: 20_000,
  },
})
