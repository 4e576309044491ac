// How the writes of the core become batches of bounded size: what a write costs, where one that is too large is cut,
// where the log ends.

import { asIndex, type Entry, type LogIndex, type Write } from '../raft/types.ts'
import type { Room } from './overlay.ts'
import type { BatchLimits } from './types.ts'

/**
 * A packed record of the log holds no more frames than this, but for a single larger one: reading one entry reads its
 * whole record.
 */
export const RECORD_BYTES_MAX = 256 * 1024

/** Of a batch. A truncation may write one record of the log anew. */
export function costOf({ truncateFrom, entries }: Write): Room {
  let bytes = truncateFrom === undefined ? 0 : RECORD_BYTES_MAX
  for (const entry of entries) bytes += entry.frame.length
  return { bytes, items: entries.length }
}

/**
 * The write itself, or parts of it under its number, in order: each fits into a batch, unless it is a single entry. The
 * write is whole with the last of them.
 */
export function cut(write: Write, { batchBytesMax, batchItemsMax }: BatchLimits): readonly Write[] {
  const { bytes, items } = costOf(write)
  if (bytes <= batchBytesMax && items <= batchItemsMax) return [write]
  const parts = packed(write.entries, batchBytesMax, batchItemsMax).map((entries) => ({
    ...write,
    truncateFrom: undefined,
    snapshot: undefined,
    entries,
  }))
  const isOnlyEntries = write.truncateFrom === undefined && write.snapshot === undefined
  return isOnlyEntries ? parts : [{ ...write, entries: [] }, ...parts]
}

/** Groups that hold no more than this, unless it is a single entry. */
export function packed(
  entries: readonly Entry[],
  bytesMax: number,
  itemsMax = Number.POSITIVE_INFINITY,
): Entry[][] {
  const groups: Entry[][] = []
  let group: Entry[] = []
  let bytes = 0
  for (const entry of entries) {
    bytes += entry.frame.length
    if (groups.length === 0 || bytes > bytesMax || group.length === itemsMax) {
      group = []
      groups.push(group)
      bytes = entry.frame.length
    }
    group.push(entry)
  }
  return groups
}

/** The last index of a log that ends at `last`, once these writes are done. */
export function endAfter(last: LogIndex, writes: readonly Write[]): LogIndex {
  let end = last
  for (const { snapshot, truncateFrom, entries } of writes) {
    if (snapshot !== undefined && !snapshot.keepLog) end = snapshot.meta.index
    if (truncateFrom !== undefined) end = asIndex(Math.min(end, truncateFrom - 1))
    end = entries.at(-1)?.index ?? end
  }
  return end
}
