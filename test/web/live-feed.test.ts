// The watches of the page: what they hold, and nodes that fall silent.

import { afterAll, afterEach, expect, test, vi } from 'vitest'

const store = { getItem: () => null, setItem: () => undefined, removeItem: () => undefined }
vi.stubGlobal('sessionStorage', store)
vi.stubGlobal('location', { hash: '', origin: 'http://node' })
let stream: () => ReadableStream<Uint8Array>
vi.stubGlobal('fetch', async (_: string, { signal }: { signal: AbortSignal }) => {
  const transformed = new TransformStream<Uint8Array, Uint8Array>()
  // As the fetch of a browser does it: the body ends with the signal.
  stream()
    .pipeTo(transformed.writable, { signal })
    .catch(() => undefined)
  return new Response(transformed.readable, { status: 200 })
})
// The types of these modules need those of a browser. They read the storage of the tab when they are loaded.
const load = (path: string): Promise<unknown> => import(path)
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

afterEach(() => vi.useRealTimers())
afterAll(() => vi.unstubAllGlobals())

test('a feed of large values keeps 32 MiB of them', async () => {
  const { feed } = (await load('../../web/src/pages/live/live-feed.ts')) as {
    feed: (options: object, show: (view: View) => void, signal: AbortSignal) => Promise<void>
  }
  interface View {
    readonly received: number
    readonly changes: readonly { readonly event: { readonly record: { readonly value: Uint8Array } } }[]
  }
  const value = 'x'.repeat(1 << 20)
  let at = 0
  stream = () =>
    new ReadableStream({
      pull(controller) {
        at++
        const kv = { key: 'k', value, version: at, create_revision: 1, mod_revision: at }
        const event = { type: 'events', revision: at, events: [{ type: 'put', kv }] }
        if (at <= 80) controller.enqueue(encode(`${JSON.stringify(event)}\n`))
      },
    })
  const ended = new AbortController()
  let view: View | undefined
  const fits = (): boolean => true
  const options = { prefix: encode(''), only: undefined, prev: false, cap: 2_000, fits }
  void feed(options, (next) => (view = next), ended.signal)
  await expect.poll(() => view?.received, { timeout: 10_000 }).toBe(80)
  ended.abort()
  const kept = view?.changes.reduce((sum, { event }) => sum + event.record.value.length, 0)
  expect(kept).toBeLessThanOrEqual(32 << 20)
})

test('a watch whose node has fallen silent ends', async () => {
  const { readMessages } = (await load('../../web/src/cluster/watch-messages.ts')) as {
    readMessages: (request: object, signal: AbortSignal) => AsyncGenerator<unknown>
  }
  vi.useFakeTimers()
  stream = () =>
    new ReadableStream({
      start: (controller) => controller.enqueue(encode('{"type":"created","revision":1}\n')),
    })
  const where = { start: encode(''), end: undefined }
  const request = { where, from: undefined, only: undefined, prev: false, values: true, progressMs: 100 }
  const messages = readMessages(request, new AbortController().signal)
  expect(await messages.next()).toMatchObject({ value: { kind: 'created' } })
  let isOver = false
  messages.next().then(
    () => undefined,
    () => {
      isOver = true
    },
  )
  await vi.advanceTimersByTimeAsync(10_000)
  expect(isOver).toBe(true)
})
