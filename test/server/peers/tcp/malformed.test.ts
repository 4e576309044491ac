// A frame that no peer sends is refused by name. What a peer sends is copied into separate memory.

import { expect, test } from 'vitest'
import { type Reader, Writer } from '../../../../src/bytes/index.ts'
import { readMessage } from '../../../../src/server/peers/tcp/codec.ts'
import { MalformedError, readBig, readerOf, writeBig } from '../../../../src/server/peers/tcp/frames.ts'
import { readFrame } from '../../../../src/server/peers/tcp/link-codec.ts'
import { from, to } from './messages.ts'

function written(write: (out: Writer) => void): Reader {
  const out = new Writer()
  write(out)
  return readerOf(Buffer.from(out.written()))
}

test('a time is a number, a flag is one of two, and nothing is left over', () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
    expect(() => written((out) => out.float64(value)).float64()).toThrow(MalformedError)
  expect(written((out) => out.float64(-1.5)).float64()).toBe(-1.5)
  expect([0, 1].map((value) => written((out) => out.uint8(value)).flag())).toEqual([false, true])
  for (const value of [2, 255])
    expect(() => written((out) => out.uint8(value)).flag()).toThrow(MalformedError)
  const rest = written((out) => out.uint32(7))
  expect(() => rest.end()).toThrow('a frame that is longer than its content')
  rest.uint32()
  rest.end()
  expect(() => rest.uint8()).toThrow(MalformedError)
  expect(() => written((out) => out.uint32(5)).utf8()).toThrow(MalformedError)
})

test('an integer is exact, and a large number is hexadecimal', () => {
  const ofParts = (high: number, low: number) =>
    written((out) => {
      out.uint32(high)
      out.uint32(low)
    })
  expect(ofParts(0x1f_ffff, 0xffff_ffff).uint64()).toBe(Number.MAX_SAFE_INTEGER)
  expect(() => ofParts(0x20_0000, 0).uint64()).toThrow(MalformedError)
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
  expect(() => readMessage(code, base(write), from, to)).toThrow(MalformedError)
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

test('every message that is cut short, or has a byte too many, is malformed', () => {
  for (let code = 1; code <= 16; code++) {
    for (let bytes = 0; bytes < 8; bytes++)
      expect(() =>
        readMessage(
          code,
          written((out) => {
            for (let i = 0; i < bytes; i++) out.uint8(0)
          }),
          from,
          to,
        ),
      ).toThrow(MalformedError)
    expect(() =>
      readMessage(
        code,
        written((out) => out.utf8('x'.repeat(1000))),
        from,
        to,
      ),
    ).toThrow(MalformedError)
  }
})

test('what a newer peer may send is known by its code, and left unread', () => {
  expect(
    readFrame(
      255,
      written((out) => out.uint32(9)),
      { from, to },
    ),
  ).toEqual({ type: 'unknown', code: 255 })
})
