// Memory that the fields of an operation keep while it waits.

import { expect, test } from 'vitest'
import { readBound, readBytes } from '../../../src/server/mux/fields.ts'

const message = Buffer.from(new ArrayBuffer(1_000_000))

test('a small field keeps none of its message, and a large one is not copied', () => {
  message.write('key', 500)
  const key = readBytes(message.subarray(500, 503), 'key')
  expect([key.toString(), key.buffer === message.buffer]).toEqual(['key', false])
  const value = readBytes(message.subarray(0, 900_000), 'value')
  expect(value.buffer === message.buffer).toBe(true)
})

test('of a bound that is longer than any key only the beginning is kept', () => {
  expect(readBound(message, 'start').buffer === message.buffer).toBe(false)
  expect(readBound('k'.repeat(5_000), 'start')).toEqual(Buffer.from('k'.repeat(4_097)))
  expect(readBound('key', 'start')).toEqual(Buffer.from('key'))
})
