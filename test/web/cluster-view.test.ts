// The cluster as the page knows it, from members that disagree, fall silent, and start again.

import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import type { StatusResult } from '../../src/operations/documents/status.ts'
import { asRevision } from '../../src/operations/forms/store.ts'
import { OPERATIONS } from '../../src/operations/index.ts'
import { status } from '../../src/operations/status.ts'
import { hang, type SentRequest, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'

interface Member {
  readonly name: string
  readonly error: string | undefined
  readonly silentSince: number | undefined
  readonly load: { readonly writesPerSecond: number; readonly readsPerSecond: number } | undefined
}
interface Modules {
  readonly members: { value: readonly Member[] }
  readonly newest: { value: StatusResult | undefined }
  readonly history: { value: readonly { readonly writesPerSecond: number; readonly writeP99?: number }[] }
  readonly leaderChanges: { value: readonly { readonly term: number; readonly leader: string | undefined }[] }
  readonly contact: { value: { readonly state: string; readonly since?: number } }
  readonly consoleHost: { value: object | undefined }
  readonly controlState: { value: object | undefined }
  keepReading(signal: AbortSignal): Promise<void>
  setEndpoints(endpoints: readonly object[]): void
  shownState(name: string): string
}

const NODES = ['n1', 'n2', 'n3']
const BASE: StatusResult = {
  ...{ name: 'n1', version: '1', clusterId: '7', replicaId: '1', role: 'follower', leader: 'n1', term: 4 },
  ...{ commitIndex: 9, appliedIndex: 9, logFirstIndex: 1, revision: asRevision(5), clusterVersion: 1 },
  ...{ stateHash: '', diskFreeBytes: undefined, diskTotalBytes: undefined, certificates: [] },
  ...{ lastBackupAgeMs: undefined, errors: [] },
  members: NODES.map((name, at) => ({
    ...{ name, replicaId: String(at + 1), url: `http://${name}`, peer: `${name}:1` },
    ...{ role: 'voter' as const, matchIndex: undefined },
  })),
}

const node = stubPage()
let page: Modules
/** Parts of the status of each node. */
let said: Record<string, Partial<StatusResult>>
let metrics: Record<string, string>
let silent: Set<string>
let reading: AbortController
beforeAll(async () => {
  const names = ['connection', 'console-host', 'cluster-view', 'control'].map((name) => `cluster/${name}.ts`)
  page = Object.assign(
    {},
    ...(await Promise.all([...names, 'pages/faults/act.ts'].map((name) => load<object>(name)))),
  )
})
beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000_000_000 })
  page.members.value = []
  page.newest.value = undefined
  page.history.value = []
  page.leaderChanges.value = []
  page.contact.value = { state: 'open' }
  const endpoints = NODES.map((name) => ({ node: name, base: `/nodes/${name}` }))
  page.setEndpoints(endpoints)
  page.consoleHost.value = {
    kind: 'cluster',
    version: '1',
    nodes: endpoints.map(({ node: name, base }) => ({ name, base })),
  }
  said = { n1: { role: 'leader' } }
  metrics = {}
  silent = new Set()
  node.serve = serve
  reading = new AbortController()
})
afterEach(async () => {
  reading.abort()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(vi.getTimerCount()).toBe(0)
  page.consoleHost.value = undefined
  page.controlState.value = undefined
  vi.useRealTimers()
})

function serve(request: SentRequest): Response | Promise<Response> {
  const [, name = '', path] = /^\/nodes\/(\w+)(.*)$/.exec(request.path) ?? []
  if (silent.has(name)) return hang(request)
  const headers = { 'kv-node': name, 'kv-cluster': '7' }
  if (path?.startsWith('/metrics')) return new Response(metrics[name] ?? '', { headers })
  const { body } = status.http.encodeResult({ ...BASE, name, ...said[name] }) as { body: string }
  return new Response(body, { headers })
}

const begin = async (): Promise<void> => {
  void page.keepReading(reading.signal)
  await vi.advanceTimersByTimeAsync(1_500)
}
const member = (name: string) => page.members.value.find((each) => each.name === name)

test.each([
  ['n1', 'n2'],
  ['n2', 'n1'],
  ['n3', 'n1'],
  ['n1', 'n3'],
])('of two that say that they lead, the one of the newer term does: old %s, new %s', async (old, leading) => {
  said = {
    ...Object.fromEntries(NODES.map((name) => [name, { leader: old, term: 4 }])),
    [old]: { role: 'leader', leader: old, term: 4, revision: asRevision(8) },
    [leading]: { role: 'leader', leader: leading, term: 5, revision: asRevision(7) },
  }
  await begin()
  expect(page.newest.value).toMatchObject({ name: leading, term: 5, revision: 7 })
  expect(page.leaderChanges.value).toMatchObject([{ term: 5, leader: leading }])
})

test('a member that is silent twice is so since the second time', async () => {
  await begin()
  const began = () => (member('n3')?.silentSince ?? 0) - 1_000_000_000_000
  for (let time = 1; time <= 2; time++) {
    const at = Date.now() - 1_000_000_000_000
    silent.add('n3')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(member('n3')?.error).toBeDefined()
    expect(began()).toBeGreaterThan(at)
    expect(began()).toBeLessThan(at + 6_000)
    silent.delete('n3')
    await vi.advanceTimersByTimeAsync(5_000)
    expect(member('n3')).toMatchObject({ error: undefined, silentSince: undefined })
  }
})

test('contact that is lost twice is lost since the second time', async () => {
  await begin()
  for (let time = 1; time <= 2; time++) {
    const at = Date.now()
    silent = new Set(NODES)
    await vi.advanceTimersByTimeAsync(60_000)
    const { state, since = 0 } = page.contact.value
    expect(state).toBe('lost')
    expect(since - at).toBeGreaterThan(0)
    expect(since - at).toBeLessThan(15_000)
    silent = new Set()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(page.contact.value).toEqual({ state: 'open' })
    expect(member('n1')?.error).toBeUndefined()
  }
})

test('the leaders of a term are listed once, also when one comes again', async () => {
  await begin()
  for (const [term, leader] of [
    [5, 'n2'],
    [5, 'n2'],
    [6, undefined],
    [7, 'n1'],
    [8, 'n2'],
  ] as const) {
    said = Object.fromEntries(
      NODES.map((name) => [
        name,
        { term, leader, role: name === leader ? ('leader' as const) : ('follower' as const) },
      ]),
    )
    await vi.advanceTimersByTimeAsync(3_000)
  }
  expect(page.leaderChanges.value.map(({ term, leader }) => [term, leader])).toEqual([
    ...[[4, 'n1'] as const, [5, 'n2'] as const, [6, undefined] as const],
    ...[[7, 'n1'] as const, [8, 'n2'] as const],
  ])
})

test.each([
  ['an hour', 61, [[5, 'n2']]],
  ['three hours', 3 * 60, [[5, 'n2']]],
  ['half an hour', 30, [[5, 'n2']]],
])('a change of leader after %s of rest stands behind the leader before it', async (_, minutes, later) => {
  await begin()
  // A page that nobody sees reads less often.
  const { document } = globalThis as unknown as { readonly document: object }
  vi.stubGlobal('document', { ...document, visibilityState: 'hidden' })
  await vi.advanceTimersByTimeAsync(minutes * 60_000)
  said = Object.fromEntries(
    NODES.map((name) => [name, { term: 5, leader: 'n2', role: name === 'n2' ? 'leader' : 'follower' }]),
  )
  await vi.advanceTimersByTimeAsync(30_000)
  vi.stubGlobal('document', document)
  const changes = page.leaderChanges.value.map(({ term, leader }) => [term, leader])
  expect(changes).toEqual([[4, 'n1'], ...later])
})

/** The text of a counter, and of a histogram in which all took less than 10 ms. */
const counted = (metric: string, label: string, name: string, count: number): string =>
  [
    `quorate_${metric}s_total{${label}="${name}",status="200"} ${count}`,
    `quorate_${metric}_duration_seconds_bucket{${label}="${name}",le="0.01"} ${count}`,
    `quorate_${metric}_duration_seconds_bucket{${label}="${name}",le="+Inf"} ${count}`,
  ].join('\n')

/** The load that a client makes by one kind of operation, ten times in a second, as the page shows it. */
async function loadOf(metric: string, label: string, name: string): Promise<'write' | 'read' | 'none'> {
  let count = 100
  const timer = setInterval(() => {
    count += 10
    metrics.n2 = counted(metric, label, name, count)
  }, 1_000)
  metrics.n2 = counted(metric, label, name, count)
  await vi.advanceTimersByTimeAsync(10_000)
  clearInterval(timer)
  const { writesPerSecond = 0, readsPerSecond = 0 } = member('n2')?.load ?? {}
  const sum = writesPerSecond + readsPerSecond
  if (sum > 0) expect(sum).toBeCloseTo(10, 0)
  return writesPerSecond > 0 ? 'write' : readsPerSecond > 0 ? 'read' : 'none'
}

test('each operation on keys that has a name in the metrics counts as what it is', async () => {
  await begin()
  const labels = new Map(
    Object.values(OPERATIONS).flatMap(({ label, effect }) =>
      label === 'other' ? [] : [[label, effect] as const],
    ),
  )
  expect([...labels.keys()].sort()).toEqual(['batch', 'delete', 'get', 'put', 'range'])
  for (const [label, effect] of labels)
    expect(await loadOf('http_request', 'operation', label), label).toBe(effect === 'read' ? 'read' : 'write')
})

test.each([
  ['KV/Put', 'write'],
  ['KV/DeleteRange', 'write'],
  ['KV/Txn', 'write'],
  ['KV/Range', 'read'],
  ['Watch/Watch', 'none'],
])('calls of clients of etcd count: %s', async (rpc, kind) => {
  await begin()
  expect(await loadOf('grpc_call', 'rpc', rpc)).toBe(kind)
  if (kind === 'write') expect(page.history.value.at(-1)?.writeP99).toBeLessThanOrEqual(0.01)
})

test('a node that starts again, twice, shows no load below zero and no jump', async () => {
  metrics.n2 = counted('http_request', 'operation', 'put', 1_000)
  await begin()
  for (const count of [1_010, 1_020, 3, 13, 2, 12]) {
    metrics.n2 = counted('http_request', 'operation', 'put', count)
    await vi.advanceTimersByTimeAsync(1_000)
    const rate = member('n2')?.load?.writesPerSecond ?? 0
    expect(rate).toBeGreaterThanOrEqual(0)
    expect(rate).toBeLessThan(50)
  }
})

test.each([
  ['running', 'leader', 'leader'],
  ['paused', 'leader', 'paused'],
  ['killed', 'leader', 'down'],
  ['stopped', 'leader', 'down'],
  ['running', 'follower', 'follower'],
  ['killed', 'follower', 'down'],
  ['running', 'silent', 'down'],
  ['paused', 'silent', 'paused'],
] as const)('the supervisor says %s, and the last read %s: the mark says %s', async (state, read, mark) => {
  if (read === 'silent') silent.add('n2')
  else if (read === 'leader') said = { n2: { role: 'leader', leader: 'n2' } }
  await begin()
  await vi.advanceTimersByTimeAsync(5_000)
  page.controlState.value = { nodes: [{ name: 'n2', state, url: '' }], links: [] }
  expect(page.shownState('n2')).toBe(mark)
})
