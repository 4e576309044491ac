// Limits of one node's HTTP front; docs/reference/limits.md lists them. They refuse before anything is proposed. What a
// key, a value and the store may hold is a replicated setting (src/kv).

export interface HttpLimits {
  /** Request line and headers together. A key of the maximum length fits, with every byte escaped. */
  readonly headBytesMax: number
  /** Body of a POST. */
  readonly requestBytesMax: number
  /** Bytes of bodies that are being received, on all connections. Beyond: overloaded. */
  readonly bodiesBytesMax: number
  /** How much of a refused body is read and dropped, and for how long, so that the client can read the answer. */
  readonly drainBytesMax: number
  readonly drainMsMax: number
  /** Default and maximum number of rows in a page. */
  readonly pageRowsDefault: number
  readonly pageRowsMax: number
  /** Bytes of JSON of the records in a page. One record always fits. */
  readonly pageBytesMax: number
  /** What is read and encoded of a range before the event loop does other work. */
  readonly sliceRowsMax: number
  readonly sliceBytesMax: number
  /** Slices that are read at the same time, of all ranges. Others wait for their turn. */
  readonly slicesMax: number
  /** Ranges that are read at the same time. Each holds a scan. Beyond: overloaded. */
  readonly rangesMax: number
  /**
   * Bytes of answers that clients have not taken yet, on all connections. Beyond: overloaded. A single answer always
   * fits.
   */
  readonly answersBytesMax: number
  /** The connection of a client that takes nothing of an answer for this long is closed. */
  readonly writeStallMsMax: number
  /** A stream, or the keys of a lease, that take longer end early: their scan keeps old rows in the database. */
  readonly streamMsMax: number
  /**
   * Connections of clients; fewer if the limit of open files is low. Beyond: the connection that has been idle longest
   * is closed; if none is idle, overloaded.
   */
  readonly connectionsMax: number
  /**
   * Operations of one multiplexed connection whose answers are not sent yet, and bytes of their keys and values.
   * Beyond: the connection is closed.
   */
  readonly muxOperationsMax: number
  readonly muxBytesMax: number
  /** One message on a multiplexed connection. Beyond: the connection is closed. */
  readonly muxMessageBytesMax: number
  /** While more bytes of answers wait for the client of a multiplexed connection, it is not read. */
  readonly muxAheadBytesMax: number
  /** Bytes of answers that wait for one such client. Beyond: its reads are overloaded. A single answer always fits. */
  readonly muxAnswersBytesMax: number
  /** A multiplexed connection from which nothing came for this long is pinged. After twice this long it is cut. */
  readonly muxPingMs: number
  /** Watches of one multiplexed connection. Beyond: overloaded. */
  readonly muxWatchesMax: number
  /**
   * Bytes that wait for the client of a watch, or for that of all watches of a multiplexed connection. Beyond, a watch
   * waits until the client has taken them, and then reads history from where it was.
   */
  readonly watchBufferBytesMax: number
  /** The same for all clients together. Beyond, only watches for which nothing waits are sent anything. */
  readonly watchBuffersBytesMax: number
  /** How long an idle connection is kept. */
  readonly keepAliveMs: number
  /** Graceful close: connections still busy after this long are cut. */
  readonly closeMsMax: number
  /** Graceful close: how long a client may send nothing of its request, or take nothing of its answer. */
  readonly closeStallMsMax: number
}

const KiB = 1024
const MiB = 1024 * KiB

export const httpLimits: HttpLimits = {
  headBytesMax: 64 * KiB,
  requestBytesMax: 1.5 * MiB,
  bodiesBytesMax: 128 * MiB,
  drainBytesMax: 16 * MiB,
  drainMsMax: 5_000,
  pageRowsDefault: 1_000,
  pageRowsMax: 10_000,
  pageBytesMax: 4 * MiB,
  sliceRowsMax: 512,
  sliceBytesMax: 256 * KiB,
  slicesMax: 2,
  rangesMax: 64,
  answersBytesMax: 128 * MiB,
  writeStallMsMax: 10_000,
  streamMsMax: 10 * 60_000,
  connectionsMax: 10_000,
  muxOperationsMax: 4_096,
  muxBytesMax: 16 * MiB,
  muxMessageBytesMax: 4 * MiB,
  muxAheadBytesMax: 1 * MiB,
  muxAnswersBytesMax: 16 * MiB,
  muxPingMs: 30_000,
  muxWatchesMax: 10_000,
  watchBufferBytesMax: 256 * KiB,
  watchBuffersBytesMax: 64 * MiB,
  keepAliveMs: 75_000,
  closeMsMax: 10_000,
  closeStallMsMax: 1_000,
}

/** The longest time that a timer accepts. A longer one ends at once. */
const TIMER_MS_MAX = 2 ** 31 - 1

/** What is wrong with given limits; undefined if nothing is. */
export function httpLimitsFault(limits: Partial<HttpLimits>): string | undefined {
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(httpLimits, name)) return `there is no limit ${name} of HTTP`
    const max = /Ms(?:Max)?$/.test(name) ? TIMER_MS_MAX : Number.MAX_SAFE_INTEGER
    if (!Number.isInteger(value) || value < 1 || value > max)
      return `${name} must be a whole number from 1 to ${max}, not ${value}`
  }
  return undefined
}
