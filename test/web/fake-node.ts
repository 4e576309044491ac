// Globals of a browser for the modules of the page, and a node whose answers a test gives.

import { afterAll, beforeAll, beforeEach, vi } from 'vitest'
import { load } from './page-modules.ts'

export interface SentRequest {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly signal: AbortSignal | undefined
}

export interface FakeNode {
  /** Answers each request. */
  serve: (request: SentRequest) => Response | Promise<Response>
  readonly requests: SentRequest[]
}

interface FetchOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string | null
  readonly signal?: AbortSignal
}

interface Connection {
  setEndpoints(endpoints: readonly { readonly node: string; readonly base: string }[]): void
  readonly contact: { value: object }
  readonly needsLogin: { value: boolean }
  readonly isLoginOpen: { value: boolean }
  readonly leaderless: { value: boolean }
}

function reset({ setEndpoints, contact, needsLogin, isLoginOpen, leaderless }: Connection): void {
  setEndpoints([{ node: '', base: '' }])
  contact.value = { state: 'open' }
  needsLogin.value = false
  isLoginOpen.value = false
  leaderless.value = false
}

/** Replaces the globals for the tests of this file. */
export function stubPage(): FakeNode {
  const node: FakeNode = { serve: () => problem('not_found', 404), requests: [] }
  let connection: Connection
  beforeAll(async () => {
    const stored = new Map<string, string>()
    vi.stubGlobal('sessionStorage', {
      getItem: (name: string) => stored.get(name) ?? null,
      setItem: (name: string, value: string) => stored.set(name, value),
      removeItem: (name: string) => stored.delete(name),
      clear: () => stored.clear(),
    })
    const listen = { addEventListener: () => {}, removeEventListener: () => {} }
    vi.stubGlobal('location', { hash: '', origin: 'http://n1', protocol: 'http:', replace: () => {} })
    const element = { documentElement: { dataset: {} }, querySelector: () => null }
    vi.stubGlobal('document', { visibilityState: 'visible', ...element, ...listen })
    vi.stubGlobal('addEventListener', () => {})
    vi.stubGlobal('removeEventListener', () => {})
    vi.stubGlobal('history', { replaceState: () => {} })
    // That of Node runs by the clock of the system, also where the clock of a test is virtual.
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      const limit = new AbortController()
      setTimeout(() => limit.abort(new DOMException('late', 'TimeoutError')), ms)
      return limit.signal
    })
    vi.stubGlobal('fetch', async (path: string, options: FetchOptions = {}) => {
      const { method = 'GET', headers = {}, body, signal } = options
      const text = body == null ? '' : Buffer.from(body as Uint8Array).toString()
      const request = { method, path: String(path), headers, body: text, signal }
      node.requests.push(request)
      return node.serve(request)
    })
    connection = await load<Connection>('cluster/connection.ts')
  })
  // Files share the modules.
  beforeEach(() => reset(connection))
  afterAll(() => {
    reset(connection)
    vi.restoreAllMocks()
    vi.unstubAllGlobals()
  })
  return node
}

const HEAD = { 'kv-node': 'n1', 'kv-cluster': '7' }

export const answer = (document: object, headers: Readonly<Record<string, string>> = {}): Response =>
  Response.json(document, { headers: { ...HEAD, ...headers } })

export const problem = (code: string, status: number, more: object = {}): Response =>
  Response.json(
    { type: `urn:quorate:problem:${code}`, title: code, status, code, detail: `is ${code}`, ...more },
    { status, headers: { ...HEAD, 'Content-Type': 'application/problem+json' } },
  )

/** Never answers, and ends with the signal, as the fetch of a browser does. */
export const hang = ({ signal }: SentRequest): Promise<never> =>
  new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
