// The messages of one connection of a watch, from its request to its end, in order. A client that resumes makes a new
// record, whose `from` is one more than what it has seen.

export interface WatchedRow {
  readonly key: string
  readonly value: string
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  readonly lease?: string | undefined
}

export interface WatchRecord {
  /** Name of the watch in messages: the client, and the node that it asked. */
  readonly name: string
  readonly selection: WatchSelection
  /** The highest revision of a change that any client knew before the watch was requested. */
  readonly answered: number
  readonly messages: readonly WatchMessage[]
}

export interface WatchSelection {
  /** One key; absent: a range. */
  readonly key?: string | undefined
  readonly start?: string | undefined
  /** Exclusive. */
  readonly end?: string | undefined
  readonly from?: number | undefined
  readonly only?: 'put' | 'delete' | undefined
  readonly prev: boolean
  readonly values: boolean
}

export type WatchMessage =
  /** The watch exists: the revision of the store, and the first revision that it may receive. */
  | { readonly kind: 'created'; readonly revision: number; readonly from: number }
  | { readonly kind: 'events'; readonly revision: number; readonly events: readonly WatchedEvent[] }
  | { readonly kind: 'progress'; readonly revision: number }
  /** The watch ended, because the events of `next` are compacted. */
  | {
      readonly kind: 'compacted'
      readonly next: number
      readonly compactRevision: number
      readonly resumeFrom: number
    }
  /** The watch ended, because its node stops. */
  | { readonly kind: 'stopped'; readonly resumeFrom: number }
  /** No message: by this time everything up to `revision` must have arrived. */
  | { readonly kind: 'due'; readonly revision: number }

export interface WatchedEvent {
  readonly key: string
  readonly type: 'put' | 'delete'
  /** Record of a put. The value is absent if values were not requested. */
  readonly record?: (Omit<WatchedRow, 'value'> & { readonly value?: string | undefined }) | undefined
  /** null: the key did not exist; absent: it was not requested. */
  readonly prev?: (Omit<WatchedRow, 'value'> & { readonly value?: string | undefined }) | null | undefined
}
