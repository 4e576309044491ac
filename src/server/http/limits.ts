// Limits of one node's HTTP front; docs/reference/limits.md lists them. They refuse before anything is proposed. What a
// key, a value and the store may hold is a replicated setting (src/kv).

export interface HttpLimits {
  /** Request line and headers together. A longest key fits, every byte of it escaped. */
  readonly headBytesMax: number
  /** Body of a POST. */
  readonly requestBytesMax: number
  /** Bodies being received, all connections together; beyond: overloaded. */
  readonly bodiesBytesMax: number
  /** How much of a refused body is read and dropped so that its sender can read the answer, and for how long. */
  readonly drainBytesMax: number
  readonly drainMsMax: number
  /** Rows of a page unless the request says otherwise, and at most. */
  readonly pageRowsDefault: number
  readonly pageRowsMax: number
  /** JSON of the records of a page; one record always fits. */
  readonly pageBytesMax: number
  /** What is read and encoded of a range before the event loop goes on to other work. */
  readonly sliceRowsMax: number
  readonly sliceBytesMax: number
  /** Slices being read at the same time, of all ranges; others wait for their turn. */
  readonly slicesMax: number
  /** Ranges being read at the same time; each holds a scan. Beyond: overloaded. */
  readonly rangesMax: number
  /**
   * Answers that clients have not taken yet, all connections together; beyond: overloaded. An answer alone always fits.
   */
  readonly answersBytesMax: number
  /** A client that takes nothing of an answer for this long loses its connection. */
  readonly writeStallMsMax: number
  /** A stream that takes longer ends with a problem: its scan keeps the database from forgetting old rows. */
  readonly streamMsMax: number
  /**
   * Connections of clients; fewer where the limit of open files is low. Beyond: the longest idle one is closed, or
   * overloaded.
   */
  readonly connectionsMax: number
  /** An idle connection is kept this long. */
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
  keepAliveMs: 75_000,
  closeMsMax: 10_000,
  closeStallMsMax: 1_000,
}

/** Timers take no more than this, and end at once beyond it. */
const TIMER_MS_MAX = 2 ** 31 - 1

/** What is wrong with limits that somebody has set; undefined: nothing. */
export function httpLimitsFault(limits: Partial<HttpLimits>): string | undefined {
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(httpLimits, name)) return `there is no limit ${name} of HTTP`
    const max = /Ms(?:Max)?$/.test(name) ? TIMER_MS_MAX : Number.MAX_SAFE_INTEGER
    if (!Number.isInteger(value) || value < 1 || value > max)
      return `${name} must be a whole number from 1 to ${max}, not ${value}`
  }
  return undefined
}
