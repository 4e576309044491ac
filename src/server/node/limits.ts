// All limits and pauses of a node that are not replicated settings. docs/reference/limits.md explains them.

import type { RaftLimits, RaftTiming } from '../../raft/index.ts'
import { SCRUB_SLICE } from '../../storage/scrub.ts'

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
  /** Proposals of this node without an outcome. More are refused as overloaded. */
  readonly proposalsMax: number
  readonly proposalBytesMax: number
  /**
   * Bytes of proposals that were passed to the leader, here or elsewhere, and are not committed. Above it, further
   * proposals wait.
   */
  readonly proposedBytesMax: number
  /** Reads of this node that wait for a confirmation or for an index. More are refused as overloaded. */
  readonly readsMax: number
  /**
   * Number of proposals in flight from which new ones wait for others to share a batch. They wait for the duration of
   * two writes, but at most `batchDelayMsMax`.
   */
  readonly batchDelayFrom: number
  readonly batchDelayMsMax: number
  /** The longest time until applied rows become durable while no entry is written. */
  readonly idleFlushMs: number
  /** Messages that wait until a write is durable. More are dropped, except forwarded proposals. */
  readonly heldMessagesMax: number
  /** Requests to keep leases alive without a result. More are refused as overloaded. */
  readonly keepAlivesMax: number
  /**
   * Requests for reports of one other member without an answer. More are refused as overloaded. Also the reports of
   * this node that are made at the same time.
   */
  readonly reportsMax: number
  /** A longer report is not sent. */
  readonly reportBytesMax: number
  /** Requests for a transfer of leadership without a result. More are refused as overloaded. */
  readonly transfersMax: number
  /** Bytes of rows that are applied and not durable yet. Beyond it, applying waits for the disk. */
  readonly overlayBytesMax: number
  /** Applying, and answering reads that were granted together, pauses after this long, so that other events can run. */
  readonly applySliceMs: number
  /** An entry with more keys in its ranges and leases is applied in parts. */
  readonly applyKeysAtOnce: number
  /** Steps of such entries, about a key each, that are taken before other events can run. */
  readonly applySliceSteps: number
  /**
   * Retry interval for requests that were refused because there was no leader. They are also retried when a leader is
   * known. The pauses of a proposal grow from this.
   */
  readonly retryMs: number
  /** After this long without a reply, a read index is requested again. */
  readonly readRetryMs: number
  /** Log kept before the applied index for followers that are a little behind, in entries and in bytes of frames. */
  readonly logTailEntries: number
  readonly logTailBytes: number
  /**
   * Limit of the log kept for a follower that replies and is further behind. A follower that receives a snapshot
   * continues after its end.
   */
  readonly logBehindEntries: number
  readonly logBehindBytes: number
  /** The log is compacted when at least this many entries can be deleted. */
  readonly compactEntriesMin: number
  /** Replicas compare state hashes at every index divisible by this, and when they are idle. */
  readonly hashEveryEntries: number
  readonly hashIdleMs: number
  /**
   * Leases: pause after an entry of the leader that could not be proposed, and how long such an entry waits for its
   * outcome.
   */
  readonly leaseRetryMs: number
  readonly leaseProposalMs: number
  /** Pause after a snapshot that a peer has not received. It doubles with each further one. */
  readonly snapshotRetryMs: number
  readonly snapshotRetryMsMax: number
  /** Pause between two passes of the scrub, and between two slices. */
  readonly scrubEveryMs: number
  readonly scrubPauseMs: number
  /** Rows of one slice. A scan is open while the slice is read. */
  readonly scrubSliceRows: number
  readonly scrubSliceBytes: number
  /**
   * Free space below which changes other than deletes are refused. Below a quarter of it, no change is written
   * (`disk-space.ts`).
   */
  readonly diskReserveBytes: number
  /** Pause between two checks of the free space. */
  readonly diskCheckMs: number
  /** While the disk is short: pause between two compactions of everything. */
  readonly diskCompactMs: number
  /**
   * Graceful stop: time limits for handing over leadership, for finishing requests, and for writing what waits for the
   * disk.
   */
  readonly handOverMsMax: number
  readonly drainMsMax: number
  readonly closeMsMax: number
  /**
   * A replica that learns of its removal, and does not lead, stops after this long, so that its last messages leave.
   */
  readonly removedGraceMs: number
  /** Watches of this node. More are refused as overloaded. */
  readonly watchesMax: number
  /** Limit on the keys in one message of a watch, which has all events of a revision. Beyond it, the watch ends. */
  readonly watchMessageBytesMax: number
  /** Rows of events that a watch which reads history reads before the next such watch reads. */
  readonly watchSliceRows: number
  /** How long such watches read before other events can run. */
  readonly watchSliceMs: number
  /**
   * A node that has had no leader for this long, or that its full disk has kept behind for so long, ends its watches.
   * Their clients continue at another one.
   */
  readonly watchLeaderlessMs: number
}

export const driverLimits: DriverLimits = {
  proposalsMax: 20_000,
  proposalBytesMax: 64 * MiB,
  proposedBytesMax: 3 * MiB,
  readsMax: 50_000,
  batchDelayFrom: 8,
  batchDelayMsMax: 5,
  idleFlushMs: 20,
  heldMessagesMax: 5_000,
  keepAlivesMax: 20_000,
  reportsMax: 32,
  reportBytesMax: MiB,
  transfersMax: 100,
  overlayBytesMax: 64 * MiB,
  applySliceMs: 10,
  applyKeysAtOnce: 64,
  applySliceSteps: 2_048,
  retryMs: 20,
  readRetryMs: 250,
  logTailEntries: 10_000,
  logTailBytes: 32 * MiB,
  logBehindEntries: 500_000,
  logBehindBytes: 256 * MiB,
  compactEntriesMin: 1_000,
  hashEveryEntries: 1_024,
  hashIdleMs: 1_000,
  leaseRetryMs: 250,
  leaseProposalMs: 5_000,
  snapshotRetryMs: 250,
  snapshotRetryMsMax: 30_000,
  scrubEveryMs: 3_600_000,
  scrubPauseMs: 50,
  scrubSliceRows: SCRUB_SLICE.rowsMax,
  scrubSliceBytes: SCRUB_SLICE.bytesMax,
  diskReserveBytes: 256 * MiB,
  diskCheckMs: 1_000,
  diskCompactMs: 30_000,
  handOverMsMax: 3_000,
  drainMsMax: 10_000,
  closeMsMax: 2_000,
  removedGraceMs: 1_000,
  watchesMax: 50_000,
  // The client library takes messages of 64 MiB. As JSON they are up to six times as large, and a string of V8 has room
  // for 512 MiB.
  watchMessageBytesMax: 48 * MiB,
  watchSliceRows: 16,
  watchSliceMs: 2,
  watchLeaderlessMs: 5_000,
}
