// Raft messages to bytes and back, in a fixed layout: the term, then the fields in the order below. The messages
// `append` and `forward` end with the frames of their entries, unchanged (src/raft/entry.ts); each frame contains its
// length. `from` and `to` are not sent. The handshake decides which replicas a connection joins, so no message can
// pretend to come from another one.
//
// The reader checks every length, every tag, each entry's checksum, that no bytes are left, and that the entries of an
// append follow each other in index and term. Everything else is a `MalformedError`, which closes the connection.

import { crc32 } from 'node:zlib'
import { assertNever, joinAdjacent, type Reader, readUint32, type Writer } from '../../../bytes/index.ts'
import { BODY_AT, frameIndex, frameIntact, frameTerm } from '../../../raft/entry.ts'
import type {
  AppendMessage,
  Entry,
  Message,
  Proposal,
  ReadRefusal,
  Refusal,
  ReplicaId,
} from '../../../raft/types.ts'
import type { WireMessage } from '../wires.ts'
import {
  enumField,
  flag,
  float64,
  index,
  listField,
  optional,
  replicaId,
  structField,
  term,
  uint64,
  utf8,
  type WireField,
} from './fields.ts'
import { MalformedError, unpinned } from './frames.ts'

const CODES: { readonly [type in WireMessage['type']]: number } = {
  append: 1,
  'append-accepted': 2,
  'append-rejected': 3,
  heartbeat: 4,
  'heartbeat-answer': 5,
  'vote-request': 6,
  'pre-vote-request': 7,
  'vote-answer': 8,
  'pre-vote-answer': 9,
  'timeout-now': 10,
  'transfer-request': 11,
  forward: 12,
  'forward-refused': 13,
  'read-index': 14,
  'read-index-answer': 15,
  'lost-state': 16,
}
const TYPES = new Map(Object.entries(CODES).map(([type, code]) => [code, type as WireMessage['type']]))

const REFUSALS: readonly Refusal['reason'][] = [
  'no-leader',
  'not-leader',
  'overloaded',
  'transferring',
  'too-large',
  'membership',
  'membership-pending',
  'disk-full',
]
const READ_REFUSALS: readonly ReadRefusal[] = ['no-leader', 'not-leader', 'leadership-lost', 'not-ready']

const reason = enumField('refusal', REFUSALS)
const refusal: WireField<Refusal> = {
  write(out, value) {
    reason.write(out, value.reason)
    if ('detail' in value) out.utf8(value.detail)
  },
  read(input) {
    const why = reason.read(input)
    switch (why) {
      case 'overloaded':
      case 'too-large':
      case 'membership':
      case 'membership-pending':
      case 'disk-full':
        return { reason: why, detail: input.utf8() }
      case 'no-leader':
      case 'not-leader':
      case 'transferring':
        return { reason: why }
      default:
        return assertNever(why)
    }
  },
}

/** 0: none. */
const readRefusal: WireField<ReadRefusal | undefined> = {
  write: (out, why) => void out.uint8(why === undefined ? 0 : READ_REFUSALS.indexOf(why) + 1),
  read(input) {
    const code = input.uint8()
    if (code > READ_REFUSALS.length) throw new MalformedError('an unknown refusal of a read')
    return READ_REFUSALS[code - 1]
  },
}

/** Number of the entries. Their frames are appended by `messageFrames`. */
const entries: WireField<readonly Entry[]> = {
  write: (out, { length }) => void out.uint32(length),
  read: (input) =>
    readFrames(input, input.uint32()).map((frame) => ({
      index: frameIndex(frame),
      term: frameTerm(frame),
      frame,
    })),
}

const seqs = listField(uint64)
const proposals: WireField<readonly Proposal[]> = {
  write: (out, sent) =>
    seqs.write(
      out,
      sent.map(({ seq }) => seq),
    ),
  read(input) {
    const numbers = seqs.read(input)
    return readFrames(input, numbers.length).map((frame, at) => ({ seq: numbers[at] as number, frame }))
  },
}

const voteRequest = structField({ lastIndex: index, lastTerm: term, transfer: flag })
const voteAnswer = structField({ granted: flag, commit: index, commitTerm: term })

type Content<M> = Omit<M, 'type' | 'from' | 'to' | 'term'>

const CONTENTS: { readonly [M in WireMessage as M['type']]: WireField<Content<M>> } = {
  append: structField({ prevIndex: index, prevTerm: term, commit: index, round: uint64, entries }),
  'append-accepted': structField({ index, round: uint64, sentAt: float64, applied: index }),
  'append-rejected': structField({
    index,
    hintIndex: index,
    hintTerm: term,
    lastIndex: index,
    round: uint64,
    sentAt: float64,
  }),
  heartbeat: structField({
    commit: index,
    round: uint64,
    confirmed: optional(structField({ at: float64, readIndex: index })),
    appliedByMajority: index,
  }),
  'heartbeat-answer': structField({
    round: uint64,
    sentAt: float64,
    applied: index,
    matched: index,
    room: uint64,
    lastIndex: index,
  }),
  'vote-request': voteRequest,
  'pre-vote-request': voteRequest,
  'vote-answer': voteAnswer,
  'pre-vote-answer': voteAnswer,
  'timeout-now': structField({}),
  'transfer-request': structField({ target: optional(replicaId) }),
  forward: structField({ boot: uint64, proposals }),
  'forward-refused': structField({
    meantFor: term,
    refused: listField(structField({ seq: uint64, refusal })),
  }),
  'read-index': structField({ request: uint64, leaderLease: flag }),
  'read-index-answer': structField({
    request: uint64,
    index: optional(index),
    refusal: readRefusal,
    leaderLease: flag,
    commit: index,
  }),
  'lost-state': structField({ detail: utf8 }),
}

const messageContent = (type: WireMessage['type']) => CONTENTS[type] as WireField<Content<Message>>

export const messageCode = (message: WireMessage): number => CODES[message.type]
export const isMessageCode = (code: number): boolean => TYPES.has(code)

/** The frames of entries, which follow the output of `encodeMessage`. */
export function messageFrames(message: WireMessage): readonly Uint8Array[] {
  if (message.type === 'append') return joinAdjacent(message.entries.map((entry) => entry.frame))
  if (message.type === 'forward') return message.proposals.map((proposal) => proposal.frame)
  return []
}

/** Writes a message without the frames of its entries. */
export function encodeMessage(out: Writer, message: WireMessage): void {
  messageContent(message.type).write(out.uint64(message.term), message)
}

/** Reads the message of type `code` from `input`. Throws `MalformedError`. */
export function decodeMessage(code: number, input: Reader, from: ReplicaId, to: ReplicaId): WireMessage {
  const type = TYPES.get(code)
  if (type === undefined) throw new MalformedError(`an unknown message type, ${code}`)
  const head = { from, to, term: term.read(input), type }
  const message = { ...head, ...messageContent(type).read(input) } as WireMessage
  input.end()
  if (message.type === 'append') checkOrder(message)
  return message
}

/** Each entry follows the one before, and is not from a later term than the message. */
function checkOrder(append: AppendMessage): void {
  let before = { index: append.prevIndex, term: append.prevTerm }
  for (const entry of append.entries) {
    if (entry.index !== before.index + 1)
      throw new MalformedError(`entry ${entry.index} after entry ${before.index}`)
    if (entry.term < before.term || entry.term > append.term)
      throw new MalformedError(
        `an entry of term ${entry.term} after one of ${before.term}, in term ${append.term}`,
      )
    before = entry
  }
}

/**
 * Reads the rest of `input` as `count` intact frames. They share one buffer that contains nothing else, because the log
 * keeps them for a long time, and the leader writes into a forwarded frame.
 */
function readFrames(input: Reader, count: number): Uint8Array[] {
  if (count > input.left / BODY_AT) throw new MalformedError(`room for fewer than ${count} entries`)
  const bytes = unpinned(input.rest())
  const frames: Uint8Array[] = []
  let at = 0
  for (let left = count; left > 0; left--) {
    const length = bytes.length - at >= BODY_AT ? readUint32(bytes, at) : 0
    const frame = bytes.subarray(at, at + length)
    if (!frameIntact(frame, crc32)) throw new MalformedError('an entry whose checksum does not hold')
    frames.push(frame)
    at += length
  }
  if (at !== bytes.length) throw new MalformedError(`${bytes.length - at} bytes after the last entry`)
  return frames
}
