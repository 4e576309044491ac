// Who is there. The dialler's first frame says who it is, whom it means and what the connection is for; the acceptor answers who it is, or why
// it refuses. Nothing else is read before that.
//
// `process` is drawn at random by every process and `attempt` counts its dials: with the boot counter they tell the newest connection of the
// newest process of a replica from everything that arrives late, out of a stalled link or a process that should be gone.

import type { ReplicaId } from '../../raft/types.ts'
import { asIndex, asTerm } from '../../raft/types.ts'
import type { Greeting, StateHashAt } from '../types.ts'
import { type ByteReader, type ByteWriter, MalformedError } from './bytes.ts'
import { readReplicaId } from './codec.ts'

export const PROTOCOL_VERSION = 1
const MAGIC = 0x51_52_54_45 // "QRTE"

/** Frame types beside those of Raft messages (codec.ts). */
export const FRAME = {
  stateHash: 32,
  hello: 64,
  welcome: 65,
  refusal: 66,
  ping: 67,
  pong: 68,
  /** "Tell me your state again": the dialled connection stands, the accepted one has stood for a while. */
  ask: 69,
  /** The answer, in order with the messages of that connection. */
  state: 70,
  snapshotOffer: 80,
  snapshotAccept: 81,
  snapshotChunk: 82,
  snapshotWritten: 83,
  snapshotEnd: 84,
  snapshotStaged: 85,
} as const

export type Purpose = 'messages' | 'snapshot'
const PURPOSES: readonly Purpose[] = ['messages', 'snapshot']

/** One process of one replica. */
export interface Speaker {
  readonly greeting: Greeting
  readonly process: bigint
}

export interface Hello extends Speaker {
  readonly purpose: Purpose
  /** The replica that the dialler wants to reach. */
  readonly wanted: string
  readonly attempt: number
}

/** Says no to a handshake, or why a connection is being closed. */
export interface RefusalFrame {
  /** Cluster of whoever refuses: no other cluster can stop a node. */
  readonly clusterId: string
  /** The process that dialled must end. */
  readonly stop: boolean
  readonly sentence: string
}

export function writeHello(out: ByteWriter, hello: Hello): void {
  out.u32(MAGIC)
  out.u32(PROTOCOL_VERSION)
  out.u8(PURPOSES.indexOf(hello.purpose))
  out.text(hello.wanted)
  out.integer(hello.attempt)
  writeSpeaker(out, hello)
}

/** Reads no further than the version when it is another one: that is for the caller to refuse. */
export function readHello(input: ByteReader): Hello | { readonly version: number } {
  if (input.u32() !== MAGIC) throw new MalformedError('something that is not a peer')
  const version = input.u32()
  if (version !== PROTOCOL_VERSION) return { version }
  const purpose = PURPOSES[input.u8()]
  if (purpose === undefined) throw new MalformedError('a connection of unknown purpose')
  const hello = { purpose, wanted: input.text(), attempt: input.integer(), ...readSpeaker(input) }
  input.end()
  return hello
}

export const writeWelcome = (out: ByteWriter, speaker: Speaker): void => writeSpeaker(out, speaker)

export function readWelcome(input: ByteReader): Speaker {
  const speaker = readSpeaker(input)
  input.end()
  return speaker
}

export function writeRefusal(out: ByteWriter, refusal: RefusalFrame): void {
  out.text(refusal.clusterId)
  out.flag(refusal.stop)
  out.text(refusal.sentence)
}

export function readRefusal(input: ByteReader): RefusalFrame {
  const refusal = { clusterId: input.text(), stop: input.flag(), sentence: input.text() }
  input.end()
  return refusal
}

export function writeGreeting(out: ByteWriter, greeting: Greeting): void {
  out.text(greeting.clusterId)
  out.text(greeting.replicaId)
  out.text(greeting.name)
  out.integer(greeting.boot)
  out.integer(greeting.term)
  out.integer(greeting.lastIndex)
  out.text(greeting.peer)
}

/** What `from` says of itself on a connection that is its own. */
export function readState(input: ByteReader, from: ReplicaId): Greeting {
  const greeting = readGreeting(input)
  input.end()
  if (greeting.replicaId !== from) throw new MalformedError(`the state of replica ${greeting.replicaId}`)
  return greeting
}

function readGreeting(input: ByteReader): Greeting {
  return {
    clusterId: input.text(),
    replicaId: readReplicaId(input),
    name: input.text(),
    boot: input.integer(),
    term: asTerm(input.integer()),
    lastIndex: asIndex(input.integer()),
    peer: input.text(),
  }
}

export function writeStateHash(out: ByteWriter, at: StateHashAt): void {
  out.integer(at.index)
  out.big(at.hash)
}

export function readStateHash(input: ByteReader): StateHashAt {
  const at = { index: asIndex(input.integer()), hash: input.big() }
  input.end()
  return at
}

function writeSpeaker(out: ByteWriter, speaker: Speaker): void {
  out.big(speaker.process)
  writeGreeting(out, speaker.greeting)
}

const readSpeaker = (input: ByteReader): Speaker => ({ process: input.big(), greeting: readGreeting(input) })
