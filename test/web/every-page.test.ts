// Promises of every page that reads the store: it shows the changes of others, keeps its data while reads fail, reads
// stale where the user has chosen it, and leaves nothing behind.

import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { FakeKeys } from './fake-keys.ts'
import { problem, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'
import { type Screen, show } from './tiny-document.ts'

interface Modules {
  readonly route: { value: object }
  parseRoute(fragment: string): object
  readonly newest: { value: object | undefined }
  readonly leaderless: { value: boolean }
  readStale(): void
  keepUserToken(name: string, token: string): void
  forgetUserToken(): void
}
const node = stubPage()
let page: Modules
let store: FakeKeys
let screen: Screen | undefined
beforeAll(async () => {
  const names = ['route.ts', 'cluster/cluster-view.ts', 'cluster/connection.ts', 'cluster/freshness.ts']
  page = Object.assign(
    {},
    ...(await Promise.all([...names, 'cluster/credentials.ts'].map((name) => load<object>(name)))),
  )
})
beforeEach(() => {
  vi.useFakeTimers()
  store = new FakeKeys()
  for (const id of ['21', '22']) grant(id)
  node.serve = (request) => store.serve(request)
  node.requests.length = 0
})
afterEach(async () => {
  await screen?.leave()
  screen = undefined
  page.newest.value = undefined
  page.forgetUserToken()
  vi.useRealTimers()
})

const grant = (id: string): void => {
  store.leases.set(id, { ttlMs: 3_600_000, endsAt: Date.now() + 3_600_000 })
}

interface Place {
  readonly name: string
  readonly module: string
  readonly fragment: string
  /** Writes what the page shows at first. */
  readonly before: () => void
  readonly seen: string | RegExp
  /** A change of somebody else, and what the page shows then. */
  readonly change: () => void
  readonly later: string | RegExp
}

const COORDINATION = 'pages/coordination/coordination.tsx'
const KEYS = 'pages/keys/keys.tsx'
const ITEM = (revision: number): string => `999-${String(revision).padStart(16, '0')}-ab`
const SAGA = (status: string): string =>
  JSON.stringify({ input: 1, status, steps: [], compensated: [], failure: null })

const PLACES: readonly Place[] = [
  {
    ...{ name: 'the tree of keys', module: KEYS, fragment: '#/keys' },
    before: () => store.put('seen'),
    ...{ seen: 'seen', change: () => store.put('theirs'), later: 'theirs' },
  },
  {
    ...{ name: 'the list of keys', module: KEYS, fragment: '#/keys?view=list' },
    before: () => store.put('a/seen'),
    ...{ seen: 'a/seen', change: () => store.put('a/theirs'), later: 'a/theirs' },
  },
  {
    ...{ name: 'a key', module: KEYS, fragment: '#/keys/k' },
    before: () => store.put('k', 'seen'),
    ...{ seen: 'seen', change: () => store.put('k', 'theirs'), later: 'theirs' },
  },
  ...(
    [
      ['locks', 'lock'],
      ['elections', 'election'],
      ['semaphores', 'semaphore'],
    ] as const
  ).flatMap(([tab, recipe]): Place[] => [
    {
      ...{ name: `the list of ${tab}`, module: COORDINATION, fragment: `#/coordination/${tab}` },
      before: () => store.put(`${recipe}/seen/1`, '', '21'),
      ...{ seen: /seen.*lease 21/, change: () => store.put(`${recipe}/theirs/1`, '', '22') },
      later: /theirs.*lease 22/,
    },
    {
      ...{ name: `one of ${tab}`, module: COORDINATION, fragment: `#/coordination/${tab}/x` },
      before: () => store.put(`${recipe}/x/1`, '', '21'),
      ...{ seen: '21', change: () => store.put(`${recipe}/x/2`, '', '22'), later: /21.*22/ },
    },
  ]),
  {
    ...{ name: 'the list of queues', module: COORDINATION, fragment: '#/coordination/queues' },
    before: () => store.put(`queue/seen/item/${ITEM(7)}`, '{"attempts":0}'),
    seen: /seen.*after revision 7/,
    change: () => store.put(`queue/theirs/item/${ITEM(8)}`, '{"attempts":0}'),
    later: /theirs.*after revision 8/,
  },
  {
    ...{ name: 'a queue', module: COORDINATION, fragment: '#/coordination/queues/x' },
    before: () => store.put(`queue/x/item/${ITEM(7)}`, '{"attempts":0}'),
    seen: /Items in line.*no value/,
    // A push that has written its item, and then its value.
    change: () => store.put(`queue/x/value/${ITEM(7)}`, 'theirs'),
    later: 'theirs',
  },
  {
    ...{ name: 'an item', module: COORDINATION, fragment: `#/coordination/queues/x?part=${ITEM(7)}` },
    before: () => {
      store.put(`queue/x/item/${ITEM(7)}`, '{"attempts":0}')
      store.put(`queue/x/value/${ITEM(7)}`, 'seen')
    },
    seen: /ready.*seen/,
    change: () => store.put(`queue/x/hold/${ITEM(7)}`, '', '21'),
    later: 'delayed',
  },
  {
    ...{ name: 'the list of services', module: COORDINATION, fragment: '#/coordination/services' },
    before: () => store.put('service/seen/1', '{"url":"http://a"}', '21'),
    ...{ seen: 'seen', change: () => store.put('service/theirs/1', '{"url":"http://b"}', '22') },
    later: 'theirs',
  },
  {
    ...{ name: 'a service', module: COORDINATION, fragment: '#/coordination/services/x' },
    before: () => store.put('service/x/1', '{"url":"http://seen"}', '21'),
    seen: 'http://seen',
    change: () => store.put('service/x/2', '{"url":"http://theirs"}', '22'),
    later: 'http://theirs',
  },
  {
    ...{ name: 'the list of sagas', module: COORDINATION, fragment: '#/coordination/sagas' },
    before: () => store.put('saga/seen/state/1', SAGA('running')),
    ...{ seen: 'seen', change: () => store.put('saga/theirs/state/1', SAGA('running')), later: 'theirs' },
  },
  {
    ...{ name: 'the sagas of a name', module: COORDINATION, fragment: '#/coordination/sagas/x' },
    before: () => store.put('saga/x/state/seen', SAGA('running')),
    ...{ seen: 'seen', change: () => store.put('saga/x/state/theirs', SAGA('running')), later: 'theirs' },
  },
  {
    ...{ name: 'a saga', module: COORDINATION, fragment: '#/coordination/sagas/x?part=o' },
    before: () => store.put('saga/x/state/o', SAGA('running')),
    ...{ seen: 'It is running', change: () => store.put('saga/x/state/o', SAGA('completed')) },
    later: 'It is completed',
  },
  {
    ...{ name: 'the list of leases', module: COORDINATION, fragment: '#/coordination/leases' },
    before: () => {},
    seen: /21.*22/,
    change: () => {
      grant('23')
      store.revision++
    },
    later: /21.*22.*23/,
  },
  {
    ...{ name: 'a lease', module: COORDINATION, fragment: '#/coordination/leases/21' },
    before: () => store.put('seen', '', '21'),
    ...{ seen: 'seen', change: () => store.put('theirs', '', '21'), later: 'theirs' },
  },
]

/** Time within which a page shows what it reads, also after reads that have failed. */
const SHOWN_MS = 8_000

async function open({ module, fragment, before }: Place): Promise<Screen> {
  before()
  page.newest.value = { revision: store.revision }
  page.route.value = page.parseRoute(fragment)
  const { Page } = await load<{ Page: unknown }>(module)
  screen = await show(Page, {})
  await vi.advanceTimersByTimeAsync(SHOWN_MS)
  return screen
}
/** The page learns of the newest revision. */
async function learn(): Promise<void> {
  page.newest.value = { revision: store.revision }
  await vi.advanceTimersByTimeAsync(SHOWN_MS)
}
const match = (text: string | RegExp) =>
  typeof text === 'string' ? expect.stringContaining(text) : expect.stringMatching(text)

describe.each(PLACES)('$name', (place) => {
  test('shows what others change, also after reads that have failed, and keeps what it has until then', async () => {
    const opened = await open(place)
    expect(opened.text()).toEqual(match(place.seen))
    expect(opened.text()).not.toEqual(match(place.later))
    for (let time = 1; time <= 2; time++) {
      node.serve = () => problem('overloaded', 429)
      if (time === 1) place.change()
      store.revision++
      await learn()
      await vi.advanceTimersByTimeAsync(60_000)
      expect(opened.text()).toContain('is overloaded')
      expect(opened.text()).toEqual(match(time === 1 ? place.seen : place.later))
      node.serve = (request) => store.serve(request)
      // The store is quiet.
      await vi.advanceTimersByTimeAsync(SHOWN_MS)
      expect(opened.text()).not.toContain('is overloaded')
      expect(opened.text()).toEqual(match(place.later))
    }
  })

  test('reads again when somebody logs in, and leaves nothing behind', async () => {
    const opened = await open(place)
    node.requests.length = 0
    page.keepUserToken('ann', 'token-of-ann')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(node.requests.length).toBeGreaterThan(0)
    for (const { headers } of node.requests) expect(headers.Authorization).toBe('Bearer token-of-ann')
    await opened.leave()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(vi.getTimerCount()).toBe(0)
    node.requests.length = 0
    store.revision++
    await learn()
    expect(node.requests).toEqual([])
  })

  test('reads stale while the user wants it, and from a leader as soon as there is one', async () => {
    const opened = await open(place)
    for (let time = 1; time <= 2; time++) {
      page.leaderless.value = true
      node.serve = (request) =>
        /consistency=stale/.test(request.path) ? store.serve(request) : problem('no_leader', 503)
      store.revision++
      await learn()
      expect(opened.text()).toContain('is no_leader')
      page.readStale()
      if (time === 1) place.change()
      node.requests.length = 0
      await learn()
      expect(opened.text()).not.toContain('is no_leader')
      expect(opened.text()).toEqual(match(place.later))
      expect(node.requests.filter(({ path }) => !/consistency=stale/.test(path))).toEqual([])
      node.serve = (request) => store.serve(request)
      node.requests.length = 0
      page.leaderless.value = false
      await vi.advanceTimersByTimeAsync(1_000)
      expect(node.requests.length).toBeGreaterThan(0)
      expect(node.requests.filter(({ path }) => /consistency=stale/.test(path))).toEqual([])
    }
  })
})
