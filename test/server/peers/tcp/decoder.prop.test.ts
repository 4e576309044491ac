// Arbitrary bytes in arbitrary pieces: complete frames are decoded, and anything else is a MalformedError.

import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Writer } from '../../../../src/bytes/index.ts'
import type { LeaseId } from '../../../../src/kv/index.ts'
import { asIndex, asTerm } from '../../../../src/raft/types.ts'
import { FrameReader, FrameWriter, MalformedError } from '../../../../src/server/peers/tcp/frames.ts'
import {
  frameCode,
  frameTail,
  isStable,
  readFrame,
  readGreetingFrame,
  writeFrame,
} from '../../../../src/server/peers/tcp/link-codec.ts'
import type { Frame, LinkFrame, WireMessage } from '../../../../src/server/peers/wires.ts'
import { runs } from '../../../runs.ts'
import { anyMessage, from, plain, to } from './messages.ts'

const BYTES_MAX = 1 << 20
const PREFIX_BYTES = 8

const integer = fc.oneof(fc.nat(300), fc.maxSafeNat(), fc.constant(Number.MAX_SAFE_INTEGER))
const index = integer.map(asIndex)
const term = integer.map(asTerm)
const big = fc.oneof(fc.constant(0n), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }))
const text = fc.string({ unit: 'grapheme' })
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

const isLink = (frame: Frame): frame is LinkFrame => frame.type in byType

/** The frame with every piece of bytes as a plain Uint8Array, so that equality means content. */
function comparable(frame: Frame): unknown {
  if (frame.type === 'snapshot-chunk') return { ...frame, bytes: new Uint8Array(frame.bytes) }
  if (frame.type === 'foreign-hello' || frame.type === 'unknown' || isLink(frame)) return frame
  return plain(frame)
}

function encoded(frames: readonly Frame[]): Buffer {
  const writer = new FrameWriter()
  const out = new Writer()
  for (const frame of frames) {
    out.clear()
    writeFrame(out, frame)
    writer.append(frameCode(frame), out.written(), frameTail(frame), isStable(frame))
  }
  return Buffer.concat(writer.takePieces())
}

interface Decoded {
  readonly frames: unknown[]
  readonly fault: unknown
}

/**
 * Reads the pieces, each in separate memory that is overwritten after it was read, as the memory of a socket may be.
 */
function decoded(pieces: readonly Buffer[], bytesMax = BYTES_MAX): Decoded {
  const reader = new FrameReader(bytesMax)
  const frames: unknown[] = []
  try {
    for (const piece of pieces) {
      reader.push(piece)
      for (let next = reader.next(); next !== undefined; next = reader.next())
        frames.push(structuredClone(comparable(readFrame(next.type, next.body, { from, to }))))
      piece.fill(0xaa)
    }
    return { frames, fault: undefined }
  } catch (fault) {
    return { frames, fault }
  }
}

test('content under a good checksum, changed anywhere: another frame or a fault, before the handshake and after it', () => {
  const change = fc.record({ at: fc.nat(), gone: fc.nat(12), junk: fc.uint8Array({ maxLength: 12 }) })
  const lengths = fc.constantFrom(0, 1, 255, 65_535, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1)
  fc.assert(
    fc.property(anyFrame, change, lengths, fc.boolean(), (frame, { at, gone, junk }, length, isLength) => {
      const body = encoded([frame]).subarray(13)
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
          expect(decoded([encoded([got])])).toEqual({ frames: [comparable(got)], fault: undefined })
        } catch (fault) {
          // An index or term beyond 2^53 in the stamp of an entry.
          if (!(fault instanceof MalformedError) && !(fault instanceof RangeError)) throw fault
        }
      }
    }),
    { numRuns: runs(3000) },
  )
})

test('nothing that was handed to a socket changes before the socket has taken it', () => {
  const action = fc.oneof(
    fc.record({ kind: fc.constant('append' as const), frame: anyFrame }),
    fc.record({ kind: fc.constant('take' as const) }),
    fc.record({ kind: fc.constant('sent' as const) }),
  )
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const writer = new FrameWriter()
      const out = new Writer()
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
          out.clear()
          writeFrame(out, each.frame)
          writer.append(frameCode(each.frame), out.written(), frameTail(each.frame), isStable(each.frame))
          sent.push(each.frame)
        }
      }
      take()
      while (taken.length > 0) leave()
      expect(decoded([Buffer.concat(arrived)])).toEqual({ frames: sent.map(comparable), fault: undefined })
    }),
    { numRuns: runs(300) },
  )
})

test('a checksum is of the whole body: no two frames exchange their ends', () => {
  const [one, two] = [
    encoded([{ type: 'snapshot-end', chunks: 1 }]),
    encoded([{ type: 'snapshot-end', chunks: 2 }]),
  ]
  const mixed = Buffer.concat([one.subarray(0, -1), two.subarray(-1)])
  expect(crc32(mixed.subarray(PREFIX_BYTES))).not.toBe(mixed.readUInt32BE(4))
  expect(decoded([mixed]).fault).toBeInstanceOf(MalformedError)
})
