// Limits of multiplexed connections. docs/reference/limits.md lists them.

const KiB = 1024
const MiB = 1024 * KiB

export interface MuxLimits {
  /**
   * Operations of one connection whose answers are not sent yet, and bytes of their keys and values. Beyond: the
   * connection is closed.
   */
  readonly muxOperationsMax: number
  readonly muxBytesMax: number
  /** One message. Beyond: the connection is closed. */
  readonly muxMessageBytesMax: number
  /** While more bytes of answers wait for the client, its connection is not read. */
  readonly muxAheadBytesMax: number
  /** Bytes of answers that wait for one client. Beyond: its reads are overloaded. A single answer always fits. */
  readonly muxAnswersBytesMax: number
  /** A silent connection is pinged after this long, and cut after twice this long. */
  readonly muxPingMs: number
  /** Watches of one connection. Beyond: overloaded. */
  readonly muxWatchesMax: number
}

export const muxLimits: MuxLimits = {
  muxOperationsMax: 4_096,
  muxBytesMax: 16 * MiB,
  muxMessageBytesMax: 4 * MiB,
  muxAheadBytesMax: 1 * MiB,
  muxAnswersBytesMax: 16 * MiB,
  muxPingMs: 30_000,
  muxWatchesMax: 10_000,
}
