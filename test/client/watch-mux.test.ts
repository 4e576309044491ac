// Watches on a multiplexed connection, against a node whose items the test sends.

import { getEventListeners } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import type { Client, ClientOptions, Watch } from '../../src/client/index.ts'
import { oneNode } from './one-node.ts'
import type { Item, Line, RelayedLines } from './relayed-lines.ts'
import type { RelayedNode } from './relayed-node.ts'
import { answering, clientOf, connected, fake, fakePeer, freezeTime, until } from './with-fakes.ts'

const AT_REST = { calls: 0, permits: 0, requests: 0, probes: 0 }
const [CANCEL, WATCH] = [0, 16]
const WELCOME = { watches_max: 3 }

interface Asked {
  readonly id: number
  readonly item: Item
  readonly line: Line
}

const NOT_READY = { status: 503, body: { code: 'not_ready', status: 503, detail: 'not now' } }

/** From now on the node takes watches, and the test answers them. */
function watchesOf(lines: RelayedLines): { readonly asked: Asked[]; readonly cancelled: number[] } {
  const [asked, cancelled]: [Asked[], number[]] = [[], []]
  lines.onItem = (item, line) => {
    const [id, op] = item as [number, number]
    if (op === WATCH) asked.push({ id, item, line })
    if (op === CANCEL) cancelled.push(id)
    return op === WATCH || op === CANCEL
  }
  return { asked, cancelled }
}

async function scene(options: Partial<ClientOptions> = {}) {
  const { node, lines, kv } = await oneNode(options, (prepared) => {
    prepared.welcome = WELCOME
  })
  refuseOverHttp(node)
  return { node, lines, kv, ...watchesOf(lines) }
}

/** Over HTTP the node serves no watch now. */
function refuseOverHttp(node: RelayedNode): void {
  node.fault = ({ target }) => (target.startsWith('/v1/watch') ? NOT_READY : undefined)
}

const record = (key: string, revision: number, value: string | Buffer = 'v'): Item => [
  Buffer.from(key),
  Buffer.from(value as string),
  revision,
  revision,
  1,
]
const events = (id: number, revision: number, ...keys: string[]): Item => [
  id,
  2,
  revision,
  keys.map((key) => [0, record(key, revision)]),
]

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

async function heapBytes(): Promise<number> {
  for (let times = 0; times < 5; times++) {
    await nextTurn()
    collect()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

async function begun(kv: Client, asked: readonly Asked[], options = {}): Promise<{ watch: Watch } & Asked> {
  const count = asked.length
  const watch = kv.watch({ prefix: 'k', ...options })
  await until(() => asked.length > count)
  const last = asked.at(-1)
  if (last === undefined) throw new Error('not asked')
  last.line.send([last.id, 0, 5])
  await watch.ready
  return { watch, ...last }
}

test('it asks for what was asked for, and tells what comes', async () => {
  const { kv, asked, cancelled, lines } = await scene()
  const options = { prev: true, only: 'put', keysOnly: true, progressMs: 500, fromRevision: 3 } as const
  const { watch, item, id, line } = await begun(kv, asked, options)
  expect(item.slice(3)).toEqual([
    { prefix: Buffer.from('k') },
    3,
    { prev: true, only: 'put', values: false, progress_ms: 500 },
  ])
  const key = Buffer.from([0xff, 0])
  line.send([
    id,
    2,
    7,
    [
      [0, [key, null, 7, 7, 1, '77'], null],
      [0, record('k2', 7), record('k2', 3)],
    ],
  ])
  const { value } = await watch.next()
  expect(value?.events).toMatchObject([
    { type: 'put', keyBytes: new Uint8Array(key), kv: { value: new Uint8Array(), lease: '77' }, prev: null },
    { type: 'put', key: 'k2', prev: { modRevision: 3 } },
  ])
  line.send([id, 2, 9, [[1, Buffer.from('k2'), 9, record('k2', 7)]]], [id, 3, 12])
  expect((await watch.next()).value).toMatchObject({
    revision: 9,
    events: [{ type: 'delete', key: 'k2', modRevision: 9, prev: { modRevision: 7 } }],
  })
  await watch.close()
  await until(() => cancelled.length === 1)
  expect(cancelled).toEqual([id])
  line.send([id, 4, { code: 'cancelled', status: 499 }])
  await kv.get('k')
  expect([kv[inspect](), lines.open.length]).toEqual([AT_REST, 1])
})

test('what is on its way after a cancel goes to nobody, and the place is used again when the node has ended it', async () => {
  const { kv, asked, cancelled, lines } = await scene()
  const first = await begun(kv, asked)
  await first.watch.close()
  await until(() => cancelled.length === 1)
  first.line.send(events(first.id, 6, 'k'), [first.id, 3, 8])
  const second = await begun(kv, asked)
  expect(second.id).not.toBe(first.id)
  second.line.send([first.id, 4, { code: 'cancelled' }], events(second.id, 9, 'k'))
  expect((await second.watch.next()).value?.revision).toBe(9)
  const third = await begun(kv, asked)
  expect(third.id).not.toBe(first.id)
  third.line.send(events(third.id, 10, 'k'))
  expect((await third.watch.next()).value?.revision).toBe(10)
  expect(lines.open).toHaveLength(1)
  await Promise.all([second.watch.close(), third.watch.close()])
})

test('a watch that is closed before it has begun is cancelled, and may begin all the same', async () => {
  const { kv, asked, cancelled, lines } = await scene()
  const watch = kv.watch({ prefix: 'k' })
  await until(() => asked.length === 1)
  await watch.close()
  await until(() => cancelled.length === 1)
  const [{ id, line }] = asked as [Asked]
  line.send([id, 0, 5], events(id, 6, 'k'), [id, 4, { code: 'cancelled' }])
  await kv.get('k')
  expect([kv[inspect](), lines.open.length]).toEqual([AT_REST, 1])
})

const DENIED = { code: 'permission_denied', status: 403, detail: 'not yours' }

/** Ends of a watch. What the node sends after a cancel arrives late. */
const WAYS: Readonly<
  Record<string, (setting: Awaited<ReturnType<typeof scene>>, abort: AbortController) => Promise<unknown>>
> = {
  'is closed': async ({ kv, asked, cancelled }) => {
    const { watch, id, line } = await begun(kv, asked)
    await watch.close()
    await until(() => cancelled.includes(id))
    line.send(events(id, 6, 'k'), [id, 4, { code: 'cancelled' }])
  },
  'is aborted': async ({ kv, asked, cancelled }, abort) => {
    const { watch, id, line } = await begun(kv, asked, { signal: abort.signal })
    const next = watch.next()
    abort.abort()
    await expect(next).rejects.toMatchObject({ code: 'aborted' })
    await until(() => cancelled.includes(id))
    line.send([id, 4, { code: 'cancelled' }])
  },
  'is closed before it begins': async ({ kv, asked, cancelled }) => {
    const count = asked.length
    const watch = kv.watch({ prefix: 'k' })
    await until(() => asked.length > count)
    await watch.close()
    const { id, line } = asked.at(-1) as Asked
    await until(() => cancelled.includes(id))
    line.send([id, 0, 5], events(id, 6, 'k'), [id, 4, { code: 'cancelled' }])
  },
  'is closed before it begins, and refused': async ({ kv, asked, cancelled }) => {
    const count = asked.length
    const watch = kv.watch({ prefix: 'k' })
    await until(() => asked.length > count)
    await watch.close()
    const { id, line } = asked.at(-1) as Asked
    await until(() => cancelled.includes(id))
    line.send([id, 1, DENIED, 9, false])
  },
  'is refused': async ({ kv, asked }) => {
    const count = asked.length
    const watch = kv.watch({ prefix: 'k' })
    await until(() => asked.length > count)
    const { id, line } = asked.at(-1) as Asked
    line.send([id, 1, DENIED, 9, false])
    await expect(watch.next()).rejects.toMatchObject({ code: 'permission_denied' })
  },
  'is ended by the node': async ({ kv, asked }) => {
    const { watch, id, line } = await begun(kv, asked)
    line.send([id, 4, DENIED])
    await expect(watch.next()).rejects.toMatchObject({ code: 'permission_denied' })
  },
}

test.each(Object.entries(WAYS))('a watch that %s gives its place back, each time', async (_, end) => {
  const setting = await scene()
  const { kv, lines, asked } = setting
  for (let round = 0; round < 3 * WELCOME.watches_max; round++) {
    const abort = new AbortController()
    await end(setting, abort)
    expect(getEventListeners(abort.signal, 'abort')).toEqual([])
    await kv.get('k')
  }
  expect([kv[inspect](), lines.open.length]).toEqual([AT_REST, 1])
  const last = []
  for (let n = 0; n < WELCOME.watches_max; n++) last.push(await begun(kv, asked))
  await Promise.all(last.map(({ watch }) => watch.close()))
})

test('a problem in place of the answer is that of the watch', async () => {
  const { kv, asked } = await scene()
  const watch = kv.watch({ prefix: 'k' })
  await until(() => asked.length === 1)
  const [{ id, line }] = asked as [Asked]
  const compacted = { code: 'compacted', status: 410, detail: 'gone', compact_revision: 7, resume_from: 8 }
  line.send([id, 1, compacted, 9, false])
  await expect(watch.next()).rejects.toMatchObject({ code: 'compacted', compactRevision: 7, resumeFrom: 8 })
  expect(kv[inspect]()).toEqual(AT_REST)
})

test('when the node ends it, it goes on from the next revision', async () => {
  const { kv, asked } = await scene()
  const { watch, id, line } = await begun(kv, asked)
  line.send(events(id, 6, 'k'), [
    id,
    4,
    { code: 'not_ready', status: 503, detail: 'it stops', resume_from: 7 },
  ])
  expect((await watch.next()).value?.revision).toBe(6)
  await until(() => asked.length === 2)
  expect(asked[1]?.item[4]).toBe(7)
  await watch.close()
})

test('when the connection is lost, its watches go on elsewhere, each from where it was', async () => {
  const node = await fake()
  const peer = await fakePeer(node, 'n2')
  const nodes = [node, peer]
  const lines = nodes.map((each) => each.multiplex())
  for (const each of lines) each.welcome = { watches_max: 10 }
  const kv = clientOf(nodes, { transport: 'auto' })
  await connected(kv, nodes)
  for (const each of nodes) refuseOverHttp(each)
  const [one, other] = lines.map(watchesOf) as [ReturnType<typeof watchesOf>, ReturnType<typeof watchesOf>]
  const both = () => [...one.asked, ...other.asked]
  const watches = [1, 2, 3, 4].map((n) => kv.watch({ key: `k${n}` }))
  await until(() => both().length === 4)
  for (const { id, line } of both()) line.send([id, 0, 5], events(id, 6, 'k'))
  for (const watch of watches) expect((await watch.next()).value?.revision).toBe(6)
  const count = both().length
  const lost = one.asked.length
  for (const { line } of one.asked) line.cut()
  await until(() => both().length === count + lost)
  for (const { item } of both().slice(-lost)) expect(item[0]).toBeGreaterThan(0)
  expect(both().filter(({ item }) => item[4] === 7)).toHaveLength(lost)
  for (const watch of watches) await watch.close()
  await kv.close()
})

test('an application that takes too little pauses its own watch, and others go on', async () => {
  const { kv, asked, cancelled, lines } = await scene()
  const slow = await begun(kv, asked)
  const quick = await begun(kv, asked)
  const large = Buffer.alloc(300_000)
  let revision = 5
  while (cancelled.length === 0 && revision < 100) {
    revision += 1
    slow.line.send([slow.id, 2, revision, [[0, record('k', revision, large)]]])
    quick.line.send(events(quick.id, revision, 'k'))
    expect((await quick.watch.next()).value?.revision).toBe(revision)
  }
  expect(cancelled).toEqual([slow.id])
  // It knows of some revisions that it has not received.
  slow.line.send([slow.id, 4, { code: 'cancelled' }])
  const taken: number[] = []
  let next = slow.watch.next()
  let isTold = false
  const note = () => {
    isTold = true
  }
  void next.then(note)
  for (;;) {
    await until(() => isTold || asked.length === 3)
    if (!isTold) break
    taken.push((await next).value?.revision ?? Number.NaN)
    isTold = false
    next = slow.watch.next()
    void next.then(note)
  }
  const from = asked[2]?.item[4] as number
  const again = asked[2] as Asked
  again.line.send([again.id, 0, revision])
  for (let missed = from; missed <= revision; missed++) again.line.send(events(again.id, missed, 'k'))
  taken.push((await next).value?.revision ?? Number.NaN)
  while (taken.at(-1) !== revision) taken.push((await slow.watch.next()).value?.revision ?? Number.NaN)
  expect(taken).toEqual(Array.from({ length: revision - 5 }, (_, at) => at + 6))
  expect(lines.open).toHaveLength(1)
  await Promise.all([slow.watch.close(), quick.watch.close()])
})

test('what an application has not taken holds about 4 MiB of memory, however small the events are', async () => {
  const { kv, asked, cancelled } = await scene()
  const { watch, id, line } = await begun(kv, asked)
  const before = await heapBytes()
  for (let first = 6; cancelled.length === 0 && first < 30_000; first += 100) {
    line.send(...Array.from({ length: 100 }, (_, at) => events(id, first + at, `key-${first + at}`)))
    await kv.get('k')
  }
  expect(cancelled).toEqual([id])
  expect((await heapBytes()) - before).toBeLessThan(8 * 1024 * 1024)
  await watch.close()
})

test.each([60_000, Number.POSITIVE_INFINITY])(
  'a node that tells a watch nothing is left, also if calls may take %d ms',
  async (timeoutMs) => {
    freezeTime()
    const { kv, asked, cancelled } = await scene({ timeoutMs })
    // The connection itself waits for nothing more.
    await vi.advanceTimersByTimeAsync(30_000)
    const { watch, id, line } = await begun(kv, asked, { progressMs: 100 })
    for (let revision = 6; revision < 9; revision++) {
      await vi.advanceTimersByTimeAsync(1_000)
      line.send([id, 3, revision], events(id, revision + 100, 'k'))
      expect((await watch.next()).value?.revision).toBe(revision + 100)
    }
    expect(cancelled).toEqual([])
    await vi.advanceTimersByTimeAsync(1_300)
    await until(() => cancelled.length === 1)
    expect(cancelled).toEqual([id])
    await watch.close()
  },
)

test('a watch whose connection is silent goes elsewhere, and leaves the connection', async () => {
  freezeTime()
  const { node, kv, asked } = await scene({ timeoutMs: 60_000 })
  const { watch, line } = await begun(kv, asked, { progressMs: 100 })
  // Not even a ping is answered.
  line.ws.pause()
  await vi.advanceTimersByTimeAsync(1_300)
  // There is a pause before it asks again, and it waits a second for the connection.
  for (let ms = 0; ms < 2_000; ms += 2) {
    await nextTurn()
    vi.advanceTimersByTime(2)
  }
  await until(() => node.seen.some(({ target }) => target.startsWith('/v1/watch')))
  await watch.close()
  expect(asked).toHaveLength(1)
})

test('events of one revision are told, however many bytes they have', async () => {
  const { kv, asked, cancelled } = await scene()
  const { watch, id, line } = await begun(kv, asked)
  for (const revision of [6, 7]) {
    line.send([id, 2, revision, [[0, record('k', revision, Buffer.alloc(2_000_000))]]])
    expect((await watch.next()).value?.revision).toBe(revision)
  }
  expect(cancelled).toEqual([])
  await watch.close()
})

test('watches that begin together go over the connection', async () => {
  const { node, kv, asked } = await scene()
  const watches = [1, 2, 3].map((n) => kv.watch({ key: `k${n}` }))
  await until(() => asked.length === 3)
  const overHttp = node.seen.map(({ target }) => target).filter((target) => target.startsWith('/v1/watch'))
  expect(overHttp).toEqual([])
  await Promise.all(watches.map((watch) => watch.close()))
})

test('a watch that waits for another one to begin has its own timeout', async () => {
  freezeTime()
  const lone = await answering('', { staysOpen: true })
  const client = clientOf([lone.url], { transport: 'auto' })
  const patient = client.watch({ key: 'k', timeoutMs: 10_000 })
  const watch = client.watch({ key: 'k', timeoutMs: 300 })
  const failed = expect(watch.ready).rejects.toMatchObject({ code: 'timeout' })
  for (let at = 0; at < 6; at++) {
    await until(() => lone.connections() > 0)
    await vi.advanceTimersByTimeAsync(50)
  }
  await failed
  await patient.close()
})

test('an application that takes nothing is told no progress without end', async () => {
  const { kv, asked, cancelled } = await scene()
  const { watch, id, line } = await begun(kv, asked)
  for (const revision of [6, 7, 8, 9, 10])
    line.send([id, 2, revision, [[0, record('k', revision, Buffer.alloc(1_000_000))]]])
  for (let revision = 11; cancelled.length === 0 && revision < 30_000; revision += 1000) {
    line.send(...Array.from({ length: 1000 }, (_, at) => [id, 3, revision + at]))
    await kv.get('k')
  }
  expect(cancelled).toEqual([id])
  await watch.close()
})

test('more watches than the connection may have go over HTTP', async () => {
  const { node, kv, asked } = await scene()
  const first = [await begun(kv, asked), await begun(kv, asked), await begun(kv, asked)]
  const watch = kv.watch({ prefix: 'k' })
  await until(() => node.seen.some(({ target }) => target.startsWith('/v1/watch')))
  await Promise.all([watch, ...first.map(({ watch }) => watch)].map((each) => each.close()))
  expect(asked).toHaveLength(3)
})

test('a node whose welcome says nothing of watches is asked over HTTP', async () => {
  const { node, lines, kv } = await oneNode()
  const watch = kv.watch({ prefix: 'k' })
  await until(() => node.seen.some(({ target }) => target.startsWith('/v1/watch')))
  await watch.close()
  expect(lines.items.filter(([, op]) => op === WATCH)).toEqual([])
})

test.each<[string, (id: number) => Item[]]>([
  ['events before the watch has begun', (id) => [events(id, 6, 'k')]],
  [
    'something unknown of a watch',
    (id) => [
      [id, 0, 5],
      [id, 9, 6],
    ],
  ],
  [
    'an event that is no list',
    (id) => [
      [id, 0, 5],
      [id, 2, 6, ['event']],
    ],
  ],
  [
    'a record without its revisions',
    (id) => [
      [id, 0, 5],
      [id, 2, 6, [[0, [Buffer.from('k'), Buffer.from('v')]]]],
    ],
  ],
])('%s ends the connection, and the watch goes on', async (_what, items) => {
  const { kv, asked, lines } = await scene()
  const watch = kv.watch({ prefix: 'k' })
  await until(() => asked.length === 1)
  const [{ id, line }] = asked as [Asked]
  line.send(...items(id))
  await until(() => lines.open.length === 0)
  await watch.close()
  await until(() => kv[inspect]().calls === 0)
  expect(kv[inspect]()).toEqual(AT_REST)
})
