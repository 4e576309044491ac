// Limits of the connections of clients to one node, whatever they carry. docs/reference/limits.md lists them.

const KiB = 1024
const MiB = 1024 * KiB

/** Times after which the connection of a client that does nothing is closed. */
export interface StallLimits {
  /**
   * The connection of a client that takes nothing of an answer for this long is closed. So is a multiplexed one whose
   * client sends nothing of a message that it has begun.
   */
  readonly writeStallMsMax: number
  /** Graceful close: how long a client may send nothing of its request, or take nothing of its answer. */
  readonly closeStallMsMax: number
}

export interface ConnectionLimits extends StallLimits {
  /** Request line and headers together. A key of the maximum length fits, with every byte escaped. */
  readonly headBytesMax: number
  /**
   * Time for the head of a request. A connection on which nobody is known has so long for its first request, which is
   * closed then.
   */
  readonly headMs: number
  /**
   * Bytes of heads, half-sent ones too, on all connections on which nobody is known, without 1 KiB of each. Beyond: the
   * oldest of them of the network that has most bytes is closed. Node:http takes up to ten times as much memory.
   */
  readonly unidentifiedHeadBytesMax: number
  /** Bytes and time for which a refused body is read and dropped, so that the client can read the answer. */
  readonly drainBytesMax: number
  readonly drainMsMax: number
  /** Bytes of the body of a client without a user that are dropped. */
  readonly unauthenticatedDrainBytesMax: number
  /**
   * Connections of clients; fewer if the limit of open files is low. Beyond: the connection that has been idle longest
   * is closed; if none is idle, overloaded.
   */
  readonly connectionsMax: number
  /** How long an idle connection is kept. */
  readonly keepAliveMs: number
}

export const connectionLimits: ConnectionLimits = {
  headBytesMax: 64 * KiB,
  headMs: 10_000,
  unidentifiedHeadBytesMax: 4 * MiB,
  drainBytesMax: 16 * MiB,
  drainMsMax: 5_000,
  unauthenticatedDrainBytesMax: 256 * KiB,
  connectionsMax: 10_000,
  keepAliveMs: 75_000,
  writeStallMsMax: 10_000,
  closeStallMsMax: 1_000,
}
