// One trace of a write, from the client to the three nodes and back.

import { trace } from '@opentelemetry/api'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { Client } from '../../src/client/index.ts'
import { type Cluster, startCluster } from '../../src/index.ts'
import { forgetSpans, record, spans, stopRecording, traceOf } from './recorded-spans.ts'

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const TRACE = '0af7651916cd43dd8448eb211c80319c'

let cluster: Cluster
let [leader, follower, other] = ['', '', '']
const urlOf = (node: string): string => cluster.node(node).url

beforeAll(async () => {
  record()
  cluster = await startCluster({ nodes: 3 })
  leader = (await cluster.waitForLeader()).name
  ;[follower = '', other = ''] = cluster.nodes.map(({ name }) => name).filter((name) => name !== leader)
})
afterAll(async () => {
  await cluster.close()
  stopRecording()
})
afterEach(forgetSpans)

/** The spans of the entry of a put that came in at `node`, under its proposal. */
const entryOf = (node: string): string[] => [
  `quorate.propose internal ${node}`,
  ...[...[follower, other].map((name) => `  quorate.append internal ${name} follower`)],
  `  quorate.append internal ${leader} leader`,
  ...['n1', 'n2', 'n3'].map((name) => `  quorate.apply internal ${name}`),
  `  quorate.commit internal ${leader} leader`,
]

const indented = (lines: readonly string[], by: string): string[] => {
  const [first = '', ...rest] = lines
  return [`${by}${first}`, ...rest.map((line) => `${by}${line}`).sort()]
}

test('a put over HTTP', async () => {
  const client = new Client({ endpoints: [urlOf(follower)], transport: 'http', discover: false })
  await client.put('secret-key', 'secret-value')
  await client.close()
  const call = await vi.waitUntil(() => spans().find(({ name }) => name === 'quorate.put'))
  expect(await traceOf(call.spanContext().traceId, 10)).toEqual([
    'quorate.put client',
    `  PUT /v1/kv/:key server ${follower}`,
    ...indented(entryOf(follower), '    '),
  ])
  expect(call.attributes).toEqual({
    'db.system.name': 'quorate',
    'db.operation.name': 'put',
    'server.address': '127.0.0.1',
    'server.port': Number(new URL(urlOf(follower)).port),
  })
  const apply = spans().find(({ name }) => name === 'quorate.apply')
  expect(Object.keys(apply?.attributes ?? {}).sort()).toEqual(
    ['quorate.index', 'quorate.node', 'quorate.revision', 'quorate.term'].sort(),
  )
  expect(
    JSON.stringify(spans().map(({ name, attributes, events, status }) => [name, attributes, events, status])),
  ).not.toMatch(/secret/)
})

test('a put over a multiplexed connection, within a span of the application', async () => {
  const client = new Client({ endpoints: cluster.endpoints })
  const isMultiplexed = () => spans().some(({ name }) => name === 'mux put')
  while (!isMultiplexed()) await client.put('a', 'b')
  forgetSpans()
  const traceId = await trace.getTracer('application').startActiveSpan('order', async (span) => {
    await client.put('a', 'c')
    span.end()
    return span.spanContext().traceId
  })
  await client.close()
  expect(await traceOf(traceId, 11)).toEqual([
    'order internal',
    '  quorate.put client',
    `    mux put server ${leader}`,
    ...indented(entryOf(leader), '      '),
  ])
})

test('the header of curl', async () => {
  const headers = { traceparent: PARENT, tracestate: 'vendor=1' }
  await fetch(`${urlOf(leader)}/v1/kv/a`, { method: 'PUT', body: 'x', headers })
  const lines = await traceOf(TRACE, 9)
  expect(lines[0]).toBe(`PUT /v1/kv/:key server ${leader}`)
  expect(spans().map(({ parentSpanContext }) => parentSpanContext?.spanId)).toContain('b7ad6b7169203331')
  expect(spans().map((span) => span.spanContext().traceState?.serialize())).toEqual(
    Array.from({ length: 9 }, () => 'vendor=1'),
  )
})
