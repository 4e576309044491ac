// Messages of every type, arbitrary within what their types allow.

import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { newFrame, sealFrame, stampFrame } from '../../../../src/raft/entry.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  type Entry,
  type Refusal,
  type ReplicaId,
} from '../../../../src/raft/types.ts'
import type { WireMessage } from '../../../../src/server/peers/wires.ts'

export const from: ReplicaId = asReplicaId('18446744073709551615')
export const to: ReplicaId = asReplicaId('2')

const integer = fc.oneof(fc.nat(300), fc.maxSafeNat(), fc.constant(Number.MAX_SAFE_INTEGER))
const index = integer.map(asIndex)
const term = integer.map(asTerm)
const id = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => asReplicaId(String(value)))
const time = fc.double({ noNaN: true, noDefaultInfinity: true })
const text = fc.string({ unit: 'grapheme' })

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

const append = fc
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
  append,
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
export function plain(message: WireMessage): WireMessage {
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
