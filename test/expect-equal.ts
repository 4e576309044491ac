// `toEqual` for tests that compare many values: much faster where both are equal.

import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'

/** Asserts what `expect(actual, where).toEqual(expected)` asserts. */
export function expectEqual(actual: unknown, expected: unknown, where?: string): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual, where).toEqual(expected)
}
