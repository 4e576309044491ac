// What links ask of the world: wires that carry frames. src/server/tcp supplies sockets, the simulator wires in virtual
// time.

import type { Message, ReplicaId, SnapshotMessage, Term } from '../../raft/types.ts'
import type { SnapshotSource } from '../../storage/types.ts'
import type { Greeting, StateHashAt } from '../types.ts'

/** A `snapshot` message is made by the receiver's own driver once the stream is complete; it never travels. */
export type WireMessage = Exclude<Message, SnapshotMessage>

export type Purpose = 'messages' | 'snapshot'

/** One process of one replica. */
export interface Speaker {
  readonly greeting: Greeting
  /** Drawn at random by every process. */
  readonly incarnation: bigint
}

/** The dialler's first frame: who it is, whom it means and what the connection is for. */
export interface Hello extends Speaker {
  readonly type: 'hello'
  readonly purpose: Purpose
  /** The replica that the dialler wants to reach. */
  readonly wanted: string
  /** Numbers the dials of a process: tells its newest call from one that arrives late. */
  readonly attempt: number
}

/** The acceptor's answer. */
export interface Welcome extends Speaker {
  readonly type: 'welcome'
}

/** Says no to a handshake, or why a connection is being closed. */
export interface RefusalFrame {
  readonly type: 'refusal'
  /** Cluster of whoever refuses: no other cluster can stop a node. */
  readonly clusterId: string
  /** The process that dialled must end. */
  readonly stop: boolean
  readonly sentence: string
}

/** What the sender of a snapshot says of it before the first chunk. */
export interface SnapshotOffer {
  readonly type: 'snapshot-offer'
  /** The term in which the sender leads. */
  readonly term: Term
  readonly snapshotId: string
  readonly meta: SnapshotSource['meta']
}

/** Words between links, beside the Raft messages. */
export type LinkFrame =
  | Hello
  /** A hello in another version of the protocol. */
  | { readonly type: 'foreign-hello'; readonly version: number }
  | Welcome
  | RefusalFrame
  | { readonly type: 'state-hash'; readonly at: StateHashAt }
  | SnapshotOffer
  | { readonly type: 'snapshot-accept'; readonly nextChunk: number }
  | { readonly type: 'snapshot-chunk'; readonly number: number; readonly bytes: Uint8Array }
  | { readonly type: 'snapshot-written'; readonly number: number }
  | { readonly type: 'snapshot-end'; readonly chunks: number }
  | { readonly type: 'snapshot-staged' }
  /** Of a type that this version does not know, or that has no place before a handshake. Never sent. */
  | { readonly type: 'unknown'; readonly code: number }

export type Frame = WireMessage | LinkFrame

export interface WireOwner {
  frame(frame: Frame): void
  /** The wire is over; said once, never from within `send`. */
  closed(why: string): void
}

/** One connection: frames arrive in the order sent, each once, until it ends; once, with a reason. */
export interface Wire {
  /** Who is at the other end, for the log. */
  readonly remote: string
  readonly closed: boolean
  /** Frames given to `send` and not yet taken by the network, and their bytes. */
  readonly queuedFrames: number
  readonly queuedBytes: number
  /**
   * The handshake is done: from here on `owner` is told, messages are from `from` to `to`, and long frames are read.
   */
  established(from: ReplicaId, to: ReplicaId, owner: WireOwner): void
  /**
   * Queues one frame; frames of one turn leave together. The bytes of an append and of a chunk are never changed again
   * by anybody; those of a forwarded proposal may be as soon as this returns. False: the queue is full, or the wire is
   * over, and nothing was queued.
   */
  send(frame: Frame): boolean
  /**
   * What arrives from now on waits, and the sender with it. The news of its end waits behind it, or comes at once, and
   * then what waits is lost. After `silenceMs` on hold the wire ends: whether the other side lives is not seen
   * meanwhile, nor told that we do.
   */
  hold(): void
  release(): void
  /** What was sent before still leaves if the network takes it now. Tells the owner, unless the wire is over. */
  close(why: string): void
  /** Lets what is queued leave, listens no more, then ends, for both sides, and calls back. The owner is not told. */
  drain(then?: () => void): void
}

export interface Dialled {
  /** Returns who is told of what arrives. */
  connected(wire: Wire): WireOwner
  failed(why: string): void
}

export interface Wires {
  /**
   * Tries to connect. One of `dialled` is called, once, never before this returns; the function returned abandons it
   * without a word.
   */
  dial(address: string, dialled: Dialled): () => void
  /**
   * From now on whoever calls is handed to `called`, which returns who is told of what arrives, or has closed or held
   * the wire.
   */
  onCall(called: (wire: Wire) => WireOwner): void
  /** Takes no more calls. Wires that were handed over live on. */
  close(): void
}
