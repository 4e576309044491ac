// Limits of the client port of one node: those of its connections, of the API, of multiplexed connections and of gRPC.
// docs/reference/limits.md lists them. They refuse before anything is proposed. The limits of keys, values and the
// store are replicated settings (src/kv).

import { type ApiLimits, apiLimits } from '../api/limits.ts'
import { type GrpcLimits, grpcLimits } from '../clients/grpc-limits.ts'
import { type ConnectionLimits, connectionLimits } from '../clients/limits.ts'
import { type MuxLimits, muxLimits } from '../mux/limits.ts'

export interface HttpLimits extends ApiLimits, ConnectionLimits, MuxLimits, GrpcLimits {
  /**
   * Connections whose TLS handshake is not done, beyond which the oldest of them is closed; and how long a handshake
   * may take.
   */
  readonly tlsHandshakesMax: number
  readonly tlsHandshakeMs: number
  /** Graceful close: connections still busy after this long are cut. */
  readonly closeMsMax: number
}

export const httpLimits: HttpLimits = {
  ...apiLimits,
  ...connectionLimits,
  ...muxLimits,
  ...grpcLimits,
  tlsHandshakesMax: 1_000,
  tlsHandshakeMs: 10_000,
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
