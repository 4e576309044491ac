import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Writer } from '../../../../src/bytes/index.ts'
import { asIndex, asTerm, type Entry } from '../../../../src/raft/types.ts'
import {
  messageCode,
  messageFrames,
  readMessage,
  writeMessage,
} from '../../../../src/server/peers/tcp/codec.ts'
import { FrameReader, FrameWriter, MalformedError } from '../../../../src/server/peers/tcp/frames.ts'
import type { WireMessage } from '../../../../src/server/peers/wires.ts'
import { runs } from '../../../runs.ts'
import { anyMessage, entryOf, from, plain, sealedFrame, to } from './messages.ts'

const BYTES_MAX = 1 << 20

function append(writer: FrameWriter, message: WireMessage): void {
  const out = new Writer()
  writeMessage(out, message)
  writer.append(messageCode(message), out.written(), messageFrames(message), message.type === 'append')
}

function encoded(...messages: readonly WireMessage[]): Buffer {
  const writer = new FrameWriter()
  for (const message of messages) append(writer, message)
  return Buffer.concat(writer.takePieces())
}

/** All messages that the chunks hold. Throws what the reader throws. */
function decoded(chunks: readonly Buffer[]): WireMessage[] {
  const reader = new FrameReader(BYTES_MAX)
  const messages: WireMessage[] = []
  for (const chunk of chunks) {
    reader.push(chunk)
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      messages.push(plain(readMessage(frame.type, frame.body, from, to)))
    }
  }
  return messages
}

/** `bytes` cut at the given places, each piece in separate memory, as a socket hands it out. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  )
  return at.slice(1).map((end, number) => Buffer.from(bytes.subarray(at[number], end)))
}

test('every message arrives as it was sent, however the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(anyMessage, { maxLength: 8 }), fc.array(fc.nat(200_000)), (messages, cuts) => {
      expect(decoded(pieces(encoded(...messages), cuts))).toEqual(messages.map(plain))
    }),
    { numRuns: runs(500) },
  )
})

test('a flipped bit never brings a message that was not sent', () => {
  fc.assert(
    fc.property(anyMessage, fc.nat(), (message, where) => {
      const bytes = encoded(message, message)
      const bit = where % (bytes.length * 8)
      bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      let got: WireMessage[] = []
      try {
        got = decoded([bytes])
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedError)
      }
      // A frame made longer waits for its end without a limit; one that was cut off earlier is whole.
      for (const each of got) expect(each).toEqual(plain(message))
      expect(got.length).toBeLessThan(2)
    }),
    { numRuns: runs(500) },
  )
})

test('content that is no message, under a good checksum, is refused and nothing else', () => {
  const writer = new FrameWriter()
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    anyMessage.chain((message) => {
      const out = new Writer()
      writeMessage(out, message)
      const whole = Buffer.concat([out.written(), ...messageFrames(message)])
      return fc.tuple(fc.nat(whole.length), fc.uint8Array({ maxLength: 12 })).map(([at, junk]) => {
        return Buffer.concat([whole.subarray(0, at), junk, whole.subarray(at + junk.length)])
      })
    }),
  )
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 255 }), garbage, (type, body) => {
      writer.append(type, body, [], false)
      const bytes = Buffer.concat(writer.takePieces())
      writer.allSent()
      const reader = new FrameReader(BYTES_MAX)
      reader.push(bytes)
      const frame = reader.next()
      if (frame === undefined) throw new Error('the frame itself is good')
      try {
        const message = readMessage(frame.type, frame.body, from, to)
        // By chance a message: then it is one.
        expect(decoded([encoded(message)])).toEqual([plain(message)])
      } catch (error) {
        if (!(error instanceof MalformedError) && !(error instanceof RangeError)) throw error
      }
    }),
    { numRuns: runs(2000) },
  )
})

const appendOf = (entries: readonly Entry[]): WireMessage => ({
  type: 'append',
  from,
  to,
  term: asTerm(9),
  prevIndex: asIndex(4),
  prevTerm: asTerm(3),
  entries,
  commit: asIndex(0),
  round: 1,
})
const timeoutNow: WireMessage = { type: 'timeout-now', from, to, term: asTerm(1) }

test.each([
  ['a gap', [entryOf(4, 3, 5), entryOf(4, 3, 7)]],
  ['an entry that does not follow the previous one', [entryOf(4, 3, 6)]],
  ['a falling term', [entryOf(4, 5, 5), entryOf(4, 4, 6)]],
  ['a term below that of the previous entry', [entryOf(4, 2, 5)]],
  ['a term above that of the message', [entryOf(4, 10, 5)]],
])('an append with %s is refused', (_, entries) => {
  const bytes = encoded(appendOf(entries))
  expect(() => decoded([bytes])).toThrow(MalformedError)
})

test('an entry that was damaged before it was sent is refused', () => {
  const entry = entryOf(40, 3, 5)
  entry.frame[70] = (entry.frame[70] ?? 0) ^ 1
  const bytes = encoded(appendOf([entry]))
  expect(() => decoded([bytes])).toThrow(/checksum/)
})

test('a frame that says it is longer than is allowed is refused before room is made for it', () => {
  const reader = new FrameReader(1000)
  const prefix = Buffer.alloc(8)
  prefix.writeUInt32BE(993)
  reader.push(prefix)
  expect(() => reader.next()).toThrow(MalformedError)
})

test('a frame of another group is refused', () => {
  const writer = new FrameWriter()
  writer.append(9, Buffer.alloc(8), [], false)
  const frame = Buffer.concat(writer.takePieces())
  frame.writeUInt32BE(1, 8)
  frame.writeUInt32BE(crc32(frame.subarray(8)), 4)
  const reader = new FrameReader(BYTES_MAX)
  reader.push(frame)
  expect(() => reader.next()).toThrow(/group 1/)
})

test('long entries go out from where they lie, forwarded frames never do', () => {
  const long = entryOf(20_000, 3, 5)
  const writer = new FrameWriter()
  append(writer, appendOf([entryOf(4, 3, 4), long]))
  const places = writer.takePieces().map(({ buffer, byteOffset }) => ({ buffer, byteOffset }))
  expect(
    places.some(
      ({ buffer, byteOffset }) => buffer === long.frame.buffer && byteOffset === long.frame.byteOffset,
    ),
  ).toBe(true)
  const frame = sealedFrame(20_000)
  append(writer, { type: 'forward', from, to, term: asTerm(1), boot: 1, proposals: [{ seq: 1, frame }] })
  expect(writer.takePieces()).toHaveLength(1)
})

test('small messages of one turn leave in one piece', () => {
  const writer = new FrameWriter()
  for (let count = 0; count < 50; count++) append(writer, timeoutNow)
  expect(writer.takePieces()).toHaveLength(1)
})

test('entries that arrive with much else do not keep all of it in memory', () => {
  const message = appendOf([entryOf(10, 3, 5)])
  const chunk = Buffer.concat([encoded(message), Buffer.alloc(60_000)])
  const reader = new FrameReader(BYTES_MAX)
  reader.push(chunk)
  const frame = reader.next()
  if (frame === undefined) throw new Error('no frame')
  const read = readMessage(frame.type, frame.body, from, to)
  if (read.type !== 'append') throw new Error('no append')
  expect(read.entries[0]?.frame.buffer.byteLength).toBe(64)
})
