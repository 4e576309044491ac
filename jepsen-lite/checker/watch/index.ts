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
export { EventLog, type LoggedEvent } from './log.ts'

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

interface WatchAnomaly {
  readonly guarantee: WatchGuarantee
  /** The rule in docs/invariants.md. */
  readonly promise: 'WATCH-1' | 'WATCH-2' | 'WATCH-3' | 'WATCH-4'
  readonly watch: string
  readonly message: string
}

interface WatchesOptions {
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
    const found = new WatchCheck(record, log, compacted).check()
    if (found === undefined) return []
    const [guarantee, message] = found
    const promise = guarantee in PROMISES ? PROMISES[guarantee as keyof typeof PROMISES] : 'WATCH-1'
    return [{ guarantee, promise, watch: record.name, message: `${record.name}: ${message}` }]
  })
}

type WatchFault = readonly [WatchGuarantee, string] | undefined

class WatchCheck {
  readonly #record: WatchRecord
  readonly #log: EventLog
  readonly #compactedMax: number
  /** The first revision that the watch may receive. */
  #from = 0
  /** All events of the watch below this revision were delivered. */
  #nextRevision = 0
  /** The revision of the newest progress message. */
  #bookmark = 0
  /** The last revision with delivered events. */
  #lastRevision = 0
  /** Keys of the events that were delivered at the last revision. */
  #lastKeys: ReadonlySet<string> = new Set()
  #hasEnded = false

  constructor(record: WatchRecord, log: EventLog, compacted: number) {
    this.#record = record
    this.#log = log
    this.#compactedMax = compacted
  }

  check(): WatchFault {
    const [first, ...others] = this.#record.messages
    if (first === undefined) return undefined
    if (first.kind === 'compacted' && this.#record.selection.from === undefined)
      return ['ended', 'is refused as compacted, and did not ask for the past']
    if (first.kind === 'compacted')
      this.#from = this.#nextRevision = Math.max(FIRST_REVISION, this.#record.selection.from ?? 0)
    else if (first.kind !== 'created') return ['created', `receives ${first.kind} before it exists`]
    const wrong = first.kind === 'created' ? this.#checkCreated(first) : this.#checkMessage(first)
    if (wrong !== undefined) return wrong
    for (const message of others) {
      if (this.#hasEnded) return ['ended', `receives ${message.kind} after its end`]
      const found = this.#checkMessage(message)
      if (found !== undefined) return found
    }
    return undefined
  }

  #checkCreated({ revision, from }: Extract<WatchMessage, { kind: 'created' }>): WatchFault {
    const { selection, answered } = this.#record
    if (revision < answered)
      return ['created', `begins at revision ${revision}, when ${answered} had been answered`]
    if (revision > this.#log.upTo)
      return ['created', `begins at revision ${revision}, and the store is at ${this.#log.upTo}`]
    const first = Math.max(FIRST_REVISION, selection.from ?? revision + 1)
    if (from !== first) return ['created', `begins with ${from}, and should with ${first}`]
    this.#from = from
    this.#nextRevision = from
    return undefined
  }

  #checkMessage(message: WatchMessage): WatchFault {
    switch (message.kind) {
      case 'created':
        return ['created', 'is confirmed twice']
      case 'events':
        return this.#checkEvents(message.revision, message.events)
      case 'progress':
        return this.#checkProgress(message.revision)
      case 'due': {
        const missing = this.#findUndelivered(message.revision)[0]
        return missing && [this.#classifyMissing(missing), `never received ${eventText(missing)}`]
      }
      case 'compacted':
        this.#hasEnded = true
        return this.#checkCompacted(message)
      case 'stopped': {
        this.#hasEnded = true
        const missing = this.#findUndelivered(message.resumeFrom - 1)[0]
        if (missing !== undefined)
          return ['ended', `may resume from ${message.resumeFrom}, and did not receive ${eventText(missing)}`]
        if (message.resumeFrom <= this.#lastRevision)
          return [
            'ended',
            `may resume from ${message.resumeFrom}, and received ${this.#lastRevision} already`,
          ]
        if (message.resumeFrom < this.#from)
          return ['ended', `may resume from ${message.resumeFrom}, and began with ${this.#from}`]
        if (message.resumeFrom > Math.max(this.#from, this.#log.upTo + 1))
          return [
            'ended',
            `may resume from ${message.resumeFrom} only, and the store is at ${this.#log.upTo}`,
          ]
        return undefined
      }
    }
  }

  #checkEvents(revision: number, events: readonly WatchedEvent[]): WatchFault {
    if (events.length === 0) return ['filter', `receives nothing of ${revision}`]
    if (revision < this.#from) return ['resumable', `receives ${revision}, and begins with ${this.#from}`]
    if (revision <= this.#bookmark)
      return ['bookmark', `receives ${revision} after the progress ${this.#bookmark}`]
    if (revision === this.#lastRevision) {
      const again = events.find(({ key }) => this.#lastKeys.has(key))
      return again === undefined
        ? ['atomic', `receives revision ${revision} in two messages`]
        : ['unique', `receives ${again.key} at ${revision} twice`]
    }
    if (revision < this.#lastRevision) return ['ordered', `receives ${revision} after ${this.#lastRevision}`]
    const skipped = this.#findUndelivered(revision - 1)[0]
    if (skipped !== undefined)
      return [
        this.#classifyMissing(skipped),
        `receives ${revision}, and did not receive ${eventText(skipped)}`,
      ]
    const found = this.#checkRevision(revision, events)
    this.#lastKeys = new Set(events.map(({ key }) => key))
    this.#lastRevision = revision
    this.#nextRevision = revision + 1
    return found
  }

  /** Compares the message with all events that the log has at its revision. */
  #checkRevision(revision: number, events: readonly WatchedEvent[]): WatchFault {
    const { selection } = this.#record
    const logged = new Map(this.#log.between(revision, revision).map((event) => [event.key, event]))
    const seen = new Set<string>()
    for (const event of events) {
      const { key, type } = event
      const what = `receives a ${type} of ${key} at ${revision}`
      const change = logged.get(key)
      if (change === undefined) return ['committed', `${what}, which never happened`]
      if (seen.has(key)) return ['unique', `${what} twice`]
      seen.add(key)
      if (eventType(change) !== type) return ['committed', `${what}, which was a ${eventType(change)}`]
      if (!isSelected(change, selection)) return ['filter', `${what}, for which it did not ask`]
      const wrong = this.#checkRecord(event, change, what) ?? this.#checkPrev(event, revision, what)
      if (wrong !== undefined) return wrong
    }
    const left = [...logged.values()].find((event) => isSelected(event, selection) && !seen.has(event.key))
    return left && ['atomic', `receives ${revision} without ${left.key}`]
  }

  #checkRecord({ record }: WatchedEvent, { record: expected }: LoggedEvent, what: string): WatchFault {
    const { values } = this.#record.selection
    if (expected === null) return record === undefined ? undefined : ['committed', `${what} with a record`]
    if (record === undefined) return ['committed', `${what} without its record`]
    if (!values && record.value !== undefined)
      return ['filter', `${what} with its value, for which it did not ask`]
    const whole = values ? expected : { ...expected, value: undefined }
    return isSameRow(record, whole)
      ? undefined
      : ['committed', `${what} as ${JSON.stringify(record)}, which was ${JSON.stringify(expected)}`]
  }

  #checkPrev({ key, prev }: WatchedEvent, revision: number, what: string): WatchFault {
    const { selection } = this.#record
    if (!selection.prev)
      return prev === undefined
        ? undefined
        : ['filter', `${what} with the record before, for which it did not ask`]
    const expected = this.#log.before(key, revision)
    // A compacted record cannot be delivered. But then the event is deleted as well.
    if (prev === undefined) return ['prev', `${what} without the record before`]
    const whole = expected === null || selection.values ? expected : { ...expected, value: undefined }
    const isSame = prev === null || whole === null ? prev === whole : isSameRow(prev, whole)
    return isSame
      ? undefined
      : ['prev', `${what} instead of ${JSON.stringify(prev)}, which was ${JSON.stringify(expected)}`]
  }

  #checkProgress(revision: number): WatchFault {
    const missing = this.#findUndelivered(revision)[0]
    if (missing !== undefined)
      return ['bookmark', `receives the progress ${revision}, and did not receive ${eventText(missing)}`]
    if (revision < this.#bookmark || revision < this.#lastRevision)
      return [
        'bookmark',
        `receives the progress ${revision} after ${Math.max(this.#bookmark, this.#lastRevision)}`,
      ]
    if (revision > this.#log.upTo)
      return ['committed', `receives the progress ${revision}, the store is at ${this.#log.upTo}`]
    this.#bookmark = Math.max(this.#bookmark, revision)
    this.#nextRevision = Math.max(this.#nextRevision, revision + 1)
    return undefined
  }

  #checkCompacted({
    next,
    compactRevision,
    resumeFrom,
  }: Extract<WatchMessage, { kind: 'compacted' }>): WatchFault {
    const missing = this.#findUndelivered(next - 1)[0]
    if (missing !== undefined) return ['ended', `ends at ${next}, and did not receive ${eventText(missing)}`]
    const received = Math.max(this.#lastRevision, this.#bookmark)
    if (next <= received) return ['ended', `ends at ${next}, and received ${received} already`]
    if (next < this.#from) return ['ended', `ends at ${next}, and begins with ${this.#from}`]
    if (next > compactRevision)
      return ['ended', `ends at ${next} as compacted, and the store is compacted up to ${compactRevision}`]
    if (compactRevision > this.#compactedMax)
      return ['ended', `ends as compacted up to ${compactRevision}, but no compaction went that far`]
    // The events of the compact revision itself may be kept.
    const mayResumeAt = next < compactRevision && resumeFrom === compactRevision
    if (resumeFrom !== compactRevision + 1 && !mayResumeAt)
      return ['ended', `may resume from ${resumeFrom}, the store is compacted up to ${compactRevision}`]
    return undefined
  }

  /** Requested events up to a revision that were not delivered. */
  #findUndelivered(revision: number): readonly LoggedEvent[] {
    if (revision < this.#nextRevision) return []
    return this.#log
      .between(this.#nextRevision, revision)
      .filter((event) => isSelected(event, this.#record.selection))
  }

  /** The guarantee that an undelivered event breaks: the first events of a resumed watch are missing, or later ones. */
  #classifyMissing({ revision }: LoggedEvent): WatchGuarantee {
    return this.#lastRevision < this.#from &&
      this.#record.selection.from !== undefined &&
      revision >= this.#from
      ? 'resumable'
      : 'complete'
  }
}

const eventType = ({ record }: LoggedEvent): 'put' | 'delete' => (record === null ? 'delete' : 'put')

function isSelected(event: LoggedEvent, { key, start = '', end, only }: WatchSelection): boolean {
  if (only !== undefined && eventType(event) !== only) return false
  if (key !== undefined) return event.key === key
  return compareKeys(event.key, start) >= 0 && (end === undefined || compareKeys(event.key, end) < 0)
}

type Row = Omit<WatchedRow, 'value'> & { readonly value?: string | undefined }

const isSameRow = (one: Row, other: Row): boolean =>
  one.key === other.key &&
  one.value === other.value &&
  one.createRevision === other.createRevision &&
  one.modRevision === other.modRevision &&
  one.version === other.version &&
  one.lease === other.lease

const eventText = (event: LoggedEvent): string =>
  `the ${eventType(event)} of ${event.key} at ${event.revision}`
