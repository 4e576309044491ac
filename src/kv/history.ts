// History: the keys that each revision changed, and the versions that were replaced. Both are kept for a while, so
// that the store can be read as it was, and so that watches can resume.
//
// An entry that raises the revision adds its events to the newest row of events, or begins a new row when that has
// REVISIONS_PER_ROW or ROW_BYTES. So all events of an entry are in one row. Every revision is in exactly one row, even
// one without an event (a change of settings). An event names the key, and the version that it replaced. The values
// are in the rows of versions (`rows.ts`). With one row for each entry, single changes would cost a row each. Of a row
// that several entries of one batch have changed, storage writes only the newest.
//
//   events   key    64, first revision (8)
//            value  cluster time of its newest entry (8), number of revisions (2), then for each event:
//                   flags (1), revision - first (2), key: length (2), bytes
//                   flag 1, a delete:             hash of the row of the tombstone (8)
//                   flag 2, a version before it:  its revision (8), bytes of its value (4), hash of its row (8)
//
// `first` is the first revision whose row of events is kept, `newest` the first revision of the newest row. The store
// can be read at revisions from `compacted` on. When a client raises `compacted`, the rows below it are deleted by this
// entry and later ones, a limited number by each. The row that has `compacted` stays, so the store can be watched from
// there on. History that is too old or too large goes with its last row too; then only from the revision after it.
// Neither depends on the progress of deletion.
//
// A store that was restored, or whose revision was raised, continues at a much higher one. The revisions between may
// have had other changes in the store that was lost or left. They are one row without events: number of revisions 0,
// then the last of them (8). `skipped` has the newest such gap. No read and no watch may begin in it, and no watch
// before it.
//
// A version is dead for all revisions from the one that replaced it on. So when a row of events is deleted, the
// versions that its events replaced are deleted too, and so are its tombstones.

import { Reader, readUint16, readUint64, writeUint16, writeUint32, writeUint64 } from '../bytes/index.ts'
import { asRevision, type Revision } from '../operations/forms/index.ts'
import { hasFeature } from '../operations/forms/settings.ts'
import { tombstoneKey, versionKey } from './codec/rows.ts'
import { MalformedBytesError, MissingRowError, UnknownKindError } from './errors.ts'
import type { Steps } from './steps.ts'
import type { KvState, RowHash, Rows } from './types.ts'
import { TABLE_EVENTS } from './types.ts'

type History = KvState['history']

const DELETED = 1
const HAD_VERSION = 2
const HEADER_BYTES = 10

/** An entry begins a new row when the newest one has so many. */
export const REVISIONS_PER_ROW = 16
/**
 * And when it has so many bytes of events. An entry writes its row as a whole, so events of thousands of keys that were
 * deleted at once would be written again by the entries after it.
 */
export const ROW_BYTES = 16 * 1024
/** Limit on the events that one entry deletes, exceeded at most by those of one row. */
export const EVENTS_PER_STEP_MAX = 1024
/** Rows of events that one entry reads at most. */
export const EVENT_ROWS_PER_STEP_MAX = 64

export interface KeyEvent {
  readonly key: Uint8Array
  readonly revision: Revision
  /** The hash of the row of the tombstone, if the key was deleted. */
  readonly tombstone: RowHash | undefined
  readonly before: VersionBefore | undefined
}

/** The version that a change replaced. */
export interface VersionBefore {
  readonly revision: Revision
  readonly valueBytes: number
  readonly hash: RowHash
}

export interface EventRow {
  readonly first: Revision
  readonly last: Revision
  readonly clusterTimeMs: number
  readonly events: readonly KeyEvent[]
}

export const eventsKey = (first: Revision): Uint8Array => {
  const key = new Uint8Array(9)
  key[0] = TABLE_EVENTS
  writeUint64(key, 1, first)
  return key
}

/** The first revision in the key of a row of events. */
export function firstOfEvents(rowKey: Uint8Array): Revision {
  if (rowKey[0] !== TABLE_EVENTS) throw new MalformedBytesError(`row of table ${rowKey[0]}, not of events`)
  return asRevision(readUint64(rowKey, 1))
}

// ---------------------------------------------------------------------------------------------------------------------
// Writing

interface NewestRow {
  readonly history: History
  /** The size of its events. */
  readonly bytes: number
  readonly hash: RowHash
}

const isSmall = (row: NewestRow | undefined): boolean => row !== undefined && row.bytes < ROW_BYTES

/** Room for the events of most entries. */
const BUFFER_BYTES = 64 * 1024

/**
 * The events of the entry that is being applied, behind those of the entries before it that are in the same row. It
 * keeps the row that it has written last, so that the next entry need not read it.
 */
export class EventWriter {
  /** The events of the row. */
  #bytes = new Uint8Array(BUFFER_BYTES)
  #at = 0
  /** The first revision of the row. */
  #first = 0
  /** The store's revision before the entry. */
  #before = 0
  /** The size of the versions that the entry has replaced. */
  #replacedBytes = 0
  /** The newest row. `history`: as the entry before has left it, so that it is known whether anything followed. */
  #newest: NewestRow | undefined
  /** Whether the entry skips revisions. */
  #isSkip = false
  /** The newest row with the events that the entry adds to it; undefined: the entry begins a row. */
  #extended: NewestRow | undefined

  begin({ revision, history, settings }: KvState, rows: Rows): void {
    const { first, newest, skipped } = history
    // Version 1 extends the row of a short gap, and replicas of one cluster must write the same rows.
    const isGap = newest === skipped.after + 1 && hasFeature(settings, 'revisionRaise')
    const isShort = newest >= first && !isGap && revision - newest + 1 < REVISIONS_PER_ROW
    if (!isShort || this.#newest?.history !== history) this.#newest = undefined
    if (isShort) this.#newest ??= this.#read(history, rows)
    this.#extended = isShort && isSmall(this.#newest) ? this.#newest : undefined
    this.#first = this.#extended === undefined ? revision + 1 : newest
    this.#before = revision
    this.#at = this.#extended?.bytes ?? 0
    this.#replacedBytes = 0
    this.#isSkip = false
  }

  /** The revisions of the entry are skipped: it has no events. */
  skip(): void {
    this.#isSkip = true
  }

  /** Revisions must not fall. */
  add(
    key: Uint8Array,
    revision: Revision,
    tombstone: RowHash | undefined,
    before: VersionBefore | undefined,
  ): void {
    const bytes = this.#room(5 + key.length + 8 + 20)
    let at = this.#at
    bytes[at] = (tombstone === undefined ? 0 : DELETED) | (before === undefined ? 0 : HAD_VERSION)
    writeUint16(bytes, at + 1, revision - this.#first)
    writeUint16(bytes, at + 3, key.length)
    bytes.set(key, at + 5)
    at += 5 + key.length
    if (tombstone !== undefined) {
      writeHash(bytes, at, tombstone)
      at += 8
    }
    if (before !== undefined) {
      writeUint64(bytes, at, before.revision)
      writeUint32(bytes, at + 8, before.valueBytes)
      writeHash(bytes, at + 12, before.hash)
      at += 20
      this.#replacedBytes += bytesOfVersion(key, before.valueBytes)
    }
    this.#at = at
  }

  /** Writes the row if the entry has raised the revision. */
  end({ revision, clusterTimeMs, history }: KvState, rows: Rows): History {
    if (revision === this.#before) return history
    if (this.#isSkip) return this.#endSkip(revision, clusterTimeMs, history, rows)
    const first = asRevision(this.#first)
    writeUint64(header, 0, clusterTimeMs)
    writeUint16(header, 8, revision - first + 1)
    const rest = this.#bytes.subarray(0, this.#at)
    const before = this.#extended?.hash ?? null
    const { mix, crc } = rows.write({ key: eventsKey(first), value: header, rest, before })
    const after = { ...history, newest: first, bytes: history.bytes + this.#replacedBytes }
    this.#newest = { history: after, bytes: this.#at, hash: { mix, crc } }
    if (!isSmall(this.#newest) && this.#bytes.length > BUFFER_BYTES)
      this.#bytes = new Uint8Array(BUFFER_BYTES)
    return after
  }

  #endSkip(revision: Revision, clusterTimeMs: number, history: History, rows: Rows): History {
    this.#newest = undefined
    const before = { revision: asRevision(this.#before), clusterTimeMs, history }
    const { history: after, row } = skipTo(revision, before)
    if (row !== undefined) rows.write({ ...row, before: null })
    return after
  }

  #read(history: History, rows: Rows): NewestRow {
    const found = rows.read(eventsKey(history.newest), false)
    if (found === undefined) throw new MissingRowError(`revision ${history.newest} has no row of events`)
    const { mix, crc } = found
    const row = { history, bytes: found.bytes.length - HEADER_BYTES, hash: { mix, crc } }
    if (isSmall(row)) this.#bytes.set(found.bytes.subarray(HEADER_BYTES))
    return row
  }

  #room(count: number): Uint8Array {
    const needed = this.#at + count
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(2 * needed)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    return this.#bytes
  }
}

/** Storage copies it. */
const header = new Uint8Array(HEADER_BYTES)

function writeHash(target: Uint8Array, at: number, { mix, crc }: RowHash): void {
  writeUint32(target, at, mix >>> 0)
  writeUint32(target, at + 4, crc >>> 0)
}

// ---------------------------------------------------------------------------------------------------------------------
// Reading

/** `seenBytes`: of the row when it was shorter; its events up to there are left out. */
export const decodeEvents = (first: Revision, row: Uint8Array, seenBytes?: number): EventRow => ({
  first,
  ...spanOfEvents(first, row),
  events: [...decodeEachEvent(first, row, seenBytes)],
})

/** The events of a row, decoded one by one. */
export function* decodeEachEvent(
  first: Revision,
  row: Uint8Array,
  seenBytes = HEADER_BYTES,
): Iterable<KeyEvent> {
  if (readUint16(row, 8) === 0) return
  const from = new Reader(row, 'a row of events', MalformedBytesError)
  from.slice(seenBytes)
  while (from.left > 0) {
    const flags = from.uint8()
    if (flags > (DELETED | HAD_VERSION)) throw new UnknownKindError(`flags ${flags} of an event`)
    const revision = asRevision(first + from.uint16())
    const key = from.slice(from.uint16())
    const tombstone = flags & DELETED ? readHash(from) : undefined
    const before =
      flags & HAD_VERSION
        ? { revision: asRevision(from.uint64()), valueBytes: from.uint32(), hash: readHash(from) }
        : undefined
    yield { key, revision, tombstone, before }
  }
}

const readHash = (from: Reader): RowHash => ({ mix: from.uint32() | 0, crc: from.uint32() | 0 })

/** The last revision and the cluster time of a row of events. */
export function spanOfEvents(first: Revision, row: Uint8Array): Pick<EventRow, 'last' | 'clusterTimeMs'> {
  const count = readUint16(row, 8)
  return {
    last: asRevision(count === 0 ? readUint64(row, HEADER_BYTES) : first + count - 1),
    clusterTimeMs: readUint64(row, 0),
  }
}

/** The history of a store that skips the revisions up to `to`, and the row that it gets. */
export function skipTo(
  to: Revision,
  { revision, clusterTimeMs, history }: Pick<KvState, 'revision' | 'clusterTimeMs' | 'history'>,
): { readonly history: History; readonly row?: { readonly key: Uint8Array; readonly value: Uint8Array } } {
  // Without a row of events, none needs an end.
  if (history.first > revision) return { history: historyAfter(to) }
  const newest = asRevision(revision + 1)
  return {
    history: {
      ...history,
      newest,
      // A store remembers one gap.
      compacted: asRevision(Math.max(history.compacted, history.skipped.to)),
      skipped: { after: revision, to },
    },
    row: { key: eventsKey(newest), value: encodeSkipped(to, clusterTimeMs) },
  }
}

function encodeSkipped(last: Revision, clusterTimeMs: number): Uint8Array {
  const row = new Uint8Array(HEADER_BYTES + 8)
  writeUint64(row, 0, clusterTimeMs)
  writeUint64(row, HEADER_BYTES, last)
  return row
}

// ---------------------------------------------------------------------------------------------------------------------
// Forgetting

/** The history of a store that begins after `revision`. */
export const historyAfter = (revision: Revision): History => ({
  first: asRevision(revision + 1),
  newest: asRevision(0),
  compacted: revision,
  bytes: 0,
  skipped: NOTHING_SKIPPED,
})

const NOTHING_SKIPPED: History['skipped'] = { after: asRevision(0), to: asRevision(0) }

/** The store can be read from this revision on. */
export const readableFrom = ({ compacted, skipped }: History): Revision =>
  skipped.to > compacted ? skipped.to : compacted

/** A watch may begin after this revision: at the first readable one only if its events are kept. */
export const watchFloor = ({ first, compacted, skipped }: History): Revision =>
  asRevision(Math.max(first <= compacted ? compacted - 1 : compacted, skipped.to))

/**
 * The first revision that can be read in place of this one, which is compacted or was skipped; undefined: this one can.
 */
export function compactedUpTo(revision: Revision, history: History): Revision | undefined {
  const from = isSkipped(revision, history) ? history.skipped.to : history.compacted
  return revision < from ? from : undefined
}

/** Whether the store can be read as it was at this revision. */
export const isReadable = (revision: Revision, { revision: now, history }: KvState): boolean =>
  revision <= now && compactedUpTo(revision, history) === undefined

/** Whether the store never was at this revision: it has skipped it. */
const isSkipped = (revision: Revision, { skipped }: History): boolean =>
  revision > skipped.after && revision < skipped.to

/** The number of revisions after `first` that the store has had. */
export function revisionsSince(
  first: Revision,
  { revision, history }: Pick<KvState, 'revision' | 'history'>,
): number {
  const { after, to } = history.skipped
  return revision - first - (first <= after ? to - after : 0)
}

/** Whether the row of events up to `last`, of that cluster time, need not be kept any more. */
export function isDue(
  {
    revision,
    settings,
    clusterTimeMs,
    history,
  }: Pick<KvState, 'revision' | 'settings' | 'clusterTimeMs' | 'history'>,
  last: Revision,
  timeMs: number,
): boolean {
  return (
    last < history.compacted ||
    // Nothing is kept that was before the gap.
    last === history.skipped.to ||
    revisionsSince(last, { revision, history }) >= settings.historyRevisionsMax ||
    history.bytes > settings.historyBytesMax ||
    clusterTimeMs - timeMs > settings.historyAgeMs
  )
}

/** Deletes rows of events that are due, and the versions that they replaced. */
export function* forget(state: KvState, rows: Rows): Steps<History> {
  let history = state.history
  let events = 0
  for (let row = 0; row < EVENT_ROWS_PER_STEP_MAX && events < EVENTS_PER_STEP_MAX; row++) {
    if (history.first > state.revision) break
    const key = eventsKey(history.first)
    const found = rows.read(key, false)
    if (found === undefined) throw new MissingRowError(`revision ${history.first} has no row of events`)
    const { last, clusterTimeMs } = spanOfEvents(history.first, found.bytes)
    if (!isDue({ ...state, history }, last, clusterTimeMs)) break
    let { bytes } = history
    for (const event of decodeEachEvent(history.first, found.bytes)) {
      bytes -= forgetVersions(event, rows)
      events++
      yield
    }
    rows.write({ key, value: undefined, before: found })
    history = {
      ...history,
      first: asRevision(last + 1),
      compacted: asRevision(Math.max(history.compacted, last)),
      bytes,
    }
  }
  return history
}

/** Returns the bytes of the version that the event replaced. */
function forgetVersions({ key, revision, tombstone, before }: KeyEvent, rows: Rows): number {
  if (tombstone !== undefined)
    rows.write({ key: tombstoneKey(key, revision), value: undefined, before: tombstone })
  if (before === undefined) return 0
  rows.write({ key: versionKey(key, before.revision), value: undefined, before: before.hash })
  return bytesOfVersion(key, before.valueBytes)
}

/** The bytes that a replaced version adds to `history.bytes`. */
const bytesOfVersion = (key: Uint8Array, valueBytes: number): number => key.length + valueBytes
