// The types of the state machine. Like the core, this folder is pure: no I/O, clock, randomness or promises.
//
// The model is etcd's. The whole store has one revision: 1 when it is empty, plus 1 for each request that changes
// something. Each key has create_revision, mod_revision and version. The state machine keeps *rows* in its tables; the
// key and the value of a row are bytes. Storage keeps rows without knowing what they mean.

import type {
  Idempotency,
  KeyRange,
  KvSettings,
  LeaseId,
  Permission,
  RecordMetadata,
  Revision,
} from '../operations/forms/index.ts'
import type {
  BatchRequest,
  CompactOutcome,
  DeleteOutcome,
  DeleteRangeOutcome,
  DeleteRangeRequest,
  DeleteRequest,
  GrantOutcome,
  GrantRequest,
  OpenSessionRequest,
  PutOutcome,
  PutRequest,
  RaiseRevisionOutcome,
  RaiseRevisionRequest,
  RevokeOutcome,
  RevokeRequest,
  SessionOutcome,
  TxnOutcome,
  TxnRequest,
} from '../operations/index.ts'

/**
 * The first byte of a row key. After it: an idempotency token; for the order of tokens a position, so that the oldest
 * is evicted first; for client sessions a session; for slots a session and a slot; for leases and their owners an id;
 * for attachments the id of a lease and the user's key; for metadata the user's key; for auth nothing, or the name of
 * a user or a role; for events the first revision; for versions the user's key and a revision.
 */
export const TABLE_IDEMPOTENCY_TOKENS = 2
export const TABLE_IDEMPOTENCY_TOKEN_ORDER = 3
export const TABLE_CLIENT_SESSIONS = 4
export const TABLE_SESSION_SLOTS = 5
export const TABLE_LEASES = 6
export const TABLE_ATTACHMENTS = 7
/** Rows of this table are not stored. Storage keeps them in memory (`keys.ts`). */
export const TABLE_KEY_METADATA = 8
export const TABLE_AUTH = 9
export const TABLE_LEASE_OWNERS = 10
/**
 * Rows of tables from here on are written once and never changed. Apply always knows whether they exist, so storage
 * keeps nothing of them in memory.
 */
export const FIRST_TABLE_OF_HISTORY = 64
export const TABLE_EVENTS = FIRST_TABLE_OF_HISTORY
export const TABLE_VERSIONS = 65

/** The part of an operation that an entry keeps as its command. Its idempotency is in the envelope. */
type CommandFields<O> = O extends unknown ? Omit<O, 'idempotency'> : never

/** A change of one key. */
export type KeyCommand = CommandFields<PutRequest | DeleteRequest>

export type Command =
  | KeyCommand
  | CommandFields<BatchRequest | DeleteRangeRequest | OpenSessionRequest | RaiseRevisionRequest>
  | Pick<TxnRequest, 'kind' | 'txn'>
  | LeaseCommand
  /** Changes replicated settings. A setting that is absent keeps its value. */
  | { readonly kind: 'settings'; readonly settings: Partial<KvSettings> }
  /**
   * The store can no longer be read below `revision`. undefined: what the settings say need not be kept, a limited
   * number of revisions at a time.
   */
  | {
      readonly kind: 'compact'
      readonly revision: Revision | undefined
      /** Refused unless the revision is higher than before. */
      readonly onlyForward?: true | undefined
    }
  /** `ifRevision`: the auth revision must still be this one. */
  | { readonly kind: 'auth'; readonly change: AuthChange; readonly ifRevision: number | undefined }

export type LeaseCommand =
  | CommandFields<GrantRequest | RevokeRequest>
  /** Renews the leases that exist. Without ids the entry only carries the cluster time. */
  | { readonly kind: 'renew'; readonly ids: readonly LeaseId[] }
  /**
   * Ends leases that have still this deadline, as a revocation does. Each has a revision of its own. A lease that ends
   * in parts keeps its deadline until its last one.
   */
  | { readonly kind: 'expire'; readonly leases: readonly LeaseDeadline[] }

export interface LeaseDeadline {
  readonly id: LeaseId
  /** In cluster time. */
  readonly deadlineMs: number
}

/** Keys that an entry may read or change. */
export type KeysOrLease = { readonly key: Uint8Array } | RangeToRead | LeaseToRead

interface LeaseToRead {
  readonly lease: LeaseId
  /** All its keys are needed, also if the entry deletes only a part of them. */
  readonly whole?: true
}

/** A range whose first keys are enough. */
export interface RangeToRead extends KeyRange {
  /** undefined: all keys. */
  readonly keysMax: number | undefined
  /** As it was at this revision; undefined: as it is. */
  readonly revision?: Revision | undefined
}

/** A user. A later user of the same name is another one. */
export interface UserIdentity {
  readonly name: string
  /** The auth revision at which the user was made. No other user was made at it. */
  readonly madeAt: number
}

export interface User extends UserIdentity {
  /** The salted hash of the password, as `src/server/auth/passwords.ts` writes it. undefined: only certificates. */
  readonly passwordHash: string | undefined
  /** In order. */
  readonly roles: readonly string[]
  /** The auth revision of its latest password. Older tokens are void. */
  readonly epoch: number
}

/** A change of users, roles or of the switch. */
export type AuthChange =
  | {
      readonly kind: 'enable'
      /** The key that signs auth tokens, of AUTH_TOKEN_KEY_BYTES random bytes. */
      readonly tokenKey: Uint8Array
      /** The key of the ids of leases, of LEASE_ID_KEY_BYTES random bytes. */
      readonly leaseIdKey: Uint8Array
      /** The request came from the user root, with a certificate. */
      readonly rootHasCertificate: boolean
    }
  | { readonly kind: 'disable' }
  | {
      readonly kind: 'put-user'
      readonly name: string
      /** undefined: unchanged; null: none. */
      readonly passwordHash: string | null | undefined
      /** undefined: unchanged. */
      readonly roles: readonly string[] | undefined
    }
  | { readonly kind: 'delete-user'; readonly name: string }
  | { readonly kind: 'put-role'; readonly name: string; readonly permissions: readonly Permission[] }
  | { readonly kind: 'delete-role'; readonly name: string }

/** The content of an entry. */
export interface Request {
  readonly command: Command
  readonly idempotency: Idempotency | undefined
  /** The user who makes the request. Empty if rights are not checked; SYSTEM_PRINCIPAL for a request of a node. */
  readonly principal: string
  /** The auth revision under which the user was permitted to. undefined: rights were not checked. */
  readonly authRevision?: number | undefined
  /** The `madeAt` of this user. It is given with an auth revision, and not without one. */
  readonly madeAt?: number | undefined
  /**
   * The wall clock of the node that proposes it, in milliseconds since 1970. The rows of the versions that it writes
   * keep it, for people. Nothing may depend on it: clocks of nodes differ, and are set back.
   */
  readonly timeMs?: number | undefined
}

/** Digest of a command in an entry of this kind: FINGERPRINT_BYTES bytes, which no two commands are known to share. */
export type CommandDigest = (kind: number, command: Uint8Array) => Uint8Array

/** 128 bits of a digest in which nobody finds collisions, such as SHA-256. */
export const FINGERPRINT_BYTES = 16

/** Nodes compact history, and renew and end leases. No user has this name. */
export const SYSTEM_PRINCIPAL = '*'

/** The state machine's registers. Stored in the applied record, part of snapshots, changed only by apply. */
export interface KvState {
  readonly revision: Revision
  /** The latest cluster time applied, ms (KV-12). Apply knows no other time. */
  readonly clusterTimeMs: number
  readonly settings: KvSettings
  /** Sum over keys of key bytes + value bytes. */
  readonly storeBytes: number
  readonly keys: number
  readonly idempotencyTokens: {
    readonly count: number
    readonly bytes: number
    /** The token-order table holds the positions [oldest, next). */
    readonly oldest: number
    readonly next: number
    /** Cluster time of the outcome at `oldest`. Meaningless while `count` is 0. */
    readonly oldestAtMs: number
    /**
     * Highest revision of an evicted outcome. A request with an older `since` may be a copy of a forgotten one
     * (`isForgotten`). 0 until an outcome is evicted.
     */
    readonly horizon: Revision
  }
  /** Sessions have the numbers from 1 on. Those from `horizon` to below `next` are open. */
  readonly clientSessions: {
    readonly next: number
    readonly horizon: number
    /** Cluster time at which the session at `horizon` was opened. Meaningless while none is open. */
    readonly oldestAtMs: number
    /** The size of the rows of all slots, keys and values. */
    readonly bytes: number
    /** The rows of the slots below this one, of the session before `horizon`, are not deleted yet. */
    readonly toSweep: number
  }
  /** `history.ts` */
  readonly history: {
    /** The first revision whose events are kept; one more than the store's revision if there are none. */
    readonly first: Revision
    /** The first revision of the newest row of events; below `first` if there is none. */
    readonly newest: Revision
    /** The store can be read at this revision and later ones. */
    readonly compacted: Revision
    /** The size of the versions that were replaced and are kept, keys and values. */
    readonly bytes: number
    /**
     * The newest revisions that a restore, or a raise of the revision, has skipped: those after `after`, up to `to`.
     * Both 0: none.
     */
    readonly skipped: { readonly after: Revision; readonly to: Revision }
  }
  /** `leases.ts` */
  readonly leases: {
    /** Leases that exist. */
    readonly count: number
    /** How many ids apply has chosen. */
    readonly chosen: number
  }
  /** `auth/` */
  readonly auth: {
    /** Whether rights are checked. */
    readonly enabled: boolean
    /** Auth revision: begins at 1 and rises by 1 with each change of a user, a role or the switch. */
    readonly revision: number
  }
}

export type Outcome =
  | OutcomeOfKey
  | { readonly kind: 'batch'; readonly revision: Revision; readonly outcomes: readonly OutcomeOfKey[] }
  | { readonly kind: 'settings'; readonly revision: Revision; readonly settings: KvSettings }
  | SessionOutcome
  | CompactOutcome
  | RaiseRevisionOutcome
  | DeleteRangeOutcome
  | ({ readonly kind: 'txn' } & TxnOutcome)
  | GrantOutcome
  | {
      readonly kind: 'renewed'
      readonly revision: Revision
      /** For each id the time to live, or undefined: there is no such lease. */
      readonly ttlsMs: readonly (number | undefined)[]
    }
  | RevokeOutcome
  | { readonly kind: 'auth'; readonly revision: Revision; readonly authRevision: number }
  | {
      readonly kind: 'expired'
      readonly revision: Revision
      /** How many of the named leases ended, with their last keys. */
      readonly leases: number
      readonly deleted: number
    }

/** The outcome of a change of one key. A request of any kind may be refused. */
export type OutcomeOfKey =
  | PutOutcome
  | DeleteOutcome
  | {
      readonly kind: 'precondition-failed'
      readonly revision: Revision
      readonly current: RecordMetadata | null
    }
  | Rejection

/** A refusal that apply decides, so all replicas decide it alike. The store does not change. */
export interface Rejection {
  readonly kind: 'refused'
  readonly revision: Revision
  readonly code: RefusalCode
  readonly reason: Reason
  readonly numbers: readonly [number, number]
}

export type RefusalCode =
  | 'key_too_long'
  | 'value_too_large'
  | 'storage_full'
  | 'idempotency_expired'
  | 'idempotency_key_reused'
  | 'bad_request'
  | 'compacted'
  | 'future_revision'
  | 'duplicate_key'
  | 'too_many_operations'
  | 'range_too_large'
  | 'lease_not_found'
  | 'lease_exists'
  | 'not_found'
  | 'permission_denied'
  | 'precondition_failed'

/** The reasons for rejections. rejections.ts explains each reason and its two numbers. */
export type Reason =
  | 'empty-key'
  | 'key-too-long'
  | 'value-too-large'
  | 'store-full'
  | 'setting-out-of-range'
  | 'cluster-version-lowered'
  | 'prev-with-token'
  | 'token-reused'
  | 'token-expired'
  | 'since-ahead'
  | 'session-expired'
  | 'seq-passed'
  | 'slot-out-of-range'
  | 'compacted'
  | 'future-revision'
  | 'duplicate-key'
  | 'too-many-operations'
  | 'too-deep'
  | 'range-too-large'
  | 'records-too-large'
  | 'lease-not-found'
  | 'lease-exists'
  | 'lease-owned'
  | 'lease-full'
  | 'leases-full'
  | 'ttl-out-of-range'
  | 'rights-changed'
  | 'auth-changed'
  | 'no-such-user'
  | 'no-such-role'
  | 'unknown-role'
  | 'root-needed'
  | 'auth-too-large'
  | 'too-many-token-users'
  | 'no-such-key'
  | 'store-not-empty'
  | 'revision-passed'

/** The hash of one row, in two integers of 32 bits with a sign: V8 keeps those in an object without further memory. */
export interface RowHash {
  readonly mix: number
  readonly crc: number
}

export interface RowChange {
  readonly key: Uint8Array
  /** undefined: delete the row. */
  readonly value: Uint8Array | undefined
  /** The bytes that follow `value`. It saves a copy of bytes that exist already. */
  readonly rest?: Uint8Array | undefined
  /** For a row of history: the row that is replaced; null: there is none. */
  readonly before?: RowHash | null
}

/** For most rows apply needs only this many first bytes, and the length. The metadata of keys is not longer. */
export const ROW_HEAD_BYTES = 45

/** The rows of the store, for the entry that is being applied. A key must not change until the entry is applied. */
export interface Rows {
  /**
   * The row as it is now, with what the entry has written; undefined: there is none. `head`: its head is enough. Of the
   * table of metadata only those of keys that the entry names, or that are in a range that it names.
   */
  read(key: Uint8Array, head: boolean): FoundRow | undefined
  /**
   * The users' keys in a range as they were before the entry, in order; undefined: the ranges of the entry have too
   * many keys altogether (`areTooManyKeys`). The range is one that the entry names, with the same `keysMax`.
   */
  inRange(range: RangeToRead): readonly Uint8Array[] | undefined
  /**
   * The keys of the rows of the versions that a range had at its revision, in the order of the users' keys; undefined:
   * as above. None if the store cannot be read at that revision.
   */
  versionsIn(range: RangeToRead): readonly Uint8Array[] | undefined
  /**
   * The users' keys of a lease that the entry may end, as they were before the entry, in order. Of a lease that ends in
   * parts (`partOfLease`) at least the first ones.
   */
  attached(lease: LeaseId): readonly Uint8Array[]
  /** The bytes of the value are valid until the call returns. Returns the hash of the new row, not of metadata. */
  write(change: RowChange): RowHash
}

/** A row. If it is only a head, it is valid until the next row is read or written: storage uses its memory again. */
export interface FoundRow extends RowHash {
  /** The whole row. If heads are enough, it may be only the first ROW_HEAD_BYTES. */
  readonly bytes: Uint8Array
  /** The length of the whole row. */
  readonly length: number
}

export interface ApplyResult {
  readonly outcome: Outcome
  /** This outcome was remembered. The entry changed no key and no setting. */
  readonly replayed: boolean
  readonly state: KvState
}

/**
 * Applies one committed entry. No other entry runs before it has ended. Throws `UnknownKindError` for a kind, version
 * or flag that this program does not know; the node must stop then.
 */
export type Apply = (
  kind: number,
  version: number,
  body: Uint8Array,
  clusterTimeMs: number,
  state: KvState,
  rows: Rows,
) => ApplyResult
