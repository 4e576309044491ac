// The types of watches and mirrors.

import type { CallOptions, KvRecord } from './types.ts'

/** One key, a range of keys, or all. Exactly one of the forms. */
export interface WatchedPlace {
  readonly key?: string | Uint8Array | undefined
  readonly prefix?: string | Uint8Array | undefined
  /** First key, inclusive. */
  readonly start?: string | Uint8Array | undefined
  /** First key after the range, exclusive. */
  readonly end?: string | Uint8Array | undefined
  /** true: all keys. */
  readonly all?: boolean | undefined
}

export interface WatchOptions extends WatchedPlace {
  /** First revision of the watch; it may lie in the future. Default: the next change. */
  readonly fromRevision?: number | undefined
  /** Events have the records before. */
  readonly prev?: boolean | undefined
  /** Only events of this type. */
  readonly only?: 'put' | 'delete' | undefined
  /** Leave out the values; they are empty then. */
  readonly keysOnly?: boolean | undefined
  /** Events have the times of changes, and deletions their users. Default: false. */
  readonly time?: boolean | undefined
  /**
   * A node reports its progress at least this often, 100 to 3,600,000; default 10,000. After twice this time of silence
   * the watch moves to another node.
   */
  readonly progressMs?: number | undefined
  /** The watch keeps no process alive, not even before it has begun. Default: false. */
  readonly background?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  /**
   * How long the watch may be without a node that serves it before it fails. Default: the timeout of the client until
   * it has begun, and no limit from then on.
   */
  readonly timeoutMs?: number | undefined
  /** Called when everything up to this revision has been taken, and nothing more at or below it follows. */
  readonly onProgress?: ((revision: number) => void) | undefined
  /** Called when the watch continues at a node after an interruption. */
  readonly onResume?: ((resumed: WatchResumed) => void) | undefined
}

export interface WatchResumed {
  /** Base URL of the node. */
  readonly endpoint: string
  /** First revision that was requested from it. */
  readonly fromRevision: number
  /** Cause of the interruption. */
  readonly cause: Error
}

/** All events of one revision that the watch asks for. */
export interface WatchBatch {
  readonly revision: number
  readonly events: readonly WatchEvent[]
}

export type WatchEvent =
  | {
      readonly type: 'put'
      /** As text; `keyBytes` has the original bytes. */
      readonly key: string
      readonly keyBytes: Uint8Array
      readonly kv: KvRecord
      /** Only with `prev`: the record before; null: there was none. Beyond 4 MiB a revision it is left out. */
      readonly prev?: KvRecord | null
    }
  | {
      readonly type: 'delete'
      readonly key: string
      readonly keyBytes: Uint8Array
      readonly modRevision: number
      /** Only with `time`: the user who deleted the key; absent: rights were not checked, or its lease has ended. */
      readonly by?: string
      /** Only with `time`, as for a record. */
      readonly time?: Date
      readonly prev?: KvRecord | null
    }

/**
 * Every change of a place from one revision on: in order, once, a revision as a whole, across nodes and restarts. It
 * ends with `break`, `close()`, its signal (`AbortError`), or `CompactedError` when events were compacted before the
 * watch could read them.
 */
export interface Watch extends AsyncIterableIterator<WatchBatch, undefined, undefined> {
  /** The revision of the store when the watch began. Changes after it, or from `fromRevision` on, follow. */
  readonly ready: Promise<number>
  /** Everything up to this revision has been taken; 0: nothing is known yet. */
  readonly revision: number
  return(): Promise<IteratorResult<WatchBatch, undefined>>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export interface MirrorOptions extends Omit<WatchedPlace, 'key'>, Pick<CallOptions, 'signal'> {
  /** As for a watch; also for each page when the range is read. */
  readonly timeoutMs?: number | undefined
  readonly progressMs?: number | undefined
  /** Called when the whole range is read again, because events that are needed next were compacted. */
  readonly onResync?: ((cause: Error) => void) | undefined
}

/**
 * The keys of a range at one revision, in the order of their bytes. It changes only when the next view is requested.
 */
export interface MirrorView extends ReadonlyMap<string, KvRecord> {
  readonly revision: number
  /** Keys that are not UTF-8 are found by their bytes only. */
  get(key: string | Uint8Array): KvRecord | undefined
  has(key: string | Uint8Array): boolean
}
