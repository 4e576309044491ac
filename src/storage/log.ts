// The log: the entries of one append are packed into one record. The key is the index of the first.
//
//   frame | frame | … | CRC-32        (a frame begins with its length: src/raft/entry.ts)
//
// One key per entry would cost LevelDB five times as much. The list of records and of term changes is kept in memory:
// `level` seeks only asynchronously, and the core reads the log synchronously.
//
// Entries that a batch truncates or compacts are gone from here as soon as the batch is submitted. Entries that it adds
// appear when it is durable. A log that a snapshot replaces as a whole keeps its bounds and terms until then, because a
// node must not report a shorter log than it has. Its entries are no longer read.

import { crc32 } from 'node:zlib'
import { joinAdjacent, readUint32 } from '../bytes/index.ts'
import { frameIndex, frameIntact, frameTerm } from '../raft/entry.ts'
import { asIndex, type Entry, type LogIndex, type LogReader, type Term, type Write } from '../raft/types.ts'
import { asError } from '../system/errors.ts'
import { groupEntries, RECORD_BYTES_MAX } from './batches.ts'
import type { Engine, EngineBatch, Scan } from './engine.ts'
import { CorruptionError, StorageInvariantError } from './errors.ts'
import { decodeFirstIndex, LOG_RANGE, logKey } from './keys.ts'
import type { Position } from './records.ts'
import { seal, unseal } from './records.ts'
import type { StickyError } from './sticky-error.ts'
import type { WriteCallback } from './types.ts'

/** How many records one batch deletes for compaction. Later batches delete the rest. */
const COMPACT_RECORDS_MAX = 4096
/** Decoded records kept, newest last. */
const CACHED_RECORDS_MAX = 8
const SCAN_RECORDS = 64

/** The changes of the log by one batch: for the meta record, and for memory once the batch is durable. */
export interface LogChange {
  readonly logStart: Position
  readonly logEnd: Position
  readonly stored: () => void
}

interface TermRun {
  readonly from: LogIndex
  readonly term: Term
}

export class DurableLog implements LogReader {
  readonly #engine: Engine
  readonly #first: StickyError
  #start: Position
  #end: Position
  /** First indexes of the durable records, rising. */
  #records: LogIndex[] = []
  /** Where the term changes within the durable log, rising in both. */
  #terms: TermRun[] = []
  /** A batch that replaces the whole log is being written. */
  #isReplaced = false
  /** Entries of records that were read, by the first index of the record. */
  readonly #cache = new Map<LogIndex, readonly Entry[]>()

  constructor(engine: Engine, first: StickyError, start: Position) {
    this.#engine = engine
    this.#first = first
    this.#start = start
    this.#end = start
  }

  /**
   * Reads every record and checks that they form one log from the start to `end`: no gap, no overlap, no decreasing
   * term, and nothing after `end`.
   */
  recover(end: Position, done: WriteCallback): void {
    const scan = this.#engine.scan({ ...LOG_RANGE, reverse: false, keysOnly: false })
    this.#recoverFrom(scan, (error) => {
      // An apparent gap may be a record that could not be read.
      scan.finish((unread) => done(unread ?? error ?? this.#checkEnd(end)))
    })
  }

  #checkEnd({ index, term }: Position): Error | undefined {
    if (this.#end.index === index && this.#end.term === term) return undefined
    return new CorruptionError(
      `the log ends at index ${this.#end.index} (term ${this.#end.term}) instead of ${index} (term ${term})`,
    )
  }

  #recoverFrom(scan: Scan, done: WriteCallback): void {
    scan.next(SCAN_RECORDS, (error, pairs, ended) => {
      if (error !== undefined) return done(error)
      try {
        for (const [key, sealed] of pairs) {
          const entries = decodeRecord(decodeFirstIndex(key), sealed)
          const fault = faultAfter(this.#end, entries)
          if (fault !== undefined) return done(new CorruptionError(fault))
          this.#append(entries)
        }
      } catch (thrown) {
        return done(asError(thrown))
      }
      if (ended) done(undefined)
      else this.#recoverFrom(scan, done)
    })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Reading

  firstIndex(): LogIndex {
    return asIndex(this.#start.index + 1)
  }

  lastIndex(): LogIndex {
    return this.#end.index
  }

  termAt(index: LogIndex): Term | undefined {
    if (index === this.#start.index) return this.#start.term
    if (index < this.#start.index || index > this.#end.index) return undefined
    return this.#terms.findLast((run) => run.from <= index)?.term
  }

  entries(from: LogIndex, to: LogIndex, bytesMax: number): Entry[] {
    if (from < this.firstIndex() || to > this.#end.index + 1 || from >= to)
      throw new RangeError(
        `entries [${from}, ${to}) of a log that holds [${this.firstIndex()}, ${this.#end.index}]`,
      )
    return this.#first.guard(() => {
      if (this.#isReplaced)
        throw new StorageInvariantError('entries were read of a log that a snapshot is replacing')
      const found: Entry[] = []
      let bytes = 0
      for (let at = this.#recordHolding(from); ; at++) {
        for (const entry of this.#read(at)) {
          if (entry.index < from) continue
          if (entry.index >= to || (found.length > 0 && bytes + entry.frame.length > bytesMax)) return found
          found.push(entry)
          bytes += entry.frame.length
        }
        if (this.#lastIndexInRecord(at) + 1 >= to) return found
      }
    })
  }

  /** Position in `#records` of the record that holds `index`. */
  #recordHolding(index: LogIndex): number {
    let low = 0
    let high = this.#records.length
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if ((this.#records[middle] ?? Number.POSITIVE_INFINITY) <= index) low = middle
      else high = middle
    }
    return low
  }

  #lastIndexInRecord(at: number): number {
    return (this.#records[at + 1] ?? this.#end.index + 1) - 1
  }

  #read(at: number): readonly Entry[] {
    const first = this.#records[at]
    if (first === undefined) throw new CorruptionError('the log has no record where its index has one')
    const cached = this.#cache.get(first)
    if (cached !== undefined) return cached
    const sealed = this.#engine.get(logKey(first))
    if (sealed === undefined)
      throw new CorruptionError(`the log record that begins at index ${first} is missing`)
    // A batch that shortens this record may be done in the engine and not reported yet, or submitted and not done.
    const entries = decodeRecord(first, sealed).filter((entry) => entry.index <= this.#lastIndexInRecord(at))
    if (first + entries.length - 1 !== this.#lastIndexInRecord(at))
      throw new CorruptionError(`the log record that begins at index ${first} is cut short`)
    // Entries that were truncated may be intact. No majority may ever have had them.
    if (entries.some(({ index, term }) => term !== this.termAt(index)))
      throw new CorruptionError(`the log record that begins at index ${first} is an older one`)
    this.#remember(first, entries)
    return entries
  }

  #remember(first: LogIndex, entries: readonly Entry[]): void {
    this.#cache.set(first, entries)
    const [oldest] = this.#cache.keys()
    if (this.#cache.size > CACHED_RECORDS_MAX && oldest !== undefined) this.#cache.delete(oldest)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Writing

  /**
   * Puts the effects of `writes` on the log into `batch`, in order, and drops whole records up to `compactTo`.
   * `committed`: the durable commit index; entries up to it are never truncated.
   */
  change(writes: readonly Write[], compactTo: LogIndex, committed: LogIndex, batch: EngineBatch): LogChange {
    /** The last entry of a snapshot that replaced the log, if one did. */
    let restart: Position | undefined
    let added: Entry[] = []
    const end = (): Position => added.at(-1) ?? restart ?? this.#end
    for (const { snapshot, truncateFrom, entries } of writes) {
      if (snapshot !== undefined && !snapshot.keepLog) {
        added = []
        restart = { index: snapshot.meta.index, term: snapshot.meta.term }
      } else if (snapshot !== undefined) {
        const { index, term } = snapshot.meta
        const known = added.find((entry) => entry.index === index)?.term ?? this.termAt(index)
        if (known !== term)
          throw new StorageInvariantError(
            `a snapshot keeps a log that does not hold its last entry, ${index}`,
          )
      }
      if (truncateFrom !== undefined) {
        if (truncateFrom <= (restart?.index ?? Math.max(committed, this.#start.index)))
          throw new StorageInvariantError(
            `the log was to be truncated from index ${truncateFrom}, which is committed`,
          )
        added = added.filter((entry) => entry.index < truncateFrom)
        if (restart === undefined && truncateFrom <= this.#end.index) this.#truncate(truncateFrom, batch)
      }
      const fault = faultAfter(end(), entries)
      if (fault !== undefined) throw new StorageInvariantError(fault)
      added.push(...entries)
    }
    const records = groupEntries(added, RECORD_BYTES_MAX)
    if (restart === undefined) this.#compact(compactTo, batch)
    else this.#replaceAll(batch)
    for (const record of records) putRecord(batch, record)
    const { index, term } = end()
    return {
      logStart: restart ?? this.#start,
      logEnd: { index, term },
      stored: () => {
        if (restart !== undefined) this.#restartAt(restart)
        for (const record of records) this.#append(record)
      },
    }
  }

  #append(entries: readonly Entry[]): void {
    const [first] = entries
    const last = entries.at(-1)
    if (first === undefined || last === undefined) return
    this.#records.push(first.index)
    for (const { index, term } of entries) {
      if (this.#terms.at(-1)?.term !== term) this.#terms.push({ from: index, term })
    }
    this.#end = { index: last.index, term: last.term }
  }

  #truncate(from: LogIndex, batch: EngineBatch): void {
    const at = this.#recordHolding(from)
    const cut = this.#read(at).filter((entry) => entry.index < from)
    for (const removed of this.#records.slice(at)) {
      batch.delete(logKey(removed))
      this.#cache.delete(removed)
    }
    const end = this.#positionAt(from - 1)
    this.#records.length = at
    this.#terms = this.#terms.filter((run) => run.from < from)
    this.#end = end
    const [first] = cut
    if (first === undefined) return
    putRecord(batch, cut)
    this.#records.push(first.index)
  }

  #replaceAll(batch: EngineBatch): void {
    for (const first of this.#records) batch.delete(logKey(first))
    this.#isReplaced = true
  }

  #restartAt(start: Position): void {
    this.#isReplaced = false
    this.#cache.clear()
    this.#records = []
    this.#terms = []
    this.#start = start
    this.#end = start
  }

  #positionAt(index: number): Position {
    const term = this.termAt(asIndex(index))
    if (term === undefined) throw new StorageInvariantError(`the log has no term at index ${index}`)
    return { index: asIndex(index), term }
  }

  #compact(to: LogIndex, batch: EngineBatch): void {
    let count = 0
    while (
      count < COMPACT_RECORDS_MAX &&
      count < this.#records.length &&
      this.#lastIndexInRecord(count) <= to
    )
      count++
    if (count === 0) return
    const start = this.#positionAt(this.#lastIndexInRecord(count - 1))
    for (const first of this.#records.splice(0, count)) {
      batch.delete(logKey(first))
      this.#cache.delete(first)
    }
    this.#start = start
    // The result is -1 when no term run reaches that far.
    const reaches = this.#terms.findLastIndex((run) => run.from <= start.index + 1)
    this.#terms.splice(0, reaches)
  }
}

/** Why `entries` cannot follow the end of the log; undefined when they can. */
function faultAfter(end: Position, entries: readonly Entry[]): string | undefined {
  let { index, term } = end
  for (const entry of entries) {
    if (entry.index !== index + 1)
      return `the log continues with index ${entry.index} after index ${index}: a gap or an overlap`
    if (entry.term < term)
      return `the term of the log falls from ${term} to ${entry.term} at index ${entry.index}`
    ;({ index, term } = entry)
  }
  return undefined
}

function putRecord(batch: EngineBatch, entries: readonly Entry[]): void {
  const [first] = entries
  if (first === undefined) return
  const key = logKey(first.index)
  batch.put(key, seal(key, ...joinAdjacent(entries.map((entry) => entry.frame))))
}

function decodeRecord(first: number, sealed: Uint8Array): Entry[] {
  const what = `the log record that begins at index ${first}`
  const frames = unseal(logKey(first), sealed, what)
  const entries: Entry[] = []
  for (let at = 0; at < frames.length; ) {
    const frame = frames.subarray(at, at + 4 > frames.length ? at : at + readUint32(frames, at))
    if (!frameIntact(frame, crc32))
      throw new CorruptionError(`an entry in ${what} does not match its checksum`)
    const index = frameIndex(frame)
    if (index !== first + entries.length)
      throw new CorruptionError(`${what} holds index ${index} out of place`)
    entries.push({ index, term: frameTerm(frame), frame })
    at += frame.length
  }
  if (entries.length === 0) throw new CorruptionError(`${what} is empty`)
  return entries
}
