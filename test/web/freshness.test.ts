// Stale reads while there is no leader: the user chooses them, they say how old they are, and they end by themselves.

import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { get } from '../../src/operations/get.ts'
import { answer, problem, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'

interface Modules {
  readonly leaderless: { value: boolean }
  readonly newestStale: { value: object | undefined }
  readonly readsStale: { readonly value: boolean }
  setEndpoints(endpoints: readonly { readonly node: string; readonly base: string }[]): void
  run(operation: typeof get, request: object, options?: object): Promise<{ readonly result: unknown }>
  checkLeader(): Promise<void>
  readStale(): void
  pageFreshness(): object
}
const node = stubPage()
let page: Modules
/** Endpoints of nodes that know no leader. */
let cutOff: ReadonlySet<string>
beforeAll(async () => {
  page = Object.assign(
    {},
    ...(await Promise.all(['cluster/connection.ts', 'cluster/freshness.ts'].map((name) => load(name)))),
  )
})
beforeEach(() => {
  page.setEndpoints([{ node: 'n1', base: '' }])
  cutOff = new Set(['n1'])
  node.requests.length = 0
  node.serve = ({ path }) => {
    const name = /^\/nodes\/(\w+)/.exec(path)?.[1] ?? 'n1'
    if (/consistency=stale/.test(path))
      return answer(ROW, { 'kv-consistency': 'stale', 'kv-staleness-ms': '1500', 'kv-node': name })
    if (cutOff.has(name)) return problem('no_leader', 503)
    return answer(ROW, { 'kv-consistency': 'linearizable', 'kv-node': name })
  }
})
afterEach(() => {
  page.leaderless.value = false
})

const ROW = { key: 'k', value: 'v', version: 1, create_revision: 4, mod_revision: 4 }
const read = () =>
  page.run(get, { kind: 'get', key: new Uint8Array([0x6b]), freshness: page.pageFreshness() })
const paths = () => node.requests.map(({ path }) => path.replace(/[?&]timeout=\w+/, ''))

test('without a leader the user may read what the node has, and is shown how old it is', async () => {
  await expect(read()).rejects.toThrow('is no_leader')
  expect([page.leaderless.value, page.readsStale.value]).toEqual([true, false])
  page.readStale()
  expect(page.readsStale.value).toBe(true)
  await read()
  expect(page.newestStale.value).toMatchObject({ node: 'n1', ageMs: 1_500 })
  expect(paths()).toEqual(['/v1/kv/k', '/v1/kv/k?consistency=stale'])
})

test('reads are fresh again as soon as one is served, and the next loss of the leader asks the user anew', async () => {
  for (let time = 1; time <= 2; time++) {
    cutOff = new Set(['n1'])
    await expect(read()).rejects.toThrow('is no_leader')
    expect(page.readsStale.value).toBe(false)
    page.readStale()
    await read()
    // The status of the node names a leader that it cannot reach: the user keeps what he sees.
    await page.checkLeader()
    expect(page.readsStale.value).toBe(true)
    cutOff = new Set()
    await page.checkLeader()
    expect([page.leaderless.value, page.readsStale.value]).toEqual([false, false])
    await read()
    expect(paths().at(-1)).toBe('/v1/kv/k')
  }
})

test('a read that a leader refuses shows that there is one', async () => {
  await read().catch(() => undefined)
  page.readStale()
  node.serve = () => problem('permission_denied', 403)
  await page.checkLeader()
  expect(page.leaderless.value).toBe(false)
  node.requests.length = 0
  await page.checkLeader()
  expect(node.requests).toEqual([])
})

test('in a local cluster the next read goes to a node on the side of the leader', async () => {
  page.setEndpoints(['n1', 'n2'].map((name) => ({ node: name, base: `/nodes/${name}` })))
  await expect(read()).rejects.toThrow('is no_leader')
  await read()
  expect(paths()).toEqual(['/nodes/n1/v1/kv/k', '/nodes/n2/v1/kv/k'])
  expect(page.leaderless.value).toBe(false)
})

test('what one node answers to a client that asks only it says nothing of the reads of the page', async () => {
  const endpoints = ['n1', 'n2'].map((name) => ({ node: name, base: `/nodes/${name}` }))
  page.setEndpoints(endpoints)
  const readAt = (at: number, freshness: object = {}) =>
    page.run(get, { kind: 'get', key: new Uint8Array([0x6b]), freshness }, { endpoint: endpoints[at] })
  // n1 is cut off, and its client is refused: the page reads at n2.
  await expect(readAt(0)).rejects.toThrow('is no_leader')
  expect(page.leaderless.value).toBe(false)
  // No node reaches a leader, and the user reads stale: one client is still served, or is again.
  cutOff = new Set(['n1', 'n2'])
  await expect(read()).rejects.toThrow('is no_leader')
  page.readStale()
  await read()
  const seen = page.newestStale.value
  cutOff = new Set(['n1'])
  await readAt(1)
  await readAt(1, { consistency: 'stale' })
  expect(page.readsStale.value).toBe(true)
  expect(page.newestStale.value).toBe(seen)
})
