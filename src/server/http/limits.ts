// Limits of one node's HTTP listener, with those of the API and of multiplexed connections; docs/reference/limits.md
// lists them. They refuse before anything is proposed. The limits of keys, values and the store are replicated settings
// (src/kv).

import { type ApiLimits, apiLimits } from '../api/limits.ts'
import { type MuxLimits, muxLimits } from '../mux/limits.ts'

export interface HttpLimits extends ApiLimits, MuxLimits {
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
  readonly strangerHeadBytesMax: number
  /** Bytes and time for which a refused body is read and dropped, so that the client can read the answer. */
  readonly drainBytesMax: number
  readonly drainMsMax: number
  /** Bytes of the body of a client without a user that are dropped. */
  readonly strangerDrainBytesMax: number
  /**
   * Connections of clients; fewer if the limit of open files is low. Beyond: the connection that has been idle longest
   * is closed; if none is idle, overloaded.
   */
  readonly connectionsMax: number
  /**
   * Connections whose TLS handshake is not done, beyond which the oldest of them is closed; and how long a handshake
   * may take.
   */
  readonly tlsHandshakesMax: number
  readonly tlsHandshakeMs: number
  /** How long an idle connection is kept. */
  readonly keepAliveMs: number
  /** Graceful close: connections still busy after this long are cut. */
  readonly closeMsMax: number
}

const KiB = 1024
const MiB = 1024 * KiB

export const httpLimits: HttpLimits = {
  ...apiLimits,
  ...muxLimits,
  headBytesMax: 64 * KiB,
  headMs: 10_000,
  strangerHeadBytesMax: 4 * MiB,
  drainBytesMax: 16 * MiB,
  drainMsMax: 5_000,
  strangerDrainBytesMax: 256 * KiB,
  connectionsMax: 10_000,
  tlsHandshakesMax: 1_000,
  tlsHandshakeMs: 10_000,
  keepAliveMs: 75_000,
  closeMsMax: 10_000,
}

/** The longest time that a timer accepts. A longer one ends at once. */
const TIMER_MS_MAX = 2 ** 31 - 1

/** The fault of given limits; undefined if there is none. */
export function httpLimitsFault(limits: Partial<HttpLimits>): string | undefined {
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(httpLimits, name)) return `there is no limit ${name} of HTTP`
    const max = /Ms(?:Max)?$/.test(name) ? TIMER_MS_MAX : Number.MAX_SAFE_INTEGER
    if (!Number.isInteger(value) || value < 1 || value > max)
      return `${name} must be a whole number from 1 to ${max}, not ${value}`
  }
  return undefined
}
