// The vocabulary of the API: every operation that a node executes, and every result. Both are plain data.

import type { SpanContext } from '@opentelemetry/api'
import type {
  AccessDemand,
  AuthChange,
  AuthRole,
  BatchedCommand,
  Command,
  Condition,
  Idempotency,
  KeyRange,
  KeyRow,
  KvSettings,
  LeaseId,
  Outcome,
  PutLease,
  Revision,
  User,
  Where,
} from '../../kv/index.ts'
import type { KvTxn, KvTxnResult } from '../../kv/types.ts'
import type { LeaderLeaseSetting, RaftMember, ReplicaId } from '../../raft/types.ts'
import type { DriverStatus, LeaseNow, ReadConsistency, ReadGrant } from '../node/types.ts'
import type { WatchHandle, WatchRequest, WatchSink } from '../node/watch/index.ts'
import type { Reservation } from './budget.ts'
import type { ApiError, RejectedOutcome } from './errors.ts'

/** How fresh a read must be. */
export interface FreshnessOptions {
  /** Linearizable unless given. */
  readonly consistency?: ReadConsistency | undefined
  readonly maxStalenessMs?: number | undefined
  readonly minRevision?: Revision | undefined
}

export interface RangeOperation {
  readonly kind: 'range'
  readonly range: KeyRange
  /** Exclusive: the page begins after this key, in the order of the range. */
  readonly after?: Uint8Array | undefined
  readonly order?: 'asc' | 'desc' | undefined
  /** Records at most; a stream has no limit unless given, a page the default of the node. */
  readonly limit?: number | undefined
  readonly keysOnly?: boolean | undefined
  /** Counts the whole range as well. */
  readonly count?: boolean | undefined
  /** Counts the whole range, and reads no records. */
  readonly countOnly?: boolean | undefined
  /** Answers with a stream of all records in place of one page. */
  readonly stream?: boolean | undefined
  readonly revision?: Revision | undefined
  readonly freshness: FreshnessOptions
}

export interface SettingsChange {
  readonly kind: 'change-settings'
  readonly settings: Partial<KvSettings>
  /** Leader leases, which the core keeps. A field that is absent keeps its value. */
  readonly leases?:
    | { readonly on?: boolean | undefined; readonly durationMs?: number | undefined }
    | undefined
  readonly idempotency: Idempotency | undefined
}

/** One operation of a client. Times to live are as requested; the API raises them to the node's minimum. */
export type ApiOperation =
  | {
      readonly kind: 'put'
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly condition: Condition | undefined
      readonly prev: boolean
      readonly lease: PutLease | undefined
      readonly idempotency: Idempotency | undefined
    }
  | {
      readonly kind: 'delete'
      readonly key: Uint8Array
      readonly condition: Condition | undefined
      readonly prev: boolean
      readonly idempotency: Idempotency | undefined
    }
  | {
      readonly kind: 'get'
      readonly key: Uint8Array
      readonly revision?: Revision | undefined
      readonly condition?: Condition | undefined
      readonly freshness: FreshnessOptions
    }
  | RangeOperation
  | {
      readonly kind: 'batch'
      readonly commands: readonly BatchedCommand[]
      readonly idempotency: Idempotency | undefined
    }
  | {
      readonly kind: 'delete-range'
      readonly range: KeyRange
      readonly idempotency: Idempotency | undefined
    }
  | {
      readonly kind: 'txn'
      readonly txn: KvTxn
      readonly idempotency: Idempotency | undefined
      /** Allowed only if the transaction has no changes, as `freshness`. */
      readonly revision?: Revision | undefined
      readonly freshness: FreshnessOptions
    }
  | { readonly kind: 'compact'; readonly revision: Revision; readonly idempotency: Idempotency | undefined }
  | { readonly kind: 'watch'; readonly request: WatchRequest }
  | {
      readonly kind: 'grant'
      readonly id: LeaseId | undefined
      readonly ttlMs: number
      readonly idempotency: Idempotency | undefined
    }
  | { readonly kind: 'revoke'; readonly id: LeaseId; readonly idempotency: Idempotency | undefined }
  /** `one`: a missing lease is an error. */
  | { readonly kind: 'keep-alive'; readonly ids: readonly LeaseId[]; readonly one: boolean }
  | {
      readonly kind: 'show-lease'
      readonly id: LeaseId
      readonly keys: boolean
      readonly freshness: FreshnessOptions
    }
  | {
      readonly kind: 'list-leases'
      readonly after: LeaseId | undefined
      readonly limit: number | undefined
      readonly freshness: FreshnessOptions
    }
  | { readonly kind: 'open-session' }
  | { readonly kind: 'status' | 'cluster' | 'settings' }
  | { readonly kind: 'backup'; readonly history: boolean }
  | { readonly kind: 'add-member'; readonly member: RaftMember }
  | { readonly kind: 'remove-member'; readonly name: string }
  | { readonly kind: 'replace-member'; readonly name: string; readonly member: RaftMember }
  | { readonly kind: 'transfer-leadership'; readonly to: string | undefined }
  | SettingsChange
  | { readonly kind: 'show-auth' }
  | { readonly kind: 'log-in'; readonly user: string; readonly password: string }
  /** Without a name: all of them. */
  | { readonly kind: 'show-users' | 'show-roles'; readonly name: string | undefined }
  | {
      readonly kind: 'change-auth'
      readonly change: RequestedAuthChange
      /** The auth revision must still be this one. */
      readonly ifRevision: number | undefined
    }

/** A change of users and roles as a client requests it: with a password, of which the log has only the hash. */
export type RequestedAuthChange =
  | { readonly kind: 'enable' | 'disable' }
  | {
      readonly kind: 'put-user'
      readonly name: string
      /** undefined: unchanged; null: none. */
      readonly password: string | null | undefined
      /** The password until now. Without it, a token changes no password of its own user. */
      readonly oldPassword: string | undefined
      /** undefined: unchanged. */
      readonly roles: readonly string[] | undefined
    }
  | Extract<AuthChange, { readonly kind: 'delete-user' | 'put-role' | 'delete-role' }>

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
  /** Rights were not checked when the request arrived, so its credentials were not read. */
  readonly isUnidentified?: boolean
  /** The trace of the call, if it is recorded. */
  readonly trace?: SpanContext | undefined
  /** How and from where the client calls. */
  origin?(): { readonly method: string; readonly address: string }
  /** Throws `ApiError` if the client is not served while rights are not checked. */
  checkServed?(): void
  /** `execute` sets it: the operation of the call. */
  operation?: ApiOperation | undefined
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

export interface LeaseDescription extends LeaseNow {
  readonly id: LeaseId
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

export type { Command, ReplicaId, Where }
