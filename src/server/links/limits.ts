// The named limits of links and of the wires that carry them; documented in docs/reference/limits.md.

export interface TransportLimits {
  /** Longest frame taken from, or sent to, a peer whose handshake is done. */
  readonly frameBytesMax: number
  /** Longest frame before that: nobody unknown makes this process set memory aside. */
  readonly helloBytesMax: number
  /** Accepted connections that have not said who they are; more are closed. */
  readonly strangersMax: number
  /**
   * Waiting for one peer, in our queue and in the socket; beyond, messages are dropped. Raft sends again what it sends,
   * but a proposal is forwarded once per term: so there is room for all that Raft's limits let a follower forward,
   * twice (again after a reconnect).
   */
  readonly queueBytesMax: number
  readonly queueMessagesMax: number
  /** A dialled or accepted connection whose handshake takes longer is closed. */
  readonly handshakeMs: number
  /**
   * After a break: reconnects that have failed for this long mean that the peer's process is gone.
   */
  readonly refusedAfterMs: number
  /** Pause before a second reconnect; doubles, with jitter, up to `reconnectMaxMs`. The first is made at once. */
  readonly reconnectMinMs: number
  readonly reconnectMaxMs: number
  /**
   * A connection on which the other side says nothing is closed. It answers each ping, and says unasked that something
   * arrives, however slowly. At least 3 × the longest election timeout.
   */
  readonly silenceMs: number
  /**
   * How far a peer's start counter may be ahead of the last one heard of it: one that is made up would keep the real
   * peer out.
   */
  readonly bootJumpMax: number
  /** For messages queued to a peer that has left the configuration. */
  readonly drainMs: number
  /** Snapshot chunks sent and not yet acknowledged as written. */
  readonly snapshotChunksInflightMax: number
  /** A snapshot transfer is given up when no chunk has been acknowledged for this long. */
  readonly snapshotStallMs: number
}

export const TRANSPORT_LIMITS: TransportLimits = {
  frameBytesMax: 16 * 1024 * 1024,
  helloBytesMax: 4 * 1024,
  strangersMax: 64,
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

/** What a metrics page shows of the peer traffic. The network counts up; nobody else writes. */
export interface TransportCounters {
  messagesSent: number
  messagesReceived: number
  bytesSent: number
  bytesReceived: number
  /** Queue full or no connection. */
  messagesDropped: number
  /** Frames with a bad checksum, an impossible length or content that does not decode. */
  framesCorrupt: number
  connectionsOpened: number
  connectionsBroken: number
  handshakesRefused: number
  snapshotChunksSent: number
  snapshotChunksReceived: number
}

export const newCounters = (): TransportCounters => ({
  messagesSent: 0,
  messagesReceived: 0,
  bytesSent: 0,
  bytesReceived: 0,
  messagesDropped: 0,
  framesCorrupt: 0,
  connectionsOpened: 0,
  connectionsBroken: 0,
  handshakesRefused: 0,
  snapshotChunksSent: 0,
  snapshotChunksReceived: 0,
})
