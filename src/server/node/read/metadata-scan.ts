// Records without values. Their keys come from a scan of keys, and their metadata from memory. If memory has another
// version of a key, or none, the record is read with its value, at the same instant: the key was changed after that
// instant, the scan is of an earlier revision, or the node has not read all rows into memory.

import { decodeMetadata, metadataKey, type VersionName } from '../../../kv/index.ts'
import { compareKeys, type KeyRange, type KeyRow, keyAfter } from '../../../operations/forms/index.ts'
import type { WriteCallback } from '../../../storage/types.ts'
import { asError } from '../../../system/errors.ts'
import {
  KeyScan,
  RecordScan,
  type RecordScanOptions,
  type ScannedStorage,
  type SliceLimits,
} from './record-scan.ts'

/** Beginning another read takes about as long as reading so many records. */
const GAP_MAX = 16

/** A record without its value, whose length it states. */
export interface RecordHead extends KeyRow {
  readonly valueBytes: number
}

type Done = (error: Error | undefined, records: readonly RecordHead[], more: boolean | undefined) => void

/** Keys of a page, from `at` on, whose records are read together. */
interface Run {
  readonly at: number
  /** Exclusive. */
  end: number
}

/** Scan of records whose values are empty, and which do not say who wrote them. */
export class MetadataScan {
  readonly #storage: ScannedStorage
  readonly #keys: KeyScan
  /** The scan that reads values, of the same instant. */
  readonly #records: RecordScan
  readonly #reverse: boolean
  #hasReadRecords = false

  constructor(storage: ScannedStorage, { start, end, reverse, revision }: RecordScanOptions) {
    this.#storage = storage
    this.#keys = new KeyScan(storage, { start, end, reverse, revision })
    this.#records = new RecordScan(storage, { start, end, reverse: false, revision })
    this.#reverse = reverse
  }

  /**
   * A scan of the same instant and range with values, in rising order, for a reader that needs both. It must be moved
   * before each use; one page of one of the two at a time.
   */
  get records(): RecordScan {
    this.#hasReadRecords = true
    return this.#records
  }

  /** Continues with another range, like a scan of records. */
  moveTo(range: KeyRange): void {
    this.#keys.moveTo(range)
  }

  next(limits: SliceLimits, done: Done): void {
    this.#keys.next(limits, (error, keys, more) => {
      if (error !== undefined) return done(error, [], false)
      const records: RecordHead[] = []
      let runs: readonly Run[]
      try {
        runs = this.#fill(records, keys)
      } catch (thrown) {
        return done(asError(thrown), [], false)
      }
      this.#readRuns(runs, 0, keys, records, limits, (unread) =>
        unread === undefined ? done(undefined, records, more) : done(unread, [], false),
      )
    })
  }

  finish(done: WriteCallback): void {
    this.#keys.finish((error) => {
      if (error === undefined && this.#hasReadRecords) {
        this.#records.finish(done)
        return
      }
      this.#records.close()
      done(error)
    })
  }

  close(): void {
    this.#keys.close()
    this.#records.close()
  }

  /** Adds a record for each key. Returns the places of those that must be read. */
  #fill(records: RecordHead[], keys: readonly VersionName[]): readonly Run[] {
    const runs: Run[] = []
    for (const [at, version] of keys.entries()) {
      const metadata = this.#inMemory(version)
      records.push(metadata ?? unread(version))
      if (metadata !== undefined) continue
      const last = runs.at(-1)
      if (last !== undefined && at - last.end <= GAP_MAX) last.end = at + 1
      else runs.push({ at, end: at + 1 })
    }
    return runs
  }

  #inMemory({ key, revision }: VersionName): RecordHead | undefined {
    const bytes = this.#storage.keyMetadata(metadataKey(key))
    if (bytes === undefined || bytes === 'absent') return undefined
    const metadata = decodeMetadata(key, bytes)
    return metadata.modRevision === revision ? withoutValue(metadata) : undefined
  }

  #readRuns(
    runs: readonly Run[],
    number: number,
    keys: readonly VersionName[],
    records: RecordHead[],
    limits: SliceLimits,
    done: WriteCallback,
  ): void {
    const run = runs[number]
    const [first, last] = run === undefined ? [] : [keys[run.at], keys[run.end - 1]]
    if (run === undefined || first === undefined || last === undefined) {
      done(undefined)
      return
    }
    const [low, high] = this.#reverse ? [last, first] : [first, last]
    this.records.moveTo({ start: low.key, end: keyAfter(high.key) })
    this.#readRun(run, keys, records, 0, limits, (error) => {
      if (error === undefined) this.#readRuns(runs, number + 1, keys, records, limits, done)
      else done(error)
    })
  }

  /** `count`: how many records of the run have been read, in the order of keys. */
  #readRun(
    run: Run,
    keys: readonly VersionName[],
    records: RecordHead[],
    count: number,
    limits: SliceLimits,
    done: WriteCallback,
  ): void {
    const rowsMax = run.end - run.at - count
    this.#records.next({ rowsMax, bytesMax: limits.bytesMax }, (error, read, more) => {
      if (error !== undefined) return done(error)
      for (const [n, record] of read.entries()) {
        const at = this.#reverse ? run.end - 1 - count - n : run.at + count + n
        const version = keys[at]
        const isSame =
          version !== undefined &&
          record.modRevision === version.revision &&
          compareKeys(record.key, version.key) === 0
        if (!isSame) return this.#disagree(done)
        records[at] = withoutValue({ ...record, valueBytes: record.value.length })
      }
      const after = count + read.length
      const isWhole = after === run.end - run.at
      if (isWhole !== !more) this.#disagree(done)
      else if (isWhole) done(undefined)
      else this.#readRun(run, keys, records, after, limits, done)
    })
  }

  /** One of the scans has skipped rows that the engine could not read; the engine says so when the scan ends. */
  #disagree(done: WriteCallback): void {
    this.finish((error) => done(error ?? this.#storage.damaged('the keys of a range and its records differ')))
  }
}

const NO_VALUE = new Uint8Array()

/** Stands for a record that is about to be read. */
const unread = ({ key, revision }: VersionName): RecordHead =>
  withoutValue({
    ...{ key, createRevision: revision, modRevision: revision, version: 0, lease: undefined },
    valueBytes: 0,
  })

const withoutValue = ({
  key,
  createRevision,
  modRevision,
  version,
  lease,
  valueBytes,
}: Omit<RecordHead, 'value'>): RecordHead => ({
  key,
  value: NO_VALUE,
  createRevision,
  modRevision,
  version,
  lease,
  valueBytes,
})
