// The user of the page, and the keys that this user may read: the pages begin there.

import fc from 'fast-check'
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { encodeUtf8, utf8Text } from '../../src/bytes/index.ts'
import { compareKeys, type KeyRange } from '../../src/operations/forms/places.ts'
import { runs } from '../runs.ts'
import { answer, problem, type SentRequest, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'
import { show } from './tiny-document.ts'

interface Modules {
  readonly self: { value: object | undefined }
  readableParts(range: KeyRange): readonly KeyRange[]
  followSelf(signal: AbortSignal): Promise<void>
  readChildren(
    prefix: Uint8Array,
    from: Uint8Array,
    signal: AbortSignal,
    options: { readonly max: number },
  ): Promise<{
    readonly children: readonly { readonly name: Uint8Array }[]
    readonly next: Uint8Array | undefined
  }>
  readNames(
    recipes: readonly string[],
    from: undefined,
    signal: AbortSignal,
  ): Promise<{
    readonly names: readonly { readonly name: Uint8Array }[]
    readonly refusals: readonly string[]
  }>
  readonly Rail: unknown
  keepUserToken(name: string, token: string): void
  forgetUserToken(): void
  dropUserToken(token: string): void
}
const node = stubPage()
let page: Modules
beforeAll(async () => {
  const names = ['cluster/self.ts', 'cluster/credentials.ts', 'pages/keys/children.ts', 'app/rail.tsx']
  vi.stubGlobal('localStorage', { getItem: () => null, setItem: () => {}, removeItem: () => {} })
  page = Object.assign(
    {},
    ...(await Promise.all([...names, 'pages/coordination/name-pages.ts'].map((name) => load<object>(name)))),
  )
})
beforeEach(() => {
  node.requests.length = 0
})
afterEach(() => {
  page.self.value = undefined
  page.forgetUserToken()
})

const { signal } = new AbortController()
const SELF = { enabled: true, revision: 3, user: 'bob', credential: 'token', roles: ['shop'] }
const permit = (ranges: readonly KeyRange[]): void => {
  page.self.value = { ...SELF, permissions: ranges.map((range) => ({ access: 'read', range })) }
}
const range = (start: string, end: string | undefined): KeyRange => ({
  start: encodeUtf8(start),
  end: end === undefined ? undefined : encodeUtf8(end),
})
const contains = ({ start, end }: KeyRange, key: Uint8Array): boolean =>
  compareKeys(key, start) >= 0 && (end === undefined || compareKeys(key, end) < 0)

const letters = fc.array(fc.constantFrom('a', 'b', '/'), { maxLength: 4 }).map((each) => each.join(''))
const ranges = fc
  .tuple(letters, fc.option(letters, { nil: undefined }))
  .map(([start, end]) => range(start, end))
  .filter(({ start, end }) => end === undefined || compareKeys(start, end) < 0)

test('the parts of a range are what is in it and is permitted', () => {
  fc.assert(
    fc.property(fc.array(ranges, { maxLength: 5 }), ranges, fc.array(letters), (permitted, wanted, texts) => {
      permit(permitted)
      const parts = page.readableParts(wanted)
      for (const key of texts.map(encodeUtf8)) {
        const may = permitted.some((each) => contains(each, key)) && contains(wanted, key)
        expect(parts.filter((part) => contains(part, key))).toHaveLength(may ? 1 : 0)
      }
      for (const [at, { start }] of parts.entries())
        expect(compareKeys(parts[at - 1]?.end ?? new Uint8Array(), start)).toBeLessThanOrEqual(0)
    }),
    { numRuns: runs(300) },
  )
})

/** A node with these keys, which refuses a range that is not permitted as a whole. */
function serveKeys(keys: readonly string[], permitted: readonly KeyRange[], pageMax: number): void {
  const mayRead = (start: string, end: string | undefined): boolean =>
    permitted.some(
      (each) =>
        compareKeys(each.start, encodeUtf8(start)) <= 0 &&
        (each.end === undefined || (end !== undefined && compareKeys(encodeUtf8(end), each.end) <= 0)),
    )
  node.serve = ({ path }: SentRequest) => {
    const { searchParams } = new URL(path, 'http://n1')
    const prefix = searchParams.get('prefix')
    const start = searchParams.get('start') ?? prefix ?? ''
    const end = searchParams.get('end') ?? (prefix ? `${prefix.slice(0, -1)}0` : undefined)
    if (!mayRead(start, end)) return problem('permission_denied', 403)
    const found = keys.toSorted().filter((key) => contains(range(start, end), encodeUtf8(key)))
    const count = Math.min(pageMax, Number(searchParams.get('limit')))
    const kvs = found.slice(0, count).map((key) => ({ key, version: 1, create_revision: 1, mod_revision: 1 }))
    const more = found.length > count
    return answer({ revision: 1, kvs, more, ...(more && { next: kvs.at(-1)?.key }) })
  }
}

const childOf = (key: string): string => (key.includes('/') ? key.slice(0, key.indexOf('/') + 1) : key)

test('a tree has the keys that are permitted, and asks for no others', async () => {
  const keys = fc.uniqueArray(
    letters.filter((text) => text !== ''),
    { maxLength: 40 },
  )
  const rights = fc.array(ranges, { minLength: 1, maxLength: 5 })
  const pages = fc.integer({ min: 1, max: 10 })
  await fc.assert(
    fc.asyncProperty(keys, rights, pages, pages, async (stored, given, pageMax, max) => {
      permit(given)
      const joined = page.readableParts(range('', undefined))
      serveKeys(stored, joined, pageMax)
      const listed: string[] = []
      let next: Uint8Array | undefined = new Uint8Array()
      while (next !== undefined) {
        const found: Awaited<ReturnType<Modules['readChildren']>> = await page.readChildren(
          new Uint8Array(),
          next,
          signal,
          { max },
        )
        listed.push(...found.children.map(({ name }) => utf8Text(name) ?? ''))
        next = found.next
      }
      const permitted = stored.filter((key) => joined.some((each) => contains(each, encodeUtf8(key))))
      expect(listed).toEqual([...new Set(permitted.toSorted().map(childOf))])
    }),
    { numRuns: runs(200) },
  )
})

test('a place of which nothing is permitted is refused by the node, which has the reason', async () => {
  permit([range('shop/', 'shop0')])
  serveKeys([], [range('shop/', 'shop0')], 10)
  await expect(page.readChildren(encodeUtf8('b/'), encodeUtf8('b/'), signal, { max: 9 })).rejects.toThrow(
    'is permission_denied',
  )
})

test('of recipes, those are listed that may be read, and the others are named', async () => {
  const given = [range('lock/deploy/', 'lock/deploy0')]
  permit(given)
  serveKeys(['lock/deploy/1', 'lock/other/1', 'rwlock/x/r/1'], given, 10)
  const { names, refusals } = await page.readNames(['lock', 'rwlock'], undefined, signal)
  expect(names.map(({ name }) => utf8Text(name))).toEqual(['deploy'])
  expect(refusals).toEqual([
    'you may read no key that begins with rwlock/',
    'of lock/, you may read only keys that begin with lock/deploy/',
  ])
  await expect(page.readNames(['queue'], undefined, signal)).rejects.toThrow(
    'You may read no key that begins with queue/',
  )
})

test('who knows nothing of rights, or may read all, is asked for everything at once', async () => {
  const all = range('', undefined)
  expect(page.readableParts(all)).toEqual([all])
  permit([all])
  expect(page.readableParts(all)[0]).toBe(all)
})

test.each([
  ['root', 'certificate', 'root, by certificate'],
  ['bob', 'token', 'bob, by login'],
  ['ann', 'password', 'ann, by password'],
])('the page says under whose name a click is made: %s by %s', async (user, credential, text) => {
  vi.useFakeTimers()
  page.self.value = {
    ...SELF,
    user,
    credential,
    permissions: [{ access: 'read', range: range('shop/', 'shop0') }],
  }
  const screen = await show(page.Rail, { current: 'keys' })
  await screen.click(text)
  expect(screen.text()).toContain('You are')
  expect(screen.text()).toContain('may read keys that begin with shop/')
  await screen.leave()
  vi.useRealTimers()
})

test.each([
  ['pages/live/live.tsx', '/v1/watch', 'This watch receives keys that begin with lock/deploy/'],
  ['pages/keys/keys.tsx', '/v1/kv', 'You may read keys that begin with lock/deploy/, the key zeta'],
])('the page %s begins where the user may read, also when that is known late', async (path, asked, text) => {
  vi.useFakeTimers()
  const given = [range('lock/deploy/', 'lock/deploy0'), range('zeta', 'zeta\0')]
  serveKeys(['a', 'lock/deploy/1', 'zeta'], given, 10)
  const { serve } = node
  node.serve = (request) =>
    request.path.startsWith('/v1/watch') && /start=lock/.test(request.path)
      ? new Response(`${JSON.stringify({ type: 'created', revision: 7 })}\n`)
      : request.path.startsWith('/v1/watch')
        ? problem('permission_denied', 403)
        : serve(request)
  const { Page } = await load<{ Page: unknown }>(path)
  const screen = await show(Page, {})
  await vi.advanceTimersByTimeAsync(1_000)
  expect(screen.text()).toContain('is permission_denied')
  permit(given)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(screen.text()).not.toContain('is permission_denied')
  expect(screen.text()).toContain(text)
  expect(node.requests.findLast((each) => each.path.startsWith(asked))?.path).toMatch(/lock|zeta/)
  await screen.leave()
  vi.useRealTimers()
})

test('rights that change, and a login that ends, leave what a watch has received', async () => {
  vi.useFakeTimers()
  const line = (message: object) => new TextEncoder().encode(`${JSON.stringify(message)}\n`)
  const kv = { key: 'shop/a', value: 'seen', version: 1, create_revision: 8, mod_revision: 8 }
  let watches = 0
  node.serve = ({ path }) => {
    if (!path.startsWith('/v1/watch')) return problem('not_found', 404)
    watches++
    return new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(line({ type: 'created', revision: 7 }))
          controller.enqueue(line({ type: 'events', revision: 8, events: [{ type: 'put', kv }] }))
        },
      }),
    )
  }
  permit([range('shop/', 'shop0')])
  const { Page } = await load<{ Page: unknown }>('pages/live/live.tsx')
  const screen = await show(Page, {})
  await vi.advanceTimersByTimeAsync(1_000)
  expect(screen.text()).toContain('1 change received')
  for (const given of [[range('shop/', 'shop0'), range('tmp/', 'tmp0')], [range('shop/', 'shop0')]]) {
    permit(given)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(screen.text()).toContain('1 change received')
  }
  expect(watches).toBe(1)
  await screen.leave()
  vi.useRealTimers()
})

test('it is read again when a token comes or goes, and now and then, and stays while nobody answers', async () => {
  vi.useFakeTimers()
  const ended = new AbortController()
  let rights: readonly string[] = ['a/']
  node.serve = ({ headers }) => {
    const user = /Bearer (\w+)/.exec(headers.Authorization ?? '')?.[1]
    if (user === undefined) return problem('unauthenticated', 401)
    const permissions = rights.map((prefix) => ({ access: 'read', prefix }))
    return answer({ ...SELF, user, permissions })
  }
  const known = () => page.self.value as { user: string; permissions: readonly object[] } | undefined
  void page.followSelf(ended.signal)
  await vi.advanceTimersByTimeAsync(100)
  expect(known()).toBeUndefined()
  for (const user of ['ann', 'bob']) {
    page.keepUserToken(user, user)
    await vi.advanceTimersByTimeAsync(100)
    expect(known()?.user).toBe(user)
    page.forgetUserToken()
    await vi.advanceTimersByTimeAsync(100)
    expect(known()).toBeUndefined()
  }
  page.keepUserToken('ann', 'ann')
  await vi.advanceTimersByTimeAsync(100)
  // Her login ends. She sees what she saw, until she or somebody else logs in.
  page.dropUserToken('ann')
  await vi.advanceTimersByTimeAsync(60_000)
  expect(known()?.user).toBe('ann')
  page.keepUserToken('ann', 'ann')
  await vi.advanceTimersByTimeAsync(100)
  rights = ['a/', 'b/']
  await vi.advanceTimersByTimeAsync(60_000)
  expect(known()?.permissions).toHaveLength(2)
  const { serve } = node
  node.serve = () => {
    throw new TypeError('Failed to fetch')
  }
  await vi.advanceTimersByTimeAsync(600_000)
  expect(known()?.user).toBe('ann')
  node.serve = serve
  ended.abort()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

test('whoever logs in while it is read is known when that read has ended', async () => {
  vi.useFakeTimers()
  const ended = new AbortController()
  const held: (() => void)[] = []
  node.serve = ({ headers }) => {
    const user = /Bearer (\w+)/.exec(headers.Authorization ?? '')?.[1]
    const response =
      user === undefined ? problem('unauthenticated', 401) : answer({ ...SELF, user, permissions: [] })
    return new Promise((resolve) => void held.push(() => resolve(response)))
  }
  void page.followSelf(ended.signal)
  for (const user of ['ann', 'bob']) {
    await vi.advanceTimersByTimeAsync(100)
    expect(held).toHaveLength(1)
    page.keepUserToken(user, user)
    for (let read = 0; read < 2; read++) {
      held.pop()?.()
      await vi.advanceTimersByTimeAsync(100)
    }
    expect(page.self.value).toMatchObject({ user })
    // Now and then it is read again.
    await vi.advanceTimersByTimeAsync(30_000)
  }
  for (const release of held) release()
  ended.abort()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})
