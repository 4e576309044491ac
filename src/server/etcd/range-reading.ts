// Reads of ranges at one instant of the store, in the turns of reads. However long a range is, and whatever is
// compacted after it has begun, it is read to its end.

import {
  ApiError,
  type FreshnessOptions,
  type KeyRange,
  type KeyRow,
  type Revision,
} from '../../operations/forms/index.ts'
import type { OpenedRange, Slices } from '../api/opened-range.ts'
import type { EtcdCall } from './call.ts'
import { CANCELLED } from './errors.ts'

export interface RangeReading {
  readonly range: KeyRange
  readonly order?: 'asc' | 'desc'
  readonly freshness: FreshnessOptions
  /** undefined: the newest. */
  readonly revision?: Revision | undefined
  readonly keysOnly?: boolean
  readonly countOnly?: boolean
  /** The number of its keys is needed. It costs nothing if all of them are read. */
  readonly count?: boolean
  readonly needsSizes?: boolean
}

/** The result of a range. `ended`: a stream reads it until this resolves, in its own turn; undefined: it has ended. */
export interface RangeResult<T> {
  readonly result: T
  readonly ended?: Promise<void>
}

/** Opens a range in the turn of the call, and passes it to `use`. Rejects with `ApiError`, or as `use` does. */
export async function readRange<T>(
  call: EtcdCall,
  { needsSizes = false, order = 'asc', ...reading }: RangeReading,
  use: (range: OpenedRange) => Promise<RangeResult<T>>,
  turns = call.etcd.readTurns,
): Promise<T> {
  const leave = await turns.enter(call)
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const read = async (range: OpenedRange): Promise<void> => {
    try {
      const { result, ended } = await use(range)
      resolve(result)
      if (ended === undefined) return
      leave()
      await ended
    } catch (error) {
      reject(error)
    }
  }
  const options = { deadline: call.nextDeadline(), rangeReader: { needsSizes, read } }
  call
    .execute({ kind: 'range', order, ...reading }, options)
    .catch(reject)
    .finally(leave)
  return promise
}

/** Reads all records of a range, in the order of their keys. `take` may be called with some before the read fails. */
export const readAll = (
  call: EtcdCall,
  reading: RangeReading,
  take: (rows: readonly KeyRow[]) => void,
): Promise<Revision> =>
  readRange(call, reading, async (range) => {
    for await (const { rows } of waitingSlices(call, range.records(Number.MAX_SAFE_INTEGER))) take(rows)
    await range.finish()
    return { result: range.head.revision }
  })

/** Slices until nobody waits for them any more: then it rejects. */
export async function* waitingSlices<T>(call: EtcdCall, slices: Slices<T>): Slices<T> {
  for await (const slice of slices) {
    call.checkWaiting()
    yield slice
  }
  if (call.isOver) throw CANCELLED
}

/** The end of a range that its client takes too slowly: its scan keeps old rows in the database. */
export const tookTooLong = (): ApiError =>
  new ApiError('overloaded', 'the client took too long to take the range')
