// The page of a local cluster with two paused nodes, in a browser that has six connections to one origin.

import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { StatusResult } from '../../src/operations/documents/status.ts'
import { asRevision } from '../../src/operations/forms/store.ts'
import { status } from '../../src/operations/status.ts'

const CONNECTIONS = 6
/** Time limits run so many times faster. */
const FASTER = 20

const NODES = ['n1', 'n2', 'n3']
const isPaused = (path: string): boolean => /^\/nodes\/n[12]\//.test(path)
const STATUS: StatusResult = {
  ...{
    name: 'n3',
    version: '1',
    clusterId: '7',
    replicaId: '3',
    role: 'candidate',
    leader: undefined,
    term: 4,
  },
  ...{ commitIndex: 9, appliedIndex: 9, logFirstIndex: 1, revision: asRevision(5), clusterVersion: 1 },
  ...{ stateHash: '', diskFreeBytes: undefined, diskTotalBytes: undefined, certificates: [] },
  ...{ lastBackupAgeMs: undefined, errors: [] },
  members: NODES.map((name, at) => ({
    ...{
      name,
      replicaId: String(at + 1),
      url: `http://${name}`,
      peer: `${name}:1`,
      role: 'voter' as const,
      matchIndex: undefined,
    },
  })),
}

let inFlight = 0
let most = 0
const limits: number[] = []

async function answer(path: string): Promise<Response> {
  const headers = { 'kv-node': 'n3', 'kv-cluster': '7' }
  if (path.startsWith('/nodes/n3/v1/status')) {
    const { body } = status.http.encodeResult(STATUS) as { body: string }
    return new Response(body, { headers })
  }
  return path.startsWith('/nodes/n3/metrics')
    ? new Response('', { headers })
    : new Response('{}', { status: 500 })
}

async function fetchPath(path: string, { signal }: { readonly signal?: AbortSignal }): Promise<Response> {
  most = Math.max(most, ++inFlight)
  try {
    // The stream of events lasts, and a restart is answered when the node is ready.
    if (path.startsWith('/control') || isPaused(path))
      await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    return await answer(path)
  } finally {
    inFlight--
  }
}

interface Modules {
  setEndpoints(endpoints: readonly object[]): void
  readonly consoleHost: { value: unknown }
  readonly members: {
    readonly value: readonly { readonly name: string; readonly error: string | undefined }[]
  }
  keepReading(signal: AbortSignal): Promise<void>
  followControl(signal: AbortSignal): Promise<void>
  control(action: string, body: object): Promise<void>
  runClient(endpoint: object, ended: AbortSignal): Promise<void>
}
// The types of these modules need those of a browser. They read the storage of the tab when they are loaded.
const load = (path: string): Promise<object> => import(path)
let page: Modules
beforeAll(async () => {
  const listen = { addEventListener: () => undefined, removeEventListener: () => undefined }
  vi.stubGlobal('sessionStorage', {
    getItem: () => null,
    setItem: () => undefined,
    removeItem: () => undefined,
  })
  vi.stubGlobal('location', { hash: '', origin: 'http://console' })
  vi.stubGlobal('document', { visibilityState: 'visible', ...listen })
  vi.stubGlobal('fetch', fetchPath)
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    limits.push(ms)
    const limit = new AbortController()
    setTimeout(() => limit.abort(new DOMException('late', 'TimeoutError')), ms / FASTER)
    return limit.signal
  })
  const modules = ['connection', 'console-host', 'cluster-view', 'control'].map((name) =>
    load(`../../web/src/cluster/${name}.ts`),
  )
  page = Object.assign(
    {},
    ...(await Promise.all([...modules, load('../../web/src/pages/faults/clients.ts')])),
  )
})
afterAll(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

test('two paused nodes leave a connection free, and the third one is not called silent', async () => {
  const endpoints = NODES.map((node) => ({ node, base: `/nodes/${node}` }))
  page.setEndpoints(endpoints)
  page.consoleHost.value = {
    kind: 'cluster',
    version: '1',
    nodes: endpoints.map(({ node, base }) => ({ name: node, base })),
  }
  const ended = new AbortController()
  void page.keepReading(ended.signal)
  void page.followControl(ended.signal)
  for (const endpoint of endpoints) void page.runClient(endpoint, ended.signal)
  for (const node of NODES) void page.control('restart', { node })
  const isSilent = (): Record<string, boolean> =>
    Object.fromEntries(page.members.value.map(({ name, error }) => [name, error !== undefined]))
  await expect.poll(isSilent, { timeout: 10_000 }).toEqual({ n1: true, n2: true, n3: false })
  ended.abort()
  expect(most).toBeLessThanOrEqual(CONNECTIONS)
  // The patience of a client at a paused node, as the page promises it.
  expect(limits).toContain(1_000)
  expect(Math.max(...limits)).toBeLessThan(3_000)
})
