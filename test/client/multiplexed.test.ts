// The multiplexed connection as callers see it: everything that HTTP promises holds here too.

import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import type { Client, QuorateError } from '../../src/client/index.ts'
import { READS_AT_LEADER } from '../../src/client/retry-policy.ts'
import { held, oneNode, PUT, served } from './one-node.ts'
import type { Item, Line, RelayedLines } from './relayed-lines.ts'
import { memberJson, problem } from './relayed-node.ts'
import { clientOf, connected, failure, fake, fakePeer, freezeTime, passing, until } from './with-fakes.ts'

const AT_REST = { calls: 0, permits: 0, requests: 0, probes: 0 }

describe('a client that makes many calls', () => {
  test('makes one connection, and every operation has its result', async () => {
    const { node, lines, kv } = await oneNode()
    const keys = Array.from({ length: 300 }, (_, n) => `k${n}`)
    const puts = await Promise.all(keys.map((key) => kv.put(key, `v of ${key}`)))
    expect(new Set(puts.map((put) => put.revision)).size).toBe(300)
    expect(puts[0]).toEqual({ revision: 2, createRevision: 2, modRevision: 2, version: 1 })
    const records = await Promise.all(keys.map((key) => kv.get(key)))
    expect(records.map((record) => record?.text())).toEqual(keys.map((key) => `v of ${key}`))
    expect(await kv.get('none')).toBeUndefined()
    expect(await kv.delete('k0')).toEqual({ deleted: 1, revision: 302 })
    expect(await kv.delete('k0')).toEqual({ deleted: 0, revision: 302 })
    expect(lines.items).toHaveLength(603)
    expect(node.seen).toHaveLength(603)
    expect(lines.upgrades).toEqual(['/v1/connect?cluster=77'])
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test('sends what is asked in one turn in one message', async () => {
    const { lines, kv } = await oneNode()
    const messages: unknown[] = []
    lines.open[0]?.ws.on('message', (message) => messages.push(message))
    await Promise.all(Array.from({ length: 200 }, (_, n) => kv.put(`k${n}`, 'v')))
    expect(messages).toHaveLength(1)
  })

  test('never reads older data than it has seen', async () => {
    const { node, lines, kv } = await oneNode()
    node.revision = 41
    await kv.put('a', 'b')
    expect(kv.revision).toBe(42)
    await kv.get('a')
    await kv.get('a', { minRevision: 50, consistency: 'stale', maxStalenessMs: 1.5 })
    expect(lines.items.slice(1).map((item) => item.slice(4))).toEqual([
      [42],
      [50, { consistency: 'stale', max_staleness_ms: 1.5 }],
    ])
  })

  test('tells about the answers to reads, also of a key that does not exist', async () => {
    const { lines, kv } = await oneNode()
    const infos: unknown[] = []
    const onAnswer = (info: unknown) => infos.push(info)
    lines.onItem = ([id], line) => {
      line.send([id, 0, 7, null, 'stale', 12.5])
      return true
    }
    expect(await kv.get('a', { onAnswer })).toBeUndefined()
    expect(infos).toEqual([{ node: 'n1', revision: 7, consistency: 'stale', stalenessMs: 12.5 }])
    const thrown = new Error('mine')
    await expect(
      kv.get('a', {
        onAnswer: () => {
          throw thrown
        },
      }),
    ).rejects.toBe(thrown)
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test.each([
    ['the 16th call', 15, 1],
    ['8 calls under way', 0, 8],
  ])('has no connection before %s', async (_, before, atOnce) => {
    const node = await fake()
    const lines = node.multiplex()
    const kv = clientOf([node], { transport: 'auto' })
    for (let n = 0; n < before; n++) await kv.get('a')
    await Promise.all(Array.from({ length: atOnce - 1 }, () => kv.get('a')))
    // Whatever was begun in the background would be seen by now.
    await import('../../src/client/transport/mux-connection.ts')
    for (let n = 0; n < 5; n++) await kv.status()
    expect(lines.upgrades).toEqual([])
    await Promise.all(Array.from({ length: atOnce }, () => kv.get('a')))
    while (lines.upgrades.length === 0) await kv.get('a')
  })

  test("does not use it with transport: 'http'", async () => {
    const node = await fake()
    const lines = node.multiplex()
    const kv = clientOf([node], { transport: 'http' })
    for (let n = 0; n < 10; n++) await Promise.all(Array.from({ length: 10 }, () => kv.get('a')))
    expect(lines.upgrades).toEqual([])
  })
})

describe('answers', () => {
  test('in any order reach their callers', async () => {
    const { lines, kv } = await oneNode()
    const items = held(lines)
    const puts = Array.from({ length: 20 }, (_, n) => kv.put(`k${n}`, 'v'))
    await until(() => items.length === 20)
    for (const { item, line } of items.toReversed()) {
      line.send(served(item, 100 + Number(String(item[3]).slice(1))))
    }
    expect((await Promise.all(puts)).map((put) => put.revision)).toEqual(puts.map((_, n) => 100 + n))
  })

  test.each([
    ['that was not used', 9],
    ['that was answered before', 0],
  ])('with an id %s end the connection, and reach nobody', async (_, more) => {
    const { node, lines, kv } = await oneNode()
    const items = held(lines)
    const first = kv.put('a', '1')
    await until(() => items.length === 1)
    const [{ item, line }] = items as [{ item: Item; line: Line }]
    line.send(served(item))
    await first
    const second = kv.put('b', '2')
    await until(() => items.length === 2)
    line.send([Number(item[0]) + more, 0, 66, 66, 66, 66, false])
    expect((await second).revision).not.toBe(66)
    // Over HTTP, and applied there for the first time.
    expect(node.contents).toEqual({ b: '2' })
    expect(lines.open).toEqual([])
  })

  test.each([
    ['a revision that is none', [0, -1, 2, 2, 1]],
    ['too few fields', [0, 2, 2]],
    ['text for a number', [0, 2, '2', 2, 1]],
  ])('with %s make the outcome of a write unknown', async (_, fields) => {
    const { lines, kv } = await oneNode()
    lines.onItem = ([id], line) => {
      line.send([id, ...fields])
      return true
    }
    expect(await failure(kv.put('a', 'b'))).toMatchObject({ code: 'unexpected_answer', written: 'unknown' })
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test.each([
    ['not a list', [0, 2, 'x']],
    ['a value that is no bytes', [0, 2, [null, 7, 2, 2, 1]]],
    ['without versions', [0, 2, [null, Buffer.from('v')]]],
  ])('whose record is %s make a read fail', async (_, fields) => {
    const { lines, kv } = await oneNode()
    lines.onItem = ([id], line) => {
      line.send([id, ...fields])
      return true
    }
    const error = await failure(kv.get('a'))
    expect(error).toMatchObject({ code: 'unexpected_answer', written: 'no' })
  })

  test('that say that nothing was done lead to another try', async () => {
    const { node, lines, kv } = await oneNode()
    node.faults.push(problem(503, 'no_leader', 'an election', { retry_after_ms: 1 }))
    node.faults.push(problem(504, 'outcome_unknown', 'the leader was lost'))
    await kv.put('a', 'b')
    expect(node.rows.get('a')?.version).toBe(1)
    const identities = lines.items.map((item) => item[5])
    expect(identities).toEqual([identities[0], identities[0], identities[0]])
  })
})

describe('where no connection can be used, HTTP serves', () => {
  const REFUSALS = {
    'a page of a proxy': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi',
    'bad request': 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n',
    'no such route': 'HTTP/1.1 404 Not Found\r\nKv-Cluster: 77\r\nContent-Length: 0\r\n\r\n',
    'upgrade required': 'HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n',
    'a redirect':
      'HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n',
  }
  test.each(Object.entries(REFUSALS))(
    '%s: and the next attempt is made a minute later',
    async (_, refusal) => {
      freezeTime()
      const node = await fake()
      const lines = node.multiplex()
      lines.refusal = refusal
      const kv = clientOf([node], { transport: 'auto' })
      await attempts(kv, lines, 1)
      await idle(kv, 20)
      vi.advanceTimersByTime(59_000)
      await idle(kv, 20)
      expect(lines.upgrades).toHaveLength(1)
      expect(lines.items).toEqual([])
      lines.refusal = undefined
      vi.advanceTimersByTime(1_001)
      await connected(kv, [node])
      expect(lines.upgrades).toHaveLength(2)
    },
  )

  const ok = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
  test.each([
    ...[421, 429, 502, 503, 504].map((status) => [
      `status ${status}`,
      `HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`,
    ]),
    ['garbage', 'hello\r\n\r\n'],
    ['nothing', ''],
    ['an upgrade to something else', `${ok}Sec-WebSocket-Accept: x\r\n\r\n`],
  ])('a node or a proxy that cannot now (%s): soon again', async (_, refusal) => {
    freezeTime()
    const node = await fake()
    const lines = node.multiplex()
    lines.refusal = refusal ?? ''
    const kv = clientOf([node], { transport: 'auto' })
    await attempts(kv, lines, 1)
    await idle(kv, 20)
    expect(lines.upgrades).toHaveLength(1)
    vi.advanceTimersByTime(301)
    await attempts(kv, lines, 2)
  })

  const WELCOMES: Record<string, unknown>[] = [
    { version: 2 },
    { cluster: 77 },
    { operations_max: 0 },
    { revision: 'x' },
  ]
  test.each(WELCOMES)('a welcome with %j', async (welcome) => {
    freezeTime()
    const node = await fake()
    const lines = node.multiplex()
    lines.welcome = welcome
    const kv = clientOf([node], { transport: 'auto' })
    await attempts(kv, lines, 1)
    await idle(kv, 20)
    expect(lines.items).toEqual([])
    expect(lines.upgrades).toHaveLength(1)
  })

  test('a welcome of another cluster: with a warning', async () => {
    const warnings: string[] = []
    const node = await fake()
    const lines = node.multiplex()
    lines.welcome = { cluster: '78' }
    const kv = clientOf([node], { transport: 'auto', onWarning: (text) => warnings.push(text) })
    await attempts(kv, lines, 1)
    while (warnings.length === 0) await kv.get('a')
    await idle(kv, 20)
    expect(warnings).toEqual([expect.stringContaining('belongs to another cluster (78)')])
    expect(lines.items).toEqual([])
  })

  test('a proxy that cuts it before the first answer, more and more seldom', async () => {
    freezeTime()
    const node = await fake()
    const other = await fakePeer(node, 'n2')
    const lines = node.multiplex()
    lines.onItem = (_, line) => {
      line.cut()
      return true
    }
    vi.spyOn(Math, 'random').mockReturnValue(0.999)
    const kv = clientOf([node, other], { transport: 'auto' })
    for (const attempt of [1, 2, 3, 4]) {
      await attempts(kv, lines, attempt)
      while (lines.items.length < attempt) await kv.put('a', 'b')
      await until(() => lines.open.length === 0)
      if (attempt < 4) vi.advanceTimersByTime(5_000)
    }
    vi.advanceTimersByTime(4_000)
    await idle(kv, 20)
    expect(lines.upgrades).toHaveLength(4)
    vi.advanceTimersByTime(1_000)
    await attempts(kv, lines, 5)
  })

  test.each<[string, (line: Line) => void]>([
    ['text', (line) => line.ws.send('hello')],
    ['bytes that are not MessagePack', (line) => line.ws.send(Buffer.from([0xc1]))],
    ['no list', (line) => line.ws.send(Buffer.from([0x01]))],
    ['an item that is no list', (line) => line.send(1)],
    ['an item without an id', (line) => line.send(['x', 0, 1])],
    ['what is no WebSocket frame', (line) => void line.socket.write(Buffer.alloc(64, 0xff))],
  ])('a node that sends %s', async (_, send) => {
    const { node, lines, kv } = await oneNode()
    const items = held(lines)
    const put = kv.put('a', 'b')
    await until(() => items.length === 1)
    send(items[0]?.line as Line)
    await put
    expect(node.contents).toEqual({ a: 'b' })
    expect(lines.open).toEqual([])
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test('a value that is larger than the connection takes', async () => {
    const { node, lines, kv } = await oneNode({}, (its) => {
      its.welcome = { bytes_max: 10_000, message_bytes_max: 20_000 }
    })
    await kv.put('a', Buffer.alloc(9_999, 'x'))
    await kv.put('b', Buffer.alloc(10_000, 'x'))
    expect(lines.items).toHaveLength(1)
    expect(node.rows.get('b')?.value).toHaveLength(10_000)
  })
})

/** Makes calls until so many connections were tried. */
async function attempts(kv: Client, lines: RelayedLines, count: number): Promise<void> {
  while (lines.upgrades.length < count) await kv.get('a')
}

/** Makes calls one after the other, in which an attempt would have been made. */
async function idle(kv: Client, calls: number): Promise<void> {
  for (let n = 0; n < calls; n++) await kv.get('a')
}

describe('operations', () => {
  test('go over the next connection soon, however many were lost before', async () => {
    freezeTime()
    vi.spyOn(Math, 'random').mockReturnValue(0.999)
    onTestFinished(() => void vi.restoreAllMocks())
    const { lines, kv } = await oneNode({ timeoutMs: 60_000 })
    for (let round = 1; round <= 8; round++) {
      lines.onItem = (_, line) => {
        lines.onItem = () => false
        line.cut()
        return true
      }
      const call = kv.get('k')
      await until(() => lines.open.length === 0)
      await passing(100)
      await call
      await passing(400)
      lines.items.length = 0
      await kv.get('k')
      await until(() => lines.open.length === 1)
      while (lines.items.length === 0) await kv.get('k')
      expect(lines.upgrades).toHaveLength(1 + round)
    }
  })

  test('of a connection that is lost are tried again under the same identity', async () => {
    const { node, lines, kv } = await oneNode()
    const other = await fake('n2')
    const items = held(lines)
    const puts = Array.from({ length: 5 }, (_, n) => kv.put(`k${n}`, 'v'))
    const get = kv.get('k0')
    await until(() => items.length === 6)
    lines.onItem = () => false
    items[0]?.line.cut()
    await Promise.all([...puts, get])
    expect([...node.rows.values()].map(({ version }) => version)).toEqual([1, 1, 1, 1, 1])
    const identity = (item: Item) => (item[5] as unknown[]).join(';since=')
    const again = node.seen
      .filter(({ method }) => method === 'PUT')
      .map(({ headers }) => headers['idempotency-key'])
    expect(again.toSorted()).toEqual(
      items
        .slice(0, 5)
        .map(({ item }) => identity(item))
        .toSorted(),
    )
    expect(other.seen).toEqual([])
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test('are the same request on both transports, also with a time to live that is no round number', async () => {
    const { node, lines, kv } = await oneNode({}, (prepared) => {
      prepared.welcome = { keep_alive_max: 1_000 }
    })
    const items = held(lines)
    const put = kv.put('a', '1', { ttlMs: 3 * 1.1 * 1_000 })
    await until(() => items.length === 1)
    items[0]?.line.cut()
    await put
    const [again] = node.seen.map(({ target }) => new URL(target, node.url).searchParams.get('ttl'))
    const [first] = items.map(({ item }) => item[6] as { ttl_ms: number })
    expect([`${first?.ttl_ms}ms`, again]).toEqual(['3300ms', '3300ms'])
  })

  test('beyond the credit wait, and leave in order when it comes back', async () => {
    const { lines, kv } = await oneNode({}, (its) => {
      its.welcome = { operations_max: 1 }
    })
    const items = held(lines)
    const puts = Array.from({ length: 10 }, (_, n) => kv.put(`k${n}`, 'v'))
    for (let n = 0; n < 10; n++) {
      await until(() => items.length === n + 1)
      // Whatever else was sent would have arrived before the answer to a ping.
      await pinged(items[n]?.line as Line)
      expect(items).toHaveLength(n + 1)
      items[n]?.line.send(served(items[n]?.item as Item))
      await puts[n]
    }
    expect(items.map(({ item }) => String(item[3]))).toEqual(puts.map((_, n) => `k${n}`))
  })

  test('beyond the credit of bytes wait', async () => {
    const { lines, kv } = await oneNode({}, (its) => {
      its.welcome = { bytes_max: 1_000 }
    })
    const items = held(lines)
    const puts = Array.from({ length: 4 }, (_, n) => kv.put(`k${n}`, Buffer.alloc(498)))
    await until(() => items.length === 2)
    await pinged(items[0]?.line as Line)
    expect(items).toHaveLength(2)
    for (const { item, line } of items.splice(0)) line.send(served(item))
    await until(() => items.length === 2)
    for (const { item, line } of items.splice(0)) line.send(served(item))
    await Promise.all(puts)
  })

  test('that wait until their time is over were not written; those that were sent may be', async () => {
    freezeTime()
    const { lines, kv } = await oneNode({ timeoutMs: 200 }, (its) => {
      its.welcome = { operations_max: 1 }
    })
    const items = held(lines)
    const [sent, queued, read] = [kv.put('a', '1'), kv.put('b', '2'), kv.get('c')].map(failure)
    await until(() => items.length === 1)
    const over = passing(200)
    expect(await sent).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
    expect(await queued).toMatchObject({ code: 'timeout', written: 'no' })
    expect(await read).toMatchObject({ code: 'timeout', written: 'no' })
    await over
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test('that are aborted: what waits was not written, what was sent may be', async () => {
    const { lines, kv } = await oneNode({}, (its) => {
      its.welcome = { operations_max: 1 }
    })
    const items = held(lines)
    const abort = new AbortController()
    const { signal } = abort
    const calls = [kv.put('a', '1', { signal }), kv.put('b', '2', { signal }), kv.get('c', { signal })].map(
      failure,
    )
    const other = kv.put('d', '4')
    await until(() => items.length === 1)
    abort.abort(new Error('enough'))
    const errors = await Promise.all(calls)
    expect(errors.map(({ code, written }) => [code, written])).toEqual([
      ['aborted', 'unknown'],
      ['aborted', 'no'],
      ['aborted', 'no'],
    ])
    expect(errors[0]?.cause).toBe(abort.signal.reason)
    // The answer to the first one gives its credit back.
    items[0]?.line.send(served(items[0]?.item))
    await until(() => items.length === 2)
    items[1]?.line.send(served(items[1]?.item))
    await other
    expect(items.map(({ item }) => String(item[3]))).toEqual(['a', 'd'])
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test('that are read and given up are cancelled; answers to those are for nobody', async () => {
    const { lines, kv } = await oneNode()
    const items = held(lines)
    const abort = new AbortController()
    const reads = [kv.get('a', { signal: abort.signal }), kv.get('b')]
    await until(() => items.length === 2)
    abort.abort()
    await failure(reads[0] as Promise<unknown>)
    await until(() => items.length === 3)
    const [a, b, cancel] = items.map(({ item }) => item) as [Item, Item, Item]
    expect(cancel).toEqual([a[0], 0])
    const { line } = items[0] as { line: Line }
    line.send([a[0], 1, { code: 'cancelled', status: 499 }, null, false], served(b))
    expect(await reads[1]).toBeUndefined()
    expect(lines.open).toHaveLength(1)
  })

  test('when the client is closed: what waits was not written, what was sent may be', async () => {
    const { lines, kv } = await oneNode({}, (its) => {
      its.welcome = { operations_max: 2 }
    })
    const items = held(lines)
    const calls = [kv.get('a'), kv.put('b', '1'), kv.put('c', '2')].map(failure)
    await until(() => items.length === 2)
    await kv.close()
    const errors = await Promise.all(calls)
    expect(errors.map(({ name, code, written }) => [name, code, written])).toEqual([
      ['AbortError', 'closed', 'no'],
      ['AbortError', 'closed', 'unknown'],
      ['AbortError', 'closed', 'no'],
    ])
    await until(() => lines.open.length === 0)
    expect(kv[inspect]()).toEqual(AT_REST)
    expect(await failure(kv.put('d', '3'))).toMatchObject({ code: 'closed', written: 'no' })
  })

  test('go elsewhere when a node is closing; those under way get their answers', async () => {
    const { node, lines, kv } = await oneNode({}, (its) => {
      its.welcome = { operations_max: 1 }
    })
    const items = held(lines)
    const [first, second] = [kv.put('a', '1'), kv.put('b', '2')]
    await until(() => items.length === 1)
    const { item, line } = items[0] as { item: Item; line: Line }
    line.send([0, 'leader', 4, null], [0, 'closing'])
    await second
    await kv.put('c', '3')
    expect(items).toHaveLength(1)
    expect(node.contents).toEqual({ b: '2', c: '3' })
    line.send(served(item, 77))
    expect((await first).revision).toBe(77)
    await until(() => lines.open.length === 0)
  })

  test('that time out give their slot back only with the answer', async () => {
    freezeTime()
    const { lines, kv } = await oneNode({ timeoutMs: 200 })
    const items = held(lines)
    const late = failure(kv.put('a', '1'))
    await until(() => items.length === 1)
    await passing(200)
    expect(await late).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
    const next = kv.put('b', '2', { timeoutMs: 5_000 })
    await until(() => items.length === 2)
    const [{ item: a, line }, { item: b }] = items as [{ item: Item; line: Line }, { item: Item }]
    line.send(served(a, 66))
    line.send(served(b, 67))
    expect((await next).revision).toBe(67)
    expect(a[0]).not.toBe(b[0])
    expect(lines.open).toHaveLength(1)
  })

  test('that are never answered keep the credit: then a write goes over HTTP', async () => {
    freezeTime()
    const { node, lines, kv } = await oneNode({ timeoutMs: 200 }, (prepared) => {
      prepared.welcome = { operations_max: 1 }
    })
    const items = held(lines)
    const late = failure(kv.put('a', '1'))
    await until(() => items.length === 1)
    await passing(200)
    expect(await late).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
    const next = kv.put('b', '2', { timeoutMs: 5_000 })
    await passing(1_000)
    await next
    expect(items).toHaveLength(1)
    expect(node.contents).toEqual({ b: '2' })
  })

  test('that a node leaves unanswered are asked of another, after a tenth of their time', async () => {
    freezeTime()
    const [silent, other] = [await fake(), await fake('n2')]
    for (const node of [silent, other]) node.multiplex()
    const kv = clientOf([silent, other], { transport: 'auto' })
    await connected(kv, [silent, other])
    silent.fault = () => 'hang'
    const stale = { consistency: 'stale' } as const
    const calls = [kv.put('a', '1'), kv.get('x', stale), kv.get('y', stale)]
    await until(() => silent.seen.length === 2 && other.seen.length === 1)
    await passing(450)
    expect(other.seen).toHaveLength(1)
    await passing(100)
    await Promise.all(calls)
    const keyOf = ({ headers }: { headers: Record<string, unknown> }) => headers['idempotency-key']
    expect(other.seen.map(keyOf)).toContain(silent.seen.map(keyOf).find((key) => key !== undefined))
    // The circuit breaker of the silent node is open, although it leads.
    await kv.put('c', '3')
    await kv.put('d', '4')
    expect(silent.seen).toHaveLength(2)
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test('of a node that does not even answer a ping: the connection is cut', async () => {
    freezeTime()
    const { node, lines, kv } = await oneNode()
    const { socket } = lines.open[0] as Line
    socket.pause()
    const calls = [kv.get('a'), kv.put('b', '1')]
    await passing(3_400)
    expect(node.seen).toEqual([])
    await passing(1_000)
    await Promise.all(calls)
    expect(node.seen.map(({ method }) => method).toSorted()).toEqual(['GET', 'PUT'])
    socket.resume()
    await until(() => lines.open.length === 0)
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test('go over HTTP while a connection does not answer', async () => {
    freezeTime()
    const { node, lines, kv } = await oneNode()
    const { socket } = lines.open[0] as Line
    socket.pause()
    const first = kv.put('a', '1')
    await passing(550)
    await kv.put('b', '2')
    expect(node.contents).toEqual({ b: '2' })
    socket.resume()
    await first
    await until(() => lines.items.length === 1)
    await passing(5_100)
    await kv.put('c', '3')
    expect(lines.items).toHaveLength(2)
    expect(lines.open).toHaveLength(1)
  })

  test('of a node that answers a ping, but not them, stay there', async () => {
    freezeTime()
    const { lines, kv } = await oneNode({ timeoutMs: 60_000 })
    const items = held(lines)
    const get = kv.get('a')
    await until(() => items.length === 1)
    await passing(20_000)
    const { item, line } = items[0] as { item: Item; line: Line }
    line.send(served(item))
    await get
    expect(lines.open).toEqual([line])
  })

  test('are not handed to a connection that takes nothing', async () => {
    freezeTime()
    const { lines, kv } = await oneNode({}, (its) => {
      its.welcome = { bytes_max: 2 ** 30, message_bytes_max: 2 ** 24 }
    })
    lines.open[0]?.socket.pause()
    const value = Buffer.alloc(2 ** 20)
    const calls = Array.from({ length: 20 }, (_, n) => failure(kv.put(`k${n}`, value, { timeoutMs: 200 })))
    // As much as the system takes is gone now.
    for (let turn = 0; turn < 1_000; turn++) await new Promise(setImmediate)
    await passing(200)
    const written = (await Promise.all(calls)).map((error) => error.written)
    expect(written[0]).toBe('unknown')
    expect(written.at(-1)).toBe('no')
  })

  test('leave each time that a connection takes bytes again, which it did not for a while', async () => {
    freezeTime()
    const { lines, kv } = await oneNode({ timeoutMs: 3_600_000 }, (its) => {
      its.welcome = { bytes_max: 2 ** 30, message_bytes_max: 2 ** 24 }
    })
    const value = Buffer.alloc(2 ** 20)
    for (let round = 0; round < 2; round++) {
      const { socket } = lines.open[0] as Line
      socket.pause()
      let ended = 0
      const puts = Array.from({ length: 20 }, (_, n) => kv.put(`k${n}`, value).then(() => ended++))
      for (let turn = 0; turn < 300; turn++) await new Promise(setImmediate)
      socket.resume()
      await until(() => ended === 20)
      await Promise.all(puts)
    }
    expect(lines.open).toHaveLength(1)
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test.each(['aborted', 'closed'])(
    'of a node that was removed meanwhile end when they are %s',
    async (how) => {
      freezeTime()
      const node = await fake()
      const removed = await fakePeer(node, 'n2')
      for (const each of [node, removed]) {
        each.multiplex()
        each.leader = 'n2'
      }
      node.members = [memberJson('n1', node.url), memberJson('n2', removed.url)]
      const kv = clientOf([node], { transport: 'auto', discover: true, timeoutMs: 60_000 })
      await connected(kv, [node, removed])
      vi.advanceTimersByTime(29_999)
      const [lines, items] = [removed.lines as RelayedLines, [] as Item[]]
      lines.onItem = (item) => item[1] === PUT && items.push(item) > 0
      const abort = new AbortController()
      const { signal } = abort
      const calls = Array.from({ length: 4 }, (_, n) =>
        kv.put(`k${n}`, 'v', { signal }).then(
          () => 'done',
          (error: QuorateError) => [error.code, error.written],
        ),
      )
      await until(() => items.length === 4)
      node.members = [memberJson('n1', node.url)]
      removed.members = node.members
      vi.advanceTimersByTime(1)
      for (let turn = 0; turn < 2_000 && kv.endpoints.length > 1; turn++) await kv.get('a')
      expect(kv.endpoints).toEqual([node.url])
      if (how === 'aborted') abort.abort()
      else await kv.close()
      expect(await Promise.all(calls)).toEqual(calls.map(() => [how, 'unknown']))
      expect(kv[inspect]()).toEqual(AT_REST)
    },
  )

  test('split large values over messages', async () => {
    const { lines, kv } = await oneNode()
    const messages: Buffer[] = []
    lines.open[0]?.ws.on('message', (message: Buffer) => messages.push(message))
    await Promise.all(Array.from({ length: 10 }, (_, n) => kv.put(`k${n}`, Buffer.alloc(100_000))))
    expect(messages.map((message) => message.length < 256 * 1024)).toEqual([true, true, true, true, true])
  })
})

describe('linearizable reads', () => {
  /** Two nodes and a client with connections to both; the second one leads. */
  async function twoNodes() {
    const first = await fake()
    first.set('k', 'v')
    const nodes = [first, await fakePeer(first, 'n2')]
    for (const each of nodes) {
      each.multiplex()
      each.leader = 'n2'
    }
    const kv = clientOf(nodes, { transport: 'auto' })
    await connected(kv, nodes)
    return { kv, nodes, seen: () => nodes.map(({ seen }) => seen.length) }
  }

  test('go to the leader while few calls are in flight, and round all nodes beyond', async () => {
    const { kv, seen } = await twoNodes()
    for (let n = 0; n < 10; n++) await kv.get('k')
    await Promise.all(Array.from({ length: READS_AT_LEADER }, () => kv.get('k')))
    for await (const _ of kv.list());
    expect(seen()).toEqual([0, 10 + READS_AT_LEADER + 1])
    await Promise.all(Array.from({ length: 3 * READS_AT_LEADER }, () => kv.get('k')))
    expect(seen()[0]).toBe(READS_AT_LEADER)
  })

  test('that need not be linearizable go round all nodes', async () => {
    const { kv, seen } = await twoNodes()
    for (let n = 0; n < 10; n++) await kv.get('k', { consistency: 'stale' })
    expect(seen()).toEqual([5, 5])
  })

  test('go to another node when the leader hangs, the next ones at once', async () => {
    const { kv, nodes, seen } = await twoNodes()
    const [, leader] = nodes
    if (leader !== undefined) leader.fault = () => 'hang'
    for (let n = 0; n < 5; n++) expect((await kv.get('k'))?.text()).toBe('v')
    expect(seen()).toEqual([5, 1])
  })
})

/** Everything that the client had sent before has arrived. */
const pinged = (line: Line): Promise<void> =>
  new Promise((resolve) => {
    line.ws.once('pong', () => resolve())
    line.ws.ping()
  })
