// What a watch asks for, and what those who carry it to a client (`http`, `mux`) must do.

import type { Revision, Where } from '../../../kv/index.ts'
import type { EventsMessage } from './events.ts'

export interface WatchRequest {
  /** One key, or a range. */
  readonly where: Where
  /** The first revision of interest; undefined: the next one. */
  readonly from: Revision | undefined
  /** undefined: both. */
  readonly only: 'put' | 'delete' | undefined
  /** With the record before each change. */
  readonly prev: boolean
  /** With the values of records. */
  readonly values: boolean
  /** When so long nothing was sent, the client is told how far the watch has come. */
  readonly progressMs: number
}

/** The way of one watch to its client. No method may call the hub back before it returns. */
export interface WatchSink {
  /**
   * From 0 on, below 1. Watches with the same phase, which share a connection, are told their progress together, some
   * of them earlier than needed: one message for all costs much less than one for each. undefined: it shares none.
   */
  readonly phase?: number | undefined
  /** What waits for the client is as much as may wait. */
  readonly isFull: boolean
  /** The watch has found it full, and goes on when `Watch.drained` is called: when the client has taken enough. */
  waits(): void
  /** All events of one revision that the watch asks for. */
  events(message: EventsMessage): void
  /** Everything up to this revision has been sent. */
  progress(revision: Revision): void
  /** The watch ends without its client. Nothing follows. */
  ended(end: WatchEnd): void
}

export type WatchEnd = {
  /** Everything before it has been sent, or can no longer be had. */
  readonly resumeFrom: Revision
} & (
  | { readonly kind: 'compacted'; readonly next: Revision; readonly compactRevision: Revision }
  /** The events of the revision `next` do not fit into a message. */
  | { readonly kind: 'too-large'; readonly next: Revision; readonly bytes: number; readonly bytesMax: number }
  | { readonly kind: 'stopped' | 'no-leader' | 'no-room'; readonly reason: string }
)

/** A watch in the hands of its sink. */
export interface Watch {
  /** The first revision that it may be told of. */
  readonly from: Revision
  /** The client has taken enough of what waited for it. */
  drained(): void
  /** Nobody will read any more. The sink is not called again. */
  cancel(): void
}

/** For metrics. */
export interface WatchCounts {
  readonly open: number
  /** Those that read history. */
  readonly behind: number
  /** Those whose clients do not take what waits for them. */
  readonly slow: number
  /** Since the start: events sent to watchers, and how often a watcher was too slow, or was overtaken by compaction. */
  readonly eventsTotal: number
  readonly slowTotal: number
  readonly compactedTotal: number
}
