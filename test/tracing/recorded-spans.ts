// OpenTelemetry's SDK in this process, with the spans that it has recorded.

import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { vi } from 'vitest'

const exporter = new InMemorySpanExporter()

/** From here on this process records. */
export function record(): void {
  trace.setGlobalTracerProvider(
    new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }),
  )
  context.setGlobalContextManager(new AsyncLocalStorageContextManager())
}

/** From here on it does not. */
export function stopRecording(): void {
  trace.disable()
  context.disable()
  exporter.reset()
}

export const spans = (): readonly ReadableSpan[] => exporter.getFinishedSpans()

export const forgetSpans = (): void => exporter.reset()

/** Waits for as many ended spans of a trace, and returns the trace. */
export async function traceOf(traceId: string, count: number): Promise<readonly string[]> {
  const found = () => spans().filter((span) => span.spanContext().traceId === traceId)
  await vi.waitUntil(() => found().length >= count, { timeout: 60_000, interval: 5 })
  return treeOf(found())
}

/** A line for each span, children behind their parents with more indent, in the order of their text. */
export function treeOf(all: readonly ReadableSpan[]): readonly string[] {
  const ids = new Set(all.map((span) => span.spanContext().spanId))
  const under = (parent: string | undefined, indent: string): string[] =>
    all
      .filter(({ parentSpanContext }) => {
        const id = parentSpanContext?.spanId
        return id === undefined || !ids.has(id) ? parent === undefined : id === parent
      })
      .map((span) => [`${indent}${lineOf(span)}`, ...under(span.spanContext().spanId, `${indent}  `)])
      .sort(([a = ''], [b = '']) => (a < b ? -1 : 1))
      .flat()
  return under(undefined, '')
}

function lineOf({ name, kind, attributes, status }: ReadableSpan): string {
  const node = attributes['quorate.node']
  const role = attributes['quorate.role']
  const parts = [name, KINDS[kind], node, role, attributes['error.type']]
  if (status.code === 2) parts.push('ERROR')
  return parts.filter((part) => part !== undefined).join(' ')
}

const KINDS = ['internal', 'server', 'client']
