// One large change that many clients watch: what waits for all of them together is bounded, whoever they are.

import type { ServerResponse } from 'node:http'
import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { asRevision } from '../../../src/operations/forms/index.ts'
import { OutboundBudget } from '../../../src/server/api/budget.ts'
import { WatchBuffer, WatchBuffers } from '../../../src/server/api/watch.ts'
import { WatchStream } from '../../../src/server/http/watch.ts'
import { SSE } from '../../../src/server/http/watch-json.ts'
import { httpLimits } from '../../../src/server/listener/limits.ts'
import { FakeNode } from '../http/fake-node.ts'

const CLIENTS = 8
const BUFFERS_MAX = 128 * 1024
const VALUE = 'v'.repeat(100 * 1024)
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** A client that takes what it is sent when `take` is called. */
class Client {
  received = ''
  readonly #taken: (() => void)[] = []
  readonly to = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      this.received += chunk.toString()
      this.#taken.push(done)
    },
  })

  async take(): Promise<void> {
    await nextTurn()
    for (let taken = this.#taken.shift(); taken !== undefined; taken = this.#taken.shift()) {
      taken()
      await nextTurn()
    }
  }
}

test('clients for which nothing waits receive a change in turn, while the buffers of all are full', async () => {
  const node = new FakeNode()
  const watchBuffers = new WatchBuffers({ ...httpLimits, watchBuffersBytesMax: BUFFERS_MAX })
  const budgets = { watchBuffers, outbound: new OutboundBudget(Number.POSITIVE_INFINITY) }
  const clients = Array.from({ length: CLIENTS }, () => new Client())
  const where = { key: Buffer.from('config') }
  const request = { where, from: undefined, only: undefined, prev: false, values: true, progressMs: 60_000 }
  for (const { to } of clients) {
    const stream = new WatchStream(SSE, budgets, undefined)
    const watch = node.watch(request, stream)
    if (watch.ok) stream.begin(to as unknown as ServerResponse, watch.value, asRevision(node.revision))
  }
  for (const client of clients) await client.take()
  expect(watchBuffers.bytes).toBe(0)
  node.put('config', VALUE)
  const most = BUFFERS_MAX + 2 * VALUE.length
  const hasValue = ({ received }: Client): boolean => received.includes(VALUE)
  let rounds = 0
  for (; !clients.every(hasValue) && rounds < 10 * CLIENTS; rounds++) {
    await nextTurn()
    expect(watchBuffers.bytes).toBeLessThan(most)
    for (const client of clients) await client.take()
  }
  expect(clients.filter(hasValue)).toHaveLength(CLIENTS)
  for (const client of clients) await client.take()
  expect(watchBuffers.bytes).toBe(0)
  for (const { to } of clients) to.destroy()
  await nextTurn()
  expect(node.watches.inspect()).toMatchObject({ open: 0, slow: 0 })
})

test('a client that has found no room continues when there is some, although slow clients keep half of it', () => {
  const buffers = new WatchBuffers({ ...httpLimits, watchBuffersBytesMax: BUFFERS_MAX })
  buffers.add(0.6 * BUFFERS_MAX)
  buffers.add(0.6 * BUFFERS_MAX)
  const resumed: number[] = []
  for (const client of [1, 2]) buffers.wait({ resume: () => void resumed.push(client) })
  expect(buffers.takesProgressOnly).toBe(true)
  buffers.remove(0.6 * BUFFERS_MAX)
  expect([buffers.takesProgressOnly, resumed]).toEqual([false, [1]])
  // Slow clients take something, and receive more.
  buffers.add(1)
  buffers.remove(1)
  expect(resumed).toEqual([1, 2])
})

test('a client that leaves while it waits takes the turn of nobody', () => {
  const buffers = new WatchBuffers({ ...httpLimits, watchBuffersBytesMax: BUFFERS_MAX })
  buffers.add(0.6 * BUFFERS_MAX)
  buffers.add(0.6 * BUFFERS_MAX)
  const resumed: string[] = []
  const waiting = (name: string): WatchBuffer => {
    const buffer = new WatchBuffer(buffers)
    buffer.wait({ drained: () => void resumed.push(name) })
    return buffer
  }
  const leaving = waiting('leaving')
  waiting('next')
  leaving.close()
  buffers.remove(0.6 * BUFFERS_MAX)
  expect(resumed).toEqual(['next'])
})
