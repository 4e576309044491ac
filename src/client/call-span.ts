// The span of a call: one for the call, whose further tries are events. It belongs to the trace in which the
// application makes the call, and the requests of the call carry it to the nodes.

import type { Span, SpanContext } from '@opentelemetry/api'
import { endFailed, tracer } from '../tracing/tracer.ts'
import type { ClientOperation, OperationRequest } from './client-operation.ts'
import type { Endpoint } from './endpoints.ts'
import { QuorateError } from './errors.ts'
import type { SendOutcome } from './transport/transport.ts'

const SAMPLED = 1

export class CallSpan {
  /** The trace context in the requests of the call. */
  context: SpanContext
  readonly #span: Span
  /** The end of the last try: an HTTP status, or the kind of failure. */
  #failure: string | undefined

  /** Begins the span of a call; undefined: nobody records. What has no end, has no span. */
  static begin(
    { isEndless, resource }: Pick<ClientOperation<never, unknown>, 'effect' | 'isEndless' | 'resource'>,
    { kind }: OperationRequest,
  ): CallSpan | undefined {
    const recording = isEndless === true ? undefined : tracer()
    if (recording === undefined) return undefined
    const name = resource ?? kind
    const attributes = { 'db.system.name': 'quorate', 'db.operation.name': name }
    return new CallSpan(recording.startCall(`quorate.${name}`, attributes))
  }

  constructor(span: Span) {
    this.#span = span
    this.context = span.spanContext()
  }

  /** Waits for the call, and ends the span with it. */
  async during<T>(call: Promise<T>): Promise<T> {
    try {
      const result = await call
      this.#span.end()
      return result
    } catch (error) {
      const name = error instanceof Error ? error.name : 'unknown'
      endFailed(this.#span, error instanceof QuorateError ? error.code : name)
      throw error
    }
  }

  /** Records that a request is sent, again if it is not the first one. */
  trying({ host, port }: Endpoint): void {
    const server = { 'server.address': host, 'server.port': port }
    if (this.#failure !== undefined) this.#span.addEvent('retry', { ...server, 'error.type': this.#failure })
    this.#span.setAttributes(server)
  }

  tried(outcome: SendOutcome): void {
    this.#failure = outcome.kind === 'refused' ? String(outcome.problem.status) : outcome.kind
  }

  /** The change is sent in the request of another call, and its trace continues in that of the other one. */
  joins(first: CallSpan): void {
    this.#span.addLink({ context: first.context })
    if ((first.context.traceFlags & SAMPLED) === 0) first.context = this.context
  }
}
