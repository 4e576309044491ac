// One connection with many operations: which answer belongs to which, what a client may do, and what ends a connection.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { PARTS_MAX } from '../../../src/server/mux/unpack.ts'
import { atRest, Client, holding, statusOf, until } from '../http/raw-client.ts'
import { type Served, serve } from '../http/served.ts'
import { DELETE, GET, MuxClient, PUT, pack, RANGE, soon, TXN } from './mux-client.ts'

const CANCEL = 0
const OPENING =
  'GET /v1/connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n' +
  'Sec-WebSocket-Protocol: quorate.v1\r\n\r\n'

/** A client beside others is served, on a new connection. */
async function expectServed(served: Served): Promise<void> {
  const client = await new MuxClient(served.port).open()
  expect((await client.ask(1, PUT, null, 'after', 'it'))[1]).toBe(0)
  expect((await client.ask(1, GET, null, 'after'))[3][1].toString()).toBe('it')
  client.ws.close()
  await client.end()
}

/** Nothing is in flight, and no memory is held. */
async function expectRest(served: Served, connections = 0): Promise<void> {
  await atRest(served, connections)
  await until(served, () => served.http.inspect().operations === 0)
  expect(served.http.inspect()).toMatchObject({
    muxConnections: connections,
    operations: 0,
    answerBytes: 0,
    bodyBytes: 0,
  })
}

/** Every number of bytes that a budget counts from now on. */
function recordBytes(budget: { bytes: number }): readonly number[] {
  const counted = [budget.bytes]
  Object.defineProperty(budget, 'bytes', {
    get: () => counted.at(-1),
    set: (bytes: number) => counted.push(bytes),
  })
  return counted
}

test('a thousand operations of one message are answered in one message', async () => {
  const { port, metrics } = await serve()
  const client = await new MuxClient(port).open()
  const ids = Array.from({ length: 1000 }, (_, i) => i + 1)
  client.send(...ids.map((id) => [id, PUT, null, `k${id}`, 'v']))
  await client.until(() => client.answers.size === 1000)
  expect(client.messages).toHaveLength(2)
  expect([...client.answers.keys()]).toEqual(ids)
  const text = await metrics.text()
  expect(text).toContain('quorate_http_requests_total{operation="put",status="200"} 1000')
  expect(text).toContain('quorate_http_request_duration_seconds_count{operation="put"} 1000')
})

test('answers come when they are ready, each to its operation', async () => {
  const { port, node } = await serve()
  for (let i = 1; i <= 5; i++) node.put(`k${i}`, `v${i}`)
  const held: (() => void)[] = []
  node.hold = (go) => held.push(go)
  const [one, other] = [await new MuxClient(port).open(), await new MuxClient(port).open()]
  one.send(...[1, 2, 3].map((i) => [i, GET, null, `k${i}`]))
  await soon(() => expect(held).toHaveLength(3))
  other.send(...[2, 1].map((i) => [i, GET, null, `k${i + 3}`]))
  await soon(() => expect(held).toHaveLength(5))
  const order: number[] = []
  for (const go of held.reverse()) {
    const before = one.answers.size + other.answers.size
    go()
    await soon(() => expect(one.answers.size + other.answers.size).toBe(before + 1))
    order.push([...one.answers.keys()].at(-1) ?? 0)
  }
  expect(order).toEqual([0, 0, 3, 2, 1])
  for (const i of [1, 2, 3]) expect((await one.answer(i))?.[3][1].toString()).toBe(`v${i}`)
  for (const i of [2, 1]) expect((await other.answer(i))?.[3][1].toString()).toBe(`v${i + 3}`)
})

test('a read that is cancelled is answered at once and only once; its id is free again', async () => {
  const served = await serve()
  const { port, node } = served
  node.put('a', '1')
  const { release } = holding(node)
  const client = await new MuxClient(port).open()
  client.send([1, GET, null, 'a'], [2, RANGE])
  const gets = [(await release.next()).value, (await release.next()).value]
  client.send([1, CANCEL], [2, CANCEL])
  for (const id of [1, 2])
    expect(await client.answer(id)).toEqual([
      ...[id, 1, expect.objectContaining({ code: 'cancelled', status: 499 }), null, false],
    ])
  expect(node.openReads).toBe(0)
  node.hold = undefined
  for (const go of gets) go?.()
  expect((await client.ask(1, GET, null, 'a'))[1]).toBe(0)
  expect((await client.ask(2, RANGE))[1]).toBe(0)
  expect(client.answers.size).toBe(0)
  await expectRest(served, 1)
})

test('the reads of a connection that ends take no more room on the node', async () => {
  const served = await serve()
  const { port, node } = served
  node.hold = () => {}
  const client = await new MuxClient(port).open()
  client.send(
    [1, GET, 60_000, 'a'],
    [2, RANGE, 60_000],
    [3, TXN, 60_000, { success: [{ get: { key: 'a' } }] }],
  )
  await soon(() => expect(node.openReads).toBe(3))
  client.ws.terminate()
  await soon(() => expect(node.openReads).toBe(0))
  expect(served.http.inspect()).toMatchObject({ operations: 0, answerBytes: 0 })
})

test('a range that is cancelled while it is read is read no further', async () => {
  const served = await serve({ limits: { sliceRowsMax: 1 } })
  const { port, node } = served
  for (let i = 0; i < 100; i++) node.put(`k${i}`, 'v')
  const client = await new MuxClient(port).open()
  let slices = 0
  let reached = (): void => {}
  const third = new Promise<void>((resolve) => {
    reached = resolve
  })
  node.onSlice = () => {
    slices++
    if (slices === 3) reached()
  }
  client.send([1, RANGE])
  await third
  client.send([1, CANCEL])
  expect((await client.answer(1))?.[2]).toMatchObject({ code: 'cancelled' })
  await node.scansClosed()
  expect(slices).toBeLessThan(100)
  await expectRest(served, 1)
})

test('a change cannot be cancelled: its outcome is answered', async () => {
  const { port, node } = await serve()
  const { release } = holding(node)
  const client = await new MuxClient(port).open()
  client.send([1, PUT, null, 'a', '1'])
  const { value: go } = await release.next()
  client.send([1, CANCEL], [7, CANCEL], [8, GET, null, 'a'])
  const { value: read } = await release.next()
  go()
  expect(await client.answer(1)).toEqual([1, 0, 2, 2, 2, 1, false])
  read()
  expect((await client.answer(8))?.[3]).not.toBeNull()
})

test('an id that is in use ends the connection; after its answer it may be used again', async () => {
  const served = await serve()
  const { port, node } = served
  const client = await new MuxClient(port).open()
  for (let time = 0; time < 3; time++) expect((await client.ask(5, PUT, null, 'a', '1'))[1]).toBe(0)
  const { release } = holding(node)
  client.send([5, PUT, null, 'b', '1'])
  const { value: go } = await release.next()
  client.send([5, GET, null, 'a'])
  expect(await client.end()).toEqual({ code: 1008, reason: 'the id 5 is in use' })
  node.hold = undefined
  go()
  await expectServed(served)
  await expectRest(served)
})

describe('credit', () => {
  test('as many operations as it allows are taken, again and again, and not one more', async () => {
    const served = await serve({ limits: { muxOperationsMax: 10 } })
    const { port, node } = served
    const client = await new MuxClient(port).open()
    expect(client.notices[0]?.[2]).toMatchObject({ operations_max: 10 })
    const batch = (count: number) => Array.from({ length: count }, (_, i) => [i + 1, PUT, null, `k${i}`, 'v'])
    for (let time = 0; time < 5; time++) {
      client.send(...batch(10))
      for (let id = 1; id <= 10; id++) expect((await client.answer(id))?.[1]).toBe(0)
    }
    const held: (() => void)[] = []
    node.hold = (go) => held.push(go)
    client.send(...batch(11))
    expect((await client.end()).code).toBe(1008)
    expect(client.closed?.reason).toContain('credit')
    node.hold = undefined
    await soon(() => expect(held).toHaveLength(10))
    for (const go of held) go()
    await expectServed(served)
    await expectRest(served)
  })

  test.each([
    ['puts', [PUT, null, 'k'.repeat(40), 'v'.repeat(60)], 10],
    ['deletes', [DELETE, null, 'k'.repeat(100)], 10],
    ['gets', [GET, null, Buffer.alloc(100, 'k')], 10],
    ['ranges', [RANGE, null, {}], 1],
  ])('the bytes of %s', async (_, fields, count) => {
    const served = await serve({ limits: { muxBytesMax: count === 1 ? 1024 : 1000 } })
    const client = await new MuxClient(served.port).open()
    const batch = (count: number) => Array.from({ length: count }, (_, i) => [i + 1, ...fields])
    for (let time = 0; time < 3; time++) {
      client.send(...batch(count))
      for (let id = 1; id <= count; id++) expect((await client.answer(id))?.[1]).toBe(0)
    }
    client.send(...batch(count + 1))
    expect((await client.end()).code).toBe(1008)
    await expectServed(served)
    await expectRest(served)
  })

  test('an operation with a fault takes none for longer than its answer', async () => {
    const { port } = await serve({ limits: { muxOperationsMax: 2, muxBytesMax: 100 } })
    const client = await new MuxClient(port).open()
    for (let time = 0; time < 10; time++)
      expect((await client.ask(1, PUT, -1, 'k'.repeat(50), 'v'.repeat(50)))[1]).toBe(1)
    expect((await client.ask(1, PUT, null, 'k'.repeat(50), 'v'.repeat(50)))[1]).toBe(0)
  })
})

describe('faults end the connection, and no other', () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)])

  test.each<[string, Buffer | string, number, RegExp]>([
    ['a text', 'hello', 1003, /binary/],
    ['nothing', Buffer.alloc(0), 1002, /cut off/],
    ['what is no MessagePack', Buffer.from([0xc1]), 1002, /type 193/],
    ['an extension', pack([[1, GET, null, new Date()]]), 1002, /not used/],
    ['an extension as an item', Buffer.from('91c70178ff', 'hex'), 1002, /not used/],
    ['a record of msgpackr', Buffer.from('9191d4724093a161a162a163010203', 'hex'), 1002, /not used/],
    ['half a message', pack([[1, GET, null, 'abc']]).subarray(0, -1), 1002, /cut off/],
    ['more than a message', Buffer.concat([pack([]), pack([])]), 1002, /bytes after/],
    ['a map', pack({ a: 1 }), 1002, /array of items/],
    ['a number', pack(1), 1002, /array of items/],
    ['a map as an item', pack([{ a: 1 }]), 1002, /an item is an array/],
    ['an empty item', pack([[]]), 1002, /id/],
    ['the id 0', pack([[0, GET, null, 'a']]), 1002, /id/],
    ['a negative id', pack([[-1, GET, null, 'a']]), 1002, /id/],
    ['a half id', pack([[1.5, GET, null, 'a']]), 1002, /id/],
    ['an id that is too large', pack([[2 ** 31, GET, null, 'a']]), 1002, /id/],
    ['a text as an id', pack([['1', GET, null, 'a']]), 1002, /id/],
    ['no operation', pack([[1]]), 1002, /unknown kind/],
    ['an unknown operation', pack([[1, 99, null, 'a']]), 1002, /unknown kind/],
    ['a negative operation', pack([[1, -1, null, 'a']]), 1002, /unknown kind/],
    ['a text as an operation', pack([[1, '1', null, 'a', 'b']]), 1002, /unknown kind/],
    ['a cancel of no id', pack([['x', CANCEL]]), 1002, /id/],
    ['a map with a number as a name', pack([[1, DELETE, null, 'a', null, new Map([[1, 2]])]]), 1002, /names/],
    ['a name twice', Buffer.from('91950104c0c082a5636f756e74c3a5636f756e74c3', 'hex'), 1002, /once|cut off/],
    ['what is nested too deep', pack(nested(300)), 1002, /deep/],
    ['what is nested ten thousand deep', Buffer.alloc(10_000, 0x91), 1002, /deep/],
    ['more parts than there may be', pack([Array(PARTS_MAX).fill(0)]), 1002, /parts/],
    ['an array that says it is long', Buffer.from('dd7fffffff', 'hex'), 1002, /parts/],
    ['a map that says it is long', Buffer.from('91950104c0c0df7fffffff', 'hex'), 1002, /cut off/],
    ['bytes that say they are long', Buffer.from('91940103c0c67fffffff', 'hex'), 1002, /cut off/],
  ])('%s', async (_, message, code, reason) => {
    const served = await serve()
    const { port } = served
    const other = await new MuxClient(port).open()
    const client = await new MuxClient(port).open()
    client.ws.send(message)
    const end = await client.end()
    expect(end).toEqual({ code, reason: expect.stringMatching(reason) })
    expect((await other.ask(1, PUT, null, 'a', '1'))[1]).toBe(0)
    await expectServed(served)
    await expectRest(served, 1)
  })

  test('a giant message, whether it is announced or comes in fragments', async () => {
    const served = await serve({ limits: { muxMessageBytesMax: 10_000 } })
    for (const send of [
      (client: MuxClient) => client.ws.send(Buffer.alloc(10_001)),
      (client: MuxClient) => {
        client.ws.send(Buffer.alloc(9_000), { fin: false })
        client.ws.send(Buffer.alloc(9_000), { fin: true })
      },
    ]) {
      const client = await new MuxClient(served.port).open()
      send(client)
      expect((await client.end()).code).toBe(1009)
      await expectServed(served)
      await expectRest(served)
    }
  })

  test('a message of very many fragments', async () => {
    const served = await serve()
    const client = await new MuxClient(served.port).open()
    for (let i = 0; i < 2_000; i++) client.ws.send(Buffer.from([0]), { fin: false, binary: true })
    expect((await client.end()).code).toBe(1008)
    await expectServed(served)
    await expectRest(served)
  })

  test('what came before it in its message is carried out, what comes after it is not', async () => {
    const { port, node } = await serve()
    const client = await new MuxClient(port).open()
    client.send([1, PUT, null, 'before', '1'], [2, 99], [3, PUT, null, 'behind', '1'])
    expect((await client.end()).code).toBe(1002)
    client.ws.terminate()
    await nextTurn()
    expect(node.asked.map(({ request }) => request?.command)).toMatchObject([
      { key: new TextEncoder().encode('before') },
    ])
  })
})

test('messages that never end use no more memory than bodies may, on all connections together', async () => {
  const served = await serve({ limits: { bodiesBytesMax: 1_000_000 } })
  const { port } = served
  const patient = await new MuxClient(port).open()
  patient.ws.send(Buffer.alloc(600_000), { fin: false })
  await until(served, () => served.http.inspect().bodyBytes > 500_000)
  const greedy = await new MuxClient(port).open()
  greedy.ws.send(Buffer.alloc(600_000), { fin: false })
  expect((await greedy.end()).code).toBe(1013)
  // The other one may end its message, which is not MessagePack.
  patient.ws.send(Buffer.alloc(1), { fin: true })
  expect((await patient.end()).code).toBe(1002)
  await expectServed(served)
  await expectRest(served)
})

test('a message that has no room counts until its connection has closed', async () => {
  const served = await serve({ limits: { bodiesBytesMax: 1_000_000 } })
  const client = await new Client(served.port).send(OPENING)
  await client.answer()
  // It does not see that the node closes the connection.
  client.pause()
  const half = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0]).toString('latin1')
  const counted = recordBytes(served.api.inbound)
  void client.send(half, 'x'.repeat(2_000_000))
  await soon(() => expect(served.http.inspect().connections).toBe(0))
  expect(Math.max(...counted)).toBeGreaterThan(500_000)
  expect(counted.at(-2)).toBe(Math.max(...counted))
  await expectRest(served)
})

test.each([
  ['closes', (client: MuxClient) => client.ws.close()],
  ['is gone', (client: MuxClient) => client.ws.terminate()],
])('a client that %s leaves nothing behind, and what it asked for is done', async (_, leave) => {
  const served = await serve()
  const { port, node } = served
  const held: (() => void)[] = []
  node.hold = (go) => held.push(go)
  const client = await new MuxClient(port).open()
  client.send(
    [1, PUT, null, 'a', '1'],
    [2, GET, null, 'a'],
    [3, RANGE],
    [4, PUT, null, 'b', '1', null, { prev: true }],
  )
  await soon(() => expect(held).toHaveLength(4))
  leave(client)
  await client.end()
  await until(served, () => served.http.inspect().muxConnections === 0)
  node.hold = undefined
  for (const go of held) go()
  await expectRest(served)
  expect(node.revision).toBe(3)
  await expectServed(served)
})

test('a message that does not arrive ends its connection', async () => {
  const served = await serve({ limits: { writeStallMsMax: 100 } })
  const idle = await new MuxClient(served.port).open()
  const stalled = await new MuxClient(served.port).open()
  stalled.ws.send(Buffer.alloc(100_000), { fin: false })
  expect((await stalled.end()).code).toBe(1006)
  await expectRest(served, 1)
  expect((await idle.ask(1, PUT, null, 'a', '1'))[1]).toBe(0)
})

test('a client that ends its side of the connection is gone', async () => {
  const served = await serve()
  const client = await new Client(served.port).send(OPENING)
  expect(statusOf(await client.answer())).toBe(101)
  client.endSending()
  await client.rest()
  await expectRest(served)
})

test('a client that answers pings is kept, and one that does not is cut, also after a time without clients', async () => {
  const served = await serve({ limits: { muxPingMs: 40 } })
  for (let round = 0; round < 2; round++) {
    const good = await new MuxClient(served.port).open()
    const bad = await new MuxClient(served.port).open()
    bad.ws.on('ping', () => {})
    Object.assign(bad.ws, { _autoPong: false })
    let pings = 0
    good.ws.on('ping', () => {
      pings++
    })
    await soon(() =>
      expect(bad.closed, `round ${round}: the silent client is cut`).toMatchObject({ code: 1006 }),
    )
    await soon(() => expect(pings).toBeGreaterThan(3))
    expect((await good.ask(1, PUT, null, 'a', '1'))[1]).toBe(0)
    await expectRest(served, 1)
    good.ws.close()
    await good.end()
    await expectRest(served)
  }
})

test('the ping of a client is answered', async () => {
  const served = await serve()
  const client = await new MuxClient(served.port).open()
  const pong = new Promise<string>((resolve) => {
    client.ws.on('pong', (data) => resolve(data.toString()))
  })
  client.ws.ping('still there?')
  expect(await pong).toBe('still there?')
  // It is no part of a message.
  await expectRest(served, 1)
})

test('clients are told of a leader that is new, lost or elected again', async () => {
  const { port, node, http } = await serve()
  const client = await new MuxClient(port).open()
  const change = async (term: number, leaderName: string | undefined): Promise<void> => {
    Object.assign(node, { term, leaderName })
    http.roleChanged()
    await nextTurn()
    await client.ask(1, GET, null, 'a')
  }
  await change(3, 'n2')
  await change(3, undefined)
  await change(4, undefined)
  await change(5, 'n3')
  await change(6, 'n3')
  expect(client.notices.slice(1)).toEqual([
    [0, 'leader', 3, null],
    [0, 'leader', 5, 'n3'],
    [0, 'leader', 6, 'n3'],
  ])
  const later = await new MuxClient(port).open()
  expect(later.notices).toHaveLength(1)
  expect(later.notices[0]?.[2]).toMatchObject({ term: 6, leader: 'n3' })
})

describe('a node that stops', () => {
  test('answers what is under way, refuses what arrives, and ends its connections', async () => {
    const served = await serve()
    const { port, node, http } = served
    const held: (() => void)[] = []
    node.hold = (go) => held.push(go)
    const [busy, idle] = [await new MuxClient(port).open(), await new MuxClient(port).open()]
    busy.send([1, PUT, null, 'a', '1'], [2, GET, null, 'a'])
    await soon(() => expect(held).toHaveLength(2))
    const closed = http.close({ graceful: true })
    await busy.until(() => busy.notices.length === 2)
    expect(busy.notices[1]).toEqual([0, 'closing'])
    busy.send([3, PUT, null, 'b', '1'], [4, GET, null, 'a'])
    const refused = { status: 503, code: 'not_ready' }
    expect((await busy.answer(3))?.[2]).toMatchObject({ ...refused, written: 'no' })
    expect((await busy.answer(4))?.[2]).toMatchObject(refused)
    expect(await idle.end()).toEqual({ code: 1001, reason: 'the node stops' })
    expect(busy.closed).toBeUndefined()
    for (const go of held) go()
    expect((await busy.answer(1))?.[1]).toBe(0)
    expect((await busy.answer(2))?.[1]).toBe(0)
    expect(await busy.end()).toEqual({ code: 1001, reason: 'the node stops' })
    await closed
    expect(node.asked).toHaveLength(2)
    expect(http.inspect()).toMatchObject({
      connections: 0,
      muxConnections: 0,
      operations: 0,
      stalledTotal: 0,
    })
  })

  test('leaves no operation of a client without an answer, unless it was not taken', async () => {
    const { port, node, http } = await serve()
    const client = await new MuxClient(port).open()
    let id = 0
    const sent: number[] = []
    const pump = (): void => {
      if (client.ws.readyState !== client.ws.OPEN) return
      sent.push(++id)
      client.send([id, PUT, null, `k${id}`, 'v'])
      setImmediate(pump)
    }
    pump()
    await client.until(() => client.answers.size > 100)
    const closed = http.close({ graceful: true })
    expect((await client.end()).code).toBe(1001)
    await closed
    const applied = [...client.answers.values()].filter(([, kind]) => kind === 0).length
    expect(node.asked).toHaveLength(applied)
    expect(sent.length).toBeGreaterThanOrEqual(client.answers.size)
  })

  test('opens no connection any more', async () => {
    const { port, node, http } = await serve()
    // It sends its request when the node stops already.
    const late = await new Client(port).send('GET /v1/connect HTTP/1.1\r\n')
    const { release } = holding(node)
    const client = await new MuxClient(port).open()
    client.send([1, PUT, null, 'a', '1'])
    const { value: go } = await release.next()
    const closed = http.close({ graceful: true })
    await client.until(() => client.notices.length === 2)
    await late.send(OPENING.slice('GET /v1/connect HTTP/1.1\r\n'.length))
    expect(['503', '426', undefined]).toContain((await late.answer())?.slice(9, 12))
    go()
    await closed
    expect((await client.end()).code).toBe(1001)
  })

  test('cuts a client that does not take its leave', async () => {
    const served = await serve({ limits: { closeStallMsMax: 50 } })
    const client = await new MuxClient(served.port).open()
    client.ws.pause()
    await served.http.close({ graceful: true })
    expect(served.http.inspect()).toMatchObject({ connections: 0, muxConnections: 0 })
  })
})
