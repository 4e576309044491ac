// The span of an HTTP request, from its head to the beginning of its response. The target is no attribute: it has keys.

import type { Span } from '@opentelemetry/api'
import { traceContextFrom } from '../../tracing/trace-context.ts'
import { endFailed, tracer } from '../../tracing/tracer.ts'
import type { HttpRequest } from '../connections/messages.ts'
import type { Target } from '../connections/target.ts'
import type { KvNode } from '../node/kv-node.ts'

/** Probes and scrapes are not traced. */
const TRACED = /^\/v(?:1|3|3beta)\//
const SERVER_ERROR = 500

export function startRequestSpan(request: HttpRequest, node: Pick<KvNode, 'name'>): Span | undefined {
  const recording = tracer()
  const { method, target, headers } = request
  if (recording === undefined || !TRACED.test(target.path)) return undefined
  const parent = traceContextFrom(recording, headers.traceparent, headers.tracestate)
  const attributes = { 'http.request.method': method, 'quorate.node': node.name }
  return recording.startRequest(spanName(method, findRoute(target)), attributes, parent)
}

export function endRequestSpan({ span, route, method, target }: HttpRequest, status: number): void {
  if (span === undefined) return
  const matched = route ?? findRoute(target)
  if (matched !== undefined) span.updateName(spanName(method, matched)).setAttribute('http.route', matched)
  span.setAttribute('http.response.status_code', status)
  if (status >= SERVER_ERROR) endFailed(span, String(status))
  else span.end()
}

const spanName = (method: string, route: string | undefined): string =>
  route === undefined ? method : `${method} ${route}`

/** The route of a request for keys. */
function findRoute({ keys, path, operation }: Target): string | undefined {
  if (keys === undefined) return operation === 'batch' ? path : undefined
  return keys.length === 0 ? '/v1/kv' : '/v1/kv/:key'
}
