// One trace of a write, from the client to the three nodes and back.

import { trace } from '@opentelemetry/api'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Client } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'
import { forgetSpans, record, spans, stopRecording, traceOf } from './recorded-spans.ts'

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const TRACE = '0af7651916cd43dd8448eb211c80319c'

let cluster: EmbeddedCluster
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

const textOf = (all: ReturnType<typeof spans>): string =>
  JSON.stringify(all.map(({ name, attributes, events, status }) => [name, attributes, events, status]))

const indented = (lines: readonly string[], by: string): string[] => {
  const [first = '', ...rest] = lines
  return [`${by}${first}`, ...rest.map((line) => `${by}${line}`).sort()]
}

test('a put over HTTP', async () => {
  const client = new Client({
    endpoints: [urlOf(follower)],
    transport: 'http',
    discover: false,
    timeoutMs: 60_000,
  })
  await client.put('secret-key', 'secret-value')
  await client.close()
  const [call] = spans().filter(({ name }) => name === 'quorate.put')
  if (call === undefined) throw new Error('no span of the call')
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
  expect(textOf(spans())).not.toMatch(/secret/)
})

test('a put over a multiplexed connection, within a span of the application', async () => {
  const client = new Client({ endpoints: cluster.endpoints, timeoutMs: 60_000 })
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
  const headers = { traceparent: PARENT, tracestate: 'vendor=1', authorization: 'Bearer secret' }
  await fetch(`${urlOf(leader)}/v1/kv/secret?prev=true`, { method: 'PUT', body: 'secret', headers })
  const lines = await traceOf(TRACE, 9)
  expect(lines[0]).toBe(`PUT /v1/kv/:key server ${leader}`)
  const found = spans().filter((span) => span.spanContext().traceId === TRACE)
  expect(found.map(({ parentSpanContext }) => parentSpanContext?.spanId)).toContain('b7ad6b7169203331')
  expect(found.map((span) => span.spanContext().traceState?.serialize())).toEqual(
    Array.from({ length: 9 }, () => 'vendor=1'),
  )
  expect(textOf(found)).not.toMatch(/secret/)
})
