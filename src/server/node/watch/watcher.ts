// One watch of a client.

import { latin1 } from '../../../bytes/index.ts'
import { asRevision, type Revision } from '../../../kv/index.ts'
import type { WatchEvent } from './events.ts'
import type { Interval } from './interval-index.ts'
import type { WatchRequest, WatchSink } from './types.ts'

/**
 * `live`: it has been sent everything, and is told of each revision when it is applied. `behind`: it reads history.
 * `full`: its client must take what waits for it first.
 */
export type WatcherState = 'live' | 'behind' | 'full' | 'ended'

/** The store is empty at revision 1, so there is nothing to tell of it, and it is never missing. */
const FIRST_REVISION = 2

export class Watcher implements Interval {
  readonly start: string
  readonly end: string | undefined
  readonly isKey: boolean
  readonly prev: boolean
  readonly values: boolean
  readonly progressMs: number
  readonly sink: WatchSink
  readonly #only: WatchRequest['only']
  state: WatcherState = 'behind'
  /** Everything before this revision has been sent. While it is live, the hub knows more. */
  next: Revision
  /** The first revision of the row of events that has `next`; undefined: not known. */
  row: Revision | undefined
  /** The time of the last message. */
  sentAt: number
  /** Its place in the wheel. */
  slot = -1
  /** Its events of the revision that is being told. */
  told: WatchEvent[] | undefined

  constructor(
    { where, only, prev, values, progressMs }: WatchRequest,
    sink: WatchSink,
    from: number,
    now: number,
  ) {
    this.isKey = 'key' in where
    this.start = latin1('key' in where ? where.key : where.start)
    this.end = 'key' in where || where.end === undefined ? undefined : latin1(where.end)
    this.prev = prev
    this.values = values
    this.progressMs = progressMs
    this.sink = sink
    this.#only = only
    this.next = asRevision(Math.max(from, FIRST_REVISION))
    this.sentAt = now
  }

  get phase(): number | undefined {
    return this.sink.phase
  }

  /** Whether the watch asks for events like this one, whatever its key. */
  wants({ revision, type }: WatchEvent): boolean {
    return revision >= this.next && (this.#only === undefined || this.#only === type)
  }

  watches({ name }: WatchEvent): boolean {
    if (this.isKey) return name === this.start
    return name >= this.start && (this.end === undefined || name < this.end)
  }
}
