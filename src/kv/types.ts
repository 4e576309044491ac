// The meaning of commands: the vocabulary of the state machine. Pure like the core: no I/O, clock, randomness or
// promises.
//
// The model is etcd's: one revision for the whole store, 1 when empty, raised by one for each request that changes
// something; each key has create_revision, mod_revision and version. Everything the state machine keeps is a *row* in
// one of its tables, bytes to bytes; storage keeps rows without knowing what they mean.

declare const brand: unique symbol

/**
 * The store's revision: a safe integer, 1 for an empty store, one more with each change of a key or a setting; 0 stands
 * for "before everything".
 */
export type Revision = number & { readonly [brand]: 'Revision' }

export const asRevision = (value: number): Revision => {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a revision: ${value}`)
  return value as Revision
}

/**
 * First byte of a row key. `data` + the user's key; `tokens` + idempotency token; `token-order` + position, for
 * eviction in order.
 */
export const TABLE_DATA = 1
export const TABLE_TOKENS = 2
export const TABLE_TOKEN_ORDER = 3

/** One key of a user, as stored. */
export interface KeyRow {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly createRevision: Revision
  readonly modRevision: Revision
  /** 1 at creation, +1 per change, starts again after a delete. */
  readonly version: number
}
export type KeyMeta = Omit<KeyRow, 'value'>

/** RFC 9110 §13 preconditions against mod_revision. When both are given, `ifMatch` is tested first. */
export interface Condition {
  /** 'any': the key exists. Revisions: mod_revision is one of them. */
  readonly ifMatch: 'any' | readonly Revision[] | undefined
  /** 'any': the key does not exist. Revisions: mod_revision is none of them. */
  readonly ifNoneMatch: 'any' | readonly Revision[] | undefined
}

export type Command =
  | {
      readonly kind: 'put'
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly condition: Condition | undefined
      /** Answer with the row before. */
      readonly prev: boolean
    }
  | {
      readonly kind: 'delete'
      readonly key: Uint8Array
      readonly condition: Condition | undefined
      readonly prev: boolean
    }
  /** Changes replicated settings; names that are absent keep their value. */
  | { readonly kind: 'settings'; readonly settings: Partial<Settings> }

/** Replicated limits and switches: apply reads nothing else, so all replicas decide alike (KV-5). */
export interface Settings {
  readonly keyBytesMax: number
  readonly valueBytesMax: number
  /** Logical bytes of keys and values of the store; beyond: storage_full. */
  readonly storeBytesMax: number
  readonly idempotencyTokensMax: number
  readonly idempotencyBytesMax: number
  readonly idempotencyAgeMsMax: number
  /** Gates new kinds and changed meanings during an upgrade node by node. */
  readonly clusterVersion: number
}

export interface Idempotency {
  /** 1–255 visible ASCII characters. */
  readonly token: string
  /**
   * The store's revision, at the most, when the token was first sent: refused as expired when its outcome may be
   * forgotten.
   */
  readonly since: Revision | undefined
}

/** What a proposer seals into an entry. */
export interface Request {
  readonly command: Command
  readonly idempotency: Idempotency | undefined
  /** Who asks; empty until authentication exists. */
  readonly principal: string
}

/** The state machine's own registers: stored in the applied record, carried by snapshots, changed only by apply. */
export interface KvState {
  readonly revision: Revision
  /** Latest cluster time applied, ms (KV-12): the only time that apply knows. */
  readonly clusterTimeMs: number
  readonly settings: Settings
  /** Sum over keys of key bytes + value bytes. */
  readonly storeBytes: number
  readonly keys: number
  readonly tokens: {
    readonly count: number
    readonly bytes: number
    /** Positions in the token-order table: [oldest, next). */
    readonly oldest: number
    readonly next: number
    /** Cluster time of the outcome at `oldest`; without meaning while `count` is 0. */
    readonly oldestAtMs: number
    /**
     * Highest revision of an evicted outcome: an older `since` cannot be vouched for (`isForgotten`). 0 until something
     * is evicted.
     */
    readonly horizon: Revision
  }
}

export type Outcome =
  | {
      readonly kind: 'put'
      readonly revision: Revision
      readonly createRevision: Revision
      readonly modRevision: Revision
      readonly version: number
      /** Only when asked for; null: there was none. */
      readonly prev: KeyRow | null | undefined
    }
  | {
      readonly kind: 'delete'
      readonly deleted: 0 | 1
      readonly revision: Revision
      readonly prev: KeyRow | null | undefined
    }
  | { readonly kind: 'precondition-failed'; readonly revision: Revision; readonly current: KeyMeta | null }
  | { readonly kind: 'settings'; readonly revision: Revision; readonly settings: Settings }
  | Refusal

/** Decided inside apply, so by every replica alike; nothing changed. */
export interface Refusal {
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

/** refusals.ts tells what each means, and what the two numbers are. */
export type Reason =
  | 'empty-key'
  | 'key-too-long'
  | 'value-too-large'
  | 'store-full'
  | 'setting-out-of-range'
  | 'version-lowered'
  | 'prev-with-token'
  | 'token-reused'
  | 'token-expired'
  | 'since-ahead'

export interface RowChange {
  readonly key: Uint8Array
  /** undefined: delete the row. */
  readonly value: Uint8Array | undefined
  /** Goes on where `value` ends: what is there already need not be copied to be put behind a few new bytes. */
  readonly rest?: Uint8Array | undefined
}

/** Of most rows apply needs no more than so many first bytes and how long they are. */
export const ROW_HEAD_BYTES = 33

/** What apply asks for while it runs … */
export interface RowsWanted {
  readonly keys: readonly Uint8Array[]
  /** Heads will do. */
  readonly heads: boolean
}
/** … and what it is given: one row or undefined per key, in order. */
export type RowsFound = readonly (RowFound | undefined)[]

export interface RowFound {
  /** The whole row; where heads will do, perhaps no more than its first ROW_HEAD_BYTES. */
  readonly bytes: Uint8Array
  /** Of the whole row. */
  readonly length: number
}

export interface Applied {
  readonly outcome: Outcome
  /** The outcome is a remembered one: nothing was applied now. */
  readonly replayed: boolean
  readonly changes: readonly RowChange[]
  readonly state: KvState
}

/**
 * Applies one committed entry. Runs to its end without other entries in between; each `yield` asks for rows as they
 * stand before this entry. Throws `UnknownKindError` for a kind, version or flag that this program does not know: the
 * node must stop, not guess.
 */
export type Apply = (
  kind: number,
  version: number,
  body: Uint8Array,
  clusterTimeMs: number,
  state: KvState,
) => Generator<RowsWanted, Applied, RowsFound>
