// Requests of the page when nodes hang, sessions end and answers cannot be read.

import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { put } from '../../src/operations/put.ts'

const store = {
  getItem: () => null,
  setItem: () => undefined,
  removeItem: () => undefined,
  clear: () => undefined,
}
vi.stubGlobal('sessionStorage', store)
vi.stubGlobal('location', { hash: '', origin: 'http://node' })

type Serve = (
  path: string,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>>,
) => Promise<Response>
let serve: Serve
interface Sent {
  readonly signal: AbortSignal
  readonly headers: Readonly<Record<string, string>>
}
vi.stubGlobal('fetch', (path: string, { signal, headers }: Sent) => serve(path, signal, headers))

const hang = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
const problem = (status: number, code: string): Response =>
  Response.json(
    { type: `urn:quorate:problem:${code}`, title: code, status, code, detail: code },
    { status, headers: { 'Content-Type': 'application/problem+json', 'kv-node': 'n1', 'kv-cluster': '7' } },
  )

interface Connection {
  setEndpoints(endpoints: readonly { readonly node: string; readonly base: string }[]): void
  fetchText(path: string, options: { readonly timeoutMs: number }): Promise<string>
  describeError(error: unknown): string
}
interface Changes {
  make(operation: typeof put, request: object): Promise<unknown>
}
interface ChangeModule {
  readonly Changes: new () => Changes
  nameChange(): object
}
// The types of these modules need those of a browser. They read the storage of the tab when they are loaded.
const load = (path: string): Promise<unknown> => import(path)
let connection: Connection
let module: ChangeModule
let changes: Changes
beforeAll(async () => {
  connection = (await load('../../web/src/cluster/connection.ts')) as Connection
  module = (await load('../../web/src/cluster/change.ts')) as ChangeModule
})
afterAll(() => vi.unstubAllGlobals())
beforeEach(() => {
  changes = new module.Changes()
  connection.setEndpoints([
    { node: 'n1', base: '/nodes/n1' },
    { node: 'n2', base: '/nodes/n2' },
  ])
})

const change = (value = 2) =>
  changes.make(put, {
    kind: 'put',
    key: new Uint8Array([1]),
    value: new Uint8Array([value]),
    condition: undefined,
    prev: false,
    idempotency: module.nameChange(),
  })

test('an endpoint that hangs is not the first one of the next request', async () => {
  serve = async (path, signal) => (path.startsWith('/nodes/n1') ? hang(signal) : new Response('ok'))
  await connection.fetchText('/metrics', { timeoutMs: 20 }).catch(() => undefined)
  expect(await connection.fetchText('/metrics', { timeoutMs: 20 })).toBe('ok')
})

test('a refused repetition does not say that the first try of a change was not made', async () => {
  connection.setEndpoints([{ node: 'n1', base: '' }])
  let tries = 0
  serve = async () => {
    if (++tries === 1) throw new TypeError('the connection broke')
    return problem(401, 'unauthenticated')
  }
  await expect(change()).rejects.toMatchObject({ written: 'unknown' })
})

test('an answer that cannot be read leaves the outcome of a change unknown', async () => {
  connection.setEndpoints([{ node: 'n1', base: '' }])
  serve = async () => new Response('{"revi', { status: 200, headers: { 'kv-node': 'n1' } })
  await expect(change()).rejects.toMatchObject({ written: 'unknown' })
})

/** The names of all tries of these changes, made one after the other. */
async function sendAll(answer: () => Response, values: readonly number[]): Promise<string[]> {
  const names: string[] = []
  serve = async (_path, _signal, headers) => {
    names.push(headers['Idempotency-Key'] ?? '')
    return answer()
  }
  for (const value of values) await change(value).catch(() => undefined)
  return names
}

test('the same change, made again after an unknown outcome, has the same name, and another one has not', async () => {
  connection.setEndpoints([{ node: 'n1', base: '' }])
  const failed = () => problem(500, 'internal')
  const [first, again, other, first2] = await sendAll(failed, [2, 2, 3, 2])
  expect(again).toBe(first)
  expect(new Set([first, other, first2]).size).toBe(3)
})

test('the same change, made again after a known outcome, has a new name', async () => {
  connection.setEndpoints([{ node: 'n1', base: '' }])
  const names = await sendAll(() => problem(403, 'permission_denied'), [2, 2])
  expect(new Set(names).size).toBe(2)
})

test('a name that the cluster knows no longer is given up, and the outcome stays unknown', async () => {
  connection.setEndpoints([{ node: 'n1', base: '' }])
  let tries = 0
  const answer = () => (++tries === 1 ? problem(500, 'internal') : problem(400, 'idempotency_expired'))
  const [first, again, next] = await sendAll(answer, [2, 2, 2])
  expect(again).toBe(first)
  expect(next).not.toBe(first)
})

test('a refusal that leaves the outcome open says so, and one of a read does not', async () => {
  connection.setEndpoints([{ node: 'n1', base: '' }])
  serve = async () => problem(500, 'internal')
  const describe = (error: unknown): string => connection.describeError(error)
  expect(await change().catch(describe)).toMatch('it is not known whether the change was made')
  expect(await connection.fetchText('/metrics', { timeoutMs: 20 }).catch(describe)).toBe('internal')
})

test('no try of a change is made under the login of somebody else', async () => {
  connection.setEndpoints([{ node: 'n1', base: '' }])
  const credentials = (await load('../../web/src/cluster/credentials.ts')) as {
    keepUserToken(name: string, token: string): void
    forgetUserToken(): void
  }
  credentials.keepUserToken('ann', 'token-of-ann')
  const senders: (string | undefined)[] = []
  serve = async (_path, _signal, headers) => {
    senders.push(headers.Authorization)
    // Her login ends while the node does not answer, and somebody else logs in.
    credentials.keepUserToken('bob', 'token-of-bob')
    throw new TypeError('the connection broke')
  }
  await expect(change()).rejects.toMatchObject({ written: 'unknown' })
  expect(senders).toEqual(['Bearer token-of-ann'])
  credentials.forgetUserToken()
})
