// Batches and transactions on a multiplexed connection: their credit, their memory and their metrics.

import { describe, expect, test } from 'vitest'
import { atRest } from '../http/raw-client.ts'
import { serve } from '../http/served.ts'
import { CHANGES, DELETE, MuxClient, PUT, soon, TXN } from './mux-client.ts'

const bytes = (text: string) => Buffer.from(text)

const PUT_A = [PUT, 'a', '1']

test('it cannot be cancelled, and is counted as a batch', async () => {
  const served = await serve()
  const release: (() => void)[] = []
  served.node.hold = (go) => release.push(go)
  const client = await new MuxClient(served.port).open()
  client.send([1, CHANGES, 100, [PUT_A, [DELETE, 'b']]], [1, 0])
  await soon(() => expect(release).toHaveLength(1))
  expect(served.http.inspect()).toMatchObject({ operations: 1 })
  expect(served.node.asked.at(-1)?.timeoutMs).toBeLessThanOrEqual(95)
  served.node.hold = undefined
  release[0]?.()
  expect(await client.answer(1)).toEqual([
    1,
    0,
    2,
    [
      [2, 2, 1],
      [0, 2],
    ],
    false,
  ])
  await client.ask(2, CHANGES, null, [])
  await atRest(served, 1)
  const counted = [
    ...(await served.metrics.text()).matchAll(/^quorate_http_requests_total\{(.*batch.*)\} (\d+)$/gm),
  ]
  expect(counted.map(([, labels, count]) => [/status="(\d+)"/.exec(labels ?? '')?.[1], count])).toEqual([
    ['200', '1'],
    ['400', '1'],
  ])
})

describe('credit', () => {
  test('a batch is one operation', async () => {
    const served = await serve({ limits: { muxOperationsMax: 2 } })
    const client = await new MuxClient(served.port).open()
    const changes = Array.from({ length: 100 }, (_, n) => [PUT, `k${n}`, 'v'])
    client.send([1, CHANGES, null, changes], [2, CHANGES, null, changes])
    expect((await client.answer(1))?.[3]).toHaveLength(100)
    expect((await client.answer(2))?.[3]).toHaveLength(100)
    await atRest(served, 1)
  })

  test('all its keys and values count, and are given back', async () => {
    const served = await serve({ limits: { muxBytesMax: 100 } })
    const client = await new MuxClient(served.port).open()
    const changes = [
      [PUT, 'k'.repeat(20), 'v'.repeat(50)],
      [DELETE, bytes('k'.repeat(30))],
    ]
    for (let time = 0; time < 5; time++) expect((await client.ask(1, CHANGES, null, changes))[1]).toBe(0)
    const more = [...changes, [DELETE, 'a']]
    expect(await client.send([1, CHANGES, null, more]).answer(1)).toBeUndefined()
    expect((await client.end()).code).toBe(1008)
    expect(served.node.asked).toHaveLength(5)
    await atRest(served)
    await soon(() => expect(served.http.inspect().muxConnections).toBe(0))
    expect(served.http.inspect()).toMatchObject({ operations: 0, answerBytes: 0, bodyBytes: 0 })
  })
})

test('answers with many failed conditions count with their bytes while they wait', async () => {
  const served = await serve()
  const client = await new MuxClient(served.port).open()
  const key = (n: number) => `${n}`.padStart(4_000, 'k')
  const keys = Array.from({ length: 10 }, (_, n) => key(n))
  await client.ask(
    1,
    CHANGES,
    null,
    keys.map((each) => [PUT, each, '']),
  )
  const held: (() => void)[] = []
  served.node.hold = (go) => held.push(go)
  client.send([2, CHANGES, null, keys.map((each) => [PUT, each, '', { if_none_match: '*' }])])
  await soon(() => expect(held).toHaveLength(1))
  // Room for all results is reserved before the batch is made.
  expect(served.http.inspect().answerBytes).toBe(10 * (512 + 4_000))
  held[0]?.()
  // The answer is ready now, and leaves later.
  expect(served.http.inspect().answerBytes).toBeGreaterThan(10 * 4_000)
  expect((await client.answer(2))?.[3]).toHaveLength(10)
  await atRest(served, 1)
})

test('an error counts with its text and its key while it waits', async () => {
  const served = await serve()
  const client = await new MuxClient(served.port).open()
  const key = 'k'.padEnd(4_000, 'k')
  await client.ask(1, PUT, null, key, '')
  const held: (() => void)[] = []
  served.node.hold = (go) => held.push(go)
  client.send([2, PUT, null, key, '', null, { if_none_match: '*' }])
  await soon(() => expect(held).toHaveLength(1))
  held[0]?.()
  // The answer is ready now, and leaves later.
  expect(served.http.inspect().answerBytes).toBeGreaterThan(4_000)
  expect((await client.answer(2))?.[2]).toMatchObject({ code: 'precondition_failed' })
  await atRest(served, 1)
})

test('all strings of a transaction count for credit', async () => {
  const served = await serve({ limits: { muxBytesMax: 1_000 } })
  const client = await new MuxClient(served.port).open()
  const put = (bytes: number) => ({ success: [{ put: { key: 'a', value: Buffer.alloc(bytes) } }] })
  expect((await client.ask(1, TXN, null, put(999)))[1]).toBe(0)
  client.send([2, TXN, null, put(1_000)])
  expect((await client.end()).code).toBe(1008)
})

test('a transaction is not larger than a body of HTTP', async () => {
  const served = await serve({ limits: { requestBytesMax: 1_000 } })
  const client = await new MuxClient(served.port).open()
  const put = (bytes: number) => ({ success: [{ put: { key: 'a', value: Buffer.alloc(bytes) } }] })
  expect((await client.ask(1, TXN, null, put(999)))[1]).toBe(0)
  expect((await client.ask(2, TXN, null, put(1_000)))[2]).toMatchObject({
    status: 413,
    code: 'request_too_large',
  })
})
