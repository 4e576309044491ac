// Limits of the API of one node, whatever the wire. docs/reference/limits.md lists them.

const KiB = 1024
const MiB = 1024 * KiB

export interface ApiLimits {
  /** Body of a POST, and keys and values of a transaction. */
  readonly requestBytesMax: number
  /** Bytes of requests that are being received, on all connections. Beyond: overloaded. */
  readonly bodiesBytesMax: number
  /**
   * Bytes of requests that are being received on connections on which no user is known, while rights are checked. Users
   * need none of it.
   */
  readonly unauthenticatedBytesMax: number
  /** How long a token lives after the login, and after each use. */
  readonly authTokenMs: number
  /** How long the body of a login may take, and for how long that of a client without a user is dropped. */
  readonly unauthenticatedBodyMs: number
  /** Default and maximum number of rows in a page. */
  readonly pageRowsDefault: number
  readonly pageRowsMax: number
  /** Bytes of the records in a page, as the wire writes them. One record always fits. */
  readonly pageBytesMax: number
  /** Rows and bytes of a range that are read and encoded before the event loop does other work. */
  readonly sliceRowsMax: number
  readonly sliceBytesMax: number
  /** The same of a range that is counted. */
  readonly sliceKeysMax: number
  /** Slices of all ranges that are read at the same time. Others wait in order. */
  readonly slicesMax: number
  /** Ranges whose number of keys is kept. */
  readonly rangeCountsMax: number
  /** Ranges that are read at the same time. Each has an open scan. Beyond: overloaded. */
  readonly rangesMax: number
  /**
   * Bytes of answers that clients have not taken yet, on all connections. Beyond: overloaded. A single answer always
   * fits.
   */
  readonly answersBytesMax: number
  /** Bytes of a response of etcd's API to a range that are held until its length is known. */
  readonly etcdHeldBytesMax: number
  /** A larger response is held too, as long as clients have not taken fewer bytes than this of all answers. */
  readonly etcdHeldTogetherBytesMax: number
  /** Memory of the rows of one range of etcd's API that is sorted by something else than its keys. */
  readonly etcdSortBytesMax: number
  /**
   * Interval of the responses without events that a watch of etcd's API has requested, with `progress_notify`. etcd's
   * default is ten minutes, but Kubernetes needs less: without progress, the position of a quiet watch is compacted
   * after five.
   */
  readonly etcdProgressMs: number
  /** Longest time of a stream or of the keys of a lease: the open scan keeps old rows in the database. */
  readonly streamMsMax: number
  /** Longest time of a backup, whose scan keeps old rows too. */
  readonly backupMsMax: number
  /**
   * Bytes that wait for the client of a watch, or for the client of a multiplexed connection with all its watches.
   * Beyond, a watch waits until the client has taken them, and then reads history.
   */
  readonly watchBufferBytesMax: number
  /**
   * The same for all clients together. From half of it on, only clients receive events for which nothing waits; beyond
   * it, nobody.
   */
  readonly watchBuffersBytesMax: number
}

export const apiLimits: ApiLimits = {
  requestBytesMax: 1.5 * MiB,
  bodiesBytesMax: 128 * MiB,
  unauthenticatedBytesMax: 16 * MiB,
  authTokenMs: 10 * 60_000,
  unauthenticatedBodyMs: 3_000,
  pageRowsDefault: 1_000,
  pageRowsMax: 10_000,
  pageBytesMax: 4 * MiB,
  sliceRowsMax: 512,
  sliceBytesMax: 256 * KiB,
  sliceKeysMax: 1_000,
  slicesMax: 2,
  rangeCountsMax: 1_024,
  rangesMax: 64,
  answersBytesMax: 128 * MiB,
  etcdHeldBytesMax: 4 * MiB,
  etcdHeldTogetherBytesMax: 32 * MiB,
  etcdSortBytesMax: 256 * MiB,
  etcdProgressMs: 5_000,
  streamMsMax: 10 * 60_000,
  backupMsMax: 6 * 3_600_000,
  watchBufferBytesMax: 256 * KiB,
  watchBuffersBytesMax: 64 * MiB,
}

/** An answer is sent a little before the timeout, so that it arrives in time. */
const TRANSIT_SHARE = 0.05
const TRANSIT_MS_MAX = 20

/** Time from the arrival of a request to its answer. */
export const answerWithinMs = (timeoutMs: number): number =>
  timeoutMs - Math.min(TRANSIT_MS_MAX, timeoutMs * TRANSIT_SHARE)
