// The watches of the page: what they hold, where they resume, and nodes that fall silent.

import { afterAll, afterEach, expect, test, vi } from 'vitest'

const store = { getItem: () => null, setItem: () => undefined, removeItem: () => undefined }
vi.stubGlobal('sessionStorage', store)
vi.stubGlobal('location', { hash: '', origin: 'http://node' })
/** The answer of the node to the next request. */
let answer: () => ReadableStream<Uint8Array> | Response
const requests: string[] = []
vi.stubGlobal('fetch', async (url: string, { signal }: { signal: AbortSignal }) => {
  requests.push(url)
  const body = answer()
  if (body instanceof Response) return body
  const transformed = new TransformStream<Uint8Array, Uint8Array>()
  // As the fetch of a browser does it: the body ends with the signal.
  body.pipeTo(transformed.writable, { signal }).catch(() => undefined)
  return new Response(transformed.readable, { status: 200 })
})
// The types of these modules need those of a browser. They read the storage of the tab when they are loaded.
const load = (path: string): Promise<unknown> => import(path)
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

interface View {
  readonly state: string
  readonly problem: string | undefined
  readonly revision: number | undefined
  readonly received: number
  readonly gaps: readonly object[]
  readonly gapCount: number
  readonly changes: readonly {
    readonly event: { readonly revision: number; readonly record: { readonly value: Uint8Array } }
  }[]
}
interface Feed {
  run(signal: AbortSignal): Promise<void>
  retry(): void
  readonly next: number | undefined
}
const createFeed = async (options: object, show: (view: View) => void): Promise<Feed> => {
  const { Feed } = (await load('../../web/src/pages/live/live-feed.ts')) as {
    Feed: new (options: object, show: (view: View) => void) => Feed
  }
  const where = { start: encode(''), end: undefined }
  return new Feed({ where, only: undefined, prev: false, cap: 2_000, fits: () => true, ...options }, show)
}

const created = (revision: number) => ({ type: 'created', revision })
const put = (revision: number, value = '') => ({
  type: 'events',
  revision,
  events: [{ type: 'put', kv: { key: 'k', value, version: 1, create_revision: 1, mod_revision: revision } }],
})
/** A watch that sends these messages and then ends, or stays open. */
const messages = (list: readonly object[], { stays = false } = {}) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      for (const each of list) controller.enqueue(encode(`${JSON.stringify(each)}\n`))
      if (!stays) controller.close()
    },
  })
const problem = (code: string, status: number, more: object = {}) =>
  Response.json(
    { type: `urn:quorate:problem:${code}`, code, status, detail: `is ${code}`, ...more },
    { status },
  )

/** Runs a feed whose node gives these answers one after the other, and the last one from then on. */
async function runFeed(answers: readonly (() => ReturnType<typeof answer>)[], options: object = {}) {
  const left = [...answers]
  answer = () => (left.length > 1 ? left.shift() : left[0])?.() ?? messages([])
  requests.length = 0
  const views: View[] = []
  const feed = await createFeed(options, (view) => views.push(view))
  const ended = new AbortController()
  const over = feed.run(ended.signal)
  return {
    feed,
    views,
    view: () => views.at(-1),
    end: async () => {
      ended.abort()
      await vi.advanceTimersByTimeAsync(0)
      await over
    },
  }
}

const froms = () => requests.map((url) => new URL(url, 'http://node').searchParams.get('from'))

afterEach(() => {
  clearInterval(quiet)
  vi.useRealTimers()
})
afterAll(() => vi.unstubAllGlobals())

test('a feed of large values keeps 32 MiB of them', async () => {
  const value = 'x'.repeat(1 << 20)
  let at = 0
  answer = () =>
    new ReadableStream({
      pull(controller) {
        at++
        if (at <= 40) controller.enqueue(encode(`${JSON.stringify(put(at, value))}\n`))
      },
    })
  const ended = new AbortController()
  let view: View | undefined
  const feed = await createFeed({}, (next) => {
    view = next
  })
  void feed.run(ended.signal)
  await expect.poll(() => view?.received, { timeout: 60_000 }).toBe(40)
  ended.abort()
  const kept = view?.changes.reduce((sum, { event }) => sum + event.record.value.length, 0)
  expect(kept).toBeLessThanOrEqual(32 << 20)
  expect(kept).toBeGreaterThan(30 << 20)
})

test('a feed resumes after the last revision that it received', async () => {
  vi.useFakeTimers()
  const { view, end } = await runFeed([
    () => messages([created(10), put(11), put(12)]),
    // It says how far the store is, and breaks off before it has sent the changes up to there.
    () => messages([created(40)]),
    () => messages([created(40), put(13), put(40)], { stays: true }),
  ])
  await vi.advanceTimersByTimeAsync(3_000)
  expect(froms()).toEqual([null, '13', '13'])
  expect(view()).toMatchObject({ state: 'open', received: 4, revision: 40, gaps: [] })
  await end()
})

test('a problem that passes is shown until the watch is open again', async () => {
  vi.useFakeTimers()
  const { view, end } = await runFeed([
    () => problem('no_leader', 503),
    () => messages([created(5)], { stays: true }),
  ])
  await vi.advanceTimersByTimeAsync(500)
  expect(view()).toMatchObject({ state: 'resuming', problem: 'is no_leader' })
  await vi.advanceTimersByTimeAsync(1_000)
  expect(view()).toMatchObject({ state: 'open', problem: undefined })
  await end()
})

test('after a final refusal the feed waits until somebody asks for another try', async () => {
  vi.useFakeTimers()
  const { feed, view, end } = await runFeed([
    () => messages([created(10), put(11), { ...ENDED, code: 'permission_denied', status: 403 }]),
    () => messages([created(20), put(12)], { stays: true }),
  ])
  await vi.advanceTimersByTimeAsync(60_000)
  expect(view()).toMatchObject({ state: 'refused', problem: 'has ended' })
  expect(requests).toHaveLength(1)
  feed.retry()
  await vi.advanceTimersByTimeAsync(500)
  expect(froms()).toEqual([null, '12'])
  expect(view()).toMatchObject({ state: 'open', problem: undefined, received: 2 })
  await end()
})

test('when its login has ended a feed waits for the next one', async () => {
  vi.useFakeTimers()
  const { view, end } = await runFeed([() => problem('unauthenticated', 401)])
  await vi.advanceTimersByTimeAsync(60_000)
  expect(view()).toMatchObject({ state: 'logged-out', problem: undefined })
  expect(requests).toHaveLength(1)
  await end()
})

test('compacted changes are a gap, and the feed goes on after it', async () => {
  vi.useFakeTimers()
  const { view, end } = await runFeed([
    () => messages([created(10), put(11)]),
    () => problem('compacted', 410, { resume_from: 31 }),
    () => messages([created(40), put(35)], { stays: true }),
  ])
  await vi.advanceTimersByTimeAsync(5_000)
  expect(froms()).toEqual([null, '12', '31'])
  expect(view()).toMatchObject({ state: 'open', received: 2, gaps: [{ after: 1, from: 12, to: 30 }] })
  await end()
})

test('each gap stays, with its revisions', async () => {
  vi.useFakeTimers()
  const compacted = (from: number) => () => problem('compacted', 410, { resume_from: from })
  const { view, end } = await runFeed([
    () => messages([created(10), put(11)]),
    compacted(31),
    () => messages([created(40), put(41)]),
    compacted(61),
    () => messages([created(70), put(65), put(70)], { stays: true }),
  ])
  await vi.advanceTimersByTimeAsync(5_000)
  expect(froms()).toEqual([null, '12', '31', '42', '61'])
  expect(view()).toMatchObject({
    ...{ state: 'open', received: 4, gapCount: 2 },
    gaps: [
      { after: 1, from: 12, to: 30 },
      { after: 2, from: 42, to: 60 },
    ],
  })
  await end()
})

/** A watch that says now and then up to which revision it has sent everything, and nothing else. */
const quietWatch = (revision: number, progressMs: number) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      const send = (message: object): void => controller.enqueue(encode(`${JSON.stringify(message)}\n`))
      send(created(revision))
      quiet = setInterval(() => send({ type: 'progress', revision }), progressMs)
    },
    cancel: () => clearInterval(quiet),
  })
let quiet: ReturnType<typeof setInterval> | undefined

test('a watch on which nothing happens for hours is one watch', async () => {
  vi.useFakeTimers()
  const { views, view, end } = await runFeed([() => quietWatch(7, 2_000)])
  await vi.advanceTimersByTimeAsync(3 * 3_600_000)
  expect(requests).toHaveLength(1)
  expect(requests[0]).toContain('progress=2000ms')
  expect(view()).toMatchObject({ state: 'open', revision: 7 })
  expect(views.map(({ state }) => state)).not.toContain('resuming')
  await end()
})

test('after hours in which only other keys change, a feed resumes behind what it was told of, and misses nothing', async () => {
  vi.useFakeTimers()
  let revision = 10
  const answers = (): ReturnType<typeof answer> => {
    const from = Number(froms().at(-1))
    // The store keeps the last hundred revisions.
    if (from > 0 && from <= revision - 100) return problem('compacted', 410, { resume_from: revision - 99 })
    return new ReadableStream<Uint8Array>({
      start(controller) {
        const send = (message: object): void => controller.enqueue(encode(`${JSON.stringify(message)}\n`))
        send(created(revision))
        clearInterval(quiet)
        const endsAt = Date.now() + 3_600_000
        quiet = setInterval(() => {
          send({ type: 'progress', revision: ++revision })
          if (Date.now() < endsAt) return
          clearInterval(quiet)
          controller.close()
        }, 2_000)
      },
      cancel: () => clearInterval(quiet),
    })
  }
  const { view, end } = await runFeed([answers])
  await vi.advanceTimersByTimeAsync(3.5 * 3_600_000)
  expect(requests.length).toBeGreaterThan(3)
  expect(view()).toMatchObject({ state: 'open', gaps: [], gapCount: 0, revision })
  await end()
})

/** Ways in which a watch ends: what the node answers, and what follows. */
const ENDINGS: Readonly<Record<string, () => ReturnType<typeof answer>>> = {
  'its node closes it': () => messages([created(10), put(11)]),
  'its node says nothing more': () => messages([created(10), put(11)], { stays: true }),
  'its node refuses it': () => problem('permission_denied', 403),
  'its login ends': () => problem('unauthenticated', 401),
  'its changes are compacted': () => problem('compacted', 410, { resume_from: 31 }),
  'there is no leader': () => problem('no_leader', 503),
  'its answer is none of a node': () => new Response('<html>', { status: 502 }),
}

test.each(Object.entries(ENDINGS))(
  'a feed leaves nothing behind when %s again and again',
  async (_, ending) => {
    vi.useFakeTimers()
    const { feed, end } = await runFeed([ending])
    for (let time = 0; time < 5; time++) {
      await vi.advanceTimersByTimeAsync(10_000)
      feed.retry()
    }
    await vi.advanceTimersByTimeAsync(1_500)
    // That of the views, and that of the silence or of the pause.
    expect(vi.getTimerCount()).toBeLessThanOrEqual(2)
    await end()
    expect(vi.getTimerCount()).toBe(0)
  },
)

test('a feed begins at the revision that the page had before it went to another node', async () => {
  vi.useFakeTimers()
  const { end } = await runFeed([() => messages([created(40)], { stays: true })], { from: 12 })
  await vi.advanceTimersByTimeAsync(500)
  expect(froms()).toEqual(['12'])
  await end()
})

const ENDED = { type: 'error', detail: 'has ended' }

test('a watch whose node has fallen silent ends', async () => {
  const { readMessages } = (await load('../../web/src/cluster/watch-messages.ts')) as {
    readMessages: (request: object, signal: AbortSignal) => AsyncGenerator<unknown>
  }
  vi.useFakeTimers()
  answer = () => messages([created(1)], { stays: true })
  const where = { start: encode(''), end: undefined }
  const request = { where, from: undefined, only: undefined, prev: false, values: true, progressMs: 100 }
  const received = readMessages(request, new AbortController().signal)
  expect(await received.next()).toMatchObject({ value: { kind: 'created' } })
  let isOver = false
  received.next().then(
    () => undefined,
    () => {
      isOver = true
    },
  )
  await vi.advanceTimersByTimeAsync(10_000)
  expect(isOver).toBe(true)
})
