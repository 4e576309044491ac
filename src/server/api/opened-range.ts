// A range at one instant of the store, while its reader reads it: its records, their sizes, and the number of its keys.
// The reader may take as long as it needs: nothing that is changed or compacted later shows.

import { type KeyRange, type KeyRow, keyAfter, type ReadGrant } from '../../operations/forms/index.ts'
import type { MetadataScan, RecordHead } from '../node/read/metadata-scan.ts'
import type { SlicedScan } from '../node/read/record-scan.ts'

export interface Slice<T> {
  readonly rows: readonly T[]
  /** The scan has rows after these; undefined: unknown. */
  readonly more: boolean | undefined
}

/** Slices of rows, in their order. */
export type Slices<T> = AsyncGenerator<Slice<T>, void, undefined>

interface OpenedRangeOptions {
  /** Reads a scan slice by slice. The last slice knows whether there are more rows than `rowsMax`. */
  readonly read: <T>(scan: SlicedScan<T>, rowsMax: number, sliceRowsMax?: number) => Slices<T>
  readonly finish: (scan: Pick<SlicedScan<unknown>, 'finish'>) => Promise<void>
  readonly countKeys: (scan: SlicedScan<unknown>) => Promise<number>
  readonly sliceKeysMax: number
  readonly isAbandoned: () => boolean
  readonly head: ReadGrant
  readonly range: KeyRange
  readonly order: 'asc' | 'desc'
  readonly records: SlicedScan<KeyRow> | undefined
  readonly sizes: MetadataScan | undefined
  /** Number of the keys, or the scan that counts them. */
  readonly count: number | SlicedScan<unknown> | undefined
  readonly counted: (keys: number) => void
  /** So many keys were read, of which this one is the last: those behind it need not be counted. */
  readonly continued: (keys: number, last: Uint8Array) => void
}

export class OpenedRange {
  readonly head: ReadGrant
  readonly #options: OpenedRangeOptions

  constructor(options: OpenedRangeOptions) {
    this.head = options.head
    this.#options = options
  }

  /** Number of its keys: of all, also of those before the records that are read. */
  async count(): Promise<number> {
    const { countKeys, isAbandoned, count, counted } = this.#options
    if (typeof count === 'number') return count
    if (count === undefined) throw new Error('the number of keys was not requested')
    const keys = await countKeys(count)
    if (!isAbandoned()) counted(keys)
    return keys
  }

  /** All keys were read, and these are so many. */
  counted(keys: number): void {
    this.#options.counted(keys)
  }

  /** Its reader reads the keys behind these later, at the same revision. */
  continued(keys: number, last: Uint8Array): void {
    this.#options.continued(keys, last)
  }

  /**
   * The records, `rowsMax` at most. The last slice knows whether there are more. They are known to be complete after
   * `finish`. They end early when nobody waits for them any more.
   */
  records(rowsMax: number): Slices<KeyRow> {
    const { read, records } = this.#options
    if (records === undefined) throw new Error('no record was requested')
    return read(records, rowsMax)
  }

  /** Rejects if some of the records could not be read. */
  async finish(): Promise<void> {
    const { records, finish } = this.#options
    if (records !== undefined) await finish(records)
  }

  /** The same records behind the key `after`, without values. */
  async *heads(after: Uint8Array | undefined, rowsMax: number): Slices<RecordHead> {
    const { read, finish, isAbandoned, sliceKeysMax, range, order, sizes } = this.#options
    if (sizes === undefined) throw new Error('no size was requested')
    if (after !== undefined) sizes.moveTo(rangeAfter(range, after, order))
    yield* read(sizes, rowsMax, sliceKeysMax)
    if (!isAbandoned()) await finish(sizes)
  }
}

/** The part of a range that follows a key of it in the order. */
const rangeAfter = ({ start, end }: KeyRange, after: Uint8Array, order: 'asc' | 'desc'): KeyRange =>
  order === 'desc' ? { start, end: after } : { start: keyAfter(after), end }
