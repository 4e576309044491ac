// The hub owns the watches of a node, from `open` until they end, and is the only one that changes the state of a
// watcher. It notifies the live watchers of each entry that was applied, in steps that the applier finishes before the
// next entry. It ends watches whose right was lost, whose events are too large or compacted, or whose node stops.
//
// Its parts own the rest: `CatchUp` the watchers that read history, `HistoryRows` the cached rows, `IntervalIndex` the
// order of the live watchers by key, and `ProgressWheel` the times at which progress is due. They report to the hub.
// The sink of a watch owns the bytes that its client has not taken. It says when there is room, and the hub makes the
// watch full or lets it read on. README.md has the guarantees and the states.

import {
  decodeEachEvent,
  eventsKey,
  type KvState,
  readableFrom,
  type Steps,
  watchFloor,
} from '../../../kv/index.ts'
import { asRevision, type Revision } from '../../../operations/forms/index.ts'
import type { InFlightCounts } from '../../../raft/types.ts'
import type { Storage } from '../../../storage/types.ts'
import type { Clock } from '../clock.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { Problem, Result } from '../result.ts'
import { CatchUp, type CatchUpLimits } from './catch-up.ts'
import { type ChangeEvent, type EventsMessage, type GetRow, RevisionEvents } from './events.ts'
import { HistoryRows } from './history-rows.ts'
import { IntervalIndex } from './interval-index.ts'
import { ProgressWheel } from './progress-wheel.ts'
import type { PermittedWatch, WatchCounts, WatchHandle, WatchSink } from './types.ts'
import { Watcher } from './watcher.ts'

/**
 * Limit on synchronous fan-out: events × watchers notified while one entry is applied. One delete of a range has ten
 * thousand events, a batch a thousand revisions, and a node fifty thousand watchers.
 */
const FANOUT_PER_ENTRY_MAX = 50_000
/** A notification, in part at once. */
export interface NotificationLimits {
  /** Watchers read a revision with more events from history: each of their messages takes some milliseconds. */
  readonly liveEventsMax: number
  /** Steps that are taken at once: an event, or a watcher that is sent a message. */
  readonly stepsAtOnce: number
}

const NOTIFICATION: NotificationLimits = { liveEventsMax: 256, stepsAtOnce: 64 }

/** Watches that end together before the event loop does other work. */
const ENDS_AT_ONCE = 64

export interface WatchLimits extends CatchUpLimits {
  /** Limit on the watches of one node. More are refused as overloaded. */
  readonly watchesMax: number
  /** Limit on the keys of one message. A watch that would need a larger one ends. */
  readonly watchMessageBytesMax: number
}

interface WatchHubOptions {
  readonly clock: Clock
  readonly limits: WatchLimits
  readonly storage: Pick<Storage, 'get' | 'scan'>
  readonly state: KvState
  /** The node ends when a row cannot be read. */
  readonly lifecycle: Pick<Lifecycle, 'fail'>
  readonly notification?: NotificationLimits
}

export class WatchHub {
  readonly #clock: Clock
  readonly #limits: WatchLimits
  readonly #notification: NotificationLimits
  readonly #get: GetRow
  readonly #rows: HistoryRows
  readonly #catchUp: CatchUp
  readonly #wheel: ProgressWheel<Watcher>
  readonly #lifecycle: Pick<Lifecycle, 'fail'>
  readonly #watchers = new Set<Watcher>()
  /** The live watchers. */
  #live = new IntervalIndex<Watcher>()
  /** The state after the last entry that was applied. */
  #state: KvState
  /** The last revision that was sent to the live watchers. The state is ahead of it during a notification. */
  #sent: Revision
  /** The reason why no more watches begin. */
  #ended: string | undefined
  /** The watches that are about to end. */
  #ending = 0
  /** The part of the newest row of events that the live watchers have received. */
  #delivered = { first: 0, bytes: 0 }
  /** Fan-out of the current entry so far: events × watchers. */
  #fanOut = 0
  /** Scratch array, reused for each event. */
  readonly #matches: Watcher[] = []
  #now: number
  #slow = 0
  #eventsTotal = 0
  #slowTotal = 0
  #compactedTotal = 0

  constructor({ clock, limits, storage, state, lifecycle, notification = NOTIFICATION }: WatchHubOptions) {
    this.#clock = clock
    this.#notification = notification
    this.#limits = limits
    this.#state = state
    this.#sent = state.revision
    this.#now = clock.now()
    this.#lifecycle = lifecycle
    this.#get = (rowKey) => storage.get(rowKey)
    this.#rows = new HistoryRows(storage, this.#get)
    const hub = this
    this.#catchUp = new CatchUp(clock, limits, this.#rows, {
      get state() {
        return hub.#state
      },
      mayContinue: (watcher) => this.#mayContinue(watcher),
      caughtUp: (watcher) => this.#goLive(watcher),
      overtaken: (watcher) => this.#overtaken(watcher),
      full: (watcher) => this.#full(watcher),
      deliver: (watcher, message) => {
        this.#now = this.#clock.now()
        this.#deliver(watcher, message)
      },
      failed: (error) => lifecycle.fail(error),
    })
    this.#wheel = new ProgressWheel(clock, (watcher) => this.#progress(watcher))
  }

  counts(): WatchCounts {
    return {
      open: this.#watchers.size,
      behind: this.#catchUp.size,
      slow: this.#slow,
      eventsTotal: this.#eventsTotal,
      slowTotal: this.#slowTotal,
      compactedTotal: this.#compactedTotal,
    }
  }

  /** The work in flight; all 0 at rest. */
  inspect(): InFlightCounts {
    return {
      open: this.#watchers.size,
      live: this.#live.size,
      behind: this.#catchUp.size,
      slow: this.#slow,
      searches: Number(this.#catchUp.isSearching),
      rowsKept: this.#rows.size,
      ending: this.#ending,
      timer: Number(this.#wheel.isRunning),
    }
  }

  /**
   * Begins a watch. The sink is not called before this returns. The watch ends at once if the first revision that it
   * requests is compacted.
   */
  open(request: PermittedWatch, sink: WatchSink): Result<WatchHandle> {
    if (this.#ended !== undefined) return refused('not_ready', this.#ended)
    if (this.#watchers.size >= this.#limits.watchesMax)
      return refused('overloaded', `this node has ${this.#limits.watchesMax} watches already`)
    const { revision } = this.#state
    this.#now = this.#clock.now()
    const watcher = new Watcher(request, sink, request.from ?? revision + 1, this.#now)
    const { next: from } = watcher
    this.#watchers.add(watcher)
    this.#wheel.add(watcher)
    if (from > revision) this.#goLive(watcher)
    else this.#catchUp.add(watcher)
    return {
      ok: true,
      value: {
        from,
        sentUpTo: () => this.#upTo(watcher),
        drained: () => this.#drained(watcher),
        cancel: () => this.#forget(watcher),
      },
    }
  }

  /**
   * Notifies the watchers of the entry that has been applied. Returned steps are left to do before the next entry is
   * applied.
   */
  applied(state: KvState): Steps<void> | undefined {
    const { revision, auth } = this.#state
    this.#state = state
    if (state.auth !== auth && this.#watchers.size > 0)
      return this.#takeFirstSteps(this.#checkRights(revision))
    return this.#announce(revision)
  }

  /** `before`: the revision before the entry. */
  #announce(before: Revision): Steps<void> | undefined {
    const state = this.#state
    if (state.revision === before) return undefined
    const { newest, first } = state.history
    if (this.#live.size === 0 || newest < first) {
      this.#delivered = { first: 0, bytes: 0 }
      this.#sent = state.revision
      return undefined
    }
    const row = this.#get(eventsKey(newest))
    if (row === undefined) throw new Error(`revision ${newest} has no row of events`)
    const seenBytes = this.#delivered.first === newest ? this.#delivered.bytes : undefined
    this.#delivered = { first: newest, bytes: row.length }
    this.#now = this.#clock.now()
    this.#fanOut = 0
    return this.#takeFirstSteps(this.#notify(before, newest, row, seenBytes))
  }

  /** Takes the first steps at once. Returns those that are left. */
  #takeFirstSteps(steps: Steps<void>): Steps<void> | undefined {
    for (let left = this.#notification.stepsAtOnce; left > 0; left--) if (steps.next().done) return undefined
    return steps
  }

  /** `before`: the revision before the entry. If a row cannot be read, the node ends. */
  *#notify(before: Revision, first: Revision, row: Uint8Array, seenBytes: number | undefined): Steps<void> {
    const { revision: last } = this.#state
    let revision: RevisionEvents | undefined
    for (const event of decodeEachEvent(first, row, seenBytes)) {
      if (event.revision <= before) continue
      if (revision !== undefined && revision.revision !== event.revision) {
        yield* this.#notifyWatchers(revision)
        revision = undefined
      }
      revision ??= new RevisionEvents(event.revision)
      revision.add(event, this.#get)
      yield
    }
    if (revision !== undefined) yield* this.#notifyWatchers(revision)
    this.#sent = last
  }

  /** A snapshot has replaced the store by a newer one. Live watchers continue from its history. */
  replaced(state: KvState): void {
    // Some of them may not have been notified of the last entry.
    const next = asRevision(this.#sent + 1)
    this.#state = state
    this.#sent = state.revision
    this.#delivered = { first: 0, bytes: 0 }
    this.#rows.clear()
    this.#catchUp.replaced()
    // Taking each of them out would take longer than all else.
    this.#live = new IntervalIndex()
    for (const watcher of this.#watchers) {
      watcher.row = undefined
      watcher.mustBeChecked = true
      if (watcher.state === 'live') this.#catchUpFrom(watcher, next)
    }
  }

  /** Lets no more watches begin, because the node stops. */
  refuse(reason: string): void {
    this.#ended ??= reason
  }

  /** Ends all watches, because the node stops. None begins any more. `done`: all have ended. */
  endAll(reason: string, done?: () => void): void {
    this.refuse(reason)
    this.endEach('stopped', reason, done)
  }

  /** Ends the watches that there are, in parts. Clients continue elsewhere. `done`: all have ended. */
  endEach(kind: 'stopped' | 'no-leader' | 'no-room', reason: string, done?: () => void): void {
    const all = [...this.#watchers].filter(({ isEnding }) => !isEnding)
    for (const watcher of all) watcher.isEnding = true
    this.#ending += all.length
    const some = (from: number): void => {
      const part = all.slice(from, from + ENDS_AT_ONCE)
      this.#ending -= part.length
      for (const watcher of part) this.#end(watcher, { kind, reason })
      const next = from + ENDS_AT_ONCE
      if (next < all.length) this.#clock.soon(() => this.#failOnThrow(() => some(next)))
      else done?.()
    }
    some(0)
  }

  /**
   * Rights were changed: the watches of clients that may no longer read their keys end. So do those of clients that
   * are not known, which begin again and say who they are. No entry is applied before all watches are checked.
   */
  *#checkRights(before: Revision): Steps<void> {
    for (const watcher of [...this.#watchers]) {
      if (watcher.state !== 'ended') this.#check(watcher)
      yield
    }
    const steps = this.#announce(before)
    if (steps !== undefined) yield* steps
  }

  #check(watcher: Watcher): void {
    const right = watcher.right?.()
    if (right === 'ended') this.#end(watcher, { kind: 'no-right' })
    else if (right === 'no-user') this.#end(watcher, { kind: 'no-user' })
    else if (right === 'unknown') this.#end(watcher, { kind: 'stopped', reason: RIGHTS_UNKNOWN })
  }

  /** Whether the client may read on. An installed snapshot may have changed rights, which are checked first. */
  #mayContinue(watcher: Watcher): boolean {
    if (watcher.mustBeChecked) this.#check(watcher)
    watcher.mustBeChecked = false
    return watcher.state !== 'ended'
  }

  #failOnThrow(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#lifecycle.fail(error)
    }
  }

  #end(
    watcher: Watcher,
    end:
      | { kind: 'no-right' }
      | { kind: 'no-user' }
      | { kind: 'stopped' | 'no-leader' | 'no-room'; reason: string },
  ): void {
    if (watcher.state === 'ended') return
    const resumeFrom = asRevision(Math.max(watcher.next, this.#upTo(watcher) + 1))
    this.#forget(watcher)
    watcher.sink.ended({ ...end, resumeFrom })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Live watchers

  #goLive(watcher: Watcher): void {
    watcher.state = 'live'
    watcher.row = undefined
    this.#live.add(watcher)
  }

  /** Between two steps, watchers may begin, end, or become live after they have read this revision. */
  *#notifyWatchers(revision: RevisionEvents): Steps<void> {
    const { events } = revision
    const touched: Watcher[] = []
    for (const event of events) {
      this.#live.collect(event.name, this.#matches)
      const isTooMuch =
        events.length > this.#notification.liveEventsMax || this.#fanOut >= FANOUT_PER_ENTRY_MAX
      this.#fanOut += this.#matches.length
      for (const watcher of this.#matches) {
        if (!watcher.wants(event)) continue
        if (isTooMuch) {
          this.#readLater(watcher, revision.revision)
          continue
        }
        if (watcher.batch === undefined) {
          watcher.batch = []
          touched.push(watcher)
        }
        watcher.batch.push(event)
      }
      this.#matches.length = 0
      if (events.length > 1) yield
    }
    for (const watcher of touched) {
      const { batch } = watcher
      // Such a watcher has ended, or reads all of the events from history.
      if (batch === undefined) continue
      watcher.batch = undefined
      this.#deliverLive(watcher, revision, batch)
      yield
    }
    this.#sent = revision.revision
  }

  /** Makes a live watcher read this revision from history. */
  #readLater(watcher: Watcher, revision: Revision): void {
    this.#live.remove(watcher)
    this.#catchUpFrom(watcher, revision)
  }

  #catchUpFrom(watcher: Watcher, revision: Revision): void {
    watcher.batch = undefined
    if (watcher.next < revision) watcher.next = revision
    watcher.state = 'behind'
    this.#catchUp.add(watcher)
  }

  #deliverLive(watcher: Watcher, revision: RevisionEvents, events: readonly ChangeEvent[]): void {
    if (!watcher.hasNoRoom) {
      this.#deliver(watcher, revision.message(events, watcher))
      watcher.next = asRevision(revision.revision + 1)
      return
    }
    this.#live.remove(watcher)
    watcher.next = revision.revision
    this.#full(watcher)
  }

  /** Ends the watch if the message is too large: a revision is never split. */
  #deliver(watcher: Watcher, message: EventsMessage): void {
    const { revision: next, bytes } = message
    const { watchMessageBytesMax: bytesMax } = this.#limits
    if (bytes > bytesMax) {
      this.#forget(watcher)
      watcher.sink.ended({ kind: 'too-large', next, bytes, bytesMax, resumeFrom: asRevision(next + 1) })
      return
    }
    watcher.sentAt = this.#now
    this.#eventsTotal += message.events.length
    watcher.sink.events(message)
  }

  #progress(watcher: Watcher): void {
    // A newer message is already queued for the client. For a client that reads more slowly than progress is sent, the
    // queue would never become empty, and it would receive no event any more.
    if (watcher.state !== 'full') {
      // The watcher stays due, so that it precedes those that have left no room for it.
      if (watcher.sink.isFull) return
      watcher.sink.progress(this.#upTo(watcher))
    }
    watcher.sentAt = this.#clock.now()
  }

  /** The last revision that has been sent to the watcher. */
  #upTo(watcher: Watcher): Revision {
    // It may have become live while the others were notified of a revision that it has read.
    const sent = watcher.state === 'live' ? Math.max(this.#sent, watcher.next - 1) : watcher.next - 1
    return asRevision(Math.min(this.#state.revision, sent))
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Other watchers

  #full(watcher: Watcher): void {
    watcher.state = 'full'
    this.#slow++
    this.#slowTotal++
    watcher.sink.waits()
  }

  #drained(watcher: Watcher): void {
    if (watcher.state !== 'full') return
    this.#slow--
    watcher.state = 'behind'
    this.#catchUp.add(watcher)
  }

  #overtaken(watcher: Watcher): void {
    this.#compactedTotal++
    this.#forget(watcher)
    const { history } = this.#state
    const { next } = watcher
    const resumeFrom = asRevision(watchFloor(history) + 1)
    watcher.sink.ended({ kind: 'compacted', next, compactRevision: readableFrom(history), resumeFrom })
  }

  #forget(watcher: Watcher): void {
    if (!this.#watchers.delete(watcher)) return
    this.#wheel.remove(watcher)
    watcher.closed?.()
    watcher.batch = undefined
    if (watcher.state === 'live') this.#live.remove(watcher)
    else if (watcher.state === 'full') this.#slow--
    else this.#catchUp.remove(watcher)
    if (this.#watchers.size === 0) this.#catchUp.freeRows()
    watcher.state = 'ended'
  }
}

const RIGHTS_UNKNOWN = 'rights are checked since a moment ago'

const refused = (code: Problem['code'], detail: string): Result<WatchHandle> => ({
  ok: false,
  problem: { code, detail, written: 'no' },
})
