// Frames to bytes and back: the words between links, and Raft messages (codec.ts). Before the handshake is done nothing
// is read but its words.

import { asIndex, asTerm, type ReplicaId } from '../../raft/types.ts'
import { PROTOCOL_VERSION } from '../links/door.ts'
import type { Frame, LinkFrame, Purpose, Speaker } from '../links/wires.ts'
import type { Greeting } from '../types.ts'
import { type ByteReader, type ByteWriter, MalformedError } from './bytes.ts'
import {
  isMessageCode,
  messageCode,
  messageFrames,
  readMessage,
  readReplicaId,
  writeMessage,
} from './codec.ts'

const MAGIC = 0x51_52_54_45 // "QRTE"

/** Frame types beside those of Raft messages; those of pings never leave a connection. */
export const CODE = {
  'state-hash': 32,
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

/** What follows that which `writeFrame` writes. */
export function frameTail(frame: Frame): readonly Uint8Array[] {
  if (frame.type === 'append' || frame.type === 'forward') return messageFrames(frame)
  return frame.type === 'snapshot-chunk' ? [frame.bytes] : NOTHING
}

/**
 * Nobody changes the bytes of its tail any more. A forwarded proposal is changed, should this process come to lead and
 * stamp it.
 */
export const isStable = ({ type }: Frame): boolean => type === 'append' || type === 'snapshot-chunk'

export function writeFrame(out: ByteWriter, frame: Frame): void {
  switch (frame.type) {
    case 'state-hash':
      out.integer(frame.at.index)
      out.big(frame.at.hash)
      return
    case 'hello':
      out.u32(MAGIC)
      out.u32(PROTOCOL_VERSION)
      out.u8(PURPOSES.indexOf(frame.purpose))
      out.text(frame.wanted)
      out.integer(frame.attempt)
      writeSpeaker(out, frame)
      return
    case 'welcome':
      writeSpeaker(out, frame)
      return
    case 'refusal':
      out.text(frame.clusterId)
      out.flag(frame.stop)
      out.text(frame.sentence)
      return
    case 'snapshot-offer':
      out.integer(frame.term)
      out.text(frame.snapshotId)
      out.integer(frame.meta.index)
      out.integer(frame.meta.term)
      out.big(frame.meta.stateHash)
      out.integer(frame.meta.applied.index)
      out.integer(frame.meta.applied.term)
      out.blob(frame.meta.applied.raft)
      out.blob(frame.meta.applied.kv)
      return
    case 'snapshot-accept':
      out.integer(frame.nextChunk)
      return
    case 'snapshot-chunk':
    case 'snapshot-written':
      out.integer(frame.number)
      return
    case 'snapshot-end':
      out.integer(frame.chunks)
      return
    case 'snapshot-staged':
    case 'foreign-hello':
    case 'unknown':
      return
    default:
      writeMessage(out, frame)
  }
}

/** What may be said before the handshake is done. Throws `MalformedError`. */
export function readGreetingFrame(code: number, input: ByteReader): LinkFrame {
  return code === CODE.hello || code === CODE.welcome || code === CODE.refusal
    ? readLinkFrame(code, input)
    : { type: 'unknown', code }
}

/** What is said after it. Throws `MalformedError`. */
export function readFrame(
  code: number,
  input: ByteReader,
  { from, to }: { readonly from: ReplicaId; readonly to: ReplicaId },
): Frame {
  return isMessageCode(code) ? readMessage(code, input, from, to) : readLinkFrame(code, input)
}

function readLinkFrame(code: number, input: ByteReader): LinkFrame {
  const frame = readFields(code, input)
  if (frame.type !== 'foreign-hello' && frame.type !== 'unknown') input.end()
  return frame
}

function readFields(code: number, input: ByteReader): LinkFrame {
  switch (code) {
    case CODE['state-hash']:
      return { type: 'state-hash', at: { index: asIndex(input.integer()), hash: input.big() } }
    case CODE.hello:
      return readHello(input)
    case CODE.welcome:
      return { type: 'welcome', ...readSpeaker(input) }
    case CODE.refusal:
      return { type: 'refusal', clusterId: input.text(), stop: input.flag(), sentence: input.text() }
    case CODE['snapshot-offer']:
      return readOffer(input)
    case CODE['snapshot-accept']:
      return { type: 'snapshot-accept', nextChunk: input.integer() }
    case CODE['snapshot-chunk']:
      return { type: 'snapshot-chunk', number: input.integer(), bytes: input.raw(input.left) }
    case CODE['snapshot-written']:
      return { type: 'snapshot-written', number: input.integer() }
    case CODE['snapshot-end']:
      return { type: 'snapshot-end', chunks: input.integer() }
    case CODE['snapshot-staged']:
      return { type: 'snapshot-staged' }
    default:
      return { type: 'unknown', code }
  }
}

/** Reads no further than the version when it is another one: that is for the door to refuse. */
function readHello(input: ByteReader): LinkFrame {
  if (input.u32() !== MAGIC) throw new MalformedError('something that is not a peer')
  const version = input.u32()
  if (version !== PROTOCOL_VERSION) return { type: 'foreign-hello', version }
  const purpose = PURPOSES[input.u8()]
  if (purpose === undefined) throw new MalformedError('a connection of unknown purpose')
  return {
    ...{ type: 'hello', purpose, wanted: input.text(), attempt: input.integer() },
    ...readSpeaker(input),
  }
}

function readOffer(input: ByteReader): LinkFrame {
  const term = asTerm(input.integer())
  const snapshotId = input.text()
  const index = asIndex(input.integer())
  const termOfIndex = asTerm(input.integer())
  const stateHash = input.big()
  const applied = {
    index: asIndex(input.integer()),
    term: asTerm(input.integer()),
    // Kept for as long as the snapshot is the newest: in memory of their own.
    raft: new Uint8Array(input.blob()),
    kv: new Uint8Array(input.blob()),
  }
  const meta = { index, term: termOfIndex, applied, stateHash }
  return { type: 'snapshot-offer', term, snapshotId, meta }
}

function writeSpeaker(out: ByteWriter, { incarnation, greeting }: Speaker): void {
  out.big(incarnation)
  writeGreeting(out, greeting)
}

const readSpeaker = (input: ByteReader): Speaker => ({
  incarnation: input.big(),
  greeting: readGreeting(input),
})

function writeGreeting(out: ByteWriter, greeting: Greeting): void {
  out.text(greeting.clusterId)
  out.text(greeting.replicaId)
  out.text(greeting.name)
  out.integer(greeting.boot)
  out.integer(greeting.term)
  out.integer(greeting.lastIndex)
  out.integer(greeting.clusterVersion)
  out.text(greeting.peer)
}

function readGreeting(input: ByteReader): Greeting {
  return {
    clusterId: input.text(),
    replicaId: readReplicaId(input),
    name: input.text(),
    boot: input.integer(),
    term: asTerm(input.integer()),
    lastIndex: asIndex(input.integer()),
    clusterVersion: input.integer(),
    peer: input.text(),
  }
}
