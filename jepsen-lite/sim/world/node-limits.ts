// The limits of a node, as a schedule draws them. Small ones reach rare paths of the code.

import { keyIndexLimits } from '../../../src/server/node/key-index/key-index.ts'
import { driverLimits, raftLimits } from '../../../src/server/node/limits.ts'
import { LINK_LIMITS } from '../../../src/server/peers/limits.ts'
import { storeLimits } from '../../../src/storage/store.ts'
import type { Random } from '../../workload/random.ts'

interface Drawn {
  readonly small: readonly number[]
  readonly usual: number
  /** Always small, because otherwise it would never take effect within a run. */
  readonly always?: true
}

const raft = raftLimits
const driver = driverLimits

/** `small` values are small compared to a few entries of some hundred bytes; `usual` ones are as shipped. */
const LIMITS = {
  // ---- of the core
  appendBytesMax: { small: [1, 150, 400, 4096], usual: raft.appendBytesMax },
  inflightMessagesMax: { small: [1, 2, 4], usual: raft.inflightMessagesMax },
  inflightBytesMax: { small: [1, 300, 2000], usual: raft.inflightBytesMax },
  uncommittedEntriesMax: { small: [3, 10, 100], usual: raft.uncommittedEntriesMax },
  uncommittedBytesMax: { small: [1000, 5000, 50_000], usual: raft.uncommittedBytesMax },
  applyBytesMax: { small: [1, 300, 4096], usual: raft.applyBytesMax },
  tailBytesMax: { small: [0, 0, 200], usual: raft.tailBytesMax },

  // ---- of the driver
  proposalsMax: { small: [1, 2, 5], usual: driver.proposalsMax },
  proposalBytesMax: { small: [1000, 5000, 50_000], usual: driver.proposalBytesMax },
  readsMax: { small: [1, 2, 10], usual: driver.readsMax },
  /** From this many proposals in flight, new ones wait for others. */
  batchDelayFrom: { small: [1, 2, 1000], usual: driver.batchDelayFrom, always: true },
  batchDelayMsMax: { small: [0, 1, 20], usual: driver.batchDelayMsMax },
  /** 1: each entry waits until the rows of the one before are durable. */
  overlayBytesMax: { small: [1, 1000, 20_000], usual: driver.overlayBytesMax },
  idleFlushMs: { small: [1, 20, 200], usual: driver.idleFlushMs, always: true },
  /** 0: applying pauses after every few entries. */
  applySliceMs: { small: [0, 10], usual: driver.applySliceMs, always: true },
  /** Entries with more keys than this are applied in parts, each of so many steps. */
  applyKeysAtOnce: { small: [0, 1, 4], usual: driver.applyKeysAtOnce, always: true },
  applySliceSteps: { small: [1, 3, 20], usual: driver.applySliceSteps, always: true },
  retryMs: { small: [1, 5, 200], usual: driver.retryMs },
  /** Not smaller: if one message in 200 delays all messages behind it, hundreds of questions would stop everything. */
  readRetryMs: { small: [50, 50, 1000], usual: driver.readRetryMs },
  logTailEntries: { small: [0, 1, 5, 30], usual: driver.logTailEntries, always: true },
  logTailBytes: { small: [0, 200, 4000], usual: driver.logTailBytes },
  logBehindEntries: { small: [0, 0, 10, 100], usual: driver.logBehindEntries, always: true },
  logBehindBytes: { small: [0, 500, 10_000], usual: driver.logBehindBytes },
  compactEntriesMin: { small: [1, 3, 10, 50], usual: driver.compactEntriesMin, always: true },
  hashEveryEntries: { small: [1, 8, 64], usual: driver.hashEveryEntries, always: true },
  hashIdleMs: { small: [1000, 5000, 20_000], usual: driver.hashIdleMs, always: true },
  scrubEveryMs: { small: [5000, 30_000, 3_600_000], usual: driver.scrubEveryMs, always: true },
  scrubPauseMs: { small: [1, 10, 500], usual: driver.scrubPauseMs },
  scrubSliceRows: { small: [1, 2, 5], usual: driver.scrubSliceRows, always: true },
  scrubSliceBytes: { small: [1, 100, 1000], usual: driver.scrubSliceBytes },
  handOverMsMax: { small: [1, 100, 1000], usual: driver.handOverMsMax },
  drainMsMax: { small: [1, 100, 1000], usual: driver.drainMsMax },
  removedGraceMs: { small: [10, 200], usual: driver.removedGraceMs },
  proposedBytesMax: { small: [1, 300, 2000], usual: driver.proposedBytesMax },

  // ---- of links and snapshots
  snapshotChunksInflightMax: { small: [1, 2, 3], usual: LINK_LIMITS.snapshotChunksInflightMax },
  /** Rows in one chunk of a snapshot. */
  chunkRows: { small: [1, 2, 5, 50], usual: 100, always: true },

  // ---- of a batch of the store
  batchBytesMax: { small: [1, 300, 4096], usual: storeLimits.batchBytesMax },
  batchItemsMax: { small: [1, 3, 100], usual: storeLimits.batchItemsMax },

  // ---- of the store's memory of rows: heads kept, and bytes of the filter
  rowHeads: { small: [1, 4, 1000], usual: keyIndexLimits.rowHeads, always: true },
  rowFilterBytes: { small: [64, 4096], usual: 4096, always: true },
  /** Ranges of keys that are known to be empty, and the rows of deleted keys that are worth one. */
  emptyRanges: { small: [0, 1, 4, 1000], usual: keyIndexLimits.emptyRanges, always: true },
  emptyRangeRows: { small: [1, 1, 3], usual: keyIndexLimits.emptyRangeRows, always: true },
} as const satisfies { readonly [name: string]: Drawn }

type LimitName = keyof typeof LIMITS
export const LIMIT_NAMES = Object.keys(LIMITS) as readonly LimitName[]
export type NodeLimits = { readonly [Name in LimitName]: number }

const buildLimits = (value: (name: LimitName) => number): NodeLimits =>
  Object.fromEntries(LIMIT_NAMES.map((name) => [name, value(name)])) as NodeLimits

/** No limit is drawn smaller, and a schedule names none. */
export const smallestLimits: NodeLimits = buildLimits((name) =>
  Math.min(...LIMITS[name].small, LIMITS[name].usual),
)

/** The largest value of each limit. */
export const largestLimits = (limits: readonly NodeLimits[]): NodeLimits =>
  buildLimits((name) => Math.max(...limits.map((one) => one[name])))

/** A limit that a schedule does not name is as shipped. */
export const usualLimits: NodeLimits = buildLimits((name) => LIMITS[name].usual)

/**
 * Forwarded proposals that are lost count as uncommitted until their term ends. With lost messages little room would be
 * left.
 */
const LEAVES_ROOM: readonly LimitName[] = ['uncommittedEntriesMax', 'uncommittedBytesMax', 'proposedBytesMax']

/**
 * In three of four runs some limits are small: few, half or all of them. If all are small, the smallest one hides the
 * others.
 */
export function drawLimits(rng: Random, isHarsh: boolean): NodeLimits {
  const odds = rng.pick([0, 0.2, 0.5, 1])
  return buildLimits((name) => {
    const { small, usual, always }: Drawn = LIMITS[name]
    const isSmall = always ?? (rng.chance(odds) && !(isHarsh && LEAVES_ROOM.includes(name)))
    return isSmall ? rng.pick(small) : usual
  })
}
