// The interface between the links and the network: wires that carry frames. src/server/peers/tcp implements them with
// sockets, the simulator in virtual time.

import type { Message, ReplicaId, SnapshotMessage, Term } from '../../raft/types.ts'
import type { SnapshotSource } from '../../storage/types.ts'
import type {
  ForwardedKeepAlive,
  Greeting,
  KeepAliveAnswer,
  ReportAnswer,
  ReportRequest,
  StateHashAt,
  TracedProposal,
} from '../node/network.ts'

/** The receiver's own driver makes a `snapshot` message when the stream is complete; it is never sent. */
export type WireMessage = Exclude<Message, SnapshotMessage>

export type Purpose = 'messages' | 'snapshot'

/** Name and peer address of a member. Its certificate must have the name, or the host of the address. */
export interface MemberIdentity {
  readonly name: string
  readonly peer: string
}

/** One process of one replica. */
export interface PeerProcess {
  readonly greeting: Greeting
  /** A random number that every process draws. */
  readonly incarnation: bigint
}

/** The dialler's first frame: its process, the replica that it dials, and the purpose of the connection. */
export interface Hello extends PeerProcess {
  readonly type: 'hello'
  readonly purpose: Purpose
  /** The replica that the dialler wants to reach. */
  readonly target: string
  /** The number of the dial within its process. It distinguishes the newest call from a late one. */
  readonly attempt: number
}

/** A hello of another version of the protocol. The name is known from version 2 on. */
export interface ForeignHello {
  readonly type: 'foreign-hello'
  readonly version: number
  readonly name?: string | undefined
}

/** The acceptor's reply. */
export interface Welcome extends PeerProcess {
  readonly type: 'welcome'
}

/** Refuses a handshake, or gives the reason why a connection is being closed. */
interface RefusalFrame {
  readonly type: 'refusal'
  /** Cluster of the sender: another cluster cannot stop a node. */
  readonly clusterId: string
  /** The process that dialled must end. */
  readonly stop: boolean
  readonly sentence: string
}

/** The sender's description of a snapshot, before the first chunk. */
export interface SnapshotOffer {
  readonly type: 'snapshot-offer'
  /** The term in which the sender leads. */
  readonly term: Term
  readonly snapshotId: string
  readonly meta: SnapshotSource['meta']
}

/** Frames of the links themselves, beside the Raft messages. */
export type LinkFrame =
  | Hello
  | ForeignHello
  | Welcome
  | RefusalFrame
  | { readonly type: 'state-hash'; readonly at: StateHashAt }
  | { readonly type: 'keep-alive'; readonly question: ForwardedKeepAlive }
  | { readonly type: 'kept-alive'; readonly answer: KeepAliveAnswer }
  | { readonly type: 'report-request'; readonly request: ReportRequest }
  | { readonly type: 'report-answer'; readonly answer: ReportAnswer }
  /** Requests the name and the address of a replica that the sender does not know as a member. */
  | { readonly type: 'member-request'; readonly id: ReplicaId }
  /** The reply, if the sender's configuration has that replica. */
  | { readonly type: 'member-answer'; readonly id: ReplicaId; readonly member: MemberIdentity }
  /** Only when a node records traces. */
  | { readonly type: 'traces'; readonly proposals: readonly TracedProposal[] }
  | SnapshotOffer
  | { readonly type: 'snapshot-accept'; readonly nextChunk: number }
  | { readonly type: 'snapshot-chunk'; readonly number: number; readonly bytes: Uint8Array }
  | { readonly type: 'snapshot-written'; readonly number: number }
  | { readonly type: 'snapshot-end'; readonly chunks: number }
  | { readonly type: 'snapshot-staged' }
  /** A frame of an unknown type, or of a type that is not allowed before a handshake. Never sent. */
  | { readonly type: 'unknown'; readonly code: number }

export type Frame = WireMessage | LinkFrame

export interface WireOwner {
  frame(frame: Frame): void
  /** The wire has ended. Called once, never from within `send`. */
  closed(why: string): void
}

/** One connection. Frames arrive in the order sent, each once, until it ends. It ends once, with a reason. */
export interface Wire {
  /** The other end, for the log. */
  readonly remote: string
  /** The network of the other end: what one party usually has. */
  readonly network: string
  readonly closed: boolean
  /** Why the other end cannot be this member; undefined if it can. Absent without TLS. */
  readonly objectionTo?: ((member: MemberIdentity) => string | undefined) | undefined
  /** Frames given to `send` that the network has not taken yet, and their bytes. */
  readonly queuedFrames: number
  readonly queuedBytes: number
  /**
   * Ends the handshake. From now on `owner` gets the events, messages are from `from` to `to`, and long frames are
   * read.
   */
  established(from: ReplicaId, to: ReplicaId, owner: WireOwner): void
  /**
   * Queues one frame. The frames of one turn leave together. The bytes of an append and of a chunk never change again;
   * those of a forwarded proposal may change as soon as this returns. Returns false when the queue is full or the wire
   * has ended; nothing was queued then.
   */
  send(frame: Frame): boolean
  /**
   * From now on arriving frames wait, and so does the sender. The end of the wire is reported after them, or at once,
   * and then the waiting frames are lost. The wire ends after `silenceMs` on hold, because neither side can detect in
   * that time whether the other is alive.
   */
  hold(): void
  release(): void
  /**
   * Earlier frames still leave if the network takes them now. The owner gets `closed`, unless the wire has ended
   * before.
   */
  close(why: string): void
  /**
   * Sends what is queued and receives nothing more. Then ends the wire for both sides and calls back. The owner gets no
   * event.
   */
  drain(then?: () => void): void
}

export interface DialCallbacks {
  /** Returns the owner, which gets the events of the wire. */
  connected(wire: Wire): WireOwner
  /** `isRefused`: a process answered, and its certificate or that of this node is not accepted. */
  failed(why: string, isRefused?: boolean): void
}

export interface Wires {
  /**
   * Tries to connect. One of the functions in `dialled` is called, once, never before this returns. The returned
   * function abandons the attempt without a call.
   */
  dial(address: string, dialled: DialCallbacks): () => void
  /**
   * From now on callers are passed to `called`, which returns the owner for the events, or has closed or held the wire.
   */
  onCall(called: (wire: Wire) => WireOwner): void
  /** Accepts no more calls. Wires that were passed on stay open. */
  close(): void
}
