// Flags are refused before anything runs, not taken for something else.

import { expect, test } from 'vitest'
import { whole } from '../../../jepsen-lite/commands/flags.ts'

test.each(['1', '7', '007'])('%s is a whole number from 1 to 7', (text) => {
  expect(whole(1, 7)(text)).toBe(Number(text))
})

test.each(['', ' ', '0', '8', '-1', '1.5', '1e0', '0x1', 'seven', '99999999999999999999'])(
  '"%s" is none',
  (text) => {
    expect(() => whole(1, 7)(text)).toThrow('It must be a whole number from 1 to 7.')
  },
)
