// When the own disk counts as stalled. A disk on which every write is slow does not stall: if all disks are slow, no
// other replica would do better, and nothing would be committed if each leader handed over during each write.

import type { ReplicaView } from './replica-view.ts'
import type { RaftTiming } from './timing.ts'

/** The time granted to a disk on which every write is slow, in election time-outs. A disk that takes longer stalls. */
export const SLOW_DISK_MAX = 5

/** The time granted to a disk, here or elsewhere, that usually takes `ms`. */
export function timeForDisk(ms: number, { electionMaxMs }: RaftTiming): number {
  return Math.min(2 * ms, SLOW_DISK_MAX * electionMaxMs)
}

export function diskStalls({ log, now, timing }: Pick<ReplicaView, 'log' | 'now' | 'timing'>): boolean {
  return log.idleMs(now) >= Math.max(timing.electionMinMs, timeForDisk(log.usualIdleMs, timing))
}
