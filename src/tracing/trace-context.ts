// Trace contexts as text (W3C Trace Context). Headers, multiplexed messages and messages between nodes carry the same
// two texts. The propagators that an application registers are not used: a request between nodes is no HTTP, and must
// mean the same in processes that have registered different ones.

import type { SpanContext } from '@opentelemetry/api'
import type { Tracer } from './tracer.ts'

/** Longer states are dropped, as the recommendation allows. */
export const TRACESTATE_CHARS_MAX = 512
/** Versions after 00 may append fields. */
const TRACEPARENT_CHARS_MAX = 256
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[ -~]*)?$/
const ZEROS = /^0+$/
const SAMPLED = 1

/** A trace context in the form in which it is sent. */
interface TraceHeaders {
  readonly traceparent: string
  /** Empty: there is none. */
  readonly tracestate: string
}

export function traceHeaders({ traceId, spanId, traceFlags, traceState }: SpanContext): TraceHeaders {
  const tracestate = traceState?.serialize() ?? ''
  return {
    traceparent: `00-${traceId}-${spanId}-0${traceFlags & SAMPLED}`,
    tracestate: tracestate.length > TRACESTATE_CHARS_MAX ? '' : tracestate,
  }
}

/** The context in fields of a request; undefined: there is none, or it is not valid. */
export function traceContextFrom(
  tracer: Tracer,
  traceparent: unknown,
  tracestate: unknown,
): SpanContext | undefined {
  if (typeof traceparent !== 'string' || traceparent.length > TRACEPARENT_CHARS_MAX) return undefined
  const [, version, traceId = '', spanId = '', flags = '', rest] = TRACEPARENT.exec(traceparent) ?? []
  if (version === undefined || version === 'ff' || (version === '00' && rest !== undefined)) return undefined
  if (ZEROS.test(traceId) || ZEROS.test(spanId)) return undefined
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & SAMPLED, isRemote: true }
  if (typeof tracestate !== 'string' || tracestate === '' || tracestate.length > TRACESTATE_CHARS_MAX)
    return context
  return { ...context, traceState: tracer.traceState(tracestate) }
}
