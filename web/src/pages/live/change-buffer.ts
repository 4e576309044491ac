// The newest changes that a page has received, in a buffer of a fixed size, and what became of all others. Each change
// is counted once: it is kept, or was filtered out, or was dropped.

import type { Revision } from '../../../../src/operations/forms/store.ts'
import type { DecodedEvent } from '../../../../src/operations/watch.ts'

export interface FeedChange {
  /** Counts what was received, from 1 on. */
  readonly number: number
  /** When the page received it, of `Date.now()`. */
  readonly time: number
  readonly event: DecodedEvent
}

/** Revisions whose changes the page cannot receive any more. */
export interface FeedGap {
  /** The number of the change before it. */
  readonly after: number
  readonly from: Revision
  /** undefined: it is not known. */
  readonly to: Revision | undefined
}

/** The state of a buffer. */
export interface BufferView {
  /** The newest first. */
  readonly changes: readonly FeedChange[]
  readonly received: number
  readonly filtered: number
  readonly dropped: number
}

/** Bytes of keys and values that are kept: a value may have a megabyte. */
const BYTES_MAX = 32 << 20

export class ChangeBuffer {
  /** A ring: a change stands at its place in the order of what was kept. */
  #ring: (FeedChange | undefined)[]
  #begin = 0
  #end = 0
  #bytes = 0
  #received = 0
  #filtered = 0
  #dropped = 0

  constructor(cap: number) {
    this.#ring = new Array(cap)
  }

  get received(): number {
    return this.#received
  }

  receive(events: readonly DecodedEvent[], time: number, fits: (key: Uint8Array) => boolean): void {
    for (const event of events) {
      this.#received++
      if (fits(event.key)) this.#keep({ number: this.#received, time, event })
      else this.#filtered++
    }
  }

  /** Changes the number of changes that it keeps. */
  resize(cap: number): void {
    if (cap === this.#ring.length) return
    const kept = this.#list()
    this.#ring = new Array(cap)
    this.#begin = 0
    this.#end = 0
    this.#bytes = 0
    for (const change of kept) this.#keep(change)
  }

  view(): BufferView {
    return {
      changes: this.#list().reverse(),
      received: this.#received,
      filtered: this.#filtered,
      dropped: this.#dropped,
    }
  }

  #keep(change: FeedChange): void {
    if (this.#end - this.#begin === this.#ring.length) this.#drop()
    this.#ring[this.#end++ % this.#ring.length] = change
    this.#bytes += sizeEvent(change.event)
    // The newest one stays, however large it is.
    while (this.#bytes > BYTES_MAX && this.#end - this.#begin > 1) this.#drop()
  }

  #drop(): void {
    const place = this.#begin++ % this.#ring.length
    const oldest = this.#ring[place]
    if (oldest !== undefined) this.#bytes -= sizeEvent(oldest.event)
    this.#ring[place] = undefined
    this.#dropped++
  }

  /** The oldest first. */
  #list(): FeedChange[] {
    const list: FeedChange[] = []
    for (let at = this.#begin; at < this.#end; at++) {
      const change = this.#ring[at % this.#ring.length]
      if (change !== undefined) list.push(change)
    }
    return list
  }
}

const sizeEvent = (event: DecodedEvent): number =>
  event.key.length + (event.type === 'put' ? event.record.value.length : 0) + (event.prev?.value.length ?? 0)

/** Changes that a page shows, and the numbers of the others. Together they are all that was received. */
export interface ShownChanges {
  /** The newest first. */
  readonly changes: readonly FeedChange[]
  readonly filtered: number
  /** Received since the pause: they are shown when it ends. */
  readonly behind: number
  readonly dropped: number
}

/**
 * Finds what to show. `paused`: the view when the user paused the page. `fits`: the filter of now; those before it may
 * have kept more.
 */
export function findShown(
  view: BufferView,
  paused: BufferView | undefined,
  cap: number,
  fits: (key: Uint8Array) => boolean,
): ShownChanges {
  const fitting = (changes: readonly FeedChange[]) => changes.filter(({ event }) => fits(event.key))
  const from = paused ?? view
  const waiting = paused === undefined ? [] : view.changes.filter(({ number }) => number > paused.received)
  const changes = fitting(from.changes)
  const behind = fitting(waiting).length
  const hidden = from.changes.length - changes.length + (waiting.length - behind)
  const filtered = view.filtered + hidden
  const shown = changes.slice(0, cap)
  return { changes: shown, filtered, behind, dropped: view.received - filtered - behind - shown.length }
}

/** Changes and the gaps between them, the newest first. `hasDropped`: a gap may lie before what is left. */
export function listEntries(
  changes: readonly FeedChange[],
  gaps: readonly FeedGap[],
  hasDropped: boolean,
): (FeedChange | FeedGap)[] {
  const oldest = changes.at(-1)?.number ?? 0
  const entries: (FeedChange | FeedGap)[] = [...changes]
  for (const gap of gaps) {
    if (hasDropped && gap.after < oldest - 1) continue
    const at = entries.findIndex((entry) => !('number' in entry) || entry.number <= gap.after)
    entries.splice(at === -1 ? entries.length : at, 0, gap)
  }
  return entries
}
