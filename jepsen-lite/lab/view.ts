// One instant of a run, as plain data. A page gets it from its worker.

import type { DiagramView, StoresView, VerdictView } from './fold-views.ts'

/** Virtual time during which a view has a message that was lost. */
export const LOST_SHOWN_MS = 60

/** State of the process of a node. */
export type ProcessState = 'running' | 'paused' | 'opening' | 'down'

export interface EntryView {
  readonly index: number
  readonly term: number
  /** Its effect in a few characters: `k1=c2.0`. */
  readonly label: string
  /** Effect of a change of the configuration: `voters n1, n2, n3 → n1, n2`. */
  readonly change?: string | undefined
}

/** The knowledge of a leader about a follower. */
export interface ProgressView {
  readonly name: string
  readonly next: number
  readonly match: number
}

export interface MachineView {
  readonly name: string
  readonly state: ProcessState
  readonly role: string
  readonly term: number
  readonly vote: string | undefined
  readonly leader: string | undefined
  /**
   * By its own configuration. For a node that does not run: by that of the node that has applied most. While a
   * configuration is joint, the old voters are voters too.
   */
  readonly member: 'voter' | 'learner' | 'none'
  readonly isRemoved: boolean
  /** Voters of that configuration, and while it is joint also the old ones. The core counts majorities by these. */
  readonly voters: readonly string[]
  readonly votersOutgoing: readonly string[]
  /** Virtual times between which its election timer runs; undefined: it waits for none. */
  readonly election: { readonly from: number; readonly until: number } | undefined
  /** Its clock, compared with one that no fault has changed. */
  readonly clock: {
    readonly aheadMs: number
    /** How many milliseconds it counts in one. */
    readonly rate: number
  }
  /** Last index whose entry is on its disk. */
  readonly durable: number
  readonly commit: number
  readonly applied: number
  /** First index that its log still has. */
  readonly firstIndex: number
  readonly lastIndex: number
  /** The entry before `firstIndex`, which is deleted: the log keeps its term (paper §7). undefined: there is none. */
  readonly lastIncluded: EntryView | undefined
  /** The newest entries that its log has, the oldest of them first. */
  readonly log: readonly EntryView[]
  /** Empty unless it leads. */
  readonly progress: readonly ProgressView[]
}

/** A message on its way. */
export interface MessageView {
  readonly from: string
  readonly to: string
  /** Its number among all frames of its link. */
  readonly number: number
  readonly type: string
  readonly term: number
  /** Its content in a few words: `entries 4 to 6`; '' for a message that is only its type. */
  readonly label: string
  readonly sentAt: number
  readonly arrivesAt: number
  /** Decision of a fault about it, which takes effect when it would arrive. */
  readonly fate: 'lost' | 'late' | 'doubled' | undefined
}

/** A message that was lost a short time ago. */
export interface LostMessageView extends MessageView {
  readonly lostAt: number
}

/** `from` and `to` are nodes that are cut off from each other in this direction. */
export interface LinkView {
  readonly from: string
  readonly to: string
}

/** A fault that lasts. */
export interface FaultView {
  readonly kind: string
  /** The nodes that it hit. For a partition: its smaller side. */
  readonly nodes: readonly string[]
  /** Its fields in a schedule. */
  readonly fields: Readonly<Record<string, unknown>>
  /** `n1 is cut off`. */
  readonly text: string
  /** When it ends by itself. */
  readonly until: number
}

/** A request of a client, and the answer. */
export interface OperationView {
  readonly id: number
  readonly client: string
  readonly node: string
  readonly kind: 'write' | 'read'
  /** A request about a lock: no history has it, so it is not judged. */
  readonly isLock?: true
  readonly text: string
  readonly from: number
  /** undefined: it waits for an answer. */
  readonly until: number | undefined
  readonly outcome: 'waits' | 'ok' | 'failed' | 'unknown'
  readonly answer: string
}

/** The time in which the process of a client stands still. */
export interface StandstillView {
  readonly client: string
  readonly from: number
  readonly until: number
}

/** A sentence about something that happened. */
export interface NoteView {
  readonly at: number
  readonly node: string | undefined
  /** That of the core's decision (src/raft/types.ts), or of the simulator's event (jepsen-lite/sim/sim-event.ts). */
  readonly kind: string
  readonly text: string
  /** A decision of a core: the section of the paper or the thesis with its rule. */
  readonly source: string | undefined
  /** It follows from other notes. The caption has it only where there is nothing else. */
  readonly isMinor: boolean
}

/** An event that a watch has received. */
export interface WatchEventView {
  readonly at: number
  readonly key: string
  readonly revision: number
  /** undefined: the key was deleted. */
  readonly value: string | undefined
}

export interface WatchView {
  readonly name: string
  /** The node from which its newest message came. */
  readonly node: string | undefined
  /** The node to which it is connected. */
  readonly connection: string | undefined
  /** How many events it has received. */
  readonly received: number
  /** The newest of them, the oldest first. */
  readonly events: readonly WatchEventView[]
}

export interface LabView {
  /** Virtual milliseconds since the beginning. */
  readonly now: number
  readonly nodes: readonly MachineView[]
  /** The members of the newest configuration, in its order: a line that removes one has its place in it. */
  readonly members: readonly string[]
  readonly messages: readonly MessageView[]
  /** In the last `LOST_SHOWN_MS`, the newest last. */
  readonly lost: readonly LostMessageView[]
  readonly cuts: readonly LinkView[]
  /** The faults that last, the oldest first. */
  readonly faults: readonly FaultView[]
  readonly watches: readonly WatchView[]
  /** The newest operations. */
  readonly operations: readonly OperationView[]
  /** The oldest first. */
  readonly standstills: readonly StandstillView[]
  /** The newest notes. */
  readonly notes: readonly NoteView[]
  /** The rule that this run has broken. It does not continue. */
  readonly violation: string | undefined
  /** A rule is broken, or the schedule has run to its end. */
  readonly isOver: boolean
  readonly verdict: VerdictView
  /** undefined: not requested. */
  readonly stores: StoresView | undefined
  readonly diagram: DiagramView | undefined
}
