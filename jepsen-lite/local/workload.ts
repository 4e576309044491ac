// A workload chooses the next request of its client, and receives the outcome.

import type { AnyOperation, HistoryOperation, OperationEnd } from '../workload/history.ts'
import type { Random } from '../workload/random.ts'
import type { StoreTransaction } from '../workload/transaction.ts'
import type { OneRequest, WireFeatures } from './wires/wire.ts'

/** The operations of one client. */
export interface Workload {
  next(): WorkloadRequest
  /** Called with the end of each operation, also of those of a transaction; the next operation may depend on it. */
  ended(op: AnyOperation, end: OperationEnd): void
}

/** One request, or several that belong together. */
export type WorkloadRequest = HistoryOperation | OneRequest | StoreTransaction

/** State of the run that clients can see. */
export interface Surroundings {
  /** The log of the history has reached this revision. */
  readonly logUpTo: () => number
  /** A number for a transaction. */
  readonly transaction: () => number
  /** Ids of leases that were granted, the newest last. All clients share it. */
  readonly leases: string[]
  readonly features: WireFeatures
}

/** Random source and context of a workload. */
export interface Draw {
  key(): string
  unique(): string
  /** Returns a unique value of any size. */
  sized(): string
  readonly random: Random
}
