// Frames to bytes and back: messages between links, and Raft messages (codec.ts). Before the handshake is done, only
// its messages are read.

import type { Reader, Writer } from '../../../bytes/index.ts'
import { asLeaseId } from '../../../kv/index.ts'
import type { LeaseId } from '../../../operations/forms/index.ts'
import { RENEW_LEASES_MAX } from '../../../operations/keep-alive.ts'
import type { ReplicaId } from '../../../raft/types.ts'
import { ENTRY_TRACES_MAX } from '../../node/entry-traces.ts'
import { type Greeting, REPORT_KINDS } from '../../node/network.ts'
import { PROTOCOL_VERSION } from '../accept.ts'
import type { Frame, LinkFrame, Purpose } from '../wires.ts'
import { decodeMessage, encodeMessage, isMessageCode, messageCode, messageFrames } from './codec.ts'
import {
  big,
  enumField,
  flag,
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
import { MalformedError } from './frames.ts'

// The beginning of a hello (magic, version, name) and the layout of a refusal stay the same in all later versions. So
// two nodes of different versions can say that they are.
const MAGIC = 0x51_52_54_45 // "QRTE"
const FIRST_WITH_NAME = 2

/** Frame types beside those of Raft messages. Only connections (connection.ts) see pings. */
export const CODE = {
  'state-hash': 32,
  'keep-alive': 33,
  'kept-alive': 34,
  traces: 35,
  'member-request': 36,
  'member-answer': 37,
  'report-request': 38,
  'report-answer': 39,
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

type Sent = Exclude<LinkFrame, { readonly type: 'foreign-hello' | 'unknown' }>

const isSent = (frame: Frame): frame is Sent => frame.type in CODE

export function frameCode(frame: Frame): number {
  if (isSent(frame)) return CODE[frame.type]
  if (frame.type === 'foreign-hello' || frame.type === 'unknown')
    throw new RangeError(`a frame of type ${frame.type} is never sent`)
  return messageCode(frame)
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

/** A time to live of 0 stands for a lease that does not exist. */
const ttl: WireField<number | undefined> = {
  write: (out, ttlMs) => void out.uint64(ttlMs ?? 0),
  read: (input) => input.uint64() || undefined,
}

const leaseId: WireField<LeaseId> = {
  write: (out, id) => big.write(out, BigInt(id)),
  read(input) {
    const id = big.read(input)
    if (id === 0n) throw new MalformedError('a lease without an id')
    return asLeaseId(id)
  },
}

/**
 * Copied when it is read, because it is kept: as long as the snapshot is the newest, or until a client has taken it.
 */
const copied: WireField<Uint8Array> = {
  write: (out, bytes) => void out.bytes(bytes),
  read: (input) => new Uint8Array(input.bytes()),
}

/** The rest of the frame, which `frameTail` writes. */
const tail: WireField<Uint8Array> = { write: () => {}, read: (input) => input.rest() }

const greeting: WireField<Greeting> = structField({
  clusterId: utf8,
  replicaId,
  name: utf8,
  boot: uint64,
  term,
  lastIndex: index,
  clusterVersion: uint64,
  peer: utf8,
})
const speaker = { incarnation: big, greeting }

const snapshotMeta = structField({
  index,
  term,
  stateHash: big,
  applied: structField({ index, term, raft: copied, kv: copied }),
})

type Content<F> = Omit<F, 'type'>
const CONTENTS: { readonly [F in Sent as F['type']]: WireField<Content<F>> } = {
  'state-hash': structField({ at: structField({ index, hash: big }) }),
  'keep-alive': structField({
    question: structField({
      number: uint64,
      timeoutMs: uint64,
      renews: flag,
      ids: listField(leaseId, RENEW_LEASES_MAX),
    }),
  }),
  'kept-alive': structField({
    answer: structField({ number: uint64, kept: optional(listField(ttl, RENEW_LEASES_MAX)) }),
  }),
  'report-request': structField({
    request: structField({ number: uint64, kind: enumField('report', REPORT_KINDS) }),
  }),
  'report-answer': structField({ answer: structField({ number: uint64, report: optional(copied) }) }),
  traces: structField({
    proposals: listField(
      structField({ proposal: utf8, traceparent: utf8, tracestate: utf8 }),
      ENTRY_TRACES_MAX,
    ),
  }),
  'member-request': structField({ id: replicaId }),
  'member-answer': structField({ id: replicaId, member: structField({ name: utf8, peer: utf8 }) }),
  hello: structField({ purpose: enumField('purpose', PURPOSES), target: utf8, attempt: uint64, ...speaker }),
  welcome: structField(speaker),
  refusal: structField({ clusterId: utf8, stop: flag, sentence: utf8 }),
  'snapshot-offer': structField({ term, snapshotId: utf8, meta: snapshotMeta }),
  'snapshot-accept': structField({ nextChunk: uint64 }),
  'snapshot-chunk': structField({ number: uint64, bytes: tail }),
  'snapshot-written': structField({ number: uint64 }),
  'snapshot-end': structField({ chunks: uint64 }),
  'snapshot-staged': structField({}),
}

const TYPES = new Map<number, Sent['type']>(
  Object.keys(CONTENTS).map((type) => [CODE[type as Sent['type']], type as Sent['type']]),
)

const frameContent = (type: Sent['type']) => CONTENTS[type] as WireField<object>

export function writeFrame(out: Writer, frame: Frame): void {
  if (frame.type === 'hello') out.uint32(MAGIC).uint32(PROTOCOL_VERSION).utf8(frame.greeting.name)
  if (isSent(frame)) frameContent(frame.type).write(out, frame)
  else if (frame.type !== 'foreign-hello' && frame.type !== 'unknown') encodeMessage(out, frame)
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
  return isMessageCode(code) ? decodeMessage(code, input, from, to) : readLinkFrame(code, input)
}

function readLinkFrame(code: number, input: Reader): LinkFrame {
  const type = TYPES.get(code)
  if (type === undefined) return { type: 'unknown', code }
  if (type === 'hello') {
    if (input.uint32() !== MAGIC) throw new MalformedError('something that is not a peer')
    const version = input.uint32()
    const name = version >= FIRST_WITH_NAME ? input.utf8() : undefined
    // The receiver of the handshake refuses it. What follows is not read.
    if (version !== PROTOCOL_VERSION) return { type: 'foreign-hello', version, name }
  }
  const frame = { type, ...frameContent(type).read(input) } as LinkFrame
  input.end()
  return frame
}
