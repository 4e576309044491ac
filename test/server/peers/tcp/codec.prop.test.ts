// Arbitrary frames in arbitrary pieces: complete frames are decoded, and anything else is a MalformedError.

import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { LeaseId } from '../../../../src/operations/forms/index.ts'
import { asIndex, asTerm, type Entry } from '../../../../src/raft/types.ts'
import { REPORT_KINDS } from '../../../../src/server/node/network.ts'
import { FrameReader, FrameWriter, MalformedError } from '../../../../src/server/peers/tcp/frames.ts'
import { frameCode, readFrame, readGreetingFrame } from '../../../../src/server/peers/tcp/link-codec.ts'
import type { Frame, LinkFrame, WireMessage } from '../../../../src/server/peers/wires.ts'
import { runs } from '../../../runs.ts'
import {
  anyMessage,
  append,
  BYTES_MAX,
  comparable,
  decoded,
  encoded,
  entryOf,
  from,
  index,
  integer,
  sealedFrame,
  term,
  text,
  to,
} from './messages.ts'

const PREFIX_BYTES = 8

const big = fc.oneof(fc.constant(0n), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }))
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.uint8Array({ minLength: 9_000, maxLength: 9_100 }),
)
const speaker = {
  incarnation: big,
  greeting: fc.record({
    ...{ clusterId: text, name: text, peer: text, boot: integer, clusterVersion: integer },
    ...{ replicaId: fc.constantFrom(from, to), term, lastIndex: index },
  }),
}

type Sent = Exclude<LinkFrame['type'], 'foreign-hello' | 'unknown'>
/** One arbitrary per type: a type without one does not compile. */
const byType: { readonly [T in Sent]: fc.Arbitrary<LinkFrame> } = {
  hello: fc.record({
    ...{ type: fc.constant('hello'), purpose: fc.constantFrom('messages', 'snapshot') },
    ...{ target: text, attempt: integer, ...speaker },
  }),
  welcome: fc.record({ type: fc.constant('welcome'), ...speaker }),
  refusal: fc.record({ type: fc.constant('refusal'), clusterId: text, stop: fc.boolean(), sentence: text }),
  'state-hash': fc.record({ type: fc.constant('state-hash'), at: fc.record({ index, hash: big }) }),
  'keep-alive': fc.record({
    type: fc.constant('keep-alive'),
    question: fc.record({
      ...{ number: integer, timeoutMs: integer, renews: fc.boolean() },
      ids: fc.array(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map((id) => String(id) as LeaseId)),
    }),
  }),
  'kept-alive': fc.record({
    type: fc.constant('kept-alive'),
    answer: fc.record({
      number: integer,
      kept: fc.option(fc.array(fc.option(fc.integer({ min: 1, max: 2 ** 40 }), { nil: undefined })), {
        nil: undefined,
      }),
    }),
  }),
  'report-request': fc.record({
    type: fc.constant('report-request'),
    request: fc.record({ number: integer, kind: fc.constantFrom(...REPORT_KINDS) }),
  }),
  'report-answer': fc.record({
    type: fc.constant('report-answer'),
    answer: fc.record({ number: integer, report: fc.option(bytes, { nil: undefined }) }),
  }),
  'member-request': fc.record({ type: fc.constant('member-request'), id: fc.constantFrom(from, to) }),
  'member-answer': fc.record({
    ...{ type: fc.constant('member-answer'), id: fc.constantFrom(from, to) },
    member: fc.record({ name: text, peer: text }),
  }),
  traces: fc.record({
    type: fc.constant('traces'),
    proposals: fc.array(fc.record({ proposal: text, traceparent: text, tracestate: text })),
  }),
  'snapshot-offer': fc.record({
    ...{ type: fc.constant('snapshot-offer'), term, snapshotId: text },
    meta: fc.record({
      ...{ index, term, stateHash: big },
      applied: fc.record({ index, term, raft: bytes, kv: bytes }),
    }),
  }),
  'snapshot-accept': fc.record({ type: fc.constant('snapshot-accept'), nextChunk: integer }),
  'snapshot-chunk': fc.record({ type: fc.constant('snapshot-chunk'), number: integer, bytes }),
  'snapshot-written': fc.record({ type: fc.constant('snapshot-written'), number: integer }),
  'snapshot-end': fc.record({ type: fc.constant('snapshot-end'), chunks: integer }),
  'snapshot-staged': fc.record({ type: fc.constant('snapshot-staged') }),
}
const pending: fc.Arbitrary<WireMessage> = text.map((detail) => ({
  ...{ type: 'forward-refused', from, to, term: asTerm(1), meantFor: asTerm(1) },
  refused: [{ seq: 1, refusal: { reason: 'membership-pending', detail } }],
}))
const anyFrame: fc.Arbitrary<Frame> = fc.oneof(anyMessage, pending, ...Object.values(byType))

/** `bytes` cut at the given places, each piece in separate memory, as a socket hands it out. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  )
  return at.slice(1).map((end, number) => Buffer.from(bytes.subarray(at[number], end)))
}

test('every frame arrives as it was sent, however the stream is cut, also where memory is used again when the socket has taken it', () => {
  const action = fc.oneof(
    fc.record({ kind: fc.constant('append' as const), frame: anyFrame }),
    fc.record({ kind: fc.constant('take' as const) }),
    fc.record({ kind: fc.constant('sent' as const) }),
  )
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), fc.array(fc.nat(200_000)), (actions, cuts) => {
      const writer = new FrameWriter()
      const sent: Frame[] = []
      const arrived: Buffer[] = []
      const taken: (readonly Uint8Array[])[] = []
      const take = (): void => {
        if (!writer.empty) taken.push(writer.takePieces())
      }
      const leave = (): void => {
        const next = taken.shift()
        if (next !== undefined) arrived.push(Buffer.concat(next))
        if (taken.length === 0) writer.allSent()
      }
      for (const each of [...actions, ...actions.map(() => ({ kind: 'take' as const }))]) {
        if (each.kind === 'take') take()
        else if (each.kind === 'sent') leave()
        else {
          append(writer, each.frame)
          sent.push(each.frame)
        }
      }
      take()
      while (taken.length > 0) leave()
      const received = pieces(Buffer.concat(arrived), cuts)
      expect(decoded(...received)).toEqual({ frames: sent.map(comparable), fault: undefined })
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
      const { frames, fault } = decoded(bytes)
      if (fault !== undefined) expect(fault).toBeInstanceOf(MalformedError)
      // A frame made longer waits for its end without a limit; one that was cut off earlier is whole.
      for (const each of frames) expect(each).toEqual(comparable(message))
      expect(frames.length).toBeLessThan(2)
    }),
    { numRuns: runs(500) },
  )
})

test('content under a good checksum, changed anywhere: another frame or a fault, before the handshake and after it', () => {
  const change = fc.record({ at: fc.nat(), gone: fc.nat(12), junk: fc.uint8Array({ maxLength: 12 }) })
  const lengths = fc.constantFrom(0, 1, 255, 65_535, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1)
  fc.assert(
    fc.property(anyFrame, change, lengths, fc.boolean(), (frame, { at, gone, junk }, length, isLength) => {
      const body = encoded(frame).subarray(13)
      const where = at % (body.length + 1)
      const lie = Buffer.alloc(4)
      lie.writeUInt32BE(length)
      const put = isLength ? lie : junk
      const rest = body.subarray(Math.min(body.length, where + (isLength ? 4 : gone)))
      const writer = new FrameWriter()
      writer.append(frameCode(frame), Buffer.concat([body.subarray(0, where), put, rest]), [], false)
      const changed = Buffer.concat(writer.takePieces())
      for (const read of [
        (code: number, input: Parameters<typeof readGreetingFrame>[1]) => readGreetingFrame(code, input),
        (code: number, input: Parameters<typeof readGreetingFrame>[1]) =>
          readFrame(code, input, { from, to }),
      ]) {
        const reader = new FrameReader(BYTES_MAX)
        reader.push(Buffer.from(changed))
        const next = reader.next()
        if (next === undefined) throw new Error('the frame itself is good')
        try {
          const got = read(next.type, next.body)
          // The changed bytes may be another valid frame, which must decode to itself after it is encoded.
          if (got.type === 'unknown' || got.type === 'foreign-hello') continue
          expect(decoded(encoded(got))).toEqual({ frames: [comparable(got)], fault: undefined })
        } catch (fault) {
          // An index or term beyond 2^53 in the stamp of an entry.
          if (!(fault instanceof MalformedError) && !(fault instanceof RangeError)) throw fault
        }
      }
    }),
    { numRuns: runs(3000) },
  )
})

test('a checksum is of the whole body: no two frames exchange their ends', () => {
  const one = encoded({ type: 'snapshot-end', chunks: 1 })
  const two = encoded({ type: 'snapshot-end', chunks: 2 })
  const mixed = Buffer.concat([one.subarray(0, -1), two.subarray(-1)])
  expect(crc32(mixed.subarray(PREFIX_BYTES))).not.toBe(mixed.readUInt32BE(4))
  expect(decoded(mixed).fault).toBeInstanceOf(MalformedError)
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
  expect(decoded(encoded(appendOf(entries))).fault).toBeInstanceOf(MalformedError)
})

test('an entry that was damaged before it was sent is refused', () => {
  const entry = entryOf(40, 3, 5)
  entry.frame[70] = (entry.frame[70] ?? 0) ^ 1
  expect(decoded(encoded(appendOf([entry]))).fault).toMatchObject({
    message: expect.stringMatching(/checksum/),
  })
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
  const read = readFrame(frame.type, frame.body, { from, to })
  if (read.type !== 'append') throw new Error('no append')
  expect(read.entries[0]?.frame.buffer.byteLength).toBe(64)
})
