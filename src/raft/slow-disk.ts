// Detection of a stalled local disk. A disk on which every write is slow does not count. If all disks are slow, no
// other replica is a better leader, and nothing would commit if each leader transferred leadership during each write.

import type { ReplicaView } from './replica-view.ts'
import type { RaftTiming } from './timing.ts'

/** Limit on the duration of a slow write, in election time-outs. A disk that takes longer stalls. */
export const SLOW_DISK_MAX = 5

/** Time allowed for a write on any replica's disk that usually takes `ms`. */
export function timeForDisk(ms: number, { electionMaxMs }: RaftTiming): number {
  return Math.min(2 * ms, SLOW_DISK_MAX * electionMaxMs)
}

export function diskStalls({ log, now, timing }: Pick<ReplicaView, 'log' | 'now' | 'timing'>): boolean {
  return log.idleMs(now) >= Math.max(timing.electionMinMs, timeForDisk(log.usualIdleMs, timing))
}
