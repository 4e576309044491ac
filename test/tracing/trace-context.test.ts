// traceparent and tracestate, read strictly: a field that is not valid is ignored.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { traceContextFrom, traceHeaders } from '../../src/tracing/trace-context.ts'
import { type Tracer, tracer } from '../../src/tracing/tracer.ts'
import { record, stopRecording } from './recorded-spans.ts'

const [TRACE, SPAN] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331']

let recording: Tracer
beforeAll(() => {
  expect(tracer()).toBe(undefined)
  record()
  const found = tracer()
  if (found === undefined) throw new Error('nobody records')
  recording = found
})
afterAll(() => {
  stopRecording()
  expect(tracer()).toBe(undefined)
})

test.each([
  [`00-${TRACE}-${SPAN}-01`, 1],
  [`00-${TRACE}-${SPAN}-00`, 0],
  [`00-${TRACE}-${SPAN}-03`, 1],
  [`01-${TRACE}-${SPAN}-01-later-fields`, 1],
])('reads %s', (traceparent, traceFlags) => {
  const context = traceContextFrom(recording, traceparent, 'a=1,b=2')
  expect(context).toMatchObject({ traceId: TRACE, spanId: SPAN, traceFlags, isRemote: true })
  expect(context && traceHeaders(context)).toEqual({
    traceparent: `00-${TRACE}-${SPAN}-0${traceFlags}`,
    tracestate: 'a=1,b=2',
  })
})

test.each([
  undefined,
  7,
  '',
  `00-${TRACE}-${SPAN}`,
  `00-${TRACE}-${SPAN}-01-more`,
  `00-${TRACE}-${SPAN}-1`,
  `ff-${TRACE}-${SPAN}-01`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${'0'.repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${'0'.repeat(16)}-01`,
  ` 00-${TRACE}-${SPAN}-01`,
  `01-${TRACE}-${SPAN}-01-${'x'.repeat(300)}`,
])('ignores %j', (traceparent) => {
  expect(traceContextFrom(recording, traceparent, 'a=1')).toBe(undefined)
})

test.each([7, '', 'x'.repeat(513), 'no pair'])('ignores the state %j', (tracestate) => {
  const context = traceContextFrom(recording, `00-${TRACE}-${SPAN}-01`, tracestate)
  expect(context && traceHeaders(context).tracestate).toBe('')
})
