// Reads the data of an entry that is not in memory: the metadata of its keys, and the keys of its ranges and leases.
// Applying an entry cannot wait, so they are read after the previous entry has been applied. They are read in slices,
// between which the node does everything but apply.

import { equalBytes } from '../../../bytes/index.ts'
import {
  areTooManyKeys,
  attachedKey,
  attachmentRange,
  decodeLease,
  decodeVersionKey,
  isReadable,
  type KeysOrLease,
  type KvState,
  leaseKey,
  metadataKey,
  metadataOfVersion,
  partOfLease,
  type RangeToRead,
  versionKey,
  versionsEnd,
  versionsStart,
} from '../../../kv/index.ts'
import { compareKeys, type KeyRow, type LeaseId } from '../../../operations/forms/index.ts'
import { hashOfRow, ScanEndedError } from '../../../storage/index.ts'
import type { PageLimits, RowScan, Storage, StoredRow } from '../../../storage/types.ts'
import { asError } from '../../../system/errors.ts'
import { RecordScan } from '../read/record-scan.ts'

const SLICE: PageLimits = { rowsMax: 256, bytesMax: 256 * 1024 }
const FIRST_ROW: PageLimits = { rowsMax: 1, bytesMax: 1 }
/** Rows that are read at the start of a lease's keys, at least: those of the next leases may be among them. */
const NEIGHBOURS = 32

/** Keys of entries that will be applied later. */
type KeysAhead = () => readonly Uint8Array[]

export class EntryReads {
  readonly #storage: Storage
  readonly #ahead: KeysAhead
  readonly #done: () => void
  readonly #failed: (error: Error) => void
  #places: readonly KeysOrLease[] = []
  #ranges: readonly RangeToRead[] = []
  /** The keys of the ranges that have been read, in the order of the ranges; of the past those of rows of versions. */
  #found: (readonly Uint8Array[])[] = []
  /** Total bytes of `#found`. */
  #foundBytes = 0
  #leases: readonly LeaseId[] = []
  /** Leases of which all keys are read. Of the others, those that the entry deletes are enough. */
  readonly #whole = new Set<LeaseId>()
  /** The keys of leases that have been read. A lease without keys is absent. */
  readonly #attached = new Map<LeaseId, Uint8Array[]>()
  #state: KvState | undefined
  #isTooMuch = false
  isReading = false
  isRead = false
  /** The number of keys of the ranges and leases that have been read. */
  count = 0
  #scan: RowScan | RecordScan | undefined
  /** Number of the current pass. A new number makes the reads in flight useless. */
  #pass = 0

  /**
   * If metadata must be read, that of the keys `ahead` is read as well. `done`: everything has been read. It is not
   * called if `read` has read it at once.
   */
  constructor(storage: Storage, ahead: KeysAhead, done: () => void, failed: (error: Error) => void) {
    this.#storage = storage
    this.#ahead = ahead
    this.#done = done
    this.#failed = failed
  }

  /**
   * Begins to read the data at these places: of all ranges together as many keys as an entry may have, and those keys
   * of leases that the entry may need.
   */
  read(places: readonly KeysOrLease[], state: KvState): void {
    this.clear()
    this.#places = places
    this.#ranges = places.flatMap((place) => ('start' in place ? [place] : []))
    this.#leases = places.flatMap((place) => ('lease' in place ? [place.lease] : []))
    for (const place of places) if ('lease' in place && place.whole) this.#whole.add(place.lease)
    this.#state = state
    this.isReading = true
    const pass = this.#pass
    let isCalled = true
    this.#readRanges(() => {
      if (pass !== this.#pass) return
      this.isReading = false
      this.isRead = true
      this.count = countKeys([...this.#found, ...this.#attached.values()])
      if (!isCalled) this.#done()
    })
    isCalled = false
  }

  /** The keys of a range that the entry names; undefined: the ranges have more keys than may be read. */
  findKeysInRange(range: RangeToRead): readonly Uint8Array[] | undefined {
    if (this.#isTooMuch) return undefined
    const found = this.#found[this.#ranges.findIndex((other) => isSame(other, range))]
    if (found === undefined) throw new Error('a range that the entry does not name')
    return found
  }

  /** The keys of the rows of versions that a range had at its revision; undefined: as above. */
  findVersionsInRange(range: RangeToRead): readonly Uint8Array[] | undefined {
    return this.findKeysInRange(range)
  }

  /** The keys of a lease that the entry names. */
  findAttachedKeys(lease: LeaseId): readonly Uint8Array[] {
    if (!this.#leases.includes(lease)) throw new Error('a lease that the entry does not name')
    return this.#attached.get(lease) ?? []
  }

  clear(): void {
    this.#pass++
    this.#scan?.close()
    this.#scan = undefined
    this.#places = []
    this.#ranges = []
    this.#found = []
    this.#foundBytes = 0
    this.#leases = []
    this.#whole.clear()
    this.#attached.clear()
    this.#state = undefined
    this.#isTooMuch = false
    this.isReading = false
    this.isRead = false
    this.count = 0
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Keys of ranges

  #readRanges(done: () => void): void {
    const range = this.#ranges[this.#found.length]
    if (range === undefined || this.#isTooMuch || this.#state === undefined) {
      this.#readLeases(done)
      return
    }
    const { revision } = range
    if (revision !== undefined && !isReadable(revision, this.#state)) {
      this.#found.push([])
      this.#readRanges(done)
      return
    }
    const scan = new RecordScan(this.#storage, { ...range, reverse: false, revision })
    this.#scan = scan
    this.#readSlice(range, scan, [], 0, done)
  }

  /** `bytesBefore`: the bytes of the keys of the range that have been read. */
  #readSlice(
    range: RangeToRead,
    scan: RecordScan,
    keys: Uint8Array[],
    bytesBefore: number,
    done: () => void,
  ): void {
    const again = (): void => this.#readRanges(done)
    const take = (records: readonly KeyRow[], more: boolean | undefined): void => {
      let bytes = bytesBefore
      const left = range.keysMax === undefined ? records.length : range.keysMax - keys.length
      for (const { key, modRevision } of records.slice(0, left)) {
        keys.push(range.revision === undefined ? key : versionKey(key, modRevision))
        bytes += key.length
      }
      this.#isTooMuch = this.#areTooMany(countKeys(this.#found) + keys.length, this.#foundBytes + bytes)
      if (this.#isTooMuch) {
        scan.close()
        this.#scan = undefined
        this.#readRanges(done)
      } else if (more && keys.length !== range.keysMax) this.#readSlice(range, scan, keys, bytes, done)
      else
        this.#finish(scan, again, () => {
          this.#found.push(keys)
          this.#foundBytes += bytes
          this.#readRanges(done)
        })
    }
    const left = range.keysMax === undefined ? SLICE.rowsMax : range.keysMax - keys.length
    scan.next({ ...SLICE, rowsMax: Math.min(SLICE.rowsMax, left) }, this.#receive(again, take))
  }

  #areTooMany(keys: number, keyBytes: number): boolean {
    return this.#state !== undefined && areTooManyKeys(keys, keyBytes, this.#state.settings)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Keys of leases

  /** One scan covers all leases, because opening one costs more than reading a few rows. */
  #readLeases(done: () => void): void {
    const leases = [...new Set(this.#leases)].map((id) => ({
      id,
      ...attachmentRange(id),
      count: this.#countToRead(id),
    }))
    const some = leases.filter(({ count }) => count > 0).sort((a, b) => compareKeys(a.gte, b.gte))
    const [first, last] = [some[0], some.at(-1)]
    this.#attached.clear()
    if (first === undefined || last === undefined) {
      this.#readAllKeyMetadata(done)
      return
    }
    const scan = this.#storage.scan({ gte: first.gte, lt: last.lt, reverse: false })
    this.#scan = scan
    this.#readAttached(scan, some, done)
  }

  /** The number of keys of the lease that the entry may need. */
  #countToRead(id: LeaseId): number {
    const row = this.#storage.get(leaseKey(id))
    if (row === undefined || this.#state === undefined) return 0
    const lease = decodeLease(row)
    const part = this.#whole.has(id) ? undefined : partOfLease(lease, this.#state.settings)
    return Math.min(lease.keys, part?.keysMax ?? lease.keys)
  }

  #readAttached(scan: RowScan, leases: readonly LeaseToRead[], done: () => void): void {
    const again = (): void => this.#readLeases(done)
    let at = 0
    const keysAt = (lease: LeaseToRead): Uint8Array[] => {
      const keys = this.#attached.get(lease.id) ?? []
      this.#attached.set(lease.id, keys)
      return keys
    }
    const read = (): void => {
      const lease = leases[at]
      if (lease === undefined) {
        this.#finish(scan, again, () => this.#readAllKeyMetadata(done))
        return
      }
      const left = lease.count - keysAt(lease).length
      const rowsMax = Math.min(SLICE.rowsMax, Math.max(NEIGHBOURS, left))
      scan.next({ ...SLICE, rowsMax }, this.#receive(again, take))
    }
    const take = (rows: readonly StoredRow[], more: boolean): void => {
      for (const { key } of rows) {
        // Keys of leases that the entry does not end are skipped.
        while (isBehind(leases[at], key)) at++
        const lease = leases[at]
        if (lease !== undefined && compareKeys(key, lease.gte) >= 0) keysAt(lease).push(attachedKey(key))
      }
      const last = leases[at]
      if (last !== undefined && keysAt(last).length >= last.count) at++
      const next = leases[at]
      if (!more) at = leases.length
      else if (next !== undefined && keysAt(next).length === 0) scan.seek(next.gte)
      read()
    }
    const [first] = leases
    if (first !== undefined) scan.seek(first.gte)
    read()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Metadata of keys

  #readAllKeyMetadata(done: () => void): void {
    if (this.#storage.knowsAllKeyMetadata) {
      done()
      return
    }
    const named = [
      ...this.#places.flatMap(placeKeys),
      ...this.#found.filter((_, at) => this.#ranges[at]?.revision === undefined).flat(),
      ...[...this.#attached.values()].flat(),
    ]
    const keys = this.#isTooMuch ? [] : named
    const isMissing = (key: Uint8Array): boolean => !this.#storage.keepKeyMetadata(metadataKey(key))
    const found = keys.filter(isMissing)
    if (found.length > 0) found.push(...this.#ahead().filter(isMissing))
    const missing = found.sort(compareKeys).filter((key, at) => !isSameKey(key, found[at - 1]))
    const [first, last] = [missing[0], missing.at(-1)]
    if (first === undefined || last === undefined) {
      done()
      return
    }
    const scan = this.#storage.scan({ gte: versionsStart(first), lt: versionsEnd(last), reverse: false })
    this.#scan = scan
    this.#readKeyMetadata(scan, missing, 0, done)
  }

  /** The newest row of versions of each key is the first one. */
  #readKeyMetadata(scan: RowScan, keys: readonly Uint8Array[], at: number, done: () => void): void {
    const key = keys[at]
    const again = (): void => this.#readAllKeyMetadata(done)
    if (key === undefined) {
      this.#finish(scan, again, done)
      return
    }
    const take = ([row]: readonly StoredRow[]): void => {
      const isOfKey = row !== undefined && equalBytes(decodeVersionKey(row.key).key, key)
      const metadata = isOfKey
        ? metadataOfVersion(row.key, row.value, hashOfRow(row.key, row.value))
        : undefined
      this.#storage.putKeyMetadata(metadataKey(key), metadata)
      this.#readKeyMetadata(scan, keys, at + 1, done)
    }
    scan.seek(versionsStart(key))
    scan.next(FIRST_ROW, this.#receive(again, take))
  }

  // -------------------------------------------------------------------------------------------------------------------

  /** Finishes a scan, which shows whether its rows are complete. `again`: restarts a scan that was ended. */
  #finish(scan: RowScan | RecordScan, again: () => void, done: () => void): void {
    const finished = (): void => {
      this.#scan = undefined
      done()
    }
    scan.finish(this.#receive(again, finished))
  }

  /**
   * A scan's callback. The disk, which calls it, does not expect errors, so an error from `take` ends the node.
   * `again` restarts a scan that was ended for lack of disk space, because an entry must be applied.
   */
  #receive<T extends readonly unknown[]>(again: () => void, take: (...answer: T) => void) {
    const pass = this.#pass
    return (error: Error | undefined, ...answer: T): void => {
      if (pass !== this.#pass) return
      try {
        if (error === undefined) {
          take(...answer)
          return
        }
        if (!(error instanceof ScanEndedError)) throw error
        this.#scan = undefined
        again()
      } catch (thrown) {
        this.#failed(asError(thrown))
      }
    }
  }
}

interface LeaseToRead {
  readonly id: LeaseId
  /** The bounds of the rows of the lease's keys. */
  readonly gte: Uint8Array
  readonly lt: Uint8Array
  /** The number of keys of the lease that are read. */
  readonly count: number
}

const isBehind = (lease: LeaseToRead | undefined, key: Uint8Array): boolean =>
  lease !== undefined && compareKeys(key, lease.lt) >= 0

const placeKeys = (place: KeysOrLease): Uint8Array[] => ('key' in place ? [place.key] : [])

const isSameKey = (key: Uint8Array, other: Uint8Array | undefined): boolean =>
  other !== undefined && equalBytes(key, other)

const countKeys = (found: readonly (readonly Uint8Array[])[]): number =>
  found.reduce((sum, keys) => sum + keys.length, 0)

const isSame = (a: RangeToRead, b: RangeToRead): boolean =>
  a.keysMax === b.keysMax &&
  a.revision === b.revision &&
  equalBytes(a.start, b.start) &&
  (a.end === undefined || b.end === undefined ? a.end === b.end : equalBytes(a.end, b.end))
