// How much log to keep behind the applied index: enough that a follower which was away for a moment catches up from the
// log, and what a follower that is there still lacks. Without the second, one that takes a snapshot under load would
// need another when it is through. Both are bounded in entries and in bytes.

import { asIndex, type LogIndex, type Write } from '../raft/types.ts'
import type { DriverLimits } from './limits.ts'

/** Resolution of the bound in bytes. */
const MARK_EVERY_BYTES = 256 * 1024

export class LogTail {
  readonly #limits: DriverLimits
  /** Rising in both: `bytes` is the sum of all frames that this process has written up to `index`. */
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
   * Where to compact to; undefined when too little would go. `durable`: last index whose rows are durable;
   * `neededAfter`: a follower that answers needs what comes after this; `isShort`: the disk is short of room, so
   * nothing is kept for followers that do not answer.
   */
  compactTo(
    firstIndex: LogIndex,
    durable: LogIndex,
    neededAfter: LogIndex,
    isShort = false,
  ): LogIndex | undefined {
    const { logTailEntries, logTailBytes, logBehindEntries, logBehindBytes, compactEntriesMin } = this.#limits
    const beyondTail = isShort ? durable : Math.max(durable - logTailEntries, this.#beyond(logTailBytes))
    const beyondAll = Math.max(durable - logBehindEntries, this.#beyond(logBehindBytes))
    const target = Math.min(durable, beyondTail, Math.max(beyondAll, neededAfter))
    if (target < firstIndex) return undefined
    const oldest = this.#marks[0]
    const isLittle = oldest === undefined || oldest.index > target
    if (target - firstIndex + 1 < compactEntriesMin && isLittle) return undefined
    this.#marks = this.#marks.filter((mark) => mark.index > target)
    return asIndex(target)
  }

  /** Last index behind which at least so many bytes lie; 0 when there is none. */
  #beyond(bytes: number): number {
    return this.#marks.findLast((mark) => this.#bytes - mark.bytes >= bytes)?.index ?? 0
  }
}
