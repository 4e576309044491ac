// Watchers that read history: they began at an earlier revision, their clients were too slow, or a snapshot was
// installed. They read in slices, round-robin, beside everything else that the node does. Rows are read one by one
// when they are needed. No scan stays open, so compaction waits for no watcher.
//
// Rows are read and entries are applied in the same thread. A watcher that has read the row of the newest revision
// becomes live in the same call, before another entry is applied. So it misses no event and receives none twice.

import { type KvState, MissingRowError, watchFloor } from '../../../kv/index.ts'
import { asRevision, type Revision } from '../../../operations/forms/index.ts'
import { ScanEndedError } from '../../../storage/index.ts'
import type { Clock, Timer } from '../clock.ts'
import type { EventsMessage } from './events.ts'
import type { HistoryRow, HistoryRows } from './history-rows.ts'
import type { Watcher } from './watcher.ts'

export interface CatchUpLimits {
  /** Rows of events that one watcher reads before the next one reads. */
  readonly watchSliceRows: number
  /** How long watchers read before the event loop does other work. */
  readonly watchSliceMs: number
}

/** The results of a watcher's reading. */
interface CatchUpEvents {
  readonly state: KvState
  /** Called before it reads. False: it has ended. */
  mayContinue(watcher: Watcher): boolean
  /** The watcher has been sent all events up to the current revision. */
  caughtUp(watcher: Watcher): void
  /** The next revision that it needs is compacted. */
  overtaken(watcher: Watcher): void
  /** The client of the watcher must read its buffered messages first. */
  full(watcher: Watcher): void
  /** Sends the events of one revision. */
  deliver(watcher: Watcher, message: EventsMessage): void
  failed(error: unknown): void
}

/**
 * How long the rows of events are kept after the last watcher has read, in milliseconds. A client with many watches
 * opens the next one when the one before it has begun.
 */
const ROWS_KEPT_MS = 1_000

/** Events that are encoded between two checks of the time. */
const EVENTS_PER_STEP = 16

/** A large message that is being encoded in several turns. One watcher at a time has one. */
interface LargeMessage {
  readonly watcher: Watcher
  readonly message: EventsMessage
}

export class CatchUp {
  readonly #clock: Clock
  readonly #limits: CatchUpLimits
  readonly #rows: HistoryRows
  readonly #events: CatchUpEvents
  /** Watchers that are ready to read, in round-robin order. */
  readonly #queue = new Set<Watcher>()
  /** Watchers that wait for a search of the row with their next revision. */
  readonly #unplaced = new Set<Watcher>()
  #large: LargeMessage | undefined
  /** Watchers that wait until that message is sent, since theirs is large as well. */
  readonly #waiting = new Set<Watcher>()
  #isSearching = false
  #turnsSoon = false
  /** Runs after watchers have read, until the rows are freed. */
  #rowsTimer: Timer | undefined

  constructor(clock: Clock, limits: CatchUpLimits, rows: HistoryRows, events: CatchUpEvents) {
    this.#clock = clock
    this.#limits = limits
    this.#rows = rows
    this.#events = events
  }

  get size(): number {
    return this.#queue.size + this.#unplaced.size + this.#waiting.size
  }

  get isSearching(): boolean {
    return this.#isSearching
  }

  add(watcher: Watcher): void {
    this.#queue.add(watcher)
    this.#turnSoon()
  }

  remove(watcher: Watcher): void {
    this.#queue.delete(watcher)
    this.#unplaced.delete(watcher)
    this.#waiting.delete(watcher)
    if (this.#large?.watcher === watcher) this.#largeEnded()
    this.#freeRowsLater()
  }

  /** Frees the rows of events, because the node has no watcher any more. */
  freeRows(): void {
    this.#rowsTimer?.cancel()
    this.#rowsTimer = undefined
    this.#rows.clear()
  }

  /** A snapshot has replaced the store, with its history. */
  replaced(): void {
    this.#largeEnded()
  }

  #turnSoon(): void {
    const [waiting] = this.#large === undefined ? this.#waiting : []
    if (waiting !== undefined) {
      this.#waiting.delete(waiting)
      this.#queue.add(waiting)
    }
    if (this.#turnsSoon || this.#queue.size === 0) return
    this.#turnsSoon = true
    this.#clock.soon(() => {
      this.#turnsSoon = false
      try {
        this.#turn()
      } catch (error) {
        this.#events.failed(error)
      }
    })
  }

  /** Each watcher reads a slice, until the time slice is over. */
  #turn(): void {
    const until = this.#clock.now() + this.#limits.watchSliceMs
    for (let left = this.#queue.size; left > 0; left--) {
      const [watcher] = this.#queue
      if (watcher === undefined) break
      this.#queue.delete(watcher)
      if (this.#slice(watcher, until) === 'more') this.#queue.add(watcher)
      if (this.#clock.now() >= until) break
    }
    this.#freeRowsLater()
    this.#turnSoon()
  }

  /** Frees the rows of events, unless watchers read again meanwhile. */
  #freeRowsLater(): void {
    if (this.size > 0 || this.#rows.size === 0) return
    this.#rowsTimer?.cancel()
    this.#rowsTimer = this.#clock.after(ROWS_KEPT_MS, () => {
      this.#rowsTimer = undefined
      if (this.size === 0) this.#rows.clear()
    })
  }

  #slice(watcher: Watcher, until: number): 'more' | 'done' {
    const { state } = this.#events
    if (!this.#events.mayContinue(watcher)) return 'done'
    for (let rows = 0; watcher.next <= state.revision; rows++) {
      if (watcher.next <= watchFloor(state.history)) {
        this.#events.overtaken(watcher)
        return 'done'
      }
      const isTimeOver = rows > 0 && this.#clock.now() >= until
      if (isTimeOver || rows === this.#limits.watchSliceRows) return 'more'
      if (this.#large?.watcher === watcher) {
        const sent = this.#send(watcher, this.#large.message, until)
        if (sent !== 'whole') return sent
        // Its row may end with this revision.
        watcher.row = undefined
        if (this.#clock.now() >= until) return 'more'
        continue
      }
      const row = this.#findRow(watcher)
      if (row === undefined) {
        this.#unplaced.add(watcher)
        this.#searchRow()
        return 'done'
      }
      const read = this.#readRow(watcher, row, until)
      if (read !== 'whole') return read
    }
    this.#events.caughtUp(watcher)
    return 'done'
  }

  /** The row with the next revision of the watcher; undefined if a search must find it. */
  #findRow(watcher: Watcher): HistoryRow | undefined {
    const { state } = this.#events
    watcher.row ??= this.#rows.knownFirst(watcher.next, state)
    const row = watcher.row === undefined ? undefined : this.#rows.at(watcher.row, state)
    if (row !== undefined && (row.first > watcher.next || row.last < watcher.next))
      throw new MissingRowError(
        `the events from ${row.first} to ${row.last} are not those of ${watcher.next}`,
      )
    return row
  }

  #readRow(watcher: Watcher, row: HistoryRow, until: number): 'whole' | 'more' | 'done' {
    for (const revision of row.revisions) {
      if (revision.revision < watcher.next) continue
      const events = revision.events.filter((event) => watcher.wants(event) && watcher.watches(event))
      if (events.length > 0) {
        watcher.next = revision.revision
        const sent = this.#send(watcher, revision.message(events, watcher), until)
        if (sent !== 'whole') return sent
      }
      watcher.next = asRevision(revision.revision + 1)
      if (events.length > 0 && watcher.next <= row.last && this.#clock.now() >= until) return 'more'
    }
    watcher.next = asRevision(row.last + 1)
    watcher.row = watcher.next
    return 'whole'
  }

  /** Sends the message when it is encoded. 'whole': the watcher needs the next revision. */
  #send(watcher: Watcher, message: EventsMessage, until: number): 'whole' | 'more' | 'done' {
    const { sink } = watcher
    const { form } = sink
    if (form !== undefined && !watcher.hasNoRoom && message.encode(form, EVENTS_PER_STEP)) {
      if (this.#large !== undefined && this.#large.watcher !== watcher) {
        this.#waiting.add(watcher)
        return 'done'
      }
      this.#large = { watcher, message }
      while (message.encode(form, EVENTS_PER_STEP)) if (this.#clock.now() >= until) return 'more'
    }
    if (this.#large?.watcher === watcher) this.#largeEnded()
    if (watcher.hasNoRoom) {
      this.#events.full(watcher)
      return 'done'
    }
    this.#events.deliver(watcher, message)
    if (watcher.state === 'ended') return 'done'
    watcher.next = asRevision(message.revision + 1)
    return 'whole'
  }

  /** The next large message may be encoded. */
  #largeEnded(): void {
    this.#large = undefined
    this.#turnSoon()
  }

  /** Searches for one row at a time. Watchers with revisions of the same row share the result. */
  #searchRow(): void {
    const [watcher] = this.#unplaced
    if (watcher === undefined || this.#isSearching) return
    this.#isSearching = true
    const { state } = this.#events
    this.#rows.findFirst(watcher.next, state, (error, first) => {
      this.#isSearching = false
      try {
        this.#found(watcher, watcher.next, error, first, state)
      } catch (thrown) {
        this.#events.failed(thrown)
      }
    })
  }

  /** `before`: the state when the search began. */
  #found(
    watcher: Watcher,
    next: Revision,
    error: Error | undefined,
    first: Revision | undefined,
    before: KvState,
  ): void {
    // A scan that was ended for lack of disk space is restarted.
    if (error !== undefined && !(error instanceof ScanEndedError)) throw error
    if (this.size === 0) return
    const { state } = this.#events
    const row = first === undefined ? undefined : this.#rows.at(first, state)
    const compacted = watchFloor(state.history)
    for (const other of this.#unplaced) {
      const isInRow = row !== undefined && row.first <= other.next && other.next <= row.last
      // Another search would find the same row.
      const isLost = other === watcher && other.next === next && other.next > compacted && error === undefined
      if (isLost && !isInRow && state.history.first === before.history.first)
        throw new MissingRowError(`revision ${next} has no row of events`)
      if (isInRow) other.row = row.first
      // Watchers that compaction has overtaken during the search, perhaps all, need no row.
      else if (other.next > compacted && (other !== watcher || other.next !== next)) continue
      this.#unplaced.delete(other)
      this.#queue.add(other)
    }
    this.#turnSoon()
    this.#searchRow()
  }
}
