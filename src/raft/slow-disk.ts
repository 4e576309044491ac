// Detection of a local disk that is a reason to transfer leadership: one that stalls, or one that lags behind the disks
// of a majority.
//
// A disk on which every write is slow does not stall. If all disks are slow, no other replica is a better leader, and
// nothing would commit if each leader transferred leadership during each write. Such a disk lags only if others are
// faster: entries commit without it.
//
// The queue of a disk is bounded in time, by its measured speed. Otherwise the acknowledgements of its replica could be
// late by minutes.

import type { RaftLog } from './log.ts'
import type { RaftTiming } from './timing.ts'
import type { LogIndex, MonotonicMs } from './types.ts'

interface DiskView {
  readonly log: RaftLog
  readonly now: MonotonicMs
  readonly timing: RaftTiming
}

/** Limit on the duration of a slow write, in election timeouts. A disk that takes longer stalls. */
export const SLOW_DISK_MAX = 5

/**
 * Limit on the lag of the leader's disk, in election timeouts. Disks of the same speed differ by less: by the phase of
 * a write, and by chance.
 */
const LAG_MAX = 2

/**
 * Limit on the time that the log waits for its disk, in election timeouts. A leader refuses more than its disk stores
 * in that time, and a follower takes no more. It is longer than `LAG_MAX`, so that a leader whose disk lags behind has
 * handed over by then.
 */
export const DISK_QUEUE_MAX = 4

/** Time allowed for a write on any replica's disk that usually takes `ms`. */
export function timeForDisk(ms: number, { electionMaxMs }: RaftTiming): number {
  return Math.min(2 * ms, SLOW_DISK_MAX * electionMaxMs)
}

export function diskStalls({ log, now, timing }: DiskView): boolean {
  return log.idleMs(now) >= Math.max(timing.electionMinMs, timeForDisk(log.usualIdleMs, timing))
}

/** The lag of a leader's disk: how long it needs for entries after a majority has them. */
export class DiskLag {
  /** A commit index of an earlier heartbeat, and the time of that heartbeat. */
  #index = 0 as LogIndex
  #since: MonotonicMs = 0

  /** Whether the lag is too long, since the start or since it was last reported. Called with each heartbeat. */
  isTooLong({ log, now, timing }: DiskView): boolean {
    const isStored = log.stable >= this.#index
    const lagMsMax = Math.max(LAG_MAX * timing.electionMaxMs, 2 * log.usualIdleMs)
    if (!isStored && now - this.#since < lagMsMax) return false
    this.#index = log.commit
    this.#since = now
    return !isStored
  }
}
