// A frame that no peer sends is refused by name. What a peer sends is copied into separate memory.

import { expect, test } from 'vitest'
import { type Reader, Writer } from '../../../../src/bytes/index.ts'
import { readMessage } from '../../../../src/server/peers/tcp/codec.ts'
import {
  FrameReader,
  FrameWriter,
  MalformedError,
  readBig,
  readerOf,
  unpinned,
  writeBig,
} from '../../../../src/server/peers/tcp/frames.ts'
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

test('bytes that are kept pin no memory that is more than twice as large', () => {
  const large = new Uint8Array(100).fill(7)
  const half = large.subarray(0, 50)
  expect(unpinned(half)).toBe(half)
  const less = large.subarray(0, 49)
  const copy = unpinned(less)
  expect([copy, copy.buffer.byteLength]).toEqual([less, 49])
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

test('a writer that has sent all uses its memory again, and keeps no large piece', () => {
  const writer = new FrameWriter()
  expect(writer.empty).toBe(true)
  const body = Buffer.alloc(100, 'a')
  writer.append(1, body, [], false)
  expect(writer.empty).toBe(false)
  const [first] = writer.takePieces()
  expect(writer.empty).toBe(true)
  writer.allSent()
  writer.append(1, body, [], false)
  const [again] = writer.takePieces()
  expect(again?.buffer).toBe(first?.buffer)
  expect(again?.byteOffset).toBe(first?.byteOffset)
  writer.append(1, Buffer.alloc(1 << 20), [], false)
  const [large] = writer.takePieces()
  writer.allSent()
  writer.append(1, body, [], false)
  const [small] = writer.takePieces()
  expect(small?.buffer.byteLength).toBeLessThan(large?.buffer.byteLength ?? 0)
})

test('frames that lie one behind the other are one piece, and a long part that nobody changes is sent from where it lies', () => {
  const writer = new FrameWriter()
  const part = Buffer.alloc(100_000, 'p')
  writer.append(1, Buffer.from('a'), [], false)
  writer.append(2, Buffer.from('b'), [], false)
  writer.append(3, Buffer.from('c'), [part, Buffer.from('tail')], true)
  writer.append(4, Buffer.from('d'), [part.subarray(0, 1000)], false)
  const pieces = writer.takePieces()
  expect(pieces.map((piece) => piece === part)).toEqual([false, true, false])
  const reader = new FrameReader(1 << 20)
  reader.push(Buffer.concat(pieces))
  const read: [number, string][] = []
  for (let frame = reader.next(); frame !== undefined; frame = reader.next())
    read.push([frame.type, Buffer.from(frame.body.rest()).toString()])
  expect(read).toEqual([
    [1, 'a'],
    [2, 'b'],
    [3, `c${part}tail`],
    [4, `d${part.subarray(0, 1000)}`],
  ])
})
