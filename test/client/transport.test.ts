// One request and its answer: its result, what is known then, and what stays open.

import dns from 'node:dns'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { Endpoint } from '../../src/client/endpoints.ts'
import { QUESTION, Questions } from '../../src/client/questions.ts'
import { type HttpRequest, Transport } from '../../src/client/transport/http-transport.ts'
import type { FakeNode } from './fake-node.ts'
import { answering, fake, freezeTime, refusing } from './with-fakes.ts'

const GET = { method: 'GET', path: '/v1/kv/k', headers: {}, body: undefined }
const HOUR_MS = 3_600_000

let transport: Transport
let node: FakeNode
beforeEach(async () => {
  transport = new Transport()
  node = await fake()
})
afterEach(() => {
  transport.close()
})

type Options = Partial<Parameters<Transport['exchange']>[2]>
const exchange = (url: string, options: Options = {}, outgoing: HttpRequest = GET) =>
  transport.exchange(new Endpoint(new URL(url)), outgoing, { timeoutMs: HOUR_MS, ...options })

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await nextTurn()
}

const count = (kind: string) => process.getActiveResourcesInfo().filter((what) => what === kind).length

describe('the result of a request', () => {
  test('its time is up', async () => {
    // There is a connection already.
    await exchange(node.url).result
    node.fault = () => 'hang'
    const asked = exchange(node.url, { timeoutMs: 20.4 })
    expect(transport.underway).toBe(1)
    const cause = { message: 'no answer within 20 ms' }
    expect(await asked.result).toMatchObject({ kind: 'failed', connected: true, timedOut: true, cause })
    expect(transport.underway).toBe(0)
    await until(() => node.connections === 0)
  })

  test('its time is over when the connection is made: nothing leaves', async () => {
    freezeTime()
    const put = { ...GET, method: 'PUT', body: Buffer.from('v') }
    for (let round = 0; round < 2; round++) {
      // Node handles connections next, and then the callbacks of the next turn.
      await nextTurn()
      const asked = exchange(node.url, { timeoutMs: 5_000 }, put)
      vi.advanceTimersByTime(5_000)
      expect(await asked.result).toMatchObject({
        ...{ kind: 'failed', connected: false, accepted: true, timedOut: true },
        cause: { message: 'no answer within 5000 ms' },
      })
      await until(() => node.connections === 0)
    }
    expect(node.seen).toEqual([])
  })

  test('nothing moves for longer than any node needs', async () => {
    const impatient = new Transport(400)
    onTestFinished(() => impatient.close())
    const ask = () =>
      impatient.exchange(new Endpoint(new URL(node.url)), GET, { timeoutMs: Number.POSITIVE_INFINITY })
    node.set('k', 'v')
    for (let round = 0; round < 2; round++) {
      expect(await ask().result).toMatchObject({ kind: 'answered' })
      // On the same connection.
      node.faults.push('hang')
      const cause = { message: 'no answer within 400 ms' }
      expect(await ask().result).toMatchObject({ kind: 'failed', connected: true, timedOut: true, cause })
      await until(() => node.connections === 0)
    }
    expect(impatient.underway).toBe(0)
  })

  test('it is given up', async () => {
    for (const reason of [undefined, 'enough']) {
      node.fault = () => 'hang'
      const asked = exchange(node.url)
      const before = node.seen.length
      await until(() => node.seen.length > before)
      expect(asked.isConnected()).toBe(true)
      asked.cancel(reason)
      const cause = { message: reason ?? 'given up' }
      expect(await asked.result).toMatchObject({ kind: 'failed', connected: true, timedOut: false, cause })
      await until(() => node.connections === 0)
    }
  })

  test('nobody listens', async () => {
    const asked = exchange(await refusing())
    const cause = { code: 'ECONNREFUSED' }
    expect(await asked.result).toMatchObject({ kind: 'failed', connected: false, timedOut: false, cause })
    expect(asked.isConnected()).toBe(false)
  })

  test('its connection is cut, before the answer and within', async () => {
    node.fault = () => 'cut'
    const failure = { kind: 'failed', connected: true, timedOut: false }
    expect(await exchange(node.url).result).toMatchObject(failure)
    const { url } = await answering('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}')
    expect(await exchange(url).result).toMatchObject(failure)
    expect(transport.underway).toBe(0)
  })

  test('everything is closed', async () => {
    node.fault = () => 'hang'
    const asked = [exchange(node.url), exchange(node.url)]
    await until(() => node.seen.length === 2)
    transport.close()
    for (const { result } of asked) expect(await result).toMatchObject({ kind: 'failed', connected: true })
    await until(() => node.connections === 0)
    const early = exchange(node.url)
    transport.close()
    expect(await early.result).toMatchObject({ kind: 'failed' })
    expect(transport.underway).toBe(0)
    await until(() => node.connections === 0)
  })

  test('it is answered, and its connection serves the next', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    node.set('k', 'v')
    for (let round = 0; round < 3; round++) {
      const asked = exchange(node.url)
      expect(vi.getTimerCount()).toBe(1)
      const found = await asked.result
      expect(vi.getTimerCount()).toBe(0)
      expect(found).toMatchObject({ kind: 'answered', status: 200, headers: { 'kv-node': 'n1' } })
      expect(asked.isConnected()).toBe(true)
      expect(node.connections).toBe(1)
      expect(node.seen.at(-1)?.headers).toMatchObject({ connection: 'keep-alive' })
    }
  })

  test('it is answered by a connection that closes behind the answer', async () => {
    for (const length of ['', 'Content-Length: 2\r\n']) {
      const { url } = await answering(`HTTP/1.1 200 OK\r\nConnection: close\r\n${length}\r\n{}`)
      const body = Buffer.from('{}')
      for (let round = 0; round < 3; round++)
        expect(await exchange(url).result).toMatchObject({ kind: 'answered', status: 200, body })
    }
  })

  test('a part of its answer arrives: the time of the last part is known', async () => {
    freezeTime()
    const { url, connections, send } = await answering('', { staysOpen: true })
    for (let round = 0; round < 2; round++) {
      const asked = exchange(url)
      const askedAt = performance.now()
      expect(asked.heardAt()).toBe(askedAt)
      await until(() => connections() === 1)
      for (const piece of ['HTTP/1.1 200 OK\r\nContent-Length: 7\r\n', '\r\n', '{"a"', ':', '1}']) {
        vi.advanceTimersByTime(1_000)
        send(piece)
        // Nothing is known of an incomplete head.
        const heardAt = piece.startsWith('HTTP') ? askedAt : performance.now()
        await expect.poll(() => asked.heardAt()).toBe(heardAt)
      }
      expect(await asked.result).toMatchObject({ kind: 'answered', body: Buffer.from('{"a":1}') })
    }
  })

  // With one of three nodes behind a wire that loses much, a page failed that the other nodes could have served.
  test.each([
    [40, 'Content-Length: 100\r\n', false],
    [60, 'Content-Length: 100\r\n', true],
    [1, '', true],
  ])(
    '%d bytes of its answer come in 1 s, one in another (%j), and 2 s are left: that counts: %s',
    async (bytes, length, counts) => {
      freezeTime()
      const { url, connections, send } = await answering('', { staysOpen: true })
      for (let round = 0; round < 2; round++) {
        const asked = exchange(url, { timeoutMs: 5_000 })
        await until(() => connections() === 1)
        const sendAfterOneSecond = (text: string) => {
          vi.advanceTimersByTime(1_000)
          send(text)
          return performance.now()
        }
        let heardAt = sendAfterOneSecond(`HTTP/1.1 200 OK\r\n${length}\r\n`)
        await expect.poll(() => asked.heardAt()).toBe(heardAt)
        heardAt = sendAfterOneSecond('x'.repeat(bytes))
        await expect.poll(() => asked.heardAt()).toBe(heardAt)
        const nextAt = sendAfterOneSecond('x')
        for (let turn = 0; turn < 100; turn++) await nextTurn()
        expect(asked.heardAt()).toBe(counts ? nextAt : heardAt)
        // It counts again as soon as it arrives faster.
        heardAt = sendAfterOneSecond('x'.repeat(98 - bytes))
        await expect.poll(() => asked.heardAt()).toBe(heardAt)
        asked.cancel()
        await until(() => connections() === 0)
      }
    },
  )

  test('the name of its host is looked up: how long is known', async () => {
    freezeTime()
    let answer = () => {}
    type Found = (error: null, addresses: readonly dns.LookupAddress[]) => void
    const slow = (_host: string, _options: unknown, done: Found) => {
      answer = () => done(null, [{ address: '127.0.0.1', family: 4 }])
    }
    const spy = vi.spyOn(dns, 'lookup').mockImplementation(slow as unknown as typeof dns.lookup)
    onTestFinished(() => spy.mockRestore())
    const asked = exchange(`http://looked-up.example:${node.port}`)
    expect(asked.lookupMs()).toBe(0)
    for (const ms of [300, 700]) {
      vi.advanceTimersByTime(ms - asked.lookupMs())
      expect(asked.lookupMs()).toBe(ms)
    }
    answer()
    expect((await asked.result).kind).toBe('answered')
    vi.advanceTimersByTime(1_000)
    expect(asked.lookupMs()).toBe(700)
    const another = exchange(node.url)
    await another.result
    expect(another.lookupMs()).toBe(0)
  })

  test('the reader of a stream may pause for as long as it likes', async () => {
    const { url } = await answering('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}', { staysOpen: true })
    const asked = exchange(url, { stream: true })
    const found = await asked.result
    if (found.kind !== 'streaming' || 'messages' in found.stream) throw new Error('not a stream')
    expect(found.stream.socket.timeout).toBe(0)
    found.stream.destroy()
  })

  test('only a 200 is handed over when it begins', async () => {
    for (const status of [201, 404, 503]) {
      node.fault = () => ({ status, body: { code: 'x' } })
      const body = Buffer.from('{"code":"x"}')
      expect(await exchange(node.url, { stream: true }).result).toMatchObject({
        kind: 'answered',
        status,
        body,
      })
    }
    node.fault = () => ({ status: 200, body: { code: 'x' } })
    const begun = await exchange(node.url, { stream: true }).result
    expect(begun.kind).toBe('streaming')
    if (begun.kind === 'streaming') begun.stream.destroy()
  })

  test.each([Buffer.from('value'), Buffer.alloc(0), Buffer.alloc(100_000)])(
    'its body has a length',
    async (body) => {
      await exchange(node.url, {}, { ...GET, method: 'PUT', body }).result
      expect(node.seen[0]?.body).toEqual(body)
      expect(node.seen[0]?.headers).toMatchObject({ 'content-length': `${body.length}` })
    },
  )
})

test('a request in the background keeps no process alive', async () => {
  node.fault = () => 'hang'
  // Connections of other tests are still closing.
  await until(() => count('TCPSocketWrap') === 0)
  for (const background of [true, false]) {
    const timers = count('Timeout')
    const { length } = node.seen
    const asked = exchange(node.url, { background })
    expect(count('Timeout')).toBe(timers + (background ? 0 : 1))
    await until(() => node.seen.length > length)
    // One is the node's own.
    expect(count('TCPSocketWrap')).toBe(background ? 1 : 2)
    asked.cancel()
    await asked.result
    await until(() => node.connections === 0 && count('TCPSocketWrap') === 0)
  }
})

describe('a question that several wait for', () => {
  const ask = (questions: Questions, endpoint: Endpoint) => questions.exchange(endpoint, QUESTION)

  test('is asked once, and again for calls that come after it has ended', async () => {
    const [questions, endpoint] = [new Questions(transport), new Endpoint(new URL(node.url))]
    for (let round = 1; round <= 2; round++) {
      const all = [ask(questions, endpoint), ask(questions, endpoint)]
      expect(questions.underway).toBe(1)
      for (const { result } of all) expect(await result).toMatchObject({ kind: 'answered', status: 404 })
      expect(node.questions.length).toBe(round)
      expect(questions.underway).toBe(0)
      expect(transport.underway).toBe(0)
      // It has its answer, so there is nothing to give up.
      for (const { cancel } of all) cancel()
      await nextTurn()
      expect(node.connections).toBe(1)
    }
  })

  test('goes on until the last has given it up', async () => {
    const [questions, endpoint] = [new Questions(transport), new Endpoint(new URL(node.url))]
    node.questionFault = () => 'hang'
    for (let round = 1; round <= 2; round++) {
      const [first, second] = [ask(questions, endpoint), ask(questions, endpoint)]
      await until(() => node.questions.length === round)
      const failure = { kind: 'failed', connected: true, timedOut: false, cause: { message: 'given up' } }
      // A second cancel has no effect.
      first?.cancel()
      first?.cancel()
      expect(await first?.result).toMatchObject(failure)
      await nextTurn()
      expect([questions.underway, transport.underway]).toEqual([1, 1])
      second?.cancel()
      expect(questions.underway).toBe(0)
      expect(await second?.result).toMatchObject(failure)
      await until(() => transport.underway === 0)
      await until(() => node.connections === 0)
    }
  })

  test('is not shared with one that was given up just before', async () => {
    freezeTime()
    const [questions, endpoint] = [new Questions(transport), new Endpoint(new URL(node.url))]
    node.questionFault = () => 'hang'
    const first = ask(questions, endpoint)
    first.cancel()
    const second = ask(questions, endpoint)
    await until(() => transport.underway === 1)
    await until(() => node.questions.length > 0)
    expect(questions.underway).toBe(1)
    const third = ask(questions, endpoint)
    await nextTurn()
    expect(transport.underway).toBe(1)
    second.cancel()
    third.cancel()
    await until(() => transport.underway === 0)
    expect(questions.underway).toBe(0)
  })

  test('giving up an earlier one does not give up a later one', async () => {
    const [questions, endpoint] = [new Questions(transport), new Endpoint(new URL(node.url))]
    const first = ask(questions, endpoint)
    await first.result
    node.questionFault = () => 'hang'
    const second = ask(questions, endpoint)
    await until(() => node.questions.length === 2)
    first.cancel()
    await nextTurn()
    expect([questions.underway, transport.underway]).toEqual([1, 1])
    second.cancel()
    await until(() => transport.underway === 0)
  })
})
