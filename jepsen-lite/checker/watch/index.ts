// Compares each connection of a watch with the log of the store. The guarantees are those of etcd, with two more:
//
// - ordered: revisions rise from message to message.
// - unique: no key arrives twice at one revision.
// - atomic: all requested events of one revision are in one message.
// - complete: between the first and the last delivered revision no requested event is missing.
// - resumable: a watch from a revision on begins with the first requested event from there on.
// - bookmark: a progress message is not ahead of the delivered events, and nothing at or below it follows.
// - committed: every event is in the log, with the record of that revision.
// - filter: no event has a key, a type, a value or a previous record that was not requested.
// - prev: the previous record is the right one.
// - created: a watch begins at the requested revision, or after everything that was answered before.
// - ended: the end of a watch has the true reason and the right revision to resume from, and nothing follows. The same
//   holds for a watch that is refused because its start is compacted.
//
// The comparison of the two lists takes linear time and always decides.

import type {
  WatchedEvent,
  WatchedRow,
  WatchMessage,
  WatchRecord,
  WatchSelection,
} from '../../workload/watch-record.ts'
import { compareKeys } from '../keys.ts'
import type { EventLog, LoggedEvent } from './log.ts'

export type {
  WatchedEvent,
  WatchedRow,
  WatchMessage,
  WatchRecord,
  WatchSelection,
} from '../../workload/watch-record.ts'
export { EventLog, type LoggedEvent, logOfWatch } from './log.ts'

export type WatchGuarantee =
  | 'ordered'
  | 'unique'
  | 'atomic'
  | 'complete'
  | 'resumable'
  | 'bookmark'
  | 'committed'
  | 'filter'
  | 'prev'
  | 'created'
  | 'ended'

export interface WatchAnomaly {
  readonly guarantee: WatchGuarantee
  /** The rule in docs/invariants.md. */
  readonly promise: 'WATCH-1' | 'WATCH-2' | 'WATCH-3' | 'WATCH-4'
  readonly watch: string
  readonly message: string
}

export interface WatchesOptions {
  /**
   * The highest revision up to which the store was ever compacted. Absent: not known, so every end for this reason is
   * accepted, and an absent record before, too.
   */
  readonly compacted?: number | undefined
}

const PROMISES = {
  bookmark: 'WATCH-2',
  ended: 'WATCH-3',
  created: 'WATCH-4',
} as const

/** The store is empty at revision 1. */
const FIRST_REVISION = 2

/** The first thing that is wrong with each of these watches. */
export function checkWatches(
  records: readonly WatchRecord[],
  log: EventLog,
  { compacted = Number.POSITIVE_INFINITY }: WatchesOptions = {},
): WatchAnomaly[] {
  return records.flatMap((record) => {
    const found = new OneWatch(record, log, compacted).check()
    if (found === undefined) return []
    const [guarantee, message] = found
    const promise = guarantee in PROMISES ? PROMISES[guarantee as keyof typeof PROMISES] : 'WATCH-1'
    return [{ guarantee, promise, watch: record.name, message: `${record.name}: ${message}` }]
  })
}

type WatchFault = readonly [WatchGuarantee, string] | undefined

class OneWatch {
  readonly #record: WatchRecord
  readonly #log: EventLog
  readonly #compacted: number
  /** The first revision that it may receive. */
  #from = 0
  /** Every event of this watch before it was delivered. */
  #next = 0
  /** The revision of the newest progress message. */
  #bookmark = 0
  /** The last revision with delivered events. */
  #last = 0
  /** Their keys. */
  #keys: ReadonlySet<string> = new Set()
  #hasEnded = false

  constructor(record: WatchRecord, log: EventLog, compacted: number) {
    this.#record = record
    this.#log = log
    this.#compacted = compacted
  }

  check(): WatchFault {
    const [first, ...others] = this.#record.told
    if (first === undefined) return undefined
    if (first.kind === 'compacted' && this.#record.asked.from === undefined)
      return ['ended', 'is refused as compacted, and did not ask for the past']
    if (first.kind === 'compacted')
      this.#from = this.#next = Math.max(FIRST_REVISION, this.#record.asked.from ?? 0)
    else if (first.kind !== 'created') return ['created', `is told of ${first.kind} before it exists`]
    const wrong = first.kind === 'created' ? this.#created(first) : this.#judge(first)
    if (wrong !== undefined) return wrong
    for (const told of others) {
      if (this.#hasEnded) return ['ended', `is told of ${told.kind} after its end`]
      const found = this.#judge(told)
      if (found !== undefined) return found
    }
    return undefined
  }

  #created({ revision, from }: Extract<WatchMessage, { kind: 'created' }>): WatchFault {
    const { asked, answered } = this.#record
    if (revision < answered)
      return ['created', `begins at revision ${revision}, when ${answered} had been answered`]
    if (revision > this.#log.upTo)
      return ['created', `begins at revision ${revision}, and the store is at ${this.#log.upTo}`]
    const wanted = Math.max(FIRST_REVISION, asked.from ?? revision + 1)
    if (from !== wanted) return ['created', `begins with ${from}, and should with ${wanted}`]
    this.#from = from
    this.#next = from
    return undefined
  }

  #judge(told: WatchMessage): WatchFault {
    switch (told.kind) {
      case 'created':
        return ['created', 'is told twice that it exists']
      case 'events':
        return this.#events(told.revision, told.events)
      case 'progress':
        return this.#progress(told.revision)
      case 'due': {
        const missing = this.#wantedUntil(told.revision)[0]
        return missing && [this.#missing(missing), `never received ${shown(missing)}`]
      }
      case 'compacted':
        this.#hasEnded = true
        return this.#overtaken(told)
      case 'stopped': {
        this.#hasEnded = true
        const missing = this.#wantedUntil(told.resumeFrom - 1)[0]
        if (missing !== undefined)
          return ['ended', `may go on from ${told.resumeFrom}, and was not told of ${shown(missing)}`]
        if (told.resumeFrom <= this.#last)
          return ['ended', `may go on from ${told.resumeFrom}, and was told of ${this.#last} already`]
        if (told.resumeFrom < this.#from)
          return ['ended', `may go on from ${told.resumeFrom}, and began with ${this.#from}`]
        if (told.resumeFrom > Math.max(this.#from, this.#log.upTo + 1))
          return ['ended', `may go on from ${told.resumeFrom} only, and the store is at ${this.#log.upTo}`]
        return undefined
      }
    }
  }

  #events(revision: number, events: readonly WatchedEvent[]): WatchFault {
    if (events.length === 0) return ['filter', `is told nothing of ${revision}`]
    if (revision < this.#from) return ['resumable', `is told of ${revision}, and begins with ${this.#from}`]
    if (revision <= this.#bookmark)
      return ['bookmark', `is told of ${revision} after the progress ${this.#bookmark}`]
    if (revision === this.#last) {
      const again = events.find(({ key }) => this.#keys.has(key))
      return again === undefined
        ? ['atomic', `is told of revision ${revision} in two messages`]
        : ['unique', `is told of ${again.key} at ${revision} twice`]
    }
    if (revision < this.#last) return ['ordered', `is told of ${revision} after ${this.#last}`]
    const skipped = this.#wantedUntil(revision - 1)[0]
    if (skipped !== undefined)
      return [this.#missing(skipped), `is told of ${revision}, and was not told of ${shown(skipped)}`]
    const found = this.#revision(revision, events)
    this.#keys = new Set(events.map(({ key }) => key))
    this.#last = revision
    this.#next = revision + 1
    return found
  }

  /** All events of one revision. */
  #revision(revision: number, events: readonly WatchedEvent[]): WatchFault {
    const { asked } = this.#record
    const logged = new Map(this.#log.between(revision, revision).map((event) => [event.key, event]))
    const seen = new Set<string>()
    for (const event of events) {
      const { key, type } = event
      const what = `is told of a ${type} of ${key} at ${revision}`
      const wanted = logged.get(key)
      if (wanted === undefined) return ['committed', `${what}, which never happened`]
      if (seen.has(key)) return ['unique', `${what} twice`]
      seen.add(key)
      if (typeOf(wanted) !== type) return ['committed', `${what}, which was a ${typeOf(wanted)}`]
      if (!isWanted(wanted, asked)) return ['filter', `${what}, for which it did not ask`]
      const wrong = this.#recordTold(event, wanted, what) ?? this.#prev(event, revision, what)
      if (wrong !== undefined) return wrong
    }
    const left = [...logged.values()].find((event) => isWanted(event, asked) && !seen.has(event.key))
    return left && ['atomic', `is told of ${revision} without ${left.key}`]
  }

  #recordTold({ record }: WatchedEvent, { record: wanted }: LoggedEvent, what: string): WatchFault {
    const { values } = this.#record.asked
    if (wanted === null) return record === undefined ? undefined : ['committed', `${what} with a record`]
    if (record === undefined) return ['committed', `${what} without its record`]
    if (!values && record.value !== undefined)
      return ['filter', `${what} with its value, for which it did not ask`]
    const whole = values ? wanted : { ...wanted, value: undefined }
    return same(record, whole)
      ? undefined
      : ['committed', `${what} as ${JSON.stringify(record)}, which was ${JSON.stringify(wanted)}`]
  }

  #prev({ key, prev }: WatchedEvent, revision: number, what: string): WatchFault {
    const { asked } = this.#record
    if (!asked.prev)
      return prev === undefined
        ? undefined
        : ['filter', `${what} with the record before, for which it did not ask`]
    const wanted = this.#log.before(key, revision)
    // A compacted record cannot be delivered. But then the event is deleted as well.
    if (prev === undefined) return ['prev', `${what} without the record before`]
    const whole = wanted === null || asked.values ? wanted : { ...wanted, value: undefined }
    const isSame = prev === null || whole === null ? prev === whole : same(prev, whole)
    return isSame
      ? undefined
      : ['prev', `${what} instead of ${JSON.stringify(prev)}, which was ${JSON.stringify(wanted)}`]
  }

  #progress(revision: number): WatchFault {
    const missing = this.#wantedUntil(revision)[0]
    if (missing !== undefined)
      return ['bookmark', `is told of the progress ${revision}, and was not told of ${shown(missing)}`]
    if (revision < this.#bookmark || revision < this.#last)
      return ['bookmark', `is told of the progress ${revision} after ${Math.max(this.#bookmark, this.#last)}`]
    if (revision > this.#log.upTo)
      return ['committed', `is told of the progress ${revision}, the store is at ${this.#log.upTo}`]
    this.#bookmark = Math.max(this.#bookmark, revision)
    this.#next = Math.max(this.#next, revision + 1)
    return undefined
  }

  #overtaken({
    next,
    compactRevision,
    resumeFrom,
  }: Extract<WatchMessage, { kind: 'compacted' }>): WatchFault {
    const missing = this.#wantedUntil(next - 1)[0]
    if (missing !== undefined) return ['ended', `ends at ${next}, and was not told of ${shown(missing)}`]
    const told = Math.max(this.#last, this.#bookmark)
    if (next <= told) return ['ended', `ends at ${next}, and was told of ${told} already`]
    if (next < this.#from) return ['ended', `ends at ${next}, and begins with ${this.#from}`]
    if (next > compactRevision)
      return ['ended', `ends at ${next} as compacted, and the store is compacted up to ${compactRevision}`]
    if (compactRevision > this.#compacted)
      return ['ended', `ends as compacted up to ${compactRevision}, but no compaction went that far`]
    if (resumeFrom !== compactRevision + 1)
      return ['ended', `may go on from ${resumeFrom}, the store is compacted up to ${compactRevision}`]
    return undefined
  }

  /** Requested events from the next revision on that were not delivered. */
  #wantedUntil(revision: number): readonly LoggedEvent[] {
    if (revision < this.#next) return []
    return this.#log.between(this.#next, revision).filter((event) => isWanted(event, this.#record.asked))
  }

  /** The first events are missing, or some in between. */
  #missing({ revision }: LoggedEvent): WatchGuarantee {
    return this.#last < this.#from && this.#record.asked.from !== undefined && revision >= this.#from
      ? 'resumable'
      : 'complete'
  }
}

const typeOf = ({ record }: LoggedEvent): 'put' | 'delete' => (record === null ? 'delete' : 'put')

function isWanted(event: LoggedEvent, { key, start = '', end, only }: WatchSelection): boolean {
  if (only !== undefined && typeOf(event) !== only) return false
  if (key !== undefined) return event.key === key
  return compareKeys(event.key, start) >= 0 && (end === undefined || compareKeys(event.key, end) < 0)
}

type Row = Omit<WatchedRow, 'value'> & { readonly value?: string | undefined }

const same = (one: Row, other: Row): boolean =>
  one.key === other.key &&
  one.value === other.value &&
  one.createRevision === other.createRevision &&
  one.modRevision === other.modRevision &&
  one.version === other.version &&
  one.lease === other.lease

const shown = (event: LoggedEvent): string => `the ${typeOf(event)} of ${event.key} at ${event.revision}`
