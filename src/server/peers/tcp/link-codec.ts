// Frames to bytes and back: messages between links, and Raft messages (codec.ts). Before the handshake is done, only
// its messages are read.

import type { Reader, Writer } from '../../../bytes/index.ts'
import { type LeaseId, leaseOf, RENEW_LEASES_MAX } from '../../../kv/index.ts'
import { asIndex, asTerm, type ReplicaId } from '../../../raft/types.ts'
import { ENTRY_TRACES_MAX } from '../../node/entry-traces.ts'
import type { Greeting, KeepAliveAnswer, KeepAliveRequest, TracedProposal } from '../../node/types.ts'
import { PROTOCOL_VERSION } from '../accept.ts'
import type { Frame, LinkFrame, Purpose, Speaker } from '../wires.ts'
import {
  isMessageCode,
  messageCode,
  messageFrames,
  readMessage,
  readReplicaId,
  writeMessage,
} from './codec.ts'
import { MalformedError, readBig, writeBig } from './frames.ts'

const MAGIC = 0x51_52_54_45 // "QRTE"

/** Frame types beside those of Raft messages. Only connections (connection.ts) see pings. */
export const CODE = {
  'state-hash': 32,
  'keep-alive': 33,
  'kept-alive': 34,
  traces: 35,
  hello: 64,
  welcome: 65,
  refusal: 66,
  ping: 67,
  pong: 68,
  'snapshot-offer': 80,
  'snapshot-accept': 81,
  'snapshot-chunk': 82,
  'snapshot-written': 83,
  'snapshot-end': 84,
  'snapshot-staged': 85,
} as const

const PURPOSES: readonly Purpose[] = ['messages', 'snapshot']
const NOTHING: readonly Uint8Array[] = []

export function frameCode(frame: Frame): number {
  switch (frame.type) {
    case 'state-hash':
    case 'keep-alive':
    case 'kept-alive':
    case 'traces':
    case 'hello':
    case 'welcome':
    case 'refusal':
    case 'snapshot-offer':
    case 'snapshot-accept':
    case 'snapshot-chunk':
    case 'snapshot-written':
    case 'snapshot-end':
    case 'snapshot-staged':
      return CODE[frame.type]
    case 'foreign-hello':
    case 'unknown':
      throw new RangeError(`a frame of type ${frame.type} is never sent`)
    default:
      return messageCode(frame)
  }
}

/** The bytes that follow the output of `writeFrame`. */
export function frameTail(frame: Frame): readonly Uint8Array[] {
  if (frame.type === 'append' || frame.type === 'forward') return messageFrames(frame)
  return frame.type === 'snapshot-chunk' ? [frame.bytes] : NOTHING
}

/**
 * Nothing changes the bytes of its tail later. A forwarded proposal may change: if this process becomes leader, it
 * writes the header.
 */
export const isStable = ({ type }: Frame): boolean => type === 'append' || type === 'snapshot-chunk'

export function writeFrame(out: Writer, frame: Frame): void {
  switch (frame.type) {
    case 'state-hash':
      out.uint64(frame.at.index)
      writeBig(out, frame.at.hash)
      return
    case 'keep-alive':
      out.uint64(frame.question.number)
      out.uint64(frame.question.timeoutMs)
      out.flag(frame.question.renews)
      out.uint32(frame.question.ids.length)
      for (const id of frame.question.ids) writeBig(out, BigInt(id))
      return
    case 'kept-alive':
      writeKept(out, frame.answer)
      return
    case 'traces':
      out.uint32(frame.proposals.length)
      for (const { proposal, traceparent, tracestate } of frame.proposals)
        for (const text of [proposal, traceparent, tracestate]) out.utf8(text)
      return
    case 'hello':
      out.uint32(MAGIC)
      out.uint32(PROTOCOL_VERSION)
      out.uint8(PURPOSES.indexOf(frame.purpose))
      out.utf8(frame.target)
      out.uint64(frame.attempt)
      writeSpeaker(out, frame)
      return
    case 'welcome':
      writeSpeaker(out, frame)
      return
    case 'refusal':
      out.utf8(frame.clusterId)
      out.flag(frame.stop)
      out.utf8(frame.sentence)
      return
    case 'snapshot-offer':
      out.uint64(frame.term)
      out.utf8(frame.snapshotId)
      out.uint64(frame.meta.index)
      out.uint64(frame.meta.term)
      writeBig(out, frame.meta.stateHash)
      out.uint64(frame.meta.applied.index)
      out.uint64(frame.meta.applied.term)
      out.bytes(frame.meta.applied.raft)
      out.bytes(frame.meta.applied.kv)
      return
    case 'snapshot-accept':
      out.uint64(frame.nextChunk)
      return
    case 'snapshot-chunk':
    case 'snapshot-written':
      out.uint64(frame.number)
      return
    case 'snapshot-end':
      out.uint64(frame.chunks)
      return
    case 'snapshot-staged':
    case 'foreign-hello':
    case 'unknown':
      return
    default:
      writeMessage(out, frame)
  }
}

/** Reads a frame of the handshake. Throws `MalformedError`. */
export function readGreetingFrame(code: number, input: Reader): LinkFrame {
  return code === CODE.hello || code === CODE.welcome || code === CODE.refusal
    ? readLinkFrame(code, input)
    : { type: 'unknown', code }
}

/** Reads a frame after the handshake. Throws `MalformedError`. */
export function readFrame(
  code: number,
  input: Reader,
  { from, to }: { readonly from: ReplicaId; readonly to: ReplicaId },
): Frame {
  return isMessageCode(code) ? readMessage(code, input, from, to) : readLinkFrame(code, input)
}

function readLinkFrame(code: number, input: Reader): LinkFrame {
  const frame = readFields(code, input)
  if (frame.type !== 'foreign-hello' && frame.type !== 'unknown') input.end()
  return frame
}

function readFields(code: number, input: Reader): LinkFrame {
  switch (code) {
    case CODE['state-hash']:
      return { type: 'state-hash', at: { index: asIndex(input.uint64()), hash: readBig(input) } }
    case CODE['keep-alive']:
      return { type: 'keep-alive', question: readQuestion(input) }
    case CODE['kept-alive']:
      return { type: 'kept-alive', answer: readKept(input) }
    case CODE.traces:
      return { type: 'traces', proposals: readTraces(input) }
    case CODE.hello:
      return readHello(input)
    case CODE.welcome:
      return { type: 'welcome', ...readSpeaker(input) }
    case CODE.refusal:
      return { type: 'refusal', clusterId: input.utf8(), stop: input.flag(), sentence: input.utf8() }
    case CODE['snapshot-offer']:
      return readOffer(input)
    case CODE['snapshot-accept']:
      return { type: 'snapshot-accept', nextChunk: input.uint64() }
    case CODE['snapshot-chunk']:
      return { type: 'snapshot-chunk', number: input.uint64(), bytes: input.rest() }
    case CODE['snapshot-written']:
      return { type: 'snapshot-written', number: input.uint64() }
    case CODE['snapshot-end']:
      return { type: 'snapshot-end', chunks: input.uint64() }
    case CODE['snapshot-staged']:
      return { type: 'snapshot-staged' }
    default:
      return { type: 'unknown', code }
  }
}

const readQuestion = (input: Reader): KeepAliveRequest => ({
  number: input.uint64(),
  timeoutMs: input.uint64(),
  renews: input.flag(),
  ids: Array.from({ length: countOf(input) }, () => readLease(input)),
})

function readLease(input: Reader): LeaseId {
  const id = readBig(input)
  if (id === 0n) throw new MalformedError('a lease without an id')
  return leaseOf(id)
}

/** A time to live of 0 stands for a lease that does not exist. */
function writeKept(out: Writer, { number, kept }: KeepAliveAnswer): void {
  out.uint64(number)
  out.flag(kept !== undefined)
  if (kept === undefined) return
  out.uint32(kept.length)
  for (const ttlMs of kept) out.uint64(ttlMs ?? 0)
}

function readTraces(input: Reader): TracedProposal[] {
  const length = input.uint32()
  if (length > ENTRY_TRACES_MAX) throw new MalformedError(`${length} traces of one message`)
  const read = () => ({ proposal: input.utf8(), traceparent: input.utf8(), tracestate: input.utf8() })
  return Array.from({ length }, read)
}

function readKept(input: Reader): KeepAliveAnswer {
  const number = input.uint64()
  if (!input.flag()) return { number, kept: undefined }
  return { number, kept: Array.from({ length: countOf(input) }, () => input.uint64() || undefined) }
}

function countOf(input: Reader): number {
  const count = input.uint32()
  if (count > RENEW_LEASES_MAX) throw new MalformedError(`${count} leases in one question`)
  return count
}

/** Stops after the version if it is another one; the receiver of the handshake refuses it. */
function readHello(input: Reader): LinkFrame {
  if (input.uint32() !== MAGIC) throw new MalformedError('something that is not a peer')
  const version = input.uint32()
  if (version !== PROTOCOL_VERSION) return { type: 'foreign-hello', version }
  const purpose = PURPOSES[input.uint8()]
  if (purpose === undefined) throw new MalformedError('a connection of unknown purpose')
  return {
    ...{ type: 'hello', purpose, target: input.utf8(), attempt: input.uint64() },
    ...readSpeaker(input),
  }
}

function readOffer(input: Reader): LinkFrame {
  const term = asTerm(input.uint64())
  const snapshotId = input.utf8()
  const index = asIndex(input.uint64())
  const termOfIndex = asTerm(input.uint64())
  const stateHash = readBig(input)
  const applied = {
    index: asIndex(input.uint64()),
    term: asTerm(input.uint64()),
    // Copied, because they are kept as long as the snapshot is the newest.
    raft: new Uint8Array(input.bytes()),
    kv: new Uint8Array(input.bytes()),
  }
  const meta = { index, term: termOfIndex, applied, stateHash }
  return { type: 'snapshot-offer', term, snapshotId, meta }
}

function writeSpeaker(out: Writer, { incarnation, greeting }: Speaker): void {
  writeBig(out, incarnation)
  writeGreeting(out, greeting)
}

const readSpeaker = (input: Reader): Speaker => ({
  incarnation: readBig(input),
  greeting: readGreeting(input),
})

function writeGreeting(out: Writer, greeting: Greeting): void {
  out.utf8(greeting.clusterId)
  out.utf8(greeting.replicaId)
  out.utf8(greeting.name)
  out.uint64(greeting.boot)
  out.uint64(greeting.term)
  out.uint64(greeting.lastIndex)
  out.uint64(greeting.clusterVersion)
  out.utf8(greeting.peer)
}

function readGreeting(input: Reader): Greeting {
  return {
    clusterId: input.utf8(),
    replicaId: readReplicaId(input),
    name: input.utf8(),
    boot: input.uint64(),
    term: asTerm(input.uint64()),
    lastIndex: asIndex(input.uint64()),
    clusterVersion: input.uint64(),
    peer: input.utf8(),
  }
}
