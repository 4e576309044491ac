// The events of the supervisor as the page follows them, while the supervisor comes and goes.

import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { problem, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'

interface Modules {
  readonly controlState: { value: { readonly nodes: readonly object[] } | undefined }
  readonly doneActions: { value: readonly { readonly message: string }[] }
  readonly controlError: { value: string | undefined }
  followControl(signal: AbortSignal): Promise<void>
  control(action: string, body?: object): Promise<void>
}
const node = stubPage()
let page: Modules
let following: AbortController
/** The open streams, the newest last. */
let streams: ReadableStreamDefaultController<Uint8Array>[]
let isAway: boolean
beforeAll(async () => {
  // One of its own: requests of another file may still hold the turns of the shared one.
  page = await load<Modules>('cluster/control.ts?alone')
})
beforeEach(() => {
  vi.useFakeTimers()
  streams = []
  isAway = false
  page.doneActions.value = []
  following = new AbortController()
  node.serve = ({ signal }) => {
    if (isAway) throw new TypeError('Failed to fetch')
    const stream = new TransformStream<Uint8Array, Uint8Array>()
    const source = new ReadableStream<Uint8Array>({ start: (controller) => void streams.push(controller) })
    source.pipeTo(stream.writable, { ...(signal && { signal }) }).catch(() => {})
    return new Response(stream.readable)
  }
})
afterEach(async () => {
  following.abort()
  await vi.advanceTimersByTimeAsync(5_000)
  expect(vi.getTimerCount()).toBe(0)
  page.controlError.value = undefined
  vi.useRealTimers()
})

const send = (event: string, data: object): void =>
  streams.at(-1)?.enqueue(new TextEncoder().encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`))
const action = (number: number) => ({
  time_ms: number,
  action: 'heal',
  by: 'command',
  message: `action ${number}`,
})
const nodeNamed = (name: string) => ({ name, state: 'running', pid: 1, url: 'http://127.0.0.1:1' })
const shown = () => page.doneActions.value.map(({ message }) => message)

test('a supervisor that is away and comes again, twice, is followed as at first, and each action stands once', async () => {
  void page.followControl(following.signal)
  for (let time = 1; time <= 3; time++) {
    await vi.advanceTimersByTimeAsync(2_000)
    expect(page.controlError.value).toBeUndefined()
    // A stream begins with what was done before.
    for (let each = 1; each <= time; each++) send('action', action(each))
    send('state', { nodes: [nodeNamed(`n${time}`)], links: [] })
    await vi.advanceTimersByTimeAsync(500)
    expect(shown()).toEqual(Array.from({ length: time }, (_, at) => `action ${at + 1}`))
    expect(page.controlState.value?.nodes).toMatchObject([{ name: `n${time}` }])
    isAway = true
    streams.at(-1)?.close()
    await vi.advanceTimersByTimeAsync(300_000)
    expect(page.controlError.value).toContain('The supervisor of the cluster does not answer')
    // The page shows what is known, and that it is old.
    expect(shown()).toHaveLength(time)
    isAway = false
  }
})

test('events of another form are an error that names the field, and what is shown stays', async () => {
  void page.followControl(following.signal)
  await vi.advanceTimersByTimeAsync(1)
  send('state', { nodes: [nodeNamed('n1')], links: [] })
  send('state', { nodes: [{ ...nodeNamed('n2'), pid: 'none' }], links: [] })
  await vi.advanceTimersByTimeAsync(500)
  expect(page.controlError.value).toContain('"pid" is not a whole number')
  expect(page.controlState.value?.nodes).toMatchObject([{ name: 'n1' }])
})

test('a page that rests for hours follows one stream', async () => {
  void page.followControl(following.signal)
  for (let count = 0; count < 1_000; count++) {
    await vi.advanceTimersByTimeAsync(10_000)
    streams.at(-1)?.enqueue(new TextEncoder().encode(':\n\n'))
  }
  expect(streams).toHaveLength(1)
})

test('after many actions the newest are kept', async () => {
  void page.followControl(following.signal)
  await vi.advanceTimersByTimeAsync(1)
  for (let each = 1; each <= 1_000; each++) send('action', action(each))
  await vi.advanceTimersByTimeAsync(1_000)
  expect(shown()).toHaveLength(200)
  expect(shown().at(-1)).toBe('action 1000')
})

test('commands that the supervisor refuses, more of them than there are turns, leave the next one its turn', async () => {
  const answered: string[] = []
  node.serve = ({ path }) => {
    answered.push(path)
    return path === '/control/heal' ? new Response('{}') : problem('refused', 409)
  }
  for (let count = 0; count < 5; count++)
    await expect(page.control('kill', { node: 'n1' })).rejects.toThrow('is refused')
  await page.control('heal')
  expect(answered.at(-1)).toBe('/control/heal')
})
