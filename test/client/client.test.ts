import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Client, UnavailableError } from '../../src/client/index.ts'
import { clientOf, failure, fake, greeting, noLeader, noQuorumForLong, refusing } from './with-fakes.ts'

describe('records', () => {
  test.each([
    ['a', '/v1/kv/a'],
    ['a/b', '/v1/kv/a%2Fb'],
    ['//', '/v1/kv?key=%2F%2F'],
    ['/a', '/v1/kv?key=%2Fa'],
    ['a//b', '/v1/kv?key=a%2F%2Fb'],
    ['a/', '/v1/kv?key=a%2F'],
    ['a b+c', '/v1/kv/a%20b%2Bc'],
    ['ü?#&=%', '/v1/kv/%C3%BC%3F%23%26%3D%25'],
    ['...', '/v1/kv/...'],
    ['a/../b', '/v1/kv?key=a%2F..%2Fb'],
    ['.', '/v1/kv?key=.'],
    ['a/.', '/v1/kv?key=a%2F.'],
    ['/..', '/v1/kv?key=%2F..'],
    ['a.', '/v1/kv/a.'],
    ['.a/..b/b..', '/v1/kv/.a%2F..b%2Fb..'],
    [Uint8Array.of(0, 255, 10), '/v1/kv/%00%FF%0A'],
  ])('the key %j is written %s', async (key, target) => {
    const node = await fake()
    const kv = clientOf([node])
    await kv.put(key, 'x')
    expect(node.seen.map((seen) => seen.target)).toEqual([target])
    const record = await kv.get(key)
    expect(record?.text()).toBe('x')
    expect(Buffer.from(record?.keyBytes ?? [])).toEqual(Buffer.from(key))
  })

  // Like nginx when `proxy_pass` has a path: it decodes escapes in a path, merges slashes and resolves dot segments.
  test('behind a proxy that normalises paths each key is itself', async () => {
    const node = await fake()
    const proxy = createServer(({ url = '', method, headers }, response) => {
      const [path = '', query = ''] = url.split('?')
      const merged = decodeURIComponent(path).replace(/\/{2,}/g, '/')
      const target = `${new URL(merged, node.url).pathname}?${query}`
      request(`${node.url}${target}`, { method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(response)
      }).end()
    })
    onTestFinished(() => void proxy.close())
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const { port } = proxy.address() as AddressInfo
    const kv = clientOf([`http://127.0.0.1:${port}`])
    for (const key of ['/a', 'a//b', '//', 'a/', 'a/b', 'a/../b', './a']) {
      await kv.put(key, '', { ifAbsent: true })
      expect((await kv.get(key))?.key).toBe(key)
      expect(Object.keys(node.contents)).toEqual([key])
      await kv.delete(key)
      expect(node.contents).toEqual({})
    }
  })

  test('the buffers of a key and of the borders of a range may be used again at once', async () => {
    const node = await fake()
    for (const key of ['a/1', 'a/2', 'b']) node.set(key, 'v')
    const kv = clientOf([node])
    const buffer = Buffer.from('a/1')
    const found = kv.get(buffer)
    buffer.write('b/9')
    expect((await found)?.key).toBe('a/1')
    for (const [snapshot, isBegun] of [
      [true, true],
      [true, false],
      [false, true],
      [false, false],
    ] as const) {
      const borders = Buffer.from('a/b')
      const records = kv.list({ start: borders.subarray(0, 2), end: borders.subarray(2), snapshot, limit: 2 })
      if (!isBegun) borders.fill('z')
      const first = records.next()
      borders.fill('z')
      expect((await first).value).toMatchObject({ key: 'a/1' })
      expect((await records.next()).value).toMatchObject({ key: 'a/2' })
    }
  })

  test('an empty or endless key is refused before anything is sent', async () => {
    const node = await fake()
    expect(await failure(clientOf([node]).put('', 'x'))).toMatchObject({ code: 'key_empty', written: 'no' })
    const kv = clientOf([node])
    const long = new Uint8Array(65_537)
    for (const call of [
      () => kv.put(long, 'x'),
      () => kv.get(long),
      () => kv.delete(long),
      () => kv.list({ prefix: long }).next(),
      () => kv.list({ start: long, snapshot: true }).next(),
      () => kv.count({ end: long }),
    ])
      expect(await failure(call())).toMatchObject({ code: 'key_too_long', written: 'no', status: undefined })
    expect(node.seen).toEqual([])
  })
})

describe('lists', () => {
  test('are read page by page, each page with its retries', async () => {
    const node = await fake()
    node.limits = { pageBytesMax: 1 }
    for (const key of ['a', 'b/1', 'b/2', 'b/\xff', 'b/4', 'c']) node.set(key, key)
    node.fault = (seen) => (seen.target.includes('after=b%2F2') && node.seen.length < 5 ? 'cut' : undefined)
    const keys = []
    for await (const record of clientOf([node]).list({ prefix: 'b/' }))
      keys.push(Buffer.from(record.keyBytes))
    expect(keys).toEqual(['b/1', 'b/2', 'b/4', 'b/\xff'].map((key) => Buffer.from(key, 'latin1')))
  })

  test('stop at the limit', async () => {
    const node = await fake()
    node.limits = { pageBytesMax: 1 }
    for (const key of ['a', 'b', 'c', 'd']) node.set(key, key)
    const kv = clientOf([node])
    expect(await keysOf(kv.list({ limit: 3 }))).toEqual(['a', 'b', 'c'])
    expect(await keysOf(kv.list({ limit: 1, snapshot: true }))).toEqual(['a'])
    expect(await kv.count()).toBe(4)
  })

  test('of a snapshot fail without the end line', async () => {
    const node = await fake()
    for (const key of ['a', 'b', 'c']) node.set(key, key)
    const kv = clientOf([node])
    expect(await keysOf(kv.list({ snapshot: true }))).toEqual(['a', 'b', 'c'])
    node.streamBreaksAfter = 3
    node.seen.length = 0
    expect(await failure(keysOf(kv.list({ snapshot: true })))).toMatchObject({ code: 'incomplete' })
    // It is not requested without end.
    expect(node.seen.length).toBeLessThanOrEqual(4)
    node.streamEndsWell = true
    expect(await failure(keysOf(kv.list({ snapshot: true })))).toMatchObject({ code: 'incomplete' })
  })

  async function keysOf(records: AsyncIterable<{ readonly key: string }>): Promise<string[]> {
    const keys = []
    for await (const { key } of records) keys.push(key)
    return keys
  }
})

describe('retries', () => {
  test('the node is told the remaining time, a little less each time', async () => {
    const node = await fake()
    node.faults.push(noLeader)
    await clientOf([node], { timeoutMs: 2_000 }).put('k', 'v')
    const [first = 0, second = 0] = node.seen.map((seen) => seen.timeoutMs)
    expect(first).toBeGreaterThan(1_000)
    expect(first).toBeLessThanOrEqual(2_000)
    expect(second).toBeLessThan(first)
  })
})

describe('failures say whether something was written', () => {
  const timeoutMs = 400

  test('no answer to a read: unavailable', async () => {
    const node = await fake()
    node.fault = () => 'hang'
    const error = await failure(clientOf([node], { timeoutMs }).get('k'))
    expect(error).toBeInstanceOf(UnavailableError)
    expect(error).toMatchObject({ code: 'timeout', written: 'no' })
  })

  test('one node refused, another was never reached: not written, with the reason of the first', async () => {
    const node = await fake()
    node.fault = () => noQuorumForLong
    const error = await failure(clientOf([await refusing(), node], { timeoutMs }).put('k', 'v'))
    expect(error).toMatchObject({ code: 'no_quorum', written: 'no' })
  })

  test('a kept connection that breaks may have carried the write, even if no node listens any more', async () => {
    const node = await fake()
    const kv = clientOf([node])
    await kv.put('k', 'v')
    node.fault = () => {
      void node.close()
      return 'hang'
    }
    const error = await failure(kv.put('k', 'w', { timeoutMs }))
    expect(error).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
  })
})

describe('what the client remembers', () => {
  test('reads ask for at least the highest revision seen', async () => {
    const node = await fake()
    const kv = clientOf([node])
    await kv.get('k')
    node.revision = 41
    await kv.put('k', 'v')
    await kv.get('k')
    await kv.get('k', { minRevision: 50 })
    node.revision = 7
    await kv.get('k')
    expect(node.seen.map((seen) => /min_revision=([0-9]+)/.exec(seen.target)?.[1])).toEqual([
      undefined,
      undefined,
      '42',
      '50',
      '42',
    ])
    expect(kv.revision).toBe(42)
  })
})

describe('the cluster', () => {
  test('its members, leader, settings and the status of one node', async () => {
    const node = await fake()
    const kv = clientOf([node])
    expect(await kv.cluster()).toEqual({
      clusterId: '77',
      leader: 'n1',
      term: 3,
      members: [
        {
          name: 'n1',
          replicaId: '1',
          role: 'voter',
          peer: '127.0.0.1:1',
          url: node.url,
          matchIndex: 101,
        },
      ],
    })
    expect(await kv.leader()).toBe('n1')
    expect(await kv.status({ endpoint: node.url })).toMatchObject({ name: 'n1', role: 'leader', revision: 1 })
    expect(await kv.changeSettings({ value_bytes_max: 5 })).toMatchObject({ value_bytes_max: 5 })
    expect(await kv.settings()).toMatchObject({ value_bytes_max: 5 })
  })
})

test.each([
  ['SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n', '"SSH-2.0-OpenSSH_9.2p1 Debian-2"'],
  ['\x00\x01binary', '"..binary"'],
])('a program that greets in another protocol, %j, is named at once', async (text, shown) => {
  const other = await greeting(text)
  const node = await fake()
  const message = `${other}: what listens there does not speak HTTP (it sent ${shown})`
  for (const call of [(kv: Client) => kv.get('k'), (kv: Client) => kv.put('k', 'v')]) {
    const error = await failure(call(clientOf([other], { timeoutMs: 20_000 })))
    expect(error).toMatchObject({ name: 'UnreachableError', written: 'no', endpoint: other, message })
    await call(clientOf([other, node]))
  }
  expect(node.contents).toEqual({ k: 'v' })
})
