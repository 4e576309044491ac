// What a workload is: it says what its client asks next, and is told how that ended.

import type { AnyOperation, HistoryOperation } from '../workload/history.ts'
import type { Random } from '../workload/random.ts'
import type { OperationEnd } from './perform.ts'
import type { OneRequest } from './store-requests.ts'
import type { StoreTransaction } from './transactions.ts'

/** The operations of one client. */
export interface Workload {
  next(): WorkloadRequest
  /** Called with the end of each operation, also of those of a transaction; the next operation may depend on it. */
  ended(op: AnyOperation, end: OperationEnd): void
}

/** One request, or several that belong together. */
export type WorkloadRequest = HistoryOperation | OneRequest | StoreTransaction

/** What clients know of the run. */
export interface Surroundings {
  /** The log of the history has been told up to here. */
  readonly logUpTo: () => number
  /** A number for a transaction. */
  readonly transaction: () => number
  /** Ids of leases that were granted, the newest last. All clients share it. */
  readonly leases: string[]
}

/** What a workload draws from. */
export interface Draw {
  key(): string
  unique(): string
  /** Also unique, and of any size. */
  sized(): string
  readonly random: Random
}
