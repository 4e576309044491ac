// The spans of clients and nodes, through OpenTelemetry's API alone. An application that records traces registers an
// SDK of its own. In all other processes a call or request costs one look at the object in which the API keeps what was
// registered. The API itself takes 30 ms to load, so it is loaded with the first span.

import { createRequire } from 'node:module'
import type { Attributes, Span, SpanContext, SpanKind, TracerProvider, TraceState } from '@opentelemetry/api'

type OpenTelemetry = typeof import('@opentelemetry/api')

/** Where all copies of the API with this major version keep what was registered. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1')
const globals: { readonly [name: symbol]: { readonly trace?: TracerProvider } | undefined } = globalThis

/** null: the API cannot be loaded. */
let loaded: Tracer | null | undefined

/** Starts spans; undefined: this process records no traces. */
export function tracer(): Tracer | undefined {
  if (globals[REGISTERED]?.trace === undefined) return undefined
  if (loaded === undefined) loaded = loadTracer()
  return loaded ?? undefined
}

/** A bundle may run where the package of the API is not installed. Its calls and requests must not fail for that. */
function loadTracer(): Tracer | null {
  try {
    return new Tracer(createRequire(import.meta.url)('@opentelemetry/api'))
  } catch (error) {
    process.emitWarning(`${CANNOT_LOAD}: ${error instanceof Error ? error.message : error}`, 'QuorateWarning')
    return null
  }
}

const CANNOT_LOAD =
  'no spans of quorate are recorded: the package @opentelemetry/api cannot be loaded. A bundle needs it in node_modules'

export class Tracer {
  readonly #api: OpenTelemetry

  constructor(api: OpenTelemetry) {
    this.#api = api
  }

  /** Starts the span of a call, in the trace in which the application makes it. */
  startCall(name: string, attributes: Attributes): Span {
    return this.#start(name, this.#api.SpanKind.CLIENT, attributes, this.#api.context.active())
  }

  /** Starts the span of a request; undefined: it is not recorded. Without a parent it begins a trace. */
  startRequest(name: string, attributes: Attributes, parent: SpanContext | undefined): Span | undefined {
    return this.#recorded(name, this.#api.SpanKind.SERVER, attributes, parent)
  }

  /** Starts the span of a step of a request; undefined: it is not recorded. */
  startStep(name: string, attributes: Attributes, parent: SpanContext, startedAt?: number): Span | undefined {
    return this.#recorded(name, this.#api.SpanKind.INTERNAL, attributes, parent, startedAt)
  }

  #recorded(
    name: string,
    kind: SpanKind,
    attributes: Attributes,
    parent: SpanContext | undefined,
    startedAt?: number,
  ): Span | undefined {
    const { ROOT_CONTEXT, trace } = this.#api
    const context = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent)
    const span = this.#start(name, kind, attributes, context, startedAt)
    return span.isRecording() ? span : undefined
  }

  #start(
    name: string,
    kind: SpanKind,
    attributes: Attributes,
    context: ReturnType<OpenTelemetry['context']['active']>,
    startTime?: number,
  ): Span {
    const options = startTime === undefined ? { kind, attributes } : { kind, attributes, startTime }
    return this.#api.trace.getTracer('quorate').startSpan(name, options, context)
  }

  /** Parses the state that other tracing systems keep with a trace. */
  traceState(text: string): TraceState {
    return this.#api.createTraceState(text)
  }
}

/** SpanStatusCode.ERROR, without loading the API. */
const ERROR = 2

/** Ends a span that has failed. `type` is a code: the text of an error could contain a key. */
export function endFailed(span: Span, type: string): void {
  span.setAttribute('error.type', type)
  span.setStatus({ code: ERROR })
  span.end()
}
