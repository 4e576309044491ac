// Lists with more entries than each limit near them: page after page shows each entry, and each once.

import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/index.ts'
import { prefixRange } from '../../src/operations/forms/places.ts'
import { FakeKeys } from './fake-keys.ts'
import { hang, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'
import { type Screen, show, type TinyNode } from './tiny-document.ts'

interface Modules {
  readonly route: { value: object }
  parseRoute(fragment: string): object
  readonly newest: { value: object | undefined }
  readonly self: { value: object | undefined }
}
const node = stubPage()
let page: Modules
let store: FakeKeys
beforeAll(async () => {
  const names = ['route.ts', 'cluster/cluster-view.ts', 'cluster/self.ts']
  page = Object.assign({}, ...(await Promise.all(names.map((name) => load<object>(name)))))
})
beforeEach(() => {
  vi.useFakeTimers()
  store = new FakeKeys()
  node.serve = (request) => store.serve(request)
})
let screen: Screen | undefined
afterEach(async () => {
  await screen?.leave()
  screen = undefined
  page.newest.value = undefined
  page.self.value = undefined
  vi.useRealTimers()
})

/** Names that stand in no other one. */
const name = (at: number): string => `<${String(at).padStart(4, '0')}>`
const names = (count: number): string[] => Array.from({ length: count }, (_, at) => name(at))
const shown = (screen: Screen): string[] => [...screen.text().matchAll(/<\d{4}>/g)].map(([each]) => each)

const hrefOf = (link: TinyNode | undefined): string | undefined => link?.attributes.get('href')

async function open(module: string, fragment: string): Promise<Screen> {
  page.newest.value = { revision: store.revision }
  page.route.value = page.parseRoute(fragment)
  const { Page } = await load<{ Page: unknown }>(module)
  const screen = await show(Page, {})
  await vi.advanceTimersByTimeAsync(1_000)
  return screen
}

/** Follows "Next page" or "Show more" until there is neither. Returns the names on each page. */
async function walk(screen: Screen): Promise<string[]> {
  const all: string[] = []
  for (let step = 0; step < 50; step++) {
    const next = hrefOf(screen.find('a', 'Next page'))
    const more = [...screen.all('button')].find((button) => button.textContent.startsWith('Show more'))
    if (next === undefined && more === undefined) return [...all, ...shown(screen)]
    if (next === undefined) more?.fire('click')
    else {
      all.push(...shown(screen))
      page.route.value = page.parseRoute(next)
    }
    await vi.advanceTimersByTimeAsync(1_000)
  }
  throw new Error('the list has no end')
}

const ITEM = (at: number): string => `999-${String(at).padStart(16, '0')}-ab`
const SAGA = JSON.stringify({ input: 1, status: 'running', steps: [], compensated: [], failure: null })
const KEYS = 'pages/keys/keys.tsx'
const COORDINATION = 'pages/coordination/coordination.tsx'

/** Each list, how an entry of it is written, and how many of them pass its limits. */
const LISTS: readonly {
  readonly of: string
  readonly module: string
  readonly fragment: string
  readonly counts: readonly number[]
  readonly write: (at: number) => void
}[] = [
  {
    ...{ of: 'keys as a list', module: KEYS, fragment: '#/keys?view=list', counts: [99, 100, 101, 250] },
    write: (at) => store.put(name(at)),
  },
  {
    ...{ of: 'keys as a tree', module: KEYS, fragment: '#/keys', counts: [99, 100, 101, 250] },
    write: (at) => store.put(name(at)),
  },
  {
    ...{ of: 'folders of a tree', module: KEYS, fragment: '#/keys', counts: [100, 101, 250] },
    write: (at) => {
      for (let key = 0; key < 3; key++) store.put(`${name(at)}/${key}`)
    },
  },
  ...(['lock', 'election', 'semaphore', 'service'] as const).map((recipe) => ({
    ...{ of: `names of ${recipe}`, module: COORDINATION, fragment: `#/coordination/${recipe}s` },
    ...{
      counts: [100, 101, 201],
      write: (at: number) => void store.put(`${recipe}/${name(at)}/1`, '', '21'),
    },
  })),
  {
    ...{ of: 'locks of two kinds', module: COORDINATION, fragment: '#/coordination/locks' },
    ...{ counts: [100, 101, 201, 250] },
    write: (at) => store.put(at < 101 ? `lock/${name(at)}/1` : `rwlock/${name(at)}/r/1`, '', '21'),
  },
  {
    ...{ of: 'queues', module: COORDINATION, fragment: '#/coordination/queues', counts: [32, 33, 70] },
    write: (at) => store.put(`queue/${name(at)}/item/${ITEM(at)}`, '{"attempts":0}'),
  },
  {
    ...{ of: 'items of a queue', module: COORDINATION, fragment: '#/coordination/queues/x' },
    ...{ counts: [25, 26, 130] },
    write: (at) => {
      store.put(`queue/x/item/${ITEM(at)}`, '{"attempts":0}')
      store.put(`queue/x/value/${ITEM(at)}`, name(at))
    },
  },
  {
    ...{ of: 'failed items of a queue', module: COORDINATION, fragment: '#/coordination/queues/x' },
    ...{ counts: [25, 26, 60] },
    write: (at) => {
      store.put(`queue/x/dead/${ITEM(at)}`, '{"attempts":3,"error":"e"}')
      store.put(`queue/x/value/${ITEM(at)}`, name(at))
    },
  },
  {
    ...{ of: 'instances of a service', module: COORDINATION, fragment: '#/coordination/services/x' },
    ...{ counts: [200, 201, 400] },
    write: (at) => store.put(`service/x/${name(at)}`, '{"url":"http://a"}', '21'),
  },
  {
    ...{ of: 'names of sagas', module: COORDINATION, fragment: '#/coordination/sagas', counts: [20, 21, 50] },
    write: (at) => store.put(`saga/${name(at)}/state/1`, SAGA),
  },
  {
    ...{ of: 'sagas of a name', module: COORDINATION, fragment: '#/coordination/sagas/x' },
    ...{ counts: [100, 101, 250] },
    write: (at) => store.put(`saga/x/state/${name(at)}`, SAGA),
  },
  {
    ...{ of: 'keys of a lease', module: COORDINATION, fragment: '#/coordination/leases/21' },
    ...{ counts: [100, 101, 250] },
    write: (at) => {
      store.leases.set('21', { ttlMs: 3_600_000, endsAt: Date.now() + 3_600_000 })
      store.put(name(at), '', '21')
    },
  },
]

test.each(LISTS)('$of: each is listed once', async ({ module, fragment, counts, write }) => {
  let written = 0
  for (const count of counts) {
    for (; written < count; written++) write(written)
    screen = await open(module, fragment)
    expect(await walk(screen), `${count}`).toEqual(names(count))
    await screen.leave()
  }
})

test('leases: each is listed once, in the order of their ids', async () => {
  for (const count of [100, 101, 250]) {
    for (let at = 0; at < count; at++)
      store.leases.set(String(10_000 + at), { ttlMs: 3_600_000, endsAt: Date.now() + 3_600_000 })
    screen = await open(COORDINATION, '#/coordination/leases')
    const all: string[] = []
    for (let step = 0; step < 10; step++) {
      all.push(...[...screen.text().matchAll(/10\d{3}(?=59 min)/g)].map(([each]) => each))
      const next = hrefOf(screen.find('a', 'Next page'))
      if (next === undefined) break
      page.route.value = page.parseRoute(next)
      await vi.advanceTimersByTimeAsync(1_000)
    }
    expect(all).toEqual(Array.from({ length: count }, (_, at) => String(10_000 + at)))
    await screen.leave()
  }
})

test.each(['#/keys', '#/keys?view=list'])(
  '%s: of parts that a user may read, each key is listed once, wherever a page ends',
  async (fragment) => {
    // Keys of three parts, between which are keys that the user may not read.
    for (const sizes of [
      [100, 3, 3],
      [100, 0, 3],
      [50, 50, 3],
      [99, 1, 3],
      [200, 100, 1],
      [0, 100, 1],
      [101, 99, 2],
    ]) {
      store = new FakeKeys()
      let written = 0
      for (const [part, size] of sizes.entries()) {
        for (let each = 0; each < size; each++) store.put(`${'bdf'[part]}${name(written++)}`)
        store.put(`${'ceg'[part]}<9999>`)
      }
      page.self.value = {
        ...{ enabled: true, revision: 3, user: 'bob', credential: 'token', roles: ['r'] },
        permissions: ['b', 'd', 'f'].map((each) => ({
          access: 'read',
          range: prefixRange(encodeUtf8(each)),
        })),
      }
      screen = await open(KEYS, fragment)
      expect(await walk(screen), sizes.join()).toEqual(names(written))
      await screen.leave()
    }
  },
)

test('a folder that changes while it is read: one more page is that of the store now', async () => {
  for (let at = 0; at < 350; at++) store.put(name(at))
  screen = await open(KEYS, '#/keys')
  for (const gone of [3, 5]) {
    store.delete(name(gone))
    page.newest.value = { revision: store.revision }
    // The page reads again, and its user wants more before the answer.
    const { serve } = node
    node.serve = hang
    await vi.advanceTimersByTimeAsync(2_100)
    node.serve = serve
    const more = [...screen.all('button')].find((button) => button.textContent.startsWith('Show more'))
    more?.fire('click')
    await vi.advanceTimersByTimeAsync(5_000)
    expect(shown(screen)).not.toContain(name(gone))
  }
  expect(shown(screen)).toEqual(
    names(350)
      .filter((_, at) => at !== 3 && at !== 5)
      .slice(0, 300),
  )
})

test.each(['lock', 'election', 'semaphore', 'service', 'queue', 'saga'])(
  'of each %s, only a part may be read: each page says so',
  async (recipe) => {
    for (let at = 0; at < 150; at++) store.put(`${recipe}/a${name(at)}/1`, '', '21')
    page.self.value = {
      ...{ enabled: true, revision: 3, user: 'bob', credential: 'token', roles: ['r'] },
      permissions: [{ access: 'read', range: prefixRange(encodeUtf8(`${recipe}/a`)) }],
    }
    screen = await open(COORDINATION, `#/coordination/${recipe}s`)
    for (;;) {
      expect(screen.text()).toContain(`you may read only keys that begin with ${recipe}/a`)
      const next = hrefOf(screen.find('a', 'Next page'))
      if (next === undefined) break
      page.route.value = page.parseRoute(next)
      await vi.advanceTimersByTimeAsync(1_000)
    }
  },
)
