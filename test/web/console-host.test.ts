// The page goes to another member when its node has died.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'

interface Modules {
  readonly consoleHost: { value: unknown }
  readonly contact: { value: unknown }
  readonly triedMember: { peek(): string | undefined }
  readonly isLoginOpen: { value: boolean }
  readConsoleHost(): Promise<void>
  keepUserToken(name: string, token: string): void
  forgetUserToken(): void
}
// The types of these modules need those of a browser. They read the storage of the tab when they are loaded.
const load = (path: string): Promise<object> => import(path)
let page: Modules
let dialog: object | null
/** The answer to the first request of the page. */
let describeHost: (headers: object) => Response
const replace = vi.fn<(url: string) => void>()
const place = { hash: '#/keys/a', origin: 'http://n1', protocol: 'http:', replace }
beforeAll(async () => {
  vi.stubGlobal('sessionStorage', {
    getItem: () => null,
    setItem: () => {},
    removeItem: () => {},
    clear: () => {},
  })
  vi.stubGlobal('location', place)
  vi.stubGlobal('document', { querySelector: () => dialog })
  // The node of the page has died, and the other one answers.
  vi.stubGlobal('fetch', async (url: string | URL, options: { readonly headers?: object }) => {
    if (String(url).startsWith('/')) throw new TypeError('Failed to fetch')
    return String(url) === './console.json' ? describeHost(options.headers ?? {}) : new Response()
  })
  const modules = ['cluster/connection', 'cluster/console-host', 'cluster/credentials']
  page = Object.assign({}, ...(await Promise.all(modules.map((name) => load(`../../web/src/${name}.ts`)))))
})
afterAll(() => vi.unstubAllGlobals())
beforeEach(() => {
  vi.useFakeTimers()
  replace.mockClear()
  // Other files share the modules.
  page.isLoginOpen.value = false
  const members = ['n1', 'n2'].map((name) => ({ name, url: `http://${name}` }))
  page.consoleHost.value = { kind: 'node', node: 'n1', version: '1', clusterId: '7', members }
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

test('the page begins whatever has become of its login, and a refusal is a sentence', async () => {
  page.keepUserToken('ann', 'a token that has ended')
  describeHost = (headers) =>
    'Authorization' in headers
      ? Response.json({ code: 'unauthenticated', detail: 'it is no token of this cluster' }, { status: 401 })
      : Response.json({ kind: 'node', node: 'n2', version: '1', cluster_id: '7', members: [] })
  await page.readConsoleHost()
  expect(page.consoleHost.value).toMatchObject({ node: 'n2' })
  page.forgetUserToken()
  const detail = 'this node refuses the client: it shows no certificate'
  const refusal = {
    type: 'urn:quorate:problem:unauthenticated',
    title: 't',
    status: 401,
    code: 'unauthenticated',
  }
  describeHost = () => Response.json({ ...refusal, detail }, { status: 401 })
  await expect(page.readConsoleHost()).rejects.toThrow(detail)
  describeHost = () => new Response('<html>', { status: 502 })
  await expect(page.readConsoleHost()).rejects.toThrow('what answers is no console of quorate (status 502)')
  describeHost = () => Response.json({ kind: 'cluster', version: '1', cluster_id: null, nodes: 3 })
  await expect(page.readConsoleHost()).rejects.toThrow(
    'what answers is no console of quorate: "nodes" is not a list',
  )
  expect(page.consoleHost.value).toMatchObject({ node: 'n2' })
})
