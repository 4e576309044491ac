// The spans of entries on three shipped drivers, in virtual time.

import { trace } from '@opentelemetry/api'
import { afterEach, expect, test } from 'vitest'
import type { Request } from '../../src/kv/index.ts'
import { ENTRY_TRACES_MAX, EntryTraces } from '../../src/server/node/entry-traces.ts'
import { ThreeNodes } from '../server/cost/three-nodes.ts'
import { record, spans, stopRecording, treeOf } from './recorded-spans.ts'

const put = (key: string): Request => ({
  command: {
    kind: 'put',
    key: Buffer.from(key),
    value: Buffer.from('v'),
    condition: undefined,
    prev: false,
    lease: undefined,
  },
  idempotency: undefined,
  principal: '',
  authRevision: undefined,
})

afterEach(stopRecording)

/** Proposes each of these within a span of its own, in one turn, until the whole cluster is at rest. */
function propose(cluster: ThreeNodes, node: (typeof cluster.nodes)[number], ...keys: string[]): void {
  const roots = keys.map((key) => trace.getTracer('test').startSpan(`request ${key}`))
  let answers = 0
  for (const [at, key] of keys.entries())
    node.driver.propose(put(key), 1_000, () => answers++, roots[at]?.spanContext())
  cluster.until(() => answers === keys.length)
  cluster.advance(1_000)
  for (const root of roots) root.end()
}

test('changes that share an entry: it belongs to the first trace, to which the others have a link', () => {
  const cluster = new ThreeNodes()
  record()
  const leader = cluster.leader.member.name
  const [a, b] = cluster.followers.map(({ member }) => member.name)
  propose(cluster, cluster.leader, 'x', 'y')
  expect(treeOf(spans())).toEqual([
    'request x internal',
    `  quorate.propose internal ${leader}`,
    ...[
      `    quorate.append internal ${leader} leader`,
      ...[a, b].map((name) => `    quorate.append internal ${name} follower`),
    ].sort(),
    ...['n1', 'n2', 'n3'].map((name) => `    quorate.apply internal ${name}`),
    `    quorate.commit internal ${leader} leader`,
    'request y internal',
    `  quorate.propose internal ${leader}`,
  ])
  const [first, second] = spans().filter(({ name }) => name === 'quorate.propose')
  expect(second?.links.map(({ context }) => context)).toEqual([first?.spanContext()])
})

test('a follower forwards the trace of a change', () => {
  const cluster = new ThreeNodes()
  record()
  const [follower] = cluster.followers
  if (follower === undefined) throw new Error('no follower')
  propose(cluster, follower, 'x')
  expect(treeOf(spans()).slice(0, 2)).toEqual([
    'request x internal',
    `  quorate.propose internal ${follower.member.name}`,
  ])
  expect(spans()).toHaveLength(1 + 1 + 3 + 1 + 3)
  // With the proposal to the leader, and with the entry to both followers.
  expect(cluster.leader.spent.messages.get('traces')).toBe(2)
  expect(follower.spent.messages.get('traces')).toBe(1)
})

test('nobody records: no frame of a message has a trace', () => {
  const cluster = new ThreeNodes()
  propose(cluster, cluster.leader, 'x')
  expect(cluster.nodes.map(({ spent }) => spent.messages.get('traces'))).toEqual([
    undefined,
    undefined,
    undefined,
  ])
})

test('an entry without a majority: its spans end with the error of its caller', () => {
  const cluster = new ThreeNodes()
  record()
  const { leader } = cluster
  for (const node of cluster.followers) node.driver.crash()
  const root = trace.getTracer('test').startSpan('request')
  let problem = ''
  leader.driver.propose(
    put('x'),
    500,
    (result) => {
      problem = result.ok ? 'none' : result.problem.code
    },
    root.spanContext(),
  )
  cluster.until(() => problem !== '')
  root.end()
  expect(treeOf(spans())).toEqual([
    'request internal',
    `  quorate.propose internal ${leader.member.name} outcome_unknown ERROR`,
    `    quorate.append internal ${leader.member.name} leader`,
    `    quorate.commit internal ${leader.member.name} leader outcome_unknown ERROR`,
  ])
})

test('proposals that never arrive are forgotten', () => {
  record()
  const traces = new EntryTraces({ name: 'n1', replicaId: '1', boot: 1 })
  const span = trace.getTracer('test').startSpan('request')
  for (let seq = 1; seq <= 3 * ENTRY_TRACES_MAX; seq++) traces.proposed(seq, span)
  for (let seq = 1; seq <= 2 * ENTRY_TRACES_MAX; seq++) traces.failed(seq, 'outcome_unknown')
  expect(traces.isEmpty).toBe(false)
  for (let seq = 2 * ENTRY_TRACES_MAX + 1; seq <= 3 * ENTRY_TRACES_MAX; seq++) traces.failed(seq, 'no_leader')
  expect(traces.isEmpty).toBe(true)
})

test('a peer that sends names of proposals that no node makes, or contexts that are none, takes no memory', () => {
  record()
  const traces = new EntryTraces({ name: 'n1', replicaId: '1', boot: 1 })
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
  traces.received([
    { proposal: '2/1/1', traceparent: 'x', tracestate: '' },
    { proposal: '2'.repeat(2 ** 20), traceparent, tracestate: '' },
  ])
  expect(traces.isEmpty).toBe(true)
  traces.received([{ proposal: '2/1/1', traceparent, tracestate: 'x'.repeat(2 ** 20) }])
  expect(traces.isEmpty).toBe(false)
})
