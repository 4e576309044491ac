// Reports of the recorded process about itself. Each mark is a system call in the trace, so that acknowledgements,
// writes and syncs are in one order. A mark is made before what it describes can leave.

/** The visible state of a replica when it is open. */
export interface ReplicaState {
  readonly boot: number
  readonly term: number
  /** '' for no vote. */
  readonly vote: string
  readonly commit: number
  /** First index of the log, and term and CRC-32 of the frame of every entry from there. */
  readonly first: number
  readonly log: readonly EntryMark[]
  readonly applied: PositionMark
  /** The hash of the rows, in decimal digits. */
  readonly stateHash: string
}

export type EntryMark = readonly [term: number, crc: number]
export type PositionMark = readonly [index: number, term: number]

export interface BatchMark {
  readonly term: number
  readonly vote: string
  readonly commit: number
  readonly writes: readonly {
    /** The log begins again after this snapshot, unless the log is kept. */
    readonly snapshot?: { readonly at: PositionMark; readonly keepLog: boolean; readonly stateHash: string }
    readonly truncateFrom?: number
    readonly first?: number
    readonly entries?: readonly EntryMark[]
  }[]
  readonly compactTo?: number
  /** After all rows applied so far; a snapshot replaces them. */
  readonly applied: PositionMark
  readonly stateHash: string
}

export type TraceMark =
  | { readonly kind: 'formatted' }
  /** The directory was opened, with this content. */
  | { readonly kind: 'opened'; readonly replica: ReplicaState }
  /** A batch is handed to the storage; and it is reported durable. */
  | { readonly kind: 'submitted'; readonly batch: BatchMark }
  | { readonly kind: 'stored' }
  /** A promise (src/raft/promises.ts) or a greeting of this term leaves. */
  | { readonly kind: 'term'; readonly term: number }
  /** A vote leaves: for another replica, or for itself with the request. */
  | { readonly kind: 'vote'; readonly term: number; readonly vote: string }
  /** A message leaves that says that everything up to this index is durable here. */
  | { readonly kind: 'accepted'; readonly index: number }
  /** A client learns that this entry is committed. Without the copy on this disk it would not be on a majority. */
  | { readonly kind: 'answered'; readonly at: PositionMark; readonly crc: number }
  /** Nothing leaves any more. A write in flight may still finish. */
  | { readonly kind: 'ending' }
