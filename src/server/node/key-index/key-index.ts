// The index of rows in memory (README.md).

import { equalBytes } from '../../../bytes/index.ts'
import { decodeVersionKey, metadataKey, metadataOfVersion } from '../../../kv/index.ts'
import { FIRST_TABLE_OF_HISTORY, TABLE_KEY_METADATA, TABLE_VERSIONS } from '../../../kv/types.ts'
import { asIndex, type LogIndex } from '../../../raft/types.ts'
import {
  hashOfKey,
  hashOfStored,
  openRow,
  type Row,
  type RowIndex,
  type RowLookup,
  StorageInvariantError,
} from '../../../storage/index.ts'
import type { BatchLimits, StoredRowHash } from '../../../storage/types.ts'
import { EmptyRangeCache } from './empty-ranges.ts'
import { RowFilter } from './row-filter.ts'
import { HEAD_BYTES, RowHeads } from './row-heads.ts'

interface KeyIndexLimits {
  /**
   * Limit on the heads of rows in memory, about HEAD_BYTES each. Their memory grows with the rows used. Fewer, where
   * memory is short (`rowHeadsFor`).
   */
  readonly rowHeads: number
  /** Size of the first filter of rows that do not exist. Further ones follow as rows are added. */
  readonly rowFilterBytes: number
  /** Limit on the known ranges without a key, and on the keys created last that are known with them. */
  readonly emptyRanges: number
  /** A scan that passes so many rows of deleted keys remembers their range. */
  readonly emptyRangeRows: number
}

/** The limits of a store, with those of its index. */
export type StoreLimits = BatchLimits & KeyIndexLimits

export const keyIndexLimits: KeyIndexLimits = {
  rowHeads: 16_000_000,
  rowFilterBytes: 2 * 1024 * 1024,
  emptyRanges: 2048,
  emptyRangeRows: 64,
}

/** The share of the memory of the machine, or of the container, for the heads of rows. */
const ROW_HEADS_SHARE = 1 / 16

/**
 * A change of a row whose head is not in memory reads it from LevelDB. That takes as long as the rest of the change,
 * and makes LevelDB rewrite the tables that were searched.
 */
export const rowHeadsFor = (memoryBytes: number): number =>
  Math.min(keyIndexLimits.rowHeads, Math.floor((memoryBytes * ROW_HEADS_SHARE) / HEAD_BYTES))

/** Bytes of the revision at the end of the key of a row of versions. */
const REVISION_BYTES = 8

export class KeyIndex implements RowIndex {
  readonly ranges = [
    { gte: Uint8Array.of(0), lt: Uint8Array.of(FIRST_TABLE_OF_HISTORY) },
    { gte: Uint8Array.of(TABLE_VERSIONS), lt: Uint8Array.of(TABLE_VERSIONS + 1) },
  ]
  readonly #heads: RowHeads
  readonly #filter: RowFilter
  readonly emptyRanges: EmptyRangeCache
  /** The index of the entry that is being applied. */
  #entry = asIndex(0)
  /** The user's key in the last row of versions that was loaded. */
  #loadedKey: Uint8Array | undefined

  static of({ rowHeads, rowFilterBytes, emptyRanges, emptyRangeRows }: KeyIndexLimits): KeyIndex {
    return new KeyIndex(
      new RowHeads(rowHeads),
      new RowFilter(rowFilterBytes),
      new EmptyRangeCache(emptyRanges, emptyRangeRows),
    )
  }

  constructor(heads: RowHeads, filter: RowFilter, emptyRanges: EmptyRangeCache) {
    this.#heads = heads
    this.#filter = filter
    this.emptyRanges = emptyRanges
  }

  get needsValues(): boolean {
    return this.#heads.isLoading
  }

  clear(index: LogIndex): void {
    this.emptyRanges.clear(index)
    this.#filter.forgetAll()
    this.#heads.forgetAll()
    this.#loadedKey = undefined
  }

  load(key: Uint8Array, stored: Uint8Array): void {
    if (key[0] === TABLE_VERSIONS) {
      this.#loadVersion(key, stored)
      return
    }
    const hash = hashOfKey(key)
    this.#filter.add(hash)
    if (!this.#heads.wants(key, hash)) return
    // Only checked rows may be remembered.
    openRow(key, stored)
    this.#heads.remember(key, hash, stored)
  }

  /** The first row of a key is its newest version, from which its metadata is made. */
  #loadVersion(rowKey: Uint8Array, stored: Uint8Array): void {
    const ofKey = rowKey.subarray(0, rowKey.length - REVISION_BYTES)
    if (this.#loadedKey !== undefined && equalBytes(this.#loadedKey, ofKey)) return
    this.#loadedKey = ofKey
    const key = metadataKey(decodeVersionKey(rowKey).key)
    const hash = hashOfKey(key)
    this.#filter.add(hash)
    if (!this.#heads.wants(key, hash)) return
    const metadata = metadataOfVersion(rowKey, openRow(rowKey, stored), hashOfStored(stored))
    if (metadata !== undefined) this.#heads.put(key, hash, metadata)
  }

  loaded(): void {
    this.#filter.complete()
    this.#heads.loaded()
  }

  isInMemoryOnly(key: Uint8Array): boolean {
    return key[0] === TABLE_KEY_METADATA
  }

  isWrittenOnce(key: Uint8Array): boolean {
    return (key[0] ?? 0) >= FIRST_TABLE_OF_HISTORY
  }

  known(key: Uint8Array, hash: number): RowLookup {
    return this.#heads.get(key, hash) ?? (this.#filter.excludes(hash) ? 'absent' : undefined)
  }

  remember(key: Uint8Array, hash: number, stored: Uint8Array | undefined): void {
    this.#heads.remember(key, hash, stored)
  }

  changed(key: Uint8Array, row: Row, before: StoredRowHash | undefined): void {
    if (before === undefined && !row.isDeleted) this.#filter.add(row.hash)
    this.#heads.changed(key, row)
  }

  put(key: Uint8Array, hash: number, head: Uint8Array | undefined): void {
    const isNew = this.#heads.put(key, hash, head)
    if (!isNew) {
      if (this.emptyRanges.size > 0 && this.emptyRanges.has(key.subarray(1)))
        throw new StorageInvariantError('a key that exists is in a range that is known to be empty')
    } else if (head !== undefined) {
      this.#filter.add(hash)
      this.emptyRanges.created(key.subarray(1), this.#entry)
    }
  }

  beginEntry(index: LogIndex): void {
    this.#entry = index
  }

  endEntry(): void {
    this.#heads.endEntry()
  }

  get knowsAllKeyMetadata(): boolean {
    return this.#heads.knowsAllKeys
  }

  keepKeyMetadata(key: Uint8Array): boolean {
    const hash = hashOfKey(key)
    if (this.#heads.knowsAllKeys || this.#heads.get(key, hash) !== undefined) return true
    if (!this.#filter.excludes(hash)) return false
    // Keys that the entry adds to the filter may have the bits of this one.
    this.#heads.put(key, hash, undefined)
    return true
  }

  putKeyMetadata(key: Uint8Array, metadata: Uint8Array | undefined): void {
    const hash = hashOfKey(key)
    this.#heads.put(key, hash, metadata)
    if (metadata !== undefined) this.#filter.add(hash)
  }
}
