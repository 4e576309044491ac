// The page goes to another member when its node has died.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'

interface Modules {
  readonly consoleHost: { value: unknown }
  readonly contact: { value: unknown }
  readonly lookingAt: { peek(): string | undefined }
  readonly isLoginOpen: { value: boolean }
}
// The types of these modules need those of a browser. They read the storage of the tab when they are loaded.
const load = (path: string): Promise<object> => import(path)
let page: Modules
let dialog: object | null
const replace = vi.fn<(url: string) => void>()
const place = { hash: '#/keys/a', origin: 'http://n1', protocol: 'http:', replace }
beforeAll(async () => {
  vi.stubGlobal('sessionStorage', { getItem: () => null, setItem: () => {}, removeItem: () => {} })
  vi.stubGlobal('location', place)
  vi.stubGlobal('document', { querySelector: () => dialog })
  // The node of the page has died, and the other one answers.
  vi.stubGlobal('fetch', async (url: string | URL) => {
    if (String(url).startsWith('/')) throw new TypeError('Failed to fetch')
    return new Response()
  })
  const modules = ['cluster/connection', 'cluster/console-host']
  page = Object.assign({}, ...(await Promise.all(modules.map((name) => load(`../../web/src/${name}.ts`)))))
})
afterAll(() => vi.unstubAllGlobals())
beforeEach(() => {
  vi.useFakeTimers()
  replace.mockClear()
  // Other files share the modules.
  page.isLoginOpen.value = false
  const members = ['n1', 'n2'].map((name) => ({ name, url: `http://${name}` }))
  page.consoleHost.value = { kind: 'node', node: 'n1', version: '1', members }
})
afterEach(() => {
  page.contact.value = { state: 'open' }
  page.consoleHost.value = undefined
  vi.useRealTimers()
})

test('it goes to the place that is shown, at the member that answers', async () => {
  dialog = null
  page.contact.value = { state: 'lost', since: 0 }
  await vi.advanceTimersByTimeAsync(5_000)
  expect(replace.mock.calls).toEqual([['http://n2/ui/#/keys/a']])
})

test('it stays while a dialog is open, which has a text that somebody typed, or a change in flight', async () => {
  dialog = {}
  page.contact.value = { state: 'lost', since: 0 }
  await vi.advanceTimersByTimeAsync(60_000)
  expect(replace).not.toHaveBeenCalled()
  dialog = null
  await vi.advanceTimersByTimeAsync(5_000)
  expect(replace).toHaveBeenCalledOnce()
})

test('from https it goes to https only, as it asks for a password there', async () => {
  dialog = null
  place.protocol = 'https:'
  page.contact.value = { state: 'lost', since: 0 }
  await vi.advanceTimersByTimeAsync(60_000)
  expect(replace).not.toHaveBeenCalled()
  place.protocol = 'http:'
})
