// How much log to keep before the applied index: enough that a follower that was away for a moment catches up from the
// log, and the entries that an answering follower still lacks. Without the second part, a follower that takes a
// snapshot under load would need another one afterwards. Both parts are limited in entries and in bytes.
//
// A snapshot may take so long that the second limit is reached before it has arrived, and the next one would take as
// long. So each snapshot that came too late raises the second limit, as far as there is disk space, until that follower
// has caught up.

import { asIndex, type LogIndex, type NeededLog, type Write } from '../../../raft/types.ts'
import type { DiskSpace } from '../disk-space/disk-space.ts'
import type { DriverLimits } from '../limits.ts'

/** Resolution of the bound in bytes. */
const MARK_EVERY_BYTES = 256 * 1024
/** Factor of the limits for each snapshot that came too late, and how many of them count. */
const LATE_FACTOR = 8
const LATE_MAX = 2
/** Share of the free disk space that such a log may take. */
const FREE_SHARE = 0.5

export class LogRetention {
  readonly #limits: DriverLimits
  /** Both numbers rise: `bytes` is the sum of all frames that this process has written up to `index`. */
  #marks: { readonly index: LogIndex; readonly bytes: number }[] = []
  #bytes = 0

  constructor(limits: DriverLimits) {
    this.#limits = limits
  }

  written(write: Write): void {
    const { truncateFrom, snapshot } = write
    if (snapshot?.keepLog === false) this.#marks = []
    if (truncateFrom !== undefined) this.#marks = this.#marks.filter((mark) => mark.index < truncateFrom)
    for (const entry of write.entries) this.#bytes += entry.frame.length
    const last = write.entries.at(-1)
    if (last !== undefined && this.#bytes - (this.#marks.at(-1)?.bytes ?? 0) >= MARK_EVERY_BYTES) {
      this.#marks.push({ index: last.index, bytes: this.#bytes })
    }
  }

  /**
   * Up to where the log may be compacted; undefined when too little would be deleted. `durable`: last index whose rows
   * are durable. `space`: while the disk is short of it, nothing is kept for followers that do not answer.
   */
  compactTo(
    firstIndex: LogIndex,
    durable: LogIndex,
    { after, lateSnapshots }: NeededLog,
    { state, freeBytes }: Pick<DiskSpace, 'state' | 'freeBytes'>,
  ): LogIndex | undefined {
    const { logTailEntries, logTailBytes, logBehindEntries, logBehindBytes, compactEntriesMin } = this.#limits
    const isShort = state !== 'enough'
    const beyondTail = isShort ? durable : Math.max(durable - logTailEntries, this.#beyond(logTailBytes))
    const factor = LATE_FACTOR ** Math.min(lateSnapshots, LATE_MAX)
    const behindBytes = Math.max(logBehindBytes, Math.min(factor * logBehindBytes, freeBytes * FREE_SHARE))
    const beyondAll = Math.max(durable - factor * logBehindEntries, this.#beyond(behindBytes))
    const target = Math.min(durable, beyondTail, Math.max(beyondAll, after))
    if (target < firstIndex) return undefined
    const oldest = this.#marks[0]
    const isLittle = oldest === undefined || oldest.index > target
    if (target - firstIndex + 1 < compactEntriesMin && isLittle) return undefined
    this.#marks = this.#marks.filter((mark) => mark.index > target)
    return asIndex(target)
  }

  /** The last index after which the log has at least this many bytes; 0 when there is none. */
  #beyond(bytes: number): number {
    // Asked twice for each batch, and there may be a thousand marks.
    let [low, high] = [0, this.#marks.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#bytes - (this.#marks[middle]?.bytes ?? 0) >= bytes) low = middle + 1
      else high = middle
    }
    return this.#marks[low - 1]?.index ?? 0
  }
}
