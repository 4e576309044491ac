// Small requests that would cost much: memory or time beyond their size.

import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { authenticate } from '../../../src/server/etcd/services/auth-switch.ts'
import { nodeWithUsers } from '../auth/users.ts'
import { JSON_TYPE, serve } from '../http/served.ts'
import { callGrpc, callRpc, frame, openSession } from './grpc-call.ts'

const key = Buffer.from('a')

/** Opens a call that sends its request, and never ends it. */
function openHalf(port: number, path: string, message: Uint8Array) {
  const stream = openSession(port).request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
  })
  stream.on('error', () => {})
  stream.write(frame(message))
  return stream
}

test('a list in as many parts as it has elements is decoded as fast as one part', () => {
  const parts = 100_000
  // `filters`, packed: one element in each part.
  const create = Buffer.from('2a0100'.repeat(parts), 'hex')
  const request = Buffer.concat([Buffer.from([0x0a, 0xe0, 0xa7, 0x12]), create])
  const startedAt = performance.now()
  expect(RPC.watch.request.decode(request).createRequest?.filters).toHaveLength(parts)
  // Copied for each part it took minutes.
  expect(performance.now() - startedAt).toBeLessThan(2_000)
})

test('a call whose client sends its request and does not end it is broken, and gives its memory back', async () => {
  const { http, port } = await serve({ limits: { writeStallMsMax: 300 } })
  const stream = openHalf(port, RPC.put.path, RPC.put.request.encode({ key, value: Buffer.alloc(30_000) }))
  await expect.poll(() => stream.closed, { timeout: 5_000 }).toBe(true)
  await expect.poll(() => http.inspect().bodyBytes).toBe(0)
})

test('a login that does not end keeps no unidentified connection', async () => {
  const { port } = await serve({ node: nodeWithUsers(), limits: { writeStallMsMax: 300 } })
  const stream = openHalf(port, authenticate.path, RPC.authenticate.request.encode({ name: 'bob' }))
  await expect.poll(() => stream.closed, { timeout: 5_000 }).toBe(true)
})

test('a transaction of very many comparisons is not kept as objects before its request has ended', async () => {
  const { http, port } = await serve()
  const before = process.memoryUsage().heapUsed
  const stream = openHalf(port, RPC.txn.path, Buffer.from('0a00'.repeat(400_000), 'hex'))
  await expect.poll(() => http.inspect().bodyBytes).toBeGreaterThan(700_000)
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(40_000_000)
  stream.destroy()
})

/** Requests of 2 MiB whose fields have two bytes each. Decoded, they would block the node for a second. */
const MANY = {
  'a transaction of comparisons': [RPC.txn.path, '0a00'],
  'a transaction of operations': [RPC.txn.path, '1200'],
  'a put with many keys': [RPC.put.path, '0a00'],
  'a member with many URLs': [RPC.memberAdd.path, '0a00'],
  'a watch of many keys': [RPC.watch.path, '0a00'],
  'fields that nobody knows': [RPC.range.path, '7a00'],
} as const

test.each(Object.entries(MANY))('%s is refused before it is decoded to its end', async (_, [path, field]) => {
  const { port } = await serve()
  const session = openSession(port)
  await callRpc(session, RPC.put, { key, value: key })
  const body = frame(Buffer.from(field.repeat(1024 * 1024 - 10), 'hex'))
  const before = process.memoryUsage().heapUsed
  const { status, message } = await callGrpc(session, path, body)
  expect({ status, message }).toEqual({
    status: 3,
    message: 'etcdserver: too many operations in txn request',
  })
  // All of it as objects would have 170 MB.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(40_000_000)
})

test('an error has a bounded part of what it quotes, with its beginning and its end, on every wire', async () => {
  const { ask, port } = await serve()
  const long = '\u0001'.repeat(150_000)
  const post = (path: string, body: object) =>
    ask('POST', path, { headers: JSON_TYPE, body: JSON.stringify(body) })
  const gateway = await post('/v3/auth/user/add', { name: long, password: 'p' })
  expect(gateway.json.message).toMatch(/^etcdserver: "\\u0001.* \[…\] .*begin with a letter or a digit$/)
  expect(gateway.text.length).toBeLessThan(5_000)
  for (const { status, text } of [
    await ask('PUT', '/v1/auth/users/bob', { headers: JSON_TYPE, body: `{"password":"p","${long}":1}` }),
    await post('/v1/txn', { [long]: 1 }),
    await ask('GET', `/v1/kv?${'%01'.repeat(4_000)}=1`),
    await ask('GET', `/v1/${'%01'.repeat(4_000)}`),
  ]) {
    expect([400, 404]).toContain(status)
    expect(text.length).toBeLessThan(10_000)
  }
  const name = Buffer.alloc(1_900_000, 0xff)
  const body = frame(Buffer.concat([Buffer.from([0x0a, 0xe0, 0xfb, 0x73]), name]))
  const { status, message } = await callGrpc(openSession(port), RPC.userAdd.path, body)
  expect(status).toBeGreaterThan(0)
  // Clients take trailers of 8 KiB.
  expect(encodeURIComponent(message).length).toBeLessThan(8_000)
})

test('more clients observe an election than ranges are read at once', async () => {
  const { node, port } = await serve({ limits: { rangesMax: 4 } })
  const session = openSession(port)
  const name = Buffer.from('election')
  const body = frame(RPC.observe.request.encode({ name }))
  let leaders = 0
  const ends: unknown[] = []
  for (let at = 0; at < 50; at++)
    void callGrpc(session, RPC.observe.path, body, {}, (messages) => messages.length > 0).then((answer) => {
      if (answer.messages.length > 0) leaders++
      else ends.push(answer.message)
    })
  await pause(100)
  const put = { key: Buffer.from('election/1'), value: key }
  expect(await callRpc(session, RPC.put, put)).toMatchObject({ status: 0 })
  await expect.poll(() => leaders, { timeout: 5_000 }).toBe(50)
  expect(ends).toEqual([])
  expect(node.term).toBeGreaterThan(0)
})

test('leases are listed in pages, by more clients than lists are read at once', async () => {
  const { port } = await serve({ limits: { rangesMax: 4, pageRowsMax: 2 } })
  const session = openSession(port)
  for (let id = 1n; id <= 5n; id++)
    expect(await callRpc(session, RPC.leaseGrant, { id, ttl: 60 })).toMatchObject({ status: 0 })
  const lists = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const { message, response } = await callRpc(session, RPC.leaseLeases, {})
      return message || response?.leases.map(({ id }) => id).join()
    }),
  )
  expect(new Set(lists)).toEqual(new Set(['1,2,3,4,5']))
})

test('the keys of leases are read by more clients than scans are open at once', async () => {
  const { port } = await serve({ limits: { rangesMax: 4 } })
  const session = openSession(port)
  await callRpc(session, RPC.leaseGrant, { id: 7n, ttl: 60 })
  await callRpc(session, RPC.put, { key, value: key, lease: 7n })
  const answers = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const { message, response } = await callRpc(session, RPC.leaseTimeToLive, { id: 7n, keys: true })
      return message || response?.keys.map((each) => Buffer.from(each).toString()).join()
    }),
  )
  expect(new Set(answers)).toEqual(new Set(['a']))
})

/** An update of an object as Kubernetes makes it, of which somebody else has written a newer revision. */
const OUTDATED = frame(
  RPC.txn.request.encode(
    RPC.txn.request.fromJson({
      compare: [{ key: key.toString('base64'), target: 'MOD', mod_revision: 1 }],
      success: [{ request_put: { key: key.toString('base64') } }],
      failure: [{ request_range: { key: key.toString('base64') } }],
    }),
  ),
)

test('updates of an older revision are answered, and so are lists, of more clients than scans are open', async () => {
  const { port } = await serve({ limits: { rangesMax: 4 } })
  const session = openSession(port)
  await callRpc(session, RPC.put, { key, value: key })
  const update = async () => {
    const { message, messages } = await callGrpc(session, RPC.txn.path, OUTDATED)
    return message || messages.map((each) => RPC.txn.response.decode(each).succeeded).join()
  }
  const list = async () => {
    const all = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0), limit: 1 }
    const { message, response } = await callRpc(session, RPC.range, all)
    return message || `${response?.kvs.length} key`
  }
  const answers = await Promise.all(Array.from({ length: 50 }, (_, at) => (at % 10 < 8 ? update() : list())))
  expect(new Set(answers)).toEqual(new Set(['false', '1 key']))
})
