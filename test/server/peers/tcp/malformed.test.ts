// A frame that no peer sends is refused by name. What a peer sends is copied into separate memory.

import { expect, test } from 'vitest'
import { type Reader, Writer } from '../../../../src/bytes/index.ts'
import { decodeMessage } from '../../../../src/server/peers/tcp/codec.ts'
import { MalformedError, payloadReader, readBig, writeBig } from '../../../../src/server/peers/tcp/frames.ts'
import { readFrame } from '../../../../src/server/peers/tcp/link-codec.ts'
import { from, to } from './messages.ts'

function written(write: (out: Writer) => void): Reader {
  const out = new Writer()
  write(out)
  return payloadReader(Buffer.from(out.written()))
}

test('a large number is hexadecimal', () => {
  const ofText = (digits: string) => readBig(written((out) => out.utf8(digits)))
  expect(ofText('0f')).toBe(15n)
  expect(ofText('f'.repeat(128))).toBe(16n ** 128n - 1n)
  for (const digits of ['', 'F', '0x1', '-1', '1 ', 'g1', 'f'.repeat(129)])
    expect(() => ofText(digits)).toThrow(MalformedError)
  expect(() => writeBig(new Writer(), -1n)).toThrow(RangeError)
})

const base = (more: (out: Writer) => void): Reader =>
  written((out) => {
    out.uint64(5)
    more(out)
  })

test.each([
  [
    'an append that says it has more entries than there is room for',
    1,
    (out: Writer) => many(out, 5, 2 ** 32 - 1),
  ],
  ['a forward with more numbers than there is room for', 12, (out: Writer) => many(out, 1, 2 ** 32 - 1)],
  ['a forward whose entry is missing', 12, (out: Writer) => forward(out, [])],
  ['a forward whose entry is cut', 12, (out: Writer) => forward(out, [0, 0, 0, 200])],
  ['a forward whose entry is longer than there is', 12, (out: Writer) => forward(out, Array(64).fill(1))],
  [
    'a forward whose checksum does not hold',
    12,
    (out: Writer) => forward(out, [0, 0, 0, 64, ...Array(60).fill(1)]),
  ],
])('%s is malformed', (_, code, write) => {
  expect(() => decodeMessage(code, base(write), from, to)).toThrow(MalformedError)
})

function many(out: Writer, integers: number, count: number): void {
  for (let i = 0; i < integers; i++) out.uint64(1)
  out.uint32(count)
  out.uint64(1)
}

function forward(out: Writer, frame: readonly number[]): void {
  out.uint64(1)
  out.uint32(1)
  out.uint64(1)
  for (const byte of frame) out.uint8(byte)
}

test('what a newer peer may send is known by its code, and left unread', () => {
  expect(
    readFrame(
      255,
      written((out) => out.uint32(9)),
      { from, to },
    ),
  ).toEqual({ type: 'unknown', code: 255 })
})
