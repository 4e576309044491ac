// Every limit and pause of a node that is not a replicated setting, named and in one place. docs/reference/limits.md
// explains them.

import type { RaftLimits, RaftTiming } from '../raft/index.ts'
import { SCRUB_SLICE } from '../storage/scrub.ts'

const KiB = 1024
const MiB = 1024 * KiB

export const raftTiming: RaftTiming = {
  heartbeatMs: 50,
  electionMinMs: 500,
  electionMaxMs: 1000,
  commitDelayMs: 5,
  failoverDelayMaxMs: 50,
  driftMax: 0.05,
}

export const raftLimits: RaftLimits = {
  appendBytesMax: 512 * KiB,
  inflightMessagesMax: 256,
  inflightBytesMax: MiB,
  uncommittedBytesMax: 64 * MiB,
  uncommittedEntriesMax: 50_000,
  applyBytesMax: MiB,
  entryBytesMax: 2 * MiB,
  tailBytesMax: 512 * KiB,
}

export interface DriverLimits {
  /** Proposals of this node that have no outcome yet; beyond: overloaded. */
  readonly proposalsMax: number
  readonly proposalBytesMax: number
  /**
   * Of those, given to the leader, here or elsewhere, and not committed: once it is reached, the next ones wait before
   * that.
   */
  readonly proposedBytesMax: number
  /** Reads of this node that wait for a confirmation or for an index; beyond: overloaded. */
  readonly readsMax: number
  /**
   * From so many proposals under way at once, new ones wait for others to share a batch: as long as two writes take,
   * and no longer than `batchDelayMsMax`.
   */
  readonly batchDelayFrom: number
  readonly batchDelayMsMax: number
  /** Rows applied while no entry is being written become durable after this long at the latest. */
  readonly idleFlushMs: number
  /**
   * Applying, and answering reads that were granted together, pauses for the rest of the event loop after this long.
   */
  readonly applySliceMs: number
  /**
   * What was refused for want of a leader is tried again when one is known anew, and after this long; a proposal after
   * pauses that grow from this.
   */
  readonly retryMs: number
  /** A read index that has had no answer for this long is asked for again. */
  readonly readAskAgainMs: number
  /** Log kept behind the applied index for followers that are a little behind, in entries and in bytes of frames. */
  readonly logTailEntries: number
  readonly logTailBytes: number
  /**
   * Log kept at most for a follower that answers and is further behind: one that a snapshot is sent to goes on from its
   * end.
   */
  readonly logBehindEntries: number
  readonly logBehindBytes: number
  /** Compact when at least this many entries can go. */
  readonly compactEntriesMin: number
  /** Replicas compare state hashes at every index divisible by this, and whenever they are idle. */
  readonly hashEveryEntries: number
  readonly hashIdleMs: number
  /** Pause between two passes of the scrub, and between two of its slices. */
  readonly scrubEveryMs: number
  readonly scrubPauseMs: number
  /** One slice: as long as it is read, a scan is held. */
  readonly scrubSliceRows: number
  readonly scrubSliceBytes: number
  /**
   * Free space of the disk below which changes other than deletes are refused; below a quarter of it none is written
   * (`disk-space.ts`).
   */
  readonly diskReserveBytes: number
  /** Pause between two looks at the free space. */
  readonly diskLookMs: number
  /** While it is short: pause between two compactions of everything. */
  readonly diskCompactMs: number
  /** Graceful stop: how long handing leadership over, then finishing requests, may take. */
  readonly handOverMsMax: number
  readonly drainMsMax: number
  /**
   * A replica that learns of its removal, and leads no more, stops after this long, so that its last messages leave.
   */
  readonly removedGraceMs: number
}

export const driverLimits: DriverLimits = {
  proposalsMax: 20_000,
  proposalBytesMax: 64 * MiB,
  proposedBytesMax: 3 * MiB,
  readsMax: 50_000,
  batchDelayFrom: 8,
  batchDelayMsMax: 5,
  idleFlushMs: 20,
  applySliceMs: 10,
  retryMs: 20,
  readAskAgainMs: 250,
  logTailEntries: 10_000,
  logTailBytes: 32 * MiB,
  logBehindEntries: 500_000,
  logBehindBytes: 256 * MiB,
  compactEntriesMin: 1_000,
  hashEveryEntries: 1_024,
  hashIdleMs: 1_000,
  scrubEveryMs: 3_600_000,
  scrubPauseMs: 50,
  scrubSliceRows: SCRUB_SLICE.rowsMax,
  scrubSliceBytes: SCRUB_SLICE.bytesMax,
  diskReserveBytes: 256 * MiB,
  diskLookMs: 1_000,
  diskCompactMs: 30_000,
  handOverMsMax: 3_000,
  drainMsMax: 10_000,
  removedGraceMs: 1_000,
}
