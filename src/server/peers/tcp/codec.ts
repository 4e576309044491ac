// Raft messages to bytes and back, in a fixed layout: the term, then the fields in the order below. The messages
// `append` and `forward` end with the frames of their entries, unchanged (src/raft/entry.ts); each frame contains its
// length. `from` and `to` are not sent. The handshake decides which replicas a connection joins, so no message can
// pretend to come from another one.
//
// The reader checks every length, every tag, each entry's checksum, that no bytes are left, and that the entries of an
// append follow each other in index and term. Everything else is a `MalformedError`, which closes the connection.

import { crc32 } from 'node:zlib'
import { joinAdjacent, type Reader, readUint32, type Writer } from '../../../bytes/index.ts'
import { BODY_AT, frameIndex, frameIntact, frameTerm } from '../../../raft/entry.ts'
import { assertNever } from '../../../raft/invariant.ts'
import type { Entry, LogIndex, Proposal, ReadRefusal, Refusal, ReplicaId, Term } from '../../../raft/types.ts'
import { asIndex, asReplicaId, asTerm } from '../../../raft/types.ts'
import type { WireMessage } from '../wires.ts'
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
  'storage-full',
]
const READ_REFUSALS: readonly ReadRefusal[] = ['no-leader', 'not-leader', 'leadership-lost', 'not-ready']

export const messageCode = (message: WireMessage): number => CODES[message.type]
export const isMessageCode = (code: number): boolean => TYPES.has(code)

/** The frames of entries, which follow the output of `writeMessage`. */
export function messageFrames(message: WireMessage): readonly Uint8Array[] {
  if (message.type === 'append') return joinAdjacent(message.entries.map((entry) => entry.frame))
  if (message.type === 'forward') return message.proposals.map((proposal) => proposal.frame)
  return []
}

/** Writes a message without the frames of its entries. */
export function writeMessage(out: Writer, message: WireMessage): void {
  out.uint64(message.term)
  switch (message.type) {
    case 'append':
      out.uint64(message.prevIndex)
      out.uint64(message.prevTerm)
      out.uint64(message.commit)
      out.uint64(message.round)
      out.uint32(message.entries.length)
      return
    case 'append-accepted':
      out.uint64(message.index)
      out.uint64(message.round)
      out.float64(message.sentAt)
      out.uint64(message.applied)
      return
    case 'append-rejected':
      out.uint64(message.index)
      out.uint64(message.hintIndex)
      out.uint64(message.hintTerm)
      out.uint64(message.lastIndex)
      out.uint64(message.round)
      out.float64(message.sentAt)
      return
    case 'heartbeat':
      out.uint64(message.commit)
      out.uint64(message.round)
      out.flag(message.confirmed !== undefined)
      if (message.confirmed !== undefined) {
        out.float64(message.confirmed.at)
        out.uint64(message.confirmed.readIndex)
      }
      out.uint64(message.appliedByMajority)
      return
    case 'heartbeat-answer':
      out.uint64(message.round)
      out.float64(message.sentAt)
      out.uint64(message.applied)
      out.uint64(message.lastIndex)
      return
    case 'vote-request':
    case 'pre-vote-request':
      out.uint64(message.lastIndex)
      out.uint64(message.lastTerm)
      out.flag(message.transfer)
      return
    case 'vote-answer':
    case 'pre-vote-answer':
      out.flag(message.granted)
      out.uint64(message.commit)
      out.uint64(message.commitTerm)
      return
    case 'timeout-now':
      return
    case 'transfer-request':
      out.flag(message.target !== undefined)
      if (message.target !== undefined) out.utf8(message.target)
      return
    case 'forward':
      out.uint64(message.boot)
      out.uint32(message.proposals.length)
      for (const proposal of message.proposals) out.uint64(proposal.seq)
      return
    case 'forward-refused':
      out.uint64(message.meantFor)
      out.uint32(message.refused.length)
      for (const { seq, refusal } of message.refused) {
        out.uint64(seq)
        writeRefusal(out, refusal)
      }
      return
    case 'read-index':
      out.uint64(message.request)
      out.flag(message.lease)
      return
    case 'read-index-answer':
      out.uint64(message.request)
      out.flag(message.index !== undefined)
      if (message.index !== undefined) out.uint64(message.index)
      out.uint8(message.refusal === undefined ? 0 : READ_REFUSALS.indexOf(message.refusal) + 1)
      out.flag(message.lease)
      out.uint64(message.commit)
      return
    case 'lost-state':
      out.utf8(message.detail)
      return
    default:
      assertNever(message)
  }
}

/** Reads the message of type `code` from `input`. Throws `MalformedError`. */
export function readMessage(code: number, input: Reader, from: ReplicaId, to: ReplicaId): WireMessage {
  const type = TYPES.get(code)
  if (type === undefined) throw new MalformedError(`an unknown message type, ${code}`)
  const message = readFields(type, input, { from, to, term: asTerm(input.uint64()) })
  input.end()
  return message
}

type Base = { readonly from: ReplicaId; readonly to: ReplicaId; readonly term: Term }

function readFields(type: WireMessage['type'], input: Reader, base: Base): WireMessage {
  switch (type) {
    case 'append':
      return readAppend(input, base)
    case 'append-accepted':
      return {
        ...base,
        type,
        index: index(input),
        round: input.uint64(),
        sentAt: input.float64(),
        applied: index(input),
      }
    case 'append-rejected':
      return {
        ...base,
        type,
        index: index(input),
        hintIndex: index(input),
        hintTerm: asTerm(input.uint64()),
        lastIndex: index(input),
        round: input.uint64(),
        sentAt: input.float64(),
      }
    case 'heartbeat':
      return {
        ...base,
        type,
        commit: index(input),
        round: input.uint64(),
        confirmed: input.flag() ? { at: input.float64(), readIndex: index(input) } : undefined,
        appliedByMajority: index(input),
      }
    case 'heartbeat-answer':
      return {
        ...base,
        type,
        round: input.uint64(),
        sentAt: input.float64(),
        applied: index(input),
        lastIndex: index(input),
      }
    case 'vote-request':
    case 'pre-vote-request':
      return {
        ...base,
        type,
        lastIndex: index(input),
        lastTerm: asTerm(input.uint64()),
        transfer: input.flag(),
      }
    case 'vote-answer':
    case 'pre-vote-answer':
      return {
        ...base,
        type,
        granted: input.flag(),
        commit: index(input),
        commitTerm: asTerm(input.uint64()),
      }
    case 'timeout-now':
      return { ...base, type }
    case 'transfer-request':
      return { ...base, type, target: input.flag() ? readReplicaId(input) : undefined }
    case 'forward':
      return readForward(input, base)
    case 'forward-refused':
      return {
        ...base,
        type,
        meantFor: asTerm(input.uint64()),
        refused: readList(input, 9, () => ({ seq: input.uint64(), refusal: readRefusal(input) })),
      }
    case 'read-index':
      return { ...base, type, request: input.uint64(), lease: input.flag() }
    case 'read-index-answer':
      return {
        ...base,
        type,
        request: input.uint64(),
        index: input.flag() ? index(input) : undefined,
        refusal: readReadRefusal(input),
        lease: input.flag(),
        commit: index(input),
      }
    case 'lost-state':
      return { ...base, type, detail: input.utf8() }
    default:
      return assertNever(type)
  }
}

function readAppend(input: Reader, base: Base): WireMessage {
  const prevIndex = index(input)
  const prevTerm = asTerm(input.uint64())
  const commit = index(input)
  const round = input.uint64()
  let before = { index: prevIndex, term: prevTerm }
  const entries: Entry[] = []
  for (const frame of readFrames(input, input.uint32())) {
    const entry = { index: frameIndex(frame), term: frameTerm(frame), frame }
    if (entry.index !== before.index + 1) {
      throw new MalformedError(`entry ${entry.index} after entry ${before.index}`)
    }
    if (entry.term < before.term || entry.term > base.term) {
      throw new MalformedError(
        `an entry of term ${entry.term} after one of ${before.term}, in term ${base.term}`,
      )
    }
    before = entry
    entries.push(entry)
  }
  return { ...base, type: 'append', prevIndex, prevTerm, entries, commit, round }
}

function readForward(input: Reader, base: Base): WireMessage {
  const boot = input.uint64()
  const seqs = readList(input, 8, () => input.uint64())
  const frames = readFrames(input, seqs.length)
  const proposals: Proposal[] = []
  for (const [at, frame] of frames.entries()) {
    const seq = seqs[at]
    if (seq !== undefined) proposals.push({ seq, frame })
  }
  return { ...base, type: 'forward', boot, proposals }
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

function readList<T>(input: Reader, bytesEach: number, read: () => T): T[] {
  const count = input.uint32()
  if (count > input.left / bytesEach) throw new MalformedError(`room for fewer than ${count} elements`)
  return Array.from({ length: count }, read)
}

function writeRefusal(out: Writer, refusal: Refusal): void {
  out.uint8(REFUSALS.indexOf(refusal.reason))
  switch (refusal.reason) {
    case 'overloaded':
    case 'too-large':
    case 'membership':
    case 'membership-pending':
    case 'storage-full':
      out.utf8(refusal.detail)
      break
    case 'no-leader':
    case 'not-leader':
    case 'transferring':
      break
    default:
      assertNever(refusal)
  }
}

function readRefusal(input: Reader): Refusal {
  const reason = REFUSALS[input.uint8()]
  switch (reason) {
    case 'overloaded':
    case 'too-large':
    case 'membership':
    case 'membership-pending':
    case 'storage-full':
      return { reason, detail: input.utf8() }
    case 'no-leader':
    case 'not-leader':
    case 'transferring':
      return { reason }
    case undefined:
      throw new MalformedError('an unknown refusal')
    default:
      return assertNever(reason)
  }
}

function readReadRefusal(input: Reader): ReadRefusal | undefined {
  const code = input.uint8()
  if (code > READ_REFUSALS.length) throw new MalformedError('an unknown refusal of a read')
  return READ_REFUSALS[code - 1]
}

/** Throws `MalformedError` if it is not an id. */
export function readReplicaId(input: Reader): ReplicaId {
  const text = input.utf8()
  try {
    return asReplicaId(text)
  } catch {
    throw new MalformedError('a replica id that is none')
  }
}

const index = (input: Reader): LogIndex => asIndex(input.uint64())
