// Timeouts of any length, and what ends a list early.

import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Client, type KvRecord, type QuorateError, UnavailableError } from '../../src/client/index.ts'
import { after } from '../../src/client/timer.ts'
import { problem } from './relayed-node.ts'
import { clientOf, failure, fake, noLeader, until } from './with-fakes.ts'

const DAY_MS = 24 * 3_600_000

// Node warns once per process, so this test must be the first to cause it.
test('a timer of any length runs at its time, and prints no warning', async () => {
  const warnings: unknown[] = []
  const note = (warning: unknown) => warnings.push(warning)
  process.on('warning', note)
  onTestFinished(() => void process.off('warning', note))
  const ran: number[] = []
  const delays = [2 ** 31, 2 ** 40, Number.POSITIVE_INFINITY, -1, -(2 ** 40)]
  const stops = delays.map((ms) => after(ms, () => ran.push(ms)))
  await new Promise<void>((resolve) => after(20, resolve))
  for (const stop of stops) stop()
  expect(ran).toEqual([-1, -(2 ** 40)])
  expect(warnings).toEqual([])
})

describe.each([2 ** 31 - 1, 2 ** 31, 365 * DAY_MS, Number.MAX_VALUE, Number.POSITIVE_INFINITY])(
  'a timeout of %d ms',
  (timeoutMs) => {
    test('is no limit to calls, retries and lists', async () => {
      const node = await fake()
      node.faults.push(noLeader, 'cut')
      const kv = clientOf([node], { timeoutMs, unreachableAfterMs: timeoutMs })
      await kv.put('a', '1')
      node.fault = () => ({ afterMs: 30 })
      expect((await kv.get('a'))?.text()).toBe('1')
      expect((await kv.get('a', { timeoutMs }))?.text()).toBe('1')
      expect(await all(kv.list({ snapshot: true }))).toHaveLength(1)
      expect(await all(kv.list({ timeoutMs }))).toHaveLength(1)
      expect(node.seen.map((seen) => seen.timeoutMs)).toEqual(Array(7).fill(60_000))
    })
  },
)

test.each([Number.MIN_VALUE, 1, 4, 5])(
  'a timeout of %d ms is enough to ask, and does not prove that no node is there',
  async (timeoutMs) => {
    const node = await fake()
    const kv = clientOf([node])
    await kv.put('a', '1')
    for (const call of [() => kv.get('a', { timeoutMs }), () => kv.put('a', '2', { timeoutMs })]) {
      const before = node.asked.length
      node.fault = () => 'hang'
      const error = await failure(call())
      expect(error.code).toBeOneOf(['timeout', 'outcome_unknown'])
      await expect.poll(() => node.asked.length).toBe(before + 1)
      node.fault = () => undefined
      expect((await kv.get('a'))?.text()).toBe('1')
    }
  },
)

describe('a snapshot list', () => {
  test('that trickles ends with a timeout, however often a record arrives', async () => {
    const { url } = await streaming((response) => {
      let sent = 0
      const timer = setInterval(() => response.write(line(sent++)), 20)
      response.on('close', () => clearInterval(timer))
    })
    const kv = clientOf([url], { timeoutMs: 300 })
    for (let round = 0; round < 2; round++) {
      const error = await failure(all(kv.list({ snapshot: true })))
      expect(error).toBeInstanceOf(UnavailableError)
      expect(error).toMatchObject({ code: 'timeout', written: 'no' })
    }
  })

  test('that a node ends gives the reason, like any other answer', async () => {
    const node = await fake()
    const kv = clientOf([node])
    const refusals = [
      problem(429, 'overloaded', 'too many', { retry_after_ms: 7 }),
      problem(504, 'outcome_unknown', 'the time is up'),
      problem(500, 'internal', 'oops'),
    ]
    const errors: QuorateError[] = []
    for (const { body: error } of refusals) {
      // As often as the list is requested: what may pass is requested again.
      node.fault = () => ({ status: 200, body: `${JSON.stringify({ error })}\n` })
      errors.push(await failure(all(kv.list({ snapshot: true }))))
    }
    const common = { written: 'no', node: 'n1', endpoint: node.url }
    expect(errors).toMatchObject([
      { ...common, name: 'UnavailableError', code: 'overloaded', status: 429, retryAfterMs: 7 },
      { ...common, name: 'UnavailableError', code: 'timeout', status: 504 },
      { ...common, name: 'QuorateError', code: 'internal', status: 500 },
    ])
  })
})

describe('close() during a list throws AbortError', () => {
  test.each([false, true])('snapshot: %s', async (snapshot) => {
    const node = await fake()
    for (let n = 0; n < 50; n++) node.set(`k${n}`, 'v')
    const kv = clientOf([node])
    const seen: string[] = []
    const reading = async () => {
      for await (const { key } of kv.list({ snapshot })) {
        seen.push(key)
        await kv.close()
      }
    }
    expect(await failure(reading())).toMatchObject({ name: 'AbortError', code: 'closed', written: 'no' })
    expect(seen).toHaveLength(1)
    await expect.poll(() => node.connections).toBe(0)
    expect(await failure(all(kv.list({ snapshot })))).toMatchObject({ name: 'AbortError', code: 'closed' })
  })

  test('while it waits for the next record', async () => {
    let kv: Client | undefined
    const { url } = await streaming((response) => void response.write(line(0), () => void kv?.close()))
    kv = clientOf([url])
    expect(await failure(all(kv.list({ snapshot: true })))).toMatchObject({
      name: 'AbortError',
      code: 'closed',
    })
  })
})

test('an aborted list yields nothing more, also of what it has', async () => {
  const node = await fake()
  for (let n = 0; n < 50; n++) node.set(`k${n}`, 'v')
  for (const snapshot of [false, true]) {
    const abort = new AbortController()
    const seen: string[] = []
    const reading = async () => {
      for await (const { key } of clientOf([node]).list({ snapshot, signal: abort.signal })) {
        seen.push(key)
        abort.abort()
      }
    }
    expect(await failure(reading())).toMatchObject({ name: 'AbortError', code: 'aborted' })
    expect(seen).toHaveLength(1)
  }
})

test('a callback that throws ends the list, and its connection', async () => {
  const node = await fake()
  for (let n = 0; n < 400; n++) node.set(`k${n}`, Buffer.alloc(1_000))
  const kv = clientOf([node])
  for (const snapshot of [false, true]) {
    const onAnswer = () => {
      throw new RangeError('from the application')
    }
    await expect(all(kv.list({ snapshot, onAnswer }))).rejects.toThrow('from the application')
  }
  // The page's connection is kept; the stream's is not.
  await until(() => node.connections <= 1)
})

const line = (n: number) =>
  `${JSON.stringify({ key: `k${1_000 + n}`, value: 'v', create_revision: 1, mod_revision: 1, version: 1 })}\n`

/** A server that answers every request with a stream. */
async function streaming(send: (response: ServerResponse) => void): Promise<{ readonly url: string }> {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'kv-cluster': '77', 'kv-revision': '1' })
    send(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

async function all(records: AsyncIterable<KvRecord>): Promise<KvRecord[]> {
  const found = []
  for await (const record of records) found.push(record)
  return found
}
