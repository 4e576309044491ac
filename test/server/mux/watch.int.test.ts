// Watches on a multiplexed connection, beside test/server/api/watch.int.test.ts: ids, credit, and messages.

import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { TurnQueue } from '../../../src/server/api/turn-queue.ts'
import { serve } from '../http/served.ts'
import { GET, MuxClient, soon, WATCH } from './mux-client.ts'

const [EVENTS, PROGRESS, ENDED] = [2, 3, 4]

/** The items that a watch received, of one kind. */
const told = (client: MuxClient, id: number, kind: number): unknown[][] =>
  client.watched.filter((item) => item[0] === id && item[1] === kind).map((item) => item.slice(2))

describe('a watch', () => {
  test('shares its phase with those of its connection only, so that they are told their progress together', async () => {
    const { node, port } = await serve()
    const phases: number[] = []
    const watch = node.watch.bind(node)
    node.watch = (request, sink) => {
      phases.push(sink.phase ?? Number.NaN)
      return watch(request, sink)
    }
    for (let at = 0; at < 2; at++) {
      const client = await new MuxClient(port).open()
      for (const id of [1, 2]) await client.ask(id, WATCH, null, { key: 'a' }, null, null)
    }
    const [one, same, other, otherToo] = phases
    expect([one, other]).toEqual([same, otherToo])
    expect(one).not.toBe(other)
    expect(phases.every((phase) => phase >= 0 && phase < 1)).toBe(true)
  })

  test('ends when it is cancelled, and its id is free again', async () => {
    const { node, port, http } = await serve()
    const client = await new MuxClient(port).open()
    await client.ask(1, WATCH, null, { key: 'a' })
    expect(node.watches.counts().open).toBe(1)
    client.send([1, 0])
    await soon(() => expect(told(client, 1, ENDED)).toMatchObject([[{ code: 'cancelled' }]]))
    expect(node.watches.counts().open).toBe(0)
    expect(await client.ask(1, WATCH, null, { key: 'a' })).toEqual([1, 0, 1])
    client.ws.close()
    await client.end()
    await soon(() => expect(Object.values(node.watches.inspect()).every((count) => count === 0)).toBe(true))
    expect(http.inspect()).toMatchObject({ watchBytes: 0, answerBytes: 0, operations: 0 })
  })

  test('that is cancelled before it has begun does not begin, and its id is free again', async () => {
    const { node, port } = await serve()
    const client = await new MuxClient(port).open()
    client.send([1, WATCH, null, { key: 'a' }], [1, 0])
    expect((await client.answer(1))?.slice(0, 3)).toMatchObject([1, 1, { code: 'cancelled' }])
    // An answer to a later read.
    await client.ask(2, 3, null, 'a')
    node.put('a', '1')
    expect(await client.ask(1, WATCH, null, { key: 'a' })).toEqual([1, 0, 2])
    expect([node.watches.counts().open, client.watched]).toEqual([1, []])
  })

  test('that has begun keeps its id to itself', async () => {
    const { port } = await serve()
    const client = await new MuxClient(port).open()
    await client.ask(1, WATCH, null, { key: 'a' })
    client.send([1, 3, null, 'a'])
    expect(await client.end()).toEqual({ code: 1008, reason: 'the id 1 is in use' })
  })

  test('beyond what a connection may have is refused', async () => {
    const { port } = await serve({ limits: { muxWatchesMax: 2 } })
    const client = await new MuxClient(port).open()
    expect(client.notices[0]?.[2]).toMatchObject({ watches_max: 2 })
    await client.ask(1, WATCH, null, null)
    await client.ask(2, WATCH, null, null)
    const [, kind, problem] = await client.ask(3, WATCH, null, null)
    expect([kind, problem.code]).toEqual([1, 'overloaded'])
  })
})

test('what waits for a client that sends what cannot be read is given back', async () => {
  const { node, port, http } = await serve({ limits: { watchBufferBytesMax: 64 * 1024 } })
  const client = await new MuxClient(port).open()
  await client.ask(1, WATCH, null, { key: 'a' })
  client.ws.pause()
  const value = Buffer.alloc(96 * 1024)
  // Until the sockets hold no more: something of before still waits.
  await soon(() => {
    const { watchBytes } = http.inspect()
    for (let at = 0; at < 20; at++) node.put('a', value)
    expect(watchBytes).toBeGreaterThan(0)
  })
  client.ws.send(Buffer.from([0xc1]))
  await soon(() => expect(node.watches.counts()).toMatchObject({ open: 0, slow: 0 }))
  client.ws.terminate()
  await soon(() => expect(http.inspect()).toMatchObject({ connections: 0, watchBytes: 0, answerBytes: 0 }))
})

test('answers that a client has not taken yet hold up no watch: it is told its progress and its events behind them', async () => {
  const { node, port, http } = await serve({ limits: { watchBufferBytesMax: 64 * 1024 } })
  node.put('large', Buffer.alloc(1024 * 1024))
  const client = await new MuxClient(port).open()
  await client.ask(1, WATCH, null, { key: 'a' }, null, { progress_ms: 100 })
  client.ws.pause()
  client.send(...Array.from({ length: 14 }, (_, at) => [2 + at, GET, null, 'large']))
  await soon(() => {
    expect(http.inspect().operations).toBe(0)
    expect(http.inspect().answerBytes).toBeGreaterThan(1024 * 1024)
  })
  await soon(() => expect(http.inspect().watchBytes).toBeGreaterThan(0))
  node.put('a', 'v')
  expect(node.watches.counts()).toMatchObject({ slow: 0, slowTotal: 0 })
  client.ws.resume()
  await soon(() => expect(told(client, 1, EVENTS)).toHaveLength(1))
  expect(told(client, 1, PROGRESS).length).toBeGreaterThan(0)
})

test('while slow clients hold all that may wait for clients, each watch of another one is told its progress', async () => {
  const { node, port, http } = await serve({
    limits: { watchBuffersBytesMax: 64 * 1024, writeStallMsMax: 60_000 },
  })
  const slow = await new MuxClient(port).open()
  await slow.ask(1, WATCH, null, { key: 'a' })
  slow.ws.pause()
  const value = Buffer.alloc(96 * 1024)
  // Until the sockets hold no more: again and again, what was written before still waits.
  let full = 0
  await soon(() => {
    full = http.inspect().watchBytes > 64 * 1024 ? full + 1 : 0
    node.put('a', value)
    expect(full).toBeGreaterThan(20)
  })
  const client = await new MuxClient(port).open()
  const ids = [1, 2, 3, 4, 5, 6]
  /** Whether a message has the progress of all watches. One message for each would be too slow for many watches. */
  const isOfAll = (items: readonly unknown[][]) =>
    ids.every((id) => items.some((item) => item[0] === id && item[1] === PROGRESS))
  for (const id of ids) await client.ask(id, WATCH, null, { key: 'b' }, null, { progress_ms: 400 })
  await soon(() => {
    for (const id of ids) expect(told(client, id, PROGRESS).length).toBeGreaterThan(1)
    expect(client.messages.filter(isOfAll).length).toBeGreaterThan(1)
  })
  // Its events wait until those of the others are taken.
  node.put('b', 'v')
  expect(node.watches.counts().slow).toBe(1 + ids.length)
  slow.ws.resume()
  await soon(() => {
    for (const id of ids) expect(told(client, id, EVENTS)).toHaveLength(1)
  })
})

test('an event for many connections is sent to each in a step of its own, so that other work may come between', async () => {
  const { node, port } = await serve()
  const clients = await Promise.all([1, 2, 3].map(() => new MuxClient(port).open()))
  for (const client of clients) await client.ask(1, WATCH, null, { key: 'a' })
  const steps: (() => void)[] = []
  const run = vi.spyOn(TurnQueue.prototype, 'run').mockImplementation((step) => void steps.push(step))
  const send = vi.spyOn(WebSocket.prototype, 'send')
  onTestFinished(() => {
    run.mockRestore()
    send.mockRestore()
  })
  node.put('a', '1')
  await soon(() => expect(steps).toHaveLength(3))
  const sent = [send.mock.calls.length]
  for (const step of steps) {
    step()
    sent.push(send.mock.calls.length)
  }
  expect(sent).toEqual([0, 1, 2, 3])
  for (const client of clients) await soon(() => expect(told(client, 1, EVENTS)).toHaveLength(1))
})
