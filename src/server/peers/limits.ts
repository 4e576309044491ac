// The named limits of links and of the wires that carry them; documented in docs/reference/limits.md.

import type { PeerTotals } from '../node/network.ts'

export interface LinkLimits {
  /** Longest frame sent to, or accepted from, a peer after the handshake. */
  readonly frameBytesMax: number
  /** Longest frame before that, so that an unknown caller cannot make this process reserve memory. */
  readonly helloBytesMax: number
  /** Accepted connections whose caller has not introduced itself; more are closed. */
  readonly unidentifiedMax: number
  /**
   * Bytes that wait for one peer, in our queue and in the socket. More messages are dropped. Raft repeats its own
   * messages, but a proposal is forwarded once per term. So there is room for twice what Raft's limits let a follower
   * forward (again after a reconnect).
   */
  readonly queueBytesMax: number
  readonly queueMessagesMax: number
  /** A dialled or accepted connection whose handshake takes longer is closed. */
  readonly handshakeMs: number
  /** When reconnects have failed for this long after a break, the peer's process counts as gone. */
  readonly refusedAfterMs: number
  /**
   * Pause before the second reconnect; doubles, with jitter, up to `reconnectMaxMs`. The first reconnect is made at
   * once.
   */
  readonly reconnectMinMs: number
  readonly reconnectMaxMs: number
  /**
   * A connection is closed after the other side has been silent for this long. The other side replies to each ping,
   * and reports without a ping that bytes arrive, even slowly. At least 3 × the longest election timeout.
   */
  readonly silenceMs: number
  /**
   * How far a peer's boot counter may be ahead of the last known one. A made-up counter would otherwise keep the real
   * peer out.
   */
  readonly bootJumpMax: number
  /** Time for messages queued to a peer that has left the configuration. */
  readonly drainMs: number
  /** Snapshot chunks that are sent and not yet acknowledged as written. */
  readonly snapshotChunksInflightMax: number
  /** A snapshot transfer is given up after this long without an acknowledged chunk. */
  readonly snapshotStallMs: number
}

export const LINK_LIMITS: LinkLimits = {
  frameBytesMax: 16 * 1024 * 1024,
  helloBytesMax: 4 * 1024,
  unidentifiedMax: 64,
  queueBytesMax: 160 * 1024 * 1024,
  queueMessagesMax: 131_072,
  handshakeMs: 2000,
  refusedAfterMs: 20,
  reconnectMinMs: 5,
  reconnectMaxMs: 500,
  silenceMs: 3000,
  bootJumpMax: 10_000_000,
  drainMs: 500,
  snapshotChunksInflightMax: 4,
  snapshotStallMs: 30_000,
}

/** Counters of the peer traffic for metrics. Only the network changes them. */
export type LinkCounters = { -readonly [name in keyof PeerTotals]: number }

export const newCounters = (): LinkCounters => ({
  messagesSent: 0,
  messagesReceived: 0,
  messagesDropped: 0,
  bytesSent: 0,
  bytesReceived: 0,
  connectionsOpened: 0,
  connectionsBroken: 0,
  tlsHandshakesFailed: 0,
})
