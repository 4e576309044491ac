// What the recorded process says about itself, each as a system call in the trace: so what has been acknowledged stands
// in one order with what was written and synced. A mark is made before what it speaks of can leave.

/** A replica as it shows itself once it is open. */
export interface Replica {
  readonly boot: number
  readonly term: number
  /** '' for no vote. */
  readonly vote: string
  readonly commit: number
  /** First index of the log, and term and CRC-32 of the frame of every entry from there. */
  readonly first: number
  readonly log: readonly EntryMark[]
  readonly applied: PositionMark
  /** Of the rows, in decimal digits. */
  readonly stateHash: string
}

export type EntryMark = readonly [term: number, crc: number]
export type PositionMark = readonly [index: number, term: number]

export interface BatchMark {
  readonly term: number
  readonly vote: string
  readonly commit: number
  readonly writes: readonly {
    /** The log begins anew behind this snapshot, unless it keeps the log. */
    readonly snapshot?: { readonly at: PositionMark; readonly keepLog: boolean; readonly stateHash: string }
    readonly truncateFrom?: number
    readonly first?: number
    readonly entries?: readonly EntryMark[]
  }[]
  readonly compactTo?: number
  /** As of all rows applied so far; a snapshot replaces them. */
  readonly applied: PositionMark
  readonly stateHash: string
}

export type Mark =
  | { readonly kind: 'formatted' }
  /** The directory has been opened, and this is what it held. */
  | { readonly kind: 'opened'; readonly replica: Replica }
  /** A batch is handed to the storage now; and it is reported durable. */
  | { readonly kind: 'submitted'; readonly batch: BatchMark }
  | { readonly kind: 'stored' }
  /** A message or greeting leaves that was sent in this term. */
  | { readonly kind: 'term'; readonly term: number }
  /** A vote leaves: for another, or for itself with the request. */
  | { readonly kind: 'vote'; readonly term: number; readonly vote: string }
  /** It leaves that everything up to this index is durable here. */
  | { readonly kind: 'accepted'; readonly index: number }
  /** A client is told that this entry is committed, and without the copy on this disk it would be on no majority. */
  | { readonly kind: 'answered'; readonly at: PositionMark; readonly crc: number }
  /** Nothing leaves any more; what was being written may still come to its end. */
  | { readonly kind: 'ending' }
