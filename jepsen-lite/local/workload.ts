// What a workload is: it says what its client asks next, and is told how that ended.

import type { AnyOperation, Operation } from '../history.ts'
import type { Random } from '../random.ts'
import type { OperationEnd } from './perform.ts'
import type { OneRequest } from './store-requests.ts'
import type { Transaction } from './transactions.ts'

/** The operations of one client. */
export interface Workload {
  next(): Asked
  /** Called with the end of each operation, also of those of a transaction; the next operation may depend on it. */
  ended(op: AnyOperation, end: OperationEnd): void
}

/** One request, or several that belong together. */
export type Asked = Operation | OneRequest | Transaction

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
