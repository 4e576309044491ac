import { expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../../../src/server/tcp/bytes.ts'

test.each([
  ['u8', 7],
  ['u32', 2 ** 32 - 1],
  ['integer', Number.MAX_SAFE_INTEGER],
  ['double', -0.1],
  ['flag', true],
  ['text', 'Grüße, 世界'],
  ['big', 2n ** 100n + 1n],
] as const)('many of %s in a row come back, wherever the memory had to grow', (kind, value) => {
  const out = new ByteWriter()
  const wanted = Array.from({ length: 3000 }, () => value)
  for (const each of wanted) {
    if (kind === 'flag') out.flag(Boolean(each))
    else if (kind === 'text') out.text(String(each))
    else if (kind === 'big') out.big(BigInt(each))
    else out[kind](Number(each))
  }
  const input = new ByteReader(Buffer.from(out.written()))
  expect(wanted.map(() => input[kind]())).toEqual(wanted)
  input.end()
})

test('what is no such number is not sent', () => {
  const out = new ByteWriter()
  for (const value of [-1, 0.5, 2 ** 53, Number.NaN]) expect(() => out.integer(value)).toThrow(RangeError)
  expect(() => out.big(-1n)).toThrow(RangeError)
})
