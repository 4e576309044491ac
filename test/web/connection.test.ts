// Requests of the page when nodes hang, sessions end and answers cannot be read.

import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { put } from '../../src/operations/put.ts'

const store = { getItem: () => null, setItem: () => undefined, removeItem: () => undefined }
vi.stubGlobal('sessionStorage', store)
vi.stubGlobal('location', { hash: '', origin: 'http://node' })

type Serve = (path: string, signal: AbortSignal) => Promise<Response>
let serve: Serve
vi.stubGlobal('fetch', (path: string, { signal }: { signal: AbortSignal }) => serve(path, signal))

const hang = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
const problem = (status: number, code: string): Response =>
  Response.json(
    { type: `urn:quorate:problem:${code}`, title: code, status, code, detail: code },
    { status, headers: { 'Content-Type': 'application/problem+json', 'kv-node': 'n1' } },
  )

interface Connection {
  setDoors(doors: readonly { readonly node: string; readonly base: string }[]): void
  fetchText(path: string, options: { readonly timeoutMs: number }): Promise<string>
}
interface Changes {
  change(operation: typeof put, request: object): Promise<unknown>
  nameChange(): object
}
// The types of these modules need those of a browser. They read the storage of the tab when they are loaded.
const load = (path: string): Promise<unknown> => import(path)
let connection: Connection
let changes: Changes
beforeAll(async () => {
  connection = (await load('../../web/src/cluster/connection.ts')) as Connection
  changes = (await load('../../web/src/cluster/change.ts')) as Changes
})
afterAll(() => vi.unstubAllGlobals())
beforeEach(() =>
  connection.setDoors([
    { node: 'n1', base: '/nodes/n1' },
    { node: 'n2', base: '/nodes/n2' },
  ]),
)

const change = () =>
  changes.change(put, {
    kind: 'put',
    key: new Uint8Array([1]),
    value: new Uint8Array([2]),
    condition: undefined,
    prev: false,
    idempotency: changes.nameChange(),
  })

test('a door that hangs is not the first one of the next request', async () => {
  serve = async (path, signal) => (path.startsWith('/nodes/n1') ? hang(signal) : new Response('ok'))
  await connection.fetchText('/metrics', { timeoutMs: 20 }).catch(() => undefined)
  expect(await connection.fetchText('/metrics', { timeoutMs: 20 })).toBe('ok')
})

test('a refused repetition does not say that the first try of a change was not made', async () => {
  connection.setDoors([{ node: 'n1', base: '' }])
  let tries = 0
  serve = async () => {
    if (++tries === 1) throw new TypeError('the connection broke')
    return problem(401, 'unauthenticated')
  }
  await expect(change()).rejects.toMatchObject({ written: 'unknown' })
})

test('an answer that cannot be read leaves the outcome of a change unknown', async () => {
  connection.setDoors([{ node: 'n1', base: '' }])
  serve = async () => new Response('{"revi', { status: 200, headers: { 'kv-node': 'n1' } })
  await expect(change()).rejects.toMatchObject({ written: 'unknown' })
})
