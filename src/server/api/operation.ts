// The vocabulary of the API: what surrounds an operation, and every result. Both are plain data.

import type { SpanContext } from '@opentelemetry/api'
import type { Outcome, User } from '../../kv/index.ts'
import type {
  AccessDemand,
  ApiError,
  AuthRole,
  KeyRow,
  KvSettings,
  LeaseDescription,
  LeaseId,
  ReadGrant,
  Revision,
} from '../../operations/forms/index.ts'
import type { KvTxn, KvTxnResult, Operation } from '../../operations/index.ts'
import type { LeaderLeaseSetting } from '../../raft/types.ts'
import type { DriverStatus } from '../node/observe/status.ts'
import type { WatchHandle, WatchSink } from '../node/watch/index.ts'
import type { Reservation } from './budget.ts'
import type { RejectedOutcome } from './errors.ts'

/** The user who makes a call. */
export interface Principal {
  readonly user: string
  /** The epoch of the password or token; undefined: the user is known by a certificate. */
  readonly epoch: number | undefined
  /** The end of the token by which the user is known, in milliseconds since 1970. undefined: not by a token. */
  readonly tokenEndsAt?: number
}

/** The circumstances of one operation. */
export interface Call {
  /** Deadline of the answer, on the clock of `performance.now()`. */
  readonly deadline: number
  /** Largest number of bytes that the wire writes for one byte of a key or a value. */
  readonly expansion: number
  /** The user who calls. undefined: it is not known, or rights are not checked. */
  readonly principal?: Principal | undefined
  /** Rights were not checked when the request arrived: its credentials were not read, and its client is served. */
  readonly isUnidentified?: boolean
  /** The trace of the call, if it is recorded. */
  readonly trace?: SpanContext | undefined
  /** How and from where the client calls. */
  origin?(): { readonly method: string; readonly address: string }
  /** Throws `ApiError` if the client is not served while rights are not checked. */
  checkServed?(): void
  /** `execute` sets it: the operation of the call. */
  operation?: Operation | undefined
  /** The same: what was permitted, and under which rights; undefined: rights were not checked. */
  permit?: Permit | undefined
  /** Collects the records of a page. Ranges need it, unless they are streams. */
  readonly page?: PageCollector | undefined
  /** Whether the client has disconnected, or has cancelled the operation. */
  isAbandoned(): boolean
  /** Withdraws the read of the call, if it still waits. Its wire calls this as soon as the call is abandoned. */
  withdraw?: (() => void) | undefined
  /** Takes over the room of an answer that is encoded later. Without it, the room is released before the answer. */
  holdRoom?(reservation: Reservation): void
  /** Opens the receiver of a watch, when the watch may begin. Throws `ApiError`. */
  openSink?(): WatchSink
}

/** The permission of a call. */
export interface Permit {
  readonly principal: Principal
  readonly authRevision: number
  /** The auth revision at which the user was made; 0: it is a node, or nobody. */
  readonly madeAt: number
  readonly demands: readonly AccessDemand[]
}

/** Keeps the records of a page in the form of a wire. */
export interface PageCollector {
  /** Encodes a record, and keeps it unless it has more than `bytesMax` bytes. Returns its bytes. */
  add(row: KeyRow, bytesMax: number): number
}

export type AcceptedOutcome = Exclude<Outcome, RejectedOutcome>

/** Rows of one instant. Each slice is read when its receiver requests it, so a slow client delays only itself. */
export interface RowStream<T> {
  /** The first slice has all rows, which are known to be complete. */
  readonly isWhole: boolean
  /** The rows of the first slice, which are read already. */
  first(): readonly T[]
  /** The next rows; undefined after the last ones, which are then known to be complete. */
  next(): Promise<readonly T[] | undefined>
  close(): void
}

export type ApiResult =
  | ApiError
  /** A change. */
  | {
      readonly kind: 'applied'
      readonly outcome: AcceptedOutcome
      readonly replayed: boolean
      readonly txn?: KvTxn
    }
  | {
      readonly kind: 'found'
      readonly grant: ReadGrant
      /** undefined: the key does not exist. */
      readonly row: KeyRow | undefined
      /** `ifNoneMatch` names the current revision. */
      readonly isUnchanged: boolean
    }
  /** The records are in the collector of the call. */
  | {
      readonly kind: 'page'
      readonly grant: ReadGrant
      readonly more: boolean
      /** The last key of the page. */
      readonly last: Uint8Array | undefined
      readonly count: number | undefined
    }
  /** The receiver reads the stream to its end, or closes it. */
  | {
      readonly kind: 'stream'
      readonly grant: ReadGrant
      readonly rows: RowStream<KeyRow>
      readonly keysOnly: boolean
    }
  | {
      readonly kind: 'txn-read'
      readonly grant: ReadGrant
      readonly txn: KvTxn
      readonly result: KvTxnResult
    }
  | {
      readonly kind: 'watching'
      readonly grant: ReadGrant
      readonly watch: WatchHandle
      readonly sink: WatchSink
    }
  | {
      readonly kind: 'kept-alive'
      readonly ids: readonly LeaseId[]
      /** Times to live in the order of the ids; undefined: there is no such lease. */
      readonly ttlsMs: readonly (number | undefined)[]
      readonly one: boolean
    }
  | {
      readonly kind: 'lease'
      readonly grant: ReadGrant
      readonly lease: LeaseDescription
      /** As for a stream. undefined: not requested. */
      readonly keys: RowStream<Uint8Array> | undefined
    }
  | {
      readonly kind: 'leases'
      readonly grant: ReadGrant
      readonly leases: readonly LeaseDescription[]
      readonly more: boolean
    }
  /** The receiver reads the file to its end, or closes it. */
  | { readonly kind: 'backup'; readonly grant: ReadGrant; readonly file: RowStream<Uint8Array> }
  | { readonly kind: 'status'; readonly status: DriverStatus }
  | { readonly kind: 'cluster'; readonly status: DriverStatus }
  | {
      readonly kind: 'settings'
      readonly settings: KvSettings
      readonly leaderLeases: LeaderLeaseSetting
      readonly revision: Revision | undefined
      readonly replayed: boolean
    }
  | { readonly kind: 'leader'; readonly leader: string }
  | { readonly kind: 'auth'; readonly enabled: boolean; readonly revision: number }
  | { readonly kind: 'token'; readonly token: string; readonly expiresInMs: number }
  /** `one`: it was named. */
  | {
      readonly kind: 'users'
      readonly users: readonly User[]
      readonly revision: number
      readonly one: boolean
    }
  | {
      readonly kind: 'roles'
      readonly roles: readonly AuthRole[]
      readonly revision: number
      readonly one: boolean
    }

export type Respond = (result: ApiResult) => void
