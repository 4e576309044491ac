// Changes of a key in the gap between what the user saw and what the user confirms.

import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/index.ts'
import { stubPage } from './fake-node.ts'
import { FakeStore, KEY } from './fake-store.ts'
import { load } from './page-modules.ts'
import { type Screen, show } from './tiny-document.ts'

const node = stubPage()
let store: FakeStore
let KeyDetail: unknown
let newest: { value: object | undefined }
beforeAll(async () => {
  ;({ KeyDetail } = await load<{ KeyDetail: unknown }>('pages/keys/key-detail.tsx'))
  ;({ newest } = await load<{ newest: typeof newest }>('cluster/cluster-view.ts'))
})
beforeEach(() => {
  vi.useFakeTimers()
  store = new FakeStore()
  node.serve = (request) => store.serve(request)
})
let screen: Screen
afterEach(async () => {
  await screen.leave()
  newest.value = undefined
  vi.useRealTimers()
})

const place = (tab: 'value' | 'history') => ({
  key: encodeUtf8(KEY),
  ...{ tab, revision: undefined, view: 'tree', prefix: '', after: undefined },
})
/** The page learns of another revision, and reads again. */
async function notice(): Promise<void> {
  newest.value = { revision: store.revision }
  await vi.advanceTimersByTimeAsync(5_000)
}

interface Dialog {
  readonly name: string
  readonly tab: 'value' | 'history'
  /** Makes the content of the store. */
  readonly before: (store: FakeStore) => void
  readonly open: (screen: Screen) => Promise<void>
  readonly refusal: RegExp
  /** The value when nobody else has changed the key. */
  readonly done: string | undefined
}

const DIALOGS: readonly Dialog[] = [
  {
    name: 'delete',
    tab: 'value',
    before: (store) => store.put('seen'),
    open: (screen) => screen.click('Delete'),
    refusal: /Nothing was deleted: the key has changed/,
    done: undefined,
  },
  {
    name: 'edit',
    tab: 'value',
    before: (store) => store.put('seen'),
    open: async (screen) => {
      await screen.click('Edit')
      await screen.type('textarea', 'mine')
    },
    refusal: /Nothing was written: the key (has changed|was deleted) meanwhile/,
    done: 'mine',
  },
  {
    name: 'create',
    tab: 'value',
    before: () => {},
    open: async (screen) => {
      await screen.click('Create')
      await screen.type('textarea', 'mine')
    },
    refusal: /Nothing was written: the key has changed meanwhile/,
    done: 'mine',
  },
  {
    name: 'put an old version back',
    tab: 'history',
    before: (store) => {
      store.put('old')
      store.put('seen')
    },
    open: (screen) => screen.click('Put this version back'),
    refusal: /Nothing was written: the key has changed/,
    done: 'old',
  },
  {
    name: 'put a version back after a deletion',
    tab: 'history',
    before: (store) => {
      store.put('old')
      store.delete()
    },
    open: (screen) => screen.click('Put this version back'),
    refusal: /Nothing was written: the key has changed/,
    done: 'old',
  },
]

/** Acts of somebody else. */
const OTHERS: readonly (readonly [name: string, change: (store: FakeStore) => void])[] = [
  ['writes the key', (store) => store.put('theirs')],
  [
    'writes it, and deletes it, and writes it again',
    (store) => {
      store.put('theirs')
      store.delete()
      store.put('theirs')
    },
  ],
]

describe.each(DIALOGS)('$name', ({ tab, before, open, refusal, done }) => {
  beforeEach(async () => {
    before(store)
    newest.value = { revision: store.revision }
    screen = await show(KeyDetail, { place: place(tab) })
    await vi.advanceTimersByTimeAsync(1_000)
  })

  test('the key is as it was seen: the change is made', async () => {
    await open(screen)
    await screen.submit()
    await vi.advanceTimersByTimeAsync(5_000)
    expect(store.value).toBe(done)
  })

  test.each(OTHERS)('while the dialog is open, somebody %s: nothing of it is lost', async (_, change) => {
    await open(screen)
    change(store)
    // The page reads the key again under the dialog. The dialog stays about what the user saw.
    await notice()
    await screen.submit()
    await vi.advanceTimersByTimeAsync(5_000)
    expect(screen.text()).toMatch(refusal)
    expect(store.value).toBe('theirs')
  })

  test('the first answer is lost, and somebody writes: the change was made once, and theirs stays', async () => {
    let lost = 1
    node.serve = (request) => {
      const response = store.serve(request)
      if (request.method === 'GET' || lost-- <= 0) return response
      store.put('theirs')
      throw new TypeError('the connection broke')
    }
    await open(screen)
    await screen.submit()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(store.value).toBe('theirs')
    expect(screen.text()).not.toMatch(/Nothing was|not known/)
    expect(screen.find('form', '')).toBeUndefined()
  })

  test('no answer comes at all: the page does not say that nothing was changed', async () => {
    node.serve = (request) => {
      const response = store.serve(request)
      if (request.method === 'GET') return response
      throw new TypeError('the connection broke')
    }
    await open(screen)
    await screen.submit()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(store.value).toBe(done)
    expect(screen.text()).toMatch(/it is not known whether the change was made/)
  })
})

test('each change of a history has its time and its user, deletions too', async () => {
  node.requests.length = 0
  store.put('old')
  store.delete()
  store.put('new')
  newest.value = { revision: store.revision }
  screen = await show(KeyDetail, { place: place('history') })
  await vi.advanceTimersByTimeAsync(1_000)
  const time = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' }).format(
    Date.parse('2026-11-29T10:00:00.000Z'),
  )
  for (const change of ['revision 4created3 B', 'revision 3deleted', 'revision 2created3 B'])
    expect(screen.text()).toContain(`${change}by ann${time}`)
  for (const { path } of node.requests.filter(({ method }) => method === 'GET'))
    expect(path).toMatch(/[?&]time=true/)
  await screen.leave()
  screen = await show(KeyDetail, { place: place('value') })
  await vi.advanceTimersByTimeAsync(1_000)
  expect(screen.text()).toContain(`Written${time}`)
})

/** Changes of the value of a key, and how each is made. */
const VALUES: Readonly<Record<string, Pick<Dialog, 'tab' | 'open'>>> = {
  'an edit': {
    tab: 'value',
    open: async (screen) => {
      await screen.click('Edit')
      await screen.type('textarea', 'mine')
    },
  },
  'an old version that is put back': {
    tab: 'history',
    open: (screen) => screen.click('Put this version back'),
  },
}
/** The leases of an old version and of the present one. */
const LEASES = [
  [undefined, undefined],
  ['21', undefined],
  [undefined, '22'],
  ['21', '22'],
  ['22', '22'],
] as const

describe.each(Object.entries(VALUES))('%s leaves the lease that the key has', (_, { tab, open }) => {
  test.each(LEASES)('the old version had the lease %s, and the present one has %s', async (old, present) => {
    store.put('old', old)
    store.put('seen', present)
    newest.value = { revision: store.revision }
    screen = await show(KeyDetail, { place: place(tab) })
    await vi.advanceTimersByTimeAsync(1_000)
    await open(screen)
    await screen.submit()
    await vi.advanceTimersByTimeAsync(5_000)
    expect(store.value).toBe(tab === 'history' ? 'old' : 'mine')
    expect(store.lease).toBe(present)
  })
})

test('a history that cannot be read for a while leaves the open dialog, and what it is about', async () => {
  store.put('old')
  store.put('seen')
  newest.value = { revision: store.revision }
  screen = await show(KeyDetail, { place: place('history') })
  await vi.advanceTimersByTimeAsync(1_000)
  await screen.click('Put this version back')
  const { serve } = node
  node.serve = () => {
    throw new TypeError('Failed to fetch')
  }
  await screen.submit()
  store.revision++
  await notice()
  expect(screen.text()).toContain('no answer')
  expect(screen.text()).toContain('seen')
  await vi.advanceTimersByTimeAsync(5_000)
  expect(screen.text()).toMatch(/it is not known whether the change was made/)
  node.serve = serve
  await screen.submit()
  await vi.advanceTimersByTimeAsync(5_000)
  expect(store.value).toBe('old')
})
