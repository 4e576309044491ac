import { expect, test } from 'vitest'
import { getCommand } from '../../src/cli/flags/arguments.ts'

test('a key that looks like a flag is none', () => {
  expect(getCommand('-o')).toBe('quorate get -- -o')
  expect(getCommand('a b')).toBe("quorate get 'a b'")
})
