import { type NodeLimits, usualLimits } from '../world/node-limits.ts'

/** The choices of the swarm: what exists in this run, and how strong it is (testing: swarm configurations). */
export interface SimConfig {
  /** Voters at the start. */
  readonly nodes: number
  /** Machines that are empty at the start and may join. */
  readonly spares: number
  /** 1: one node founds the cluster and the others join it, as in production. 0: all are formatted as its voters. */
  readonly grow: number
  /** When the faults end and the liveness phase begins. */
  readonly ms: number
  readonly heartbeatMs: number
  readonly electionMinMs: number
  readonly electionMaxMs: number
  readonly commitDelayMs: number
  /**
   * Delay of a message: at least this, plus up to `jitterMs`; `tail`: one in so many takes `TAIL_FACTOR` times as
   * long (0: none).
   */
  readonly delayMs: number
  readonly jitterMs: number
  readonly tail: number
  /**
   * 1: messages may be lost, doubled and overtake each other on an open connection. That is harder than TCP, and the
   * core promises to tolerate it.
   */
  readonly harsh: number
  /** Per thousand messages. */
  readonly lost: number
  readonly doubled: number
  /** 1: messages of one connection may overtake each other. */
  readonly reordered: number
  /** A connection on which nothing arrives for this long is given up; 0: never. */
  readonly silenceMs: number
  readonly writeMs: number
  readonly writeJitterMs: number
  readonly readMs: number
  /** 1: in one of six seeds, disks are short of space now and then. 0: only if a fault fills them. undefined: as 1. */
  readonly shortDisks?: number | undefined
  /**
   * 0: all clocks are equal. 1: they drift within the promised bound. 2: beyond it, and jump; leases stay off. 3: each
   * is at one end of the bound. 4: all are equal until a fault changes one, also beyond the bound.
   */
  readonly clocks: number
  /** 1: leader leases are on from the start. */
  readonly leases: number
  /** The duration of a lease from the start on. */
  readonly leaseMs: number
  /** How soon a process that ended by itself is started again. */
  readonly restartMs: number
  readonly limits: NodeLimits
  /** Machines from this number on have the limits as shipped. undefined: none. */
  readonly usualLimitsFrom?: number | undefined
  /** The cluster version at the start; builds of both versions may run. undefined: the newest, and its build alone. */
  readonly clusterVersion?: number | undefined
  /** Machines from this number on begin with the older build. undefined: none. */
  readonly olderFrom?: number | undefined
  /** Keys that clients use. */
  readonly keys: number
  readonly clients: number
  readonly timeoutMs: number
}

export const limitsAt = ({ limits, usualLimitsFrom = Infinity }: SimConfig, place: number): NodeLimits =>
  place < usualLimitsFrom ? limits : usualLimits

/** How many times as long a message of the tail takes. */
export const TAIL_FACTOR = 20

/** How long a message takes at most, in milliseconds, on a link that is not slow. */
export const slowestDeliveryMs = ({ delayMs, jitterMs, tail }: SimConfig): number =>
  (delayMs + jitterMs) * (tail > 0 ? TAIL_FACTOR : 1)

/** How long many messages and their answers take at most, in milliseconds for each, where nothing is wrong. */
const slowestRoundTripMs = ({ delayMs, jitterMs, tail }: SimConfig): number =>
  2 * (delayMs + jitterMs) * (tail > 0 ? 1 + (TAIL_FACTOR - 1) / tail : 1)

/** Bytes of a small entry, at most. */
export const ENTRY_BYTES = 200

/**
 * How long each of many small entries takes at most until a follower has acknowledged it, in milliseconds. An append
 * may carry one entry only (`appendBytesMax`).
 */
export function slowestAppendMs(
  config: SimConfig,
  { inflightMessagesMax, inflightBytesMax }: NodeLimits,
): number {
  const inFlight = Math.max(1, Math.min(inflightMessagesMax, inflightBytesMax / ENTRY_BYTES))
  return (slowestRoundTripMs(config) + config.writeMs + config.writeJitterMs) / inFlight
}

/**
 * How long a snapshot of so many rows takes at most, in milliseconds, where nothing is wrong. Each row may be a write
 * of its own (`batchBytesMax`), and the sender waits for the acknowledgement of all but the last few chunks.
 */
export function slowestSnapshotMs(
  config: SimConfig,
  { chunkRows, snapshotChunksInflightMax }: NodeLimits,
  rows: number,
): number {
  const roundTrips = Math.ceil(rows / chunkRows / snapshotChunksInflightMax)
  return rows * (config.writeMs + config.writeJitterMs) + roundTrips * slowestRoundTripMs(config)
}
