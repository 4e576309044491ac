// Memory that the fields of an operation keep while it waits.

import { Packr } from 'msgpackr'
import { expect, test } from 'vitest'
import { decodeBound } from '../../../src/operations/mux/fields.ts'
import { unpack } from '../../../src/server/mux/unpack.ts'

test('a small field keeps none of its message, and a large one is not copied', () => {
  const packed = new Packr({ useRecords: false }).pack([Buffer.from('key'), Buffer.alloc(900_000)])
  const message = Buffer.from(new ArrayBuffer(packed.length))
  message.set(packed)
  const fields = unpack(message)
  const [key, value] = Array.isArray(fields) ? fields : []
  expect([key.toString(), key.buffer === message.buffer]).toEqual(['key', false])
  expect([value.length, value.buffer === message.buffer]).toEqual([900_000, true])
})

test('of a bound that is longer than any key only the beginning is kept', () => {
  const message = Buffer.from(new ArrayBuffer(1_000_000))
  expect(decodeBound(message, 'start').buffer === message.buffer).toBe(false)
  expect(decodeBound('k'.repeat(5_000), 'start')).toEqual(new TextEncoder().encode('k'.repeat(4_097)))
  expect(decodeBound('key', 'start')).toEqual(new TextEncoder().encode('key'))
})
