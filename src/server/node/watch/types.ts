// The options of a watch, and the obligations of the protocols that carry it to a client (`http`, `mux`).

import type { Revision } from '../../../operations/forms/index.ts'
import type { WatchedChanges } from '../../../operations/index.ts'
import type { EventsMessage, MessageForm } from './events.ts'

export interface PermittedWatch extends WatchedChanges {
  /**
   * The right of the client to read the keys. Asked when rights were changed. Absent: rights are not checked.
   * `unknown`: they were not when the watch began, so nobody has asked who the client is. `no-user`: the client is that
   * user no longer.
   */
  readonly right?: (() => 'held' | 'ended' | 'unknown' | 'no-user') | undefined
  /** Called when the watch has ended, for whatever reason. */
  readonly closed?: (() => void) | undefined
}

/** The path of one watch to its client. No method may call the hub back before it returns. */
export interface WatchSink {
  /**
   * The phase of the watch, in [0, 1). Watches with the same phase, which share a connection, share their progress
   * messages, some of them earlier than needed. One message for all costs much less than one for each. undefined: it
   * shares none.
   */
  readonly phase?: number | undefined
  /** The form of its messages; undefined: it takes them as they are. */
  readonly form?: MessageForm | undefined
  /** Whether the buffer for the client is full. */
  readonly isFull: boolean
  /** The buffers of all clients together are full for events. Then it waits as if `isFull`. */
  readonly takesProgressOnly?: boolean | undefined
  /** The watch has found the sink full, and continues when `Watch.drained` is called. */
  waits(): void
  /** Sends all events of one revision that the watch requests. */
  events(message: EventsMessage): void
  /** Everything up to this revision has been sent. */
  progress(revision: Revision): void
  /** The node ends the watch. No further call follows. */
  ended(end: WatchEnd): void
}

export type WatchEnd = {
  /** The revision to resume from. All earlier events have been sent, or are no longer available. */
  readonly resumeFrom: Revision
} & (
  | { readonly kind: 'compacted'; readonly next: Revision; readonly compactRevision: Revision }
  /** The events of the revision `next` do not fit into a message. */
  | { readonly kind: 'too-large'; readonly next: Revision; readonly bytes: number; readonly bytesMax: number }
  | { readonly kind: 'no-right' }
  | { readonly kind: 'no-user' }
  | { readonly kind: 'stopped' | 'no-leader' | 'no-room'; readonly reason: string }
)

/** A watch, as its sink uses it. */
export interface WatchHandle {
  /** The first revision that it may receive. */
  readonly from: Revision
  /** All events up to this revision have been sent. */
  sentUpTo(): Revision
  /** The client has read enough of the buffer. */
  drained(): void
  /** Ends the watch for the client. The sink is not called again. */
  cancel(): void
}

/** Counts for the metrics. */
export interface WatchCounts {
  readonly open: number
  /** Watches that read history. */
  readonly behind: number
  /** Watches whose clients do not read their buffered messages. */
  readonly slow: number
  /**
   * Totals since the start: events sent to watchers, and how often a watcher was too slow or was overtaken by
   * compaction.
   */
  readonly eventsTotal: number
  readonly slowTotal: number
  readonly compactedTotal: number
}
