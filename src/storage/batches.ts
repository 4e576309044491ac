// Turns the writes of the core into batches of bounded size: how much room a write takes, where a write that is too
// large is cut, and where the log ends afterwards.

import { asIndex, type Entry, type LogIndex, type Write } from '../raft/types.ts'
import type { BatchLimits, Room } from './types.ts'

/**
 * A packed log record holds at most this many bytes of frames, except for a single larger frame. Reading one entry
 * reads its whole record.
 */
export const RECORD_BYTES_MAX = 256 * 1024

/** The room that a write takes in a batch. A truncation may rewrite one record of the log. */
export function writeCost({ truncateFrom, entries }: Write): Room {
  let bytes = truncateFrom === undefined ? 0 : RECORD_BYTES_MAX
  for (const entry of entries) bytes += entry.frame.length
  return { bytes, items: entries.length }
}

/**
 * The write itself, or its parts under the same number, in order. Each part fits into a batch, except for a single
 * larger entry. The write is complete with its last part.
 */
export function splitWrite(write: Write, { batchBytesMax, batchItemsMax }: BatchLimits): readonly Write[] {
  const { bytes, items } = writeCost(write)
  if (bytes <= batchBytesMax && items <= batchItemsMax) return [write]
  const parts = groupEntries(write.entries, batchBytesMax, batchItemsMax).map((entries) => ({
    ...write,
    truncateFrom: undefined,
    snapshot: undefined,
    entries,
  }))
  const isOnlyEntries = write.truncateFrom === undefined && write.snapshot === undefined
  return isOnlyEntries ? parts : [{ ...write, entries: [] }, ...parts]
}

/** Groups of entries within this limit, except for a single larger entry. */
export function groupEntries(
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

/** The last index of a log that ends at `last`, after these writes. */
export function endAfter(last: LogIndex, writes: readonly Write[]): LogIndex {
  let end = last
  for (const { snapshot, truncateFrom, entries } of writes) {
    if (snapshot !== undefined && !snapshot.keepLog) end = snapshot.meta.index
    if (truncateFrom !== undefined) end = asIndex(Math.min(end, truncateFrom - 1))
    end = entries.at(-1)?.index ?? end
  }
  return end
}
