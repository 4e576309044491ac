// The span of a call, from its metadata to its end. The path is that of an RPC, which has no key.

import type { Span } from '@opentelemetry/api'
import { GRPC } from '../../../etcd/status.ts'
import { traceContextFrom } from '../../../tracing/trace-context.ts'
import { endFailed, tracer } from '../../../tracing/tracer.ts'
import type { RequestFields } from '../http2/request-fields.ts'

/** Begins the span of a call; undefined: it is not recorded. */
export function startCallSpan(
  name: string,
  { traceparent, tracestate }: Pick<RequestFields, 'traceparent' | 'tracestate'>,
  node: string,
): Span | undefined {
  const recording = tracer()
  if (recording === undefined) return undefined
  const parent = traceContextFrom(recording, traceparent, tracestate)
  return recording.startRequest(name, { 'quorate.node': node, 'rpc.system': 'grpc' }, parent)
}

/** Faults of the node, and not of the call. */
const FAILURES: ReadonlySet<number> = new Set([
  GRPC.unknown,
  GRPC.deadlineExceeded,
  GRPC.internal,
  GRPC.unavailable,
])

/** `code`: the status; undefined: the client has left. */
export function endCallSpan(span: Span, code: number | undefined): void {
  if (code !== undefined) span.setAttribute('rpc.grpc.status_code', code)
  if (code === undefined || FAILURES.has(code))
    endFailed(span, code === undefined ? 'abandoned' : String(code))
  else span.end()
}
