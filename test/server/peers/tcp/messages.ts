// Messages of every type, arbitrary within what their types allow, and frames as bytes.

import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { Writer } from '../../../../src/bytes/index.ts'
import { newFrame, sealFrame, stampFrame } from '../../../../src/raft/entry.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  type Entry,
  type Refusal,
  type ReplicaId,
} from '../../../../src/raft/types.ts'
import { FrameReader, FrameWriter } from '../../../../src/server/peers/tcp/frames.ts'
import {
  frameCode,
  frameTail,
  isStable,
  readFrame,
  writeFrame,
} from '../../../../src/server/peers/tcp/link-codec.ts'
import type { Frame, WireMessage } from '../../../../src/server/peers/wires.ts'

export const from: ReplicaId = asReplicaId('18446744073709551615')
export const to: ReplicaId = asReplicaId('2')

export const integer = fc.oneof(fc.nat(300), fc.maxSafeNat(), fc.constant(Number.MAX_SAFE_INTEGER))
export const index = integer.map(asIndex)
export const term = integer.map(asTerm)
const id = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => asReplicaId(String(value)))
const time = fc.double({ noNaN: true, noDefaultInfinity: true })
export const text = fc.string({ unit: 'grapheme' })

/** A sealed frame with a body of `bodyBytes`, not stamped yet. */
export function sealedFrame(bodyBytes: number, seq = 1): Uint8Array {
  const frame = newFrame({ kind: 17, version: 1, proposer: from, boot: 3, seq }, bodyBytes)
  for (let at = 54; at < frame.length; at++) frame[at] = (at * 31 + seq) & 0xff
  return sealFrame(frame, crc32)
}

export function entryOf(bodyBytes: number, atTerm: number, atIndex: number): Entry {
  const frame = sealedFrame(bodyBytes, atIndex % 1000)
  stampFrame(frame, asTerm(atTerm), asIndex(atIndex), 12)
  return { index: asIndex(atIndex), term: asTerm(atTerm), frame }
}

const bodyBytes = fc.oneof(fc.nat(600), fc.nat(40_000))

const anyAppend = fc
  .record({
    prevIndex: fc.maxSafeNat().map((value) => Math.min(value, Number.MAX_SAFE_INTEGER - 100)),
    prevTerm: fc.nat(),
    rises: fc.array(fc.tuple(bodyBytes, fc.nat(1)), { maxLength: 6 }),
    commit: index,
    round: integer,
    ahead: fc.nat(3),
  })
  .map(({ prevIndex, prevTerm, rises, commit, round, ahead }): WireMessage => {
    let last = prevTerm
    const entries = rises.map(([bytes, rise], at) => {
      last += rise
      return entryOf(bytes, last, prevIndex + 1 + at)
    })
    return {
      type: 'append',
      from,
      to,
      term: asTerm(last + ahead),
      prevIndex: asIndex(prevIndex),
      prevTerm: asTerm(prevTerm),
      entries,
      commit,
      round,
    }
  })

const refusal: fc.Arbitrary<Refusal> = fc.oneof(
  fc.constantFrom<Refusal>({ reason: 'no-leader' }, { reason: 'not-leader' }, { reason: 'transferring' }),
  fc.record({
    reason: fc.constantFrom('overloaded', 'too-large', 'membership', 'disk-full'),
    detail: text,
  }),
)

const base = { from: fc.constant(from), to: fc.constant(to), term }
const of = <T extends WireMessage['type']>(...types: readonly [T, ...T[]]) => ({
  ...base,
  type: fc.constantFrom(...types),
})
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })

/** One arbitrary per type: a type without one does not compile. */
const byType: { readonly [T in WireMessage['type']]: fc.Arbitrary<WireMessage> } = {
  append: anyAppend,
  'append-accepted': fc.record({
    ...of('append-accepted'),
    index,
    round: integer,
    sentAt: time,
    applied: index,
  }),
  'append-rejected': fc.record({
    ...of('append-rejected'),
    index,
    hintIndex: index,
    hintTerm: term,
    lastIndex: index,
    round: integer,
    sentAt: time,
  }),
  heartbeat: fc.record({
    ...of('heartbeat'),
    commit: index,
    round: integer,
    confirmed: maybe(fc.record({ at: time, readIndex: index })),
    appliedByMajority: index,
  }),
  'heartbeat-answer': fc.record({
    ...of('heartbeat-answer'),
    round: integer,
    sentAt: time,
    applied: index,
    matched: index,
    room: integer,
    lastIndex: index,
  }),
  'vote-request': fc.record({
    ...of('vote-request'),
    lastIndex: index,
    lastTerm: term,
    transfer: fc.boolean(),
  }),
  'pre-vote-request': fc.record({
    ...of('pre-vote-request'),
    lastIndex: index,
    lastTerm: term,
    transfer: fc.boolean(),
  }),
  'vote-answer': fc.record({ ...of('vote-answer'), granted: fc.boolean(), commit: index, commitTerm: term }),
  'pre-vote-answer': fc.record({
    ...of('pre-vote-answer'),
    granted: fc.boolean(),
    commit: index,
    commitTerm: term,
  }),
  'timeout-now': fc.record(of('timeout-now')),
  'transfer-request': fc.record({ ...of('transfer-request'), target: maybe(id) }),
  forward: fc.record({
    ...of('forward'),
    boot: integer,
    proposals: fc.array(fc.record({ seq: integer, frame: bodyBytes.map((bytes) => sealedFrame(bytes)) }), {
      maxLength: 5,
    }),
  }),
  'forward-refused': fc.record({
    ...of('forward-refused'),
    meantFor: term,
    refused: fc.array(fc.record({ seq: integer, refusal })),
  }),
  'read-index': fc.record({ ...of('read-index'), request: integer, leaderLease: fc.boolean() }),
  'read-index-answer': fc.record({
    ...of('read-index-answer'),
    request: integer,
    index: maybe(index),
    refusal: maybe(fc.constantFrom('no-leader', 'not-leader', 'leadership-lost', 'not-ready')),
    leaderLease: fc.boolean(),
    commit: index,
  }),
  'lost-state': fc.record({ ...of('lost-state'), detail: text }),
}

export const anyMessage: fc.Arbitrary<WireMessage> = fc.oneof(...Object.values(byType))

/** The same with every piece of bytes as a plain Uint8Array, so that equality means content. */
function plain(message: WireMessage): WireMessage {
  if (message.type === 'append') {
    const entries = message.entries.map((entry) => ({ ...entry, frame: new Uint8Array(entry.frame) }))
    return { ...message, entries }
  }
  if (message.type === 'forward') {
    const proposals = message.proposals.map((each) => ({ ...each, frame: new Uint8Array(each.frame) }))
    return { ...message, proposals }
  }
  return message
}

export const BYTES_MAX = 1 << 20

const isMessage = (frame: Frame): frame is WireMessage => frame.type in byType

/** The frame with every piece of bytes as a plain Uint8Array, so that equality means content. */
export function comparable(frame: Frame): unknown {
  if (frame.type === 'snapshot-chunk') return { ...frame, bytes: new Uint8Array(frame.bytes) }
  return isMessage(frame) ? plain(frame) : frame
}

export function append(writer: FrameWriter, frame: Frame): void {
  const out = new Writer()
  writeFrame(out, frame)
  writer.append(frameCode(frame), out.written(), frameTail(frame), isStable(frame))
}

export function encoded(...frames: readonly Frame[]): Buffer {
  const writer = new FrameWriter()
  for (const frame of frames) append(writer, frame)
  return Buffer.concat(writer.takePieces())
}

/**
 * Reads the pieces, each in separate memory that is overwritten after it was read, as the memory of a socket may be.
 */
export function decoded(...pieces: readonly Buffer[]): {
  readonly frames: unknown[]
  readonly fault: unknown
} {
  const reader = new FrameReader(BYTES_MAX)
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
