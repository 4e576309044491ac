// One watch of a client.

import { equalBytes, latin1 } from '../../../bytes/index.ts'
import { asRevision, compareKeys, type Revision } from '../../../operations/forms/index.ts'
import type { ChangeEvent } from './events.ts'
import type { Interval } from './interval-index.ts'
import type { PermittedWatch, WatchSink } from './types.ts'

/**
 * `live`: it has received everything, and is notified of each revision when it is applied. `behind`: it reads history.
 * `full`: its client must read its buffered messages first.
 */
type WatcherState = 'live' | 'behind' | 'full' | 'ended'

/** The store is empty at revision 1, so that revision has no events and is never missing. */
const FIRST_REVISION = 2

export class Watcher implements Interval {
  readonly start: string
  readonly end: string | undefined
  readonly isKey: boolean
  readonly prev: boolean
  readonly values: boolean
  readonly progressMs: number
  readonly sink: WatchSink
  readonly right: PermittedWatch['right']
  readonly #only: PermittedWatch['only']
  readonly #where: PermittedWatch['where']
  state: WatcherState = 'behind'
  /** The next revision to send. For a live watcher, the hub has a newer one. */
  next: Revision
  /** The first revision of the row of events that has `next`; undefined if unknown. */
  row: Revision | undefined
  /** The time of the last message. */
  sentAt: number
  /** Slot of the watcher in the progress wheel. */
  slot = -1
  /** The hub is about to end it. */
  isEnding = false
  /** Whether the right of the client must be checked before it gets more events. */
  mustBeChecked = false
  /** Called when it has ended. */
  readonly closed: (() => void) | undefined
  /** Events for this watcher of the revision that is being sent. */
  batch: ChangeEvent[] | undefined

  constructor(
    { where, only, prev, values, progressMs, right, closed }: PermittedWatch,
    sink: WatchSink,
    from: number,
    now: number,
  ) {
    this.#where = where
    this.isKey = 'key' in where
    this.start = latin1('key' in where ? where.key : where.start)
    this.end = 'key' in where || where.end === undefined ? undefined : latin1(where.end)
    this.prev = prev
    this.values = values
    this.progressMs = progressMs
    this.sink = sink
    this.right = right
    this.closed = closed
    this.#only = only
    this.next = asRevision(Math.max(from, FIRST_REVISION))
    this.sentAt = now
  }

  /** Whether it waits before it receives events. */
  get hasNoRoom(): boolean {
    return this.sink.isFull || this.sink.takesProgressOnly === true
  }

  get phase(): number | undefined {
    return this.sink.phase
  }

  /** Whether the watch requests events of this type and revision, whatever the key. */
  wants({ revision, type }: ChangeEvent): boolean {
    return revision >= this.next && (this.#only === undefined || this.#only === type)
  }

  watches({ key }: ChangeEvent): boolean {
    if ('key' in this.#where) return equalBytes(key, this.#where.key)
    const { start, end } = this.#where
    return compareKeys(key, start) >= 0 && (end === undefined || compareKeys(key, end) < 0)
  }
}
