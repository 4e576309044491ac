// How much log to keep behind the applied index: enough that a follower which was away for a moment catches up from the log,
// bounded in entries and in bytes.

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
    const { truncateFrom } = write
    if (truncateFrom !== undefined) this.#marks = this.#marks.filter((mark) => mark.index < truncateFrom)
    for (const entry of write.entries) this.#bytes += entry.frame.length
    const last = write.entries.at(-1)
    if (last !== undefined && this.#bytes - (this.#marks.at(-1)?.bytes ?? 0) >= MARK_EVERY_BYTES) {
      this.#marks.push({ index: last.index, bytes: this.#bytes })
    }
  }

  /** Where to compact to; undefined when too little would go. `durable`: last index whose rows are durable. */
  compactTo(firstIndex: LogIndex, durable: LogIndex): LogIndex | undefined {
    const { logTailEntries, logTailBytes, compactEntriesMin } = this.#limits
    const byEntries = durable - logTailEntries
    const byBytes = this.#marks.findLast((mark) => this.#bytes - mark.bytes >= logTailBytes)?.index ?? 0
    const target = Math.min(durable, Math.max(byEntries, byBytes))
    if (target < firstIndex) return undefined
    if (target - firstIndex + 1 < compactEntriesMin && byBytes < firstIndex) return undefined
    this.#marks = this.#marks.filter((mark) => mark.index > target)
    return asIndex(target)
  }
}
