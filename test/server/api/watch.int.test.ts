// Watches through every wire: what a watch receives, how it ends, and what it costs while its client reads nothing.

import { get, type IncomingMessage } from 'node:http'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { asRevision } from '../../../src/operations/forms/index.ts'
import { FakeNode } from '../http/fake-node.ts'
import { type Served, serve } from '../http/served.ts'
import { MuxClient } from '../mux/mux-client.ts'
import { plain } from './steps.ts'

interface Request {
  readonly where?: Readonly<Record<string, string>>
  readonly from?: number
  readonly only?: 'put' | 'delete'
  readonly prev?: boolean
  readonly values?: boolean
  readonly progressMs?: number
}

/** A record: key, value, create_revision, mod_revision, version. */
type Fields = readonly unknown[]
/** ['put', record, record before] or ['delete', key, revision, record before]. */
type Event = readonly unknown[]

type Item =
  | { readonly created: number }
  | { readonly revision: number; readonly events: readonly Event[] }
  | { readonly progress: number }
  | { readonly error: Readonly<Record<string, unknown>> }

interface Watcher {
  readonly items: readonly Item[]
  pause(): void
  resume(): void
  leave(): void
}

type Open = (served: Served, request: Request) => Promise<Watcher>

const soon = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 30_000, interval: 5 })

// ---------------------------------------------------------------------------------------------------------------------
// The wires

// biome-ignore lint/suspicious/noExplicitAny: what came over the wire is checked by the expectations themselves
type Json = any

const jsonRecord = ({ key, value, create_revision, mod_revision, version }: Json): Fields => [
  ...[plain(key), value === undefined ? null : plain(value), create_revision, mod_revision, version],
]

function jsonEvent({ type, kv, prev, key, mod_revision }: Json): Event {
  const before = prev === undefined ? [] : [prev && jsonRecord(prev)]
  return (
    type === 'put' ? ['put', jsonRecord(kv), ...before] : ['delete', key, mod_revision, ...before]
  ) as Event
}

function jsonItem(type: string, data: Json): Item {
  if (type === 'created') return { created: data.revision }
  if (type === 'progress') return { progress: data.revision }
  return type === 'error' ? { error: data } : { revision: data.revision, events: data.events.map(jsonEvent) }
}

const overHttp =
  (accept: string, itemsOf: (text: string) => Item[]): Open =>
  async ({ port }, { where = {}, from, only, prev, values, progressMs }) => {
    const progress = progressMs === undefined ? undefined : `${progressMs}ms`
    const query = Object.entries({ ...where, from, only, prev, values, progress })
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
    const options = { port, host: '127.0.0.1', path: `/v1/watch?${query.join('&')}`, headers: { accept } }
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get({ ...options, agent: false }, resolve).on('error', reject)
    })
    let text = ''
    response.setEncoding('utf8').on('data', (more: string) => {
      text += more
    })
    response.on('error', () => {})
    onTestFinished(() => void response.destroy())
    const watcher: Watcher = {
      get items() {
        return response.statusCode === 200 ? itemsOf(text) : [{ error: JSON.parse(text) }]
      },
      pause: () => void response.pause(),
      resume: () => void response.resume(),
      leave: () => void response.destroy(),
    }
    await soon(() => expect(watcher.items.length).toBeGreaterThan(0))
    return watcher
  }

const linesOf = (text: string): Item[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const data = JSON.parse(line)
      return jsonItem(data.type, data)
    })

const messagesOf = (text: string): Item[] =>
  text
    .split('\n\n')
    .slice(0, -1)
    .map((message) => {
      const fields = Object.fromEntries(message.split('\n').map((line) => line.split(/: (.*)/s)))
      return jsonItem(fields.event, JSON.parse(fields.data))
    })

const muxRecord = (record: Json): Fields => record.map(plain)

function muxEvent([type, of, ...more]: Json): Event {
  if (type === 0) return ['put', muxRecord(of), ...more.map((prev: Json) => prev && muxRecord(prev))]
  const [revision, ...before] = more
  return ['delete', plain(of), revision, ...before.map(muxRecord)]
}

const overMux: Open = async ({ port }, { where = {}, from = null, only, prev, values, progressMs }) => {
  const client = await new MuxClient(port).open()
  const given = Object.entries({ only, prev, values, progress_ms: progressMs })
  const options = Object.fromEntries(given.filter(([, value]) => value !== undefined))
  const [, kind, first] = await client.ask(1, 16, null, where, from, options)
  return {
    get items() {
      if (kind === 1) return [{ error: first }]
      const received = client.watched.map(([, type, of, events]): Item => {
        if (type === 2) return { revision: of, events: events.map(muxEvent) }
        return type === 3 ? { progress: of } : { error: of }
      })
      return [{ created: first }, ...received]
    },
    pause: () => void client.ws.pause(),
    resume: () => void client.ws.resume(),
    leave: () => void client.ws.terminate(),
  }
}

type Wire = readonly [name: string, open: Open]
const LINES: Wire = ['lines of JSON', overHttp('application/x-ndjson', linesOf)]
const EVENTS: Wire = ['server-sent events', overHttp('text/event-stream', messagesOf)]
const MUX: Wire = ['a multiplexed connection', overMux]
/** Both forms of HTTP have the same stream. */
const STREAMS = [LINES, MUX]

// ---------------------------------------------------------------------------------------------------------------------

describe.each([LINES, EVENTS, MUX])('%s', (_, open) => {
  const deleteAll = (node: FakeNode, start: string): void =>
    node.apply({ kind: 'delete-range', range: { start: Buffer.from(start), end: undefined } })

  const opened = async (served: Served, request: Request): Promise<readonly Item[]> =>
    (await open(served, request)).items

  test('a watch receives the changes that it requests, each revision in one item', async () => {
    const served = await serve()
    const { node } = served
    node.put('a/0', 'old')
    const full = await open(served, { where: { prefix: 'a/' }, prev: true })
    const keys = await open(served, { where: { key: 'b' }, values: false })
    const deletes = await open(served, { only: 'delete' })
    node.put('a/0', 'new')
    node.put('b', Buffer.of(255))
    node.put('a/1', Buffer.of(255))
    deleteAll(node, 'a')
    await soon(() => expect([full, keys, deletes].map(({ items }) => items.length)).toEqual([4, 3, 2]))
    const a1 = ['a/1', '\xff', 5, 5, 1]
    expect(full.items).toEqual([
      { created: 2 },
      { revision: 3, events: [['put', ['a/0', 'new', 2, 3, 2], ['a/0', 'old', 2, 2, 1]]] },
      { revision: 5, events: [['put', a1, null]] },
      {
        revision: 6,
        events: [
          ['delete', 'a/0', 6, ['a/0', 'new', 2, 3, 2]],
          ['delete', 'a/1', 6, a1],
        ],
      },
    ])
    expect(keys.items.slice(1)).toEqual([
      { revision: 4, events: [['put', ['b', null, 4, 4, 1]]] },
      { revision: 6, events: [['delete', 'b', 6]] },
    ])
    const all = ['a/0', 'a/1', 'b'].map((key) => ['delete', key, 6])
    expect(deletes.items).toEqual([{ created: 2 }, { revision: 6, events: all }])
  })

  test('a watch begins at a revision, also one that does not exist yet, and has its progress', async () => {
    const served = await serve()
    const { node } = served
    for (const value of ['1', '2', '3']) node.put('a', value)
    const some = await open(served, { from: 3, where: { key: 'a' }, progressMs: 100 })
    const later = await open(served, { from: 6 })
    await soon(() => expect(some.items.at(-1)).toEqual({ progress: 4 }))
    node.put('a', '4')
    node.put('a', '5')
    const revisions = ({ items }: Watcher) =>
      items.flatMap((item) => ('revision' in item ? [item.revision] : []))
    await soon(() => expect([some, later].map(revisions)).toEqual([[3, 4, 5, 6], [6]]))
    expect(later.items[0]).toEqual({ created: 4 })
  })

  test.each<[string, Request, string]>([
    ['a key and a prefix', { where: { key: 'a', prefix: 'b' } }, 'bad_request'],
    ['an empty range', { where: { start: 'b', end: 'a' } }, 'bad_request'],
    ['an empty key', { where: { key: '' } }, 'key_empty'],
    ['revision 0', { from: 0 }, 'bad_request'],
    ['a compacted revision', { from: 2 }, 'compacted'],
  ])('a watch of %s is refused', async (__, request, code) => {
    const served = await serve()
    const { node } = served
    for (const value of ['1', '2', '3']) node.put('a', value)
    node.apply({ kind: 'compact', revision: asRevision(3) })
    const more = code === 'compacted' ? { compact_revision: 3, resume_from: 3 } : {}
    expect(await opened(served, request)).toMatchObject([{ error: { code, ...more } }])
    expect(node.watches.counts().open).toBe(0)
    // The events of the compact revision are kept.
    expect((await opened(served, { from: 3 }))[0]).toEqual({ created: 4 })
  })

  test('a watch is refused if no majority confirms the revision', async () => {
    const served = await serve()
    served.node.problem = { code: 'no_quorum', detail: 'nobody answers', written: 'no' }
    expect(await opened(served, {})).toMatchObject([{ error: { code: 'no_quorum', status: 503 } }])
    expect(served.node.asked.at(-1)?.options?.consistency).toBe('linearizable')
  })

  test('a revision that is too large for a message ends a watch, after everything before it', async () => {
    const served = await serve({ node: new FakeNode({}, { watchMessageBytesMax: 1000 }) })
    const { node } = served
    const watcher = await open(served, { where: { prefix: 'k' } })
    for (let at = 0; at < 20; at++) node.put(`k${at}`, '')
    deleteAll(node, 'k')
    const { revision } = node
    const detail = expect.stringContaining('too large for one message (1330 bytes of keys, at most 1000)')
    await soon(() =>
      expect(watcher.items.slice(-2)).toMatchObject([
        { revision: revision - 1 },
        { error: { code: 'compacted', compact_revision: revision, resume_from: revision + 1, detail } },
      ]),
    )
    expect(node.watches.counts().open).toBe(0)
  })

  test('a node that stops ends the watches, and says from which revision they can resume', async () => {
    const served = await serve()
    const { node, http } = served
    const [now, later] = [await open(served, {}), await open(served, { from: 9 })]
    node.put('a', '1')
    await soon(() => expect(now.items).toHaveLength(2))
    node.watches.endAll('this node stops')
    const closed = http.close({ graceful: true })
    for (const [watcher, resume_from] of [
      [now, 3],
      [later, 9],
    ] as const)
      await soon(() =>
        expect(watcher.items.at(-1)).toMatchObject({ error: { code: 'not_ready', resume_from } }),
      )
    await closed
  })
})

describe.each(STREAMS)('what waits for a client of %s', (_, open) => {
  const expectNothingLeft = ({ node, http }: Served): Promise<void> =>
    soon(() => {
      expect(Object.values(node.watches.inspect()).filter((count) => count !== 0)).toEqual([])
      expect(http.inspect()).toMatchObject({ connections: 0, watchBytes: 0, answerBytes: 0, operations: 0 })
    })

  test('a client that goes away leaves nothing behind', async () => {
    const served = await serve()
    const watcher = await open(served, {})
    expect(served.node.watches.counts().open).toBe(1)
    watcher.leave()
    await expectNothingLeft(served)
  })

  const VALUE = 'v'.repeat(32 * 1024)

  /** Writes until the sockets hold no more; returns the number of changes. */
  async function fill(node: FakeNode): Promise<number> {
    let written = 0
    await soon(() => {
      for (let at = 0; at < 20; at++, written++) node.put('a', VALUE)
      expect(node.watches.counts().slow).toBe(1)
    })
    return written
  }

  test('a client that reads nothing holds a bounded number of bytes, and misses nothing when it reads', async () => {
    const limits = { watchBufferBytesMax: 64 * 1024 }
    const served = await serve({ limits })
    const { node, http } = served
    const watcher = await open(served, { where: { key: 'a' } })
    watcher.pause()
    const written = (await fill(node)) + 100
    for (let at = 0; at < 100; at++) node.put('a', VALUE)
    expect(http.inspect().watchBytes).toBeLessThan(limits.watchBufferBytesMax + 2 * VALUE.length)
    watcher.resume()
    await soon(() => expect(node.watches.counts()).toMatchObject({ slow: 0, behind: 0 }))
    await soon(() => expect(watcher.items).toHaveLength(written + 1))
    expect(watcher.items.slice(1).map((item) => 'revision' in item && item.revision)).toEqual(
      Array.from({ length: written }, (__, at) => at + 2),
    )
    await soon(() => expect(http.inspect()).toMatchObject({ watchBytes: 0, answerBytes: 0 }))
  })

  test('a client that goes away while events wait for it leaves nothing behind', async () => {
    const served = await serve({ limits: { watchBufferBytesMax: 64 * 1024 } })
    const watcher = await open(served, { where: { key: 'a' } })
    watcher.pause()
    await fill(served.node)
    watcher.leave()
    await expectNothingLeft(served)
  })

  test('compaction that overtakes a slow client ends its watch, with the revision from which it can resume', async () => {
    const served = await serve({ limits: { watchBufferBytesMax: 1024 } })
    const { node } = served
    const watcher = await open(served, { where: { key: 'a' } })
    watcher.pause()
    await fill(node)
    const { revision } = node
    node.apply({ kind: 'compact', revision })
    node.put('a', 'later')
    watcher.resume()
    const error = { code: 'compacted', compact_revision: revision, resume_from: revision }
    await soon(() => expect(watcher.items.at(-1)).toMatchObject({ error }))
    // Everything before is complete.
    const revisions = watcher.items.slice(1, -1).map((item) => 'revision' in item && item.revision)
    expect(revisions).toEqual(Array.from({ length: revisions.length }, (__, at) => at + 2))
    const again = await open(served, { where: { key: 'a' }, from: revision })
    await soon(() => expect(again.items.slice(1)).toMatchObject([{ revision }, { revision: revision + 1 }]))
    expect(node.watches.counts().compactedTotal).toBe(1)
  })
})
