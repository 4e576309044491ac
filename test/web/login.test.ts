// A login lasts while the page is open.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'

const store = new Map<string, string>()
vi.stubGlobal('sessionStorage', {
  getItem: (name: string) => store.get(name) ?? null,
  setItem: (name: string, value: string) => store.set(name, value),
  removeItem: (name: string) => store.delete(name),
  clear: () => store.clear(),
})
vi.stubGlobal('location', { hash: '', origin: 'http://node' })

/** The passwords that were sent. */
let sent: unknown[]
/** Answers with a token of ten minutes; undefined: nobody answers. */
let token: string | undefined
/** The answers wait for it. */
let held: Promise<void> | undefined
vi.stubGlobal('fetch', async (_path: string, { body }: { readonly body: Uint8Array }) => {
  sent.push(JSON.parse(Buffer.from(body).toString()))
  await held
  if (token === undefined) throw new TypeError('Failed to fetch')
  const headers = { 'kv-node': 'n1', 'kv-cluster': '7' }
  return Response.json({ token, expires_in_ms: 600_000 }, { headers })
})

interface Credentials {
  keepUserToken(name: string, token: string): void
  readonly userToken: { peek(): string | undefined }
  readonly logins: { peek(): number }
  dropUserToken(token: string | undefined): void
  forgetUserToken(): void
}
// These modules read the storage of the tab when they are loaded.
const load = (path: string): Promise<unknown> => import(path)
let credentials: Credentials
let logInAs: (name: string, password: string) => Promise<void>
beforeAll(async () => {
  credentials = (await load('../../web/src/cluster/credentials.ts')) as Credentials
  const login = (await load('../../web/src/cluster/login.ts')) as { readonly logInAs: typeof logInAs }
  logInAs = login.logInAs
})
afterAll(() => vi.unstubAllGlobals())
beforeEach(() => {
  vi.useFakeTimers()
  sent = []
  token = 'first'
})
afterEach(() => {
  credentials.forgetUserToken()
  vi.useRealTimers()
})

const MINUTE = 60_000
const ANN = { user: 'ann', password: 'correct horse' }

test('the next token is requested before this one ends', async () => {
  await logInAs(ANN.user, ANN.password)
  const logins = credentials.logins.peek()
  token = 'second'
  await vi.advanceTimersByTimeAsync(9 * MINUTE)
  expect(credentials.userToken.peek()).toBe('second')
  expect(sent).toEqual([ANN, ANN])
  token = 'third'
  await vi.advanceTimersByTimeAsync(9 * MINUTE)
  expect(credentials.userToken.peek()).toBe('third')
  // No page reads everything again.
  expect(credentials.logins.peek()).toBe(logins)
})

test('while nobody answers, it is requested again until this one ends', async () => {
  await logInAs(ANN.user, ANN.password)
  token = undefined
  await vi.advanceTimersByTimeAsync(8 * MINUTE)
  token = 'second'
  await vi.advanceTimersByTimeAsync(MINUTE)
  expect(credentials.userToken.peek()).toBe('second')
  token = undefined
  await vi.advanceTimersByTimeAsync(30 * MINUTE)
  const tries = sent.length
  await vi.advanceTimersByTimeAsync(60 * MINUTE)
  expect(sent).toHaveLength(tries)
})

test('what was refused before a late renewal is read again', async () => {
  await logInAs(ANN.user, ANN.password)
  const logins = credentials.logins.peek()
  // The machine slept: the token has ended, and a request was refused, before the timer fires.
  credentials.dropUserToken('first')
  token = 'second'
  await vi.advanceTimersByTimeAsync(8 * MINUTE)
  expect(credentials.userToken.peek()).toBe('second')
  expect(credentials.logins.peek()).toBe(logins + 1)
})

test('a second login of the same user, with a new password, ends the renewal of the first one', async () => {
  await logInAs(ANN.user, ANN.password)
  await vi.advanceTimersByTimeAsync(MINUTE)
  const changed = { ...ANN, password: 'battery staple' }
  await logInAs(changed.user, changed.password)
  await vi.advanceTimersByTimeAsync(9 * MINUTE)
  expect(sent).toEqual([ANN, changed, changed])
})

test('after a logout nothing is requested, and nothing is kept', async () => {
  await logInAs(ANN.user, ANN.password)
  credentials.forgetUserToken()
  await vi.advanceTimersByTimeAsync(60 * MINUTE)
  expect(sent).toEqual([ANN])
  expect([...store]).toEqual([])
})

/** Acts while the next token is on its way, and the token that the page has then. */
const MEANWHILE: Readonly<Record<string, readonly [act: () => void, token: string | undefined]>> = {
  'nothing happens': [() => {}, 'renewed'],
  'its user logs out': [() => credentials.forgetUserToken(), undefined],
  'its user logs in again': [() => credentials.keepUserToken('ann', 'by hand'), 'renewed'],
  'somebody else logs in': [() => credentials.keepUserToken('bob', 'of bob'), 'of bob'],
  'its user logs out, and somebody else logs in': [
    () => {
      credentials.forgetUserToken()
      credentials.keepUserToken('bob', 'of bob')
    },
    'of bob',
  ],
}

test.each(Object.entries(MEANWHILE))('a renewal during which %s', async (_, [act, left]) => {
  await logInAs(ANN.user, ANN.password)
  const answered = Promise.withResolvers<void>()
  held = answered.promise
  token = 'renewed'
  await vi.advanceTimersByTimeAsync(8 * MINUTE)
  expect(sent).toEqual([ANN, ANN])
  act()
  answered.resolve()
  held = undefined
  await vi.advanceTimersByTimeAsync(MINUTE)
  expect(credentials.userToken.peek()).toBe(left)
  if (left === 'renewed') return
  // Nothing of the login that is over is requested again.
  await vi.advanceTimersByTimeAsync(60 * MINUTE)
  expect(sent).toEqual([ANN, ANN])
  expect(credentials.userToken.peek()).toBe(left)
})

test('the password is nowhere but in the memory of the page', async () => {
  await logInAs(ANN.user, ANN.password)
  expect([...store.values()].join()).not.toContain(ANN.password)
})
