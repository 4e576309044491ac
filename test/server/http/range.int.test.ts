// Many keys: pages of JSON, streams of NDJSON.

import { connect } from 'node:net'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { StorageClosedError, StorageFailedError } from '../../../src/storage/index.ts'
import { atRest, Client, holding, until } from './raw-client.ts'
import { type Served, serve } from './served.ts'

async function filled(
  keys: readonly (string | Uint8Array)[],
  more: Parameters<typeof serve>[0] = {},
): Promise<Served> {
  const served = await serve(more)
  for (const key of keys)
    await served.ask('PUT', `/v1/kv?key=${escaped(key)}`, {
      body: `v-${Buffer.from(key).toString('latin1')}`,
    })
  return served
}

const escaped = (key: string | Uint8Array): string =>
  [...Buffer.from(key)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')

describe('a page', () => {
  test('takes room for its records as they are read, and gives it back, also where it breaks', async () => {
    const { ask, node, http } = await serve({ limits: { sliceRowsMax: 1 } })
    for (const key of ['a', 'b', 'c', 'd']) node.put(key, 'x'.repeat(100))
    const taken: number[] = []
    node.onSlice = () => taken.push(http.inspect().answerBytes)
    const { kvs } = (await ask('GET', '/v1/kv')).json
    const sums = [0]
    for (const record of kvs) sums.push((sums.at(-1) ?? 0) + JSON.stringify(record).length)
    // A scan is one record ahead, since it reports whether another one follows.
    expect(taken).toEqual(sums.slice(0, -2))
    node.onSlice = () => {
      if (http.inspect().answerBytes > 0) node.corrupt = () => true
    }
    expect((await ask('GET', '/v1/kv')).status).toBe(500)
    expect(http.inspect()).toMatchObject({ answerBytes: 0, ranges: 0 })
  })

  test('for which there is no room is refused before anything of it is read', async () => {
    const { ask, node } = await serve({ limits: { answersBytesMax: 1000, pageBytesMax: 500 } })
    node.put('a', 'x'.repeat(100))
    const { release } = holding(node)
    // Room for the record before, of six bytes for each.
    const changed = ask('PUT', '/v1/kv/a?prev', { body: '1' })
    const { value: go } = await release.next()
    node.hold = undefined
    let slices = 0
    node.onSlice = () => slices++
    for (const headers of [{}, { Accept: 'application/x-ndjson' }])
      expect((await ask('GET', '/v1/kv', { headers })).json).toMatchObject({ code: 'overloaded' })
    expect(slices).toBe(0)
    go()
    expect((await changed).status).toBe(200)
    expect((await ask('GET', '/v1/kv')).status).toBe(200)
  })

  test('is read no further when its client has gone', async () => {
    const served = await serve({ limits: { sliceRowsMax: 1 } })
    const { node, port } = served
    for (let i = 0; i < 2000; i++) node.put(`k${i}`, '')
    const client = new Client(port)
    let slices = 0
    node.onSlice = () => {
      if (++slices === 3) client.reset()
    }
    await client.send('GET /v1/kv HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await until(served, () => slices >= 3)
    await node.scansClosed()
    expect(slices).toBeLessThan(1000)
    await atRest(served)
  })

  test('that cannot be read is a problem, and its scan is closed', async () => {
    const { ask, node } = await filled(['a'])
    node.corrupt = () => true
    for (const headers of [{}, { Accept: 'application/x-ndjson' }])
      expect(await ask('GET', '/v1/kv', { headers })).toMatchObject({
        status: 500,
        json: { code: 'internal' },
      })
    expect(node.openScans).toBe(0)
  })

  test('ends with the timeout, and says that something is left', async () => {
    const { ask, node } = await serve({ limits: { sliceRowsMax: 1, sliceKeysMax: 1 } })
    for (let i = 0; i < 2000; i++) node.put(`k${i}`, '')
    const { json } = await ask('GET', '/v1/kv?timeout=5ms&limit=2000')
    expect(json.more).toBe(true)
    expect(json.next).toBe(json.kvs.at(-1).key)
    // A count has no such way out.
    const count = await ask('GET', '/v1/kv?timeout=5ms&count_only&prefix=k')
    expect(count.json).toMatchObject({ code: 'overloaded' })
  })

  test('where keys were deleted is answered in time too', async () => {
    const { ask, node } = await serve()
    // More rows than one slice reads.
    for (let i = 0; i < 4000; i++) node.put(`k${i}`, '')
    await ask('DELETE', '/v1/kv?prefix=k')
    let now = performance.now()
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now++)
    onTestFinished(() => clock.mockRestore())
    const stream = { headers: { accept: 'application/x-ndjson' } }
    for (const query of ['limit=1', 'count_only&prefix=k', 'limit=1&order=desc']) {
      for (const asking of [{}, stream])
        expect((await ask('GET', `/v1/kv?timeout=1ms&${query}`, asking)).json).toMatchObject({
          code: 'overloaded',
        })
      expect((await ask('GET', `/v1/kv?timeout=60s&${query}`)).status).toBe(200)
    }
  })

  test('is built in slices: other requests are answered in between', async () => {
    const { ask, node } = await serve({ limits: { sliceRowsMax: 1 } })
    for (let i = 0; i < 200; i++) node.put(`k${i}`, '')
    const order: string[] = []
    const large = ask('GET', '/v1/kv').then(() => order.push('range'))
    const small = ask('GET', '/v1/kv/k7').then(() => order.push('key'))
    await Promise.all([large, small])
    expect(order).toEqual(['key', 'range'])
  })

  test('waits for its turn: however many are read at the same time, only a few slices are, also after some have failed', async () => {
    const { ask, node } = await serve({ limits: { sliceRowsMax: 5, slicesMax: 3 } })
    for (let i = 0; i < 100; i++) node.put(`k${i}`, '')
    let [reading, most] = [0, 0]
    const scan = node.scan.bind(node)
    node.scan = (range) => {
      const { next, ...rest } = scan(range)
      return {
        ...rest,
        next(limits, done) {
          most = Math.max(most, ++reading)
          next(limits, (...found) => {
            reading--
            done(...found)
          })
        },
      }
    }
    const lists = () =>
      Promise.all(
        Array.from({ length: 20 }, async (_, at) => {
          const headers: Record<string, string> = at % 2 === 0 ? {} : { Accept: 'application/x-ndjson' }
          const { status, text } = await ask('GET', '/v1/kv', { headers })
          return [status, text.match(/"key":/g)?.length]
        }),
      )
    const whole = Array.from({ length: 20 }, () => [200, 100])
    expect(await lists()).toEqual(whole)
    node.corrupt = () => true
    expect(await lists()).toEqual(Array.from({ length: 20 }, () => [500, undefined]))
    node.corrupt = undefined
    expect(await lists()).toEqual(whole)
    expect(most).toBe(3)
    expect(node.openScans).toBe(0)
  })
})

describe('a stream', () => {
  const NDJSON = { Accept: 'application/x-ndjson' }
  const lines = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))

  test('is as long as the range, whatever a page may hold', async () => {
    const { ask, node } = await serve({ limits: { pageBytesMax: 1000, sliceRowsMax: 10 } })
    for (let i = 0; i < 1200; i++) node.put(`k${i}`, 'x'.repeat(50))
    expect(lines((await ask('GET', '/v1/kv', { headers: NDJSON })).text).at(-1)).toMatchObject({
      end: true,
      count: 1200,
    })
  })

  test('reads one snapshot', async () => {
    const { ask, node } = await serve({ limits: { sliceRowsMax: 10 } })
    for (let i = 0; i < 100; i++) node.put(`k${i}`, 'before')
    node.onSlice = () => node.put('k99', 'after')
    const found = lines((await ask('GET', '/v1/kv', { headers: NDJSON })).text)
    expect(found.filter(({ value }) => value === 'after')).toEqual([])
    expect(found.at(-1)).toEqual({ end: true, count: 100, revision: 101 })
  })

  test('while which the storage fails ends as all do that the end of a node meets: it is reported once, where the node ends', async () => {
    const { ask, node, logged } = await serve()
    node.put('k', '')
    for (const error of [new StorageFailedError('The disk is full.'), new StorageClosedError()]) {
      node.unread = error
      expect(await ask('GET', '/v1/kv')).toMatchObject({ status: 503, json: { code: 'not_ready' } })
      const found = lines((await ask('GET', '/v1/kv', { headers: NDJSON })).text)
      expect(found.at(-1)).toMatchObject({ error: { code: 'not_ready', detail: error.message } })
    }
    expect(logged).toEqual([])
  })

  test('that breaks ends with the problem instead of the end line', async () => {
    const { ask, node, logged } = await serve({ limits: { sliceRowsMax: 10 } })
    for (let i = 10; i < 40; i++) node.put(`k${i}`, '')
    let slices = 0
    node.onSlice = () => {
      slices++
      // The second slice is read with the first, to see whether there is one.
      if (slices === 3) node.corrupt = () => true
    }
    const found = lines((await ask('GET', '/v1/kv', { headers: NDJSON })).text)
    expect(found.at(-1)).toMatchObject({ error: { code: 'internal', status: 500 } })
    expect(found.length).toBeLessThan(30)
    expect(logged.join()).toContain('CRC')
    expect(node.openScans).toBe(0)
  })

  test.each(['', '?count'])('keeps one scan open: %s', async (query) => {
    const { ask, node } = await filled(['a'])
    const open: number[] = []
    node.onSlice = () => open.push(node.openScans)
    expect(lines((await ask('GET', `/v1/kv${query}`, { headers: NDJSON })).text)).toHaveLength(2)
    expect([open, node.openScans]).toEqual([[1], 0])
  })

  test.each(['', '?limit=1', '?count'])(
    'of which something was passed over ends with the problem: %s',
    async (query) => {
      const { ask, node } = await filled(['a', 'b', 'c'])
      node.unread = new Error('a table could not be opened')
      const found = lines((await ask('GET', `/v1/kv${query}`, { headers: NDJSON })).text)
      expect(found.at(-1)).toMatchObject({ error: { code: 'internal', status: 500 } })
      expect(node.openScans).toBe(0)
    },
  )

  test('that takes too long ends with a problem', async () => {
    const { ask, node } = await serve({ limits: { sliceRowsMax: 1, streamMsMax: 0 } })
    for (const key of ['a', 'b', 'c']) node.put(key, '')
    const found = lines((await ask('GET', '/v1/kv', { headers: NDJSON })).text)
    expect(found.at(-1)).toMatchObject({ error: { code: 'overloaded', status: 429 } })
    expect(node.openScans).toBe(0)
  })

  test('waits for its reader, and gives up when that goes away or takes nothing', async () => {
    const { node, port } = await serve({ limits: { writeStallMsMax: 200 } })
    for (let i = 0; i < 32; i++) node.put(`k${i}`, 'x'.repeat(1 << 20))
    let slices = 0
    node.onSlice = () => slices++
    for (const leave of [true, false]) {
      slices = 0
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write('GET /v1/kv HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n')
      await new Promise((resolve) => socket.once('data', resolve))
      socket.pause()
      if (leave) socket.destroy()
      await node.scansClosed()
      // 32 MiB neither went out nor piled up.
      expect(slices).toBeLessThan(32)
      socket.destroy()
    }
  })
})
