// One request over HTTP and its answer: the outcome, and what stays open.

import dns from 'node:dns'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { Endpoint } from '../../../src/client/endpoints.ts'
import type { HttpOutcome } from '../../../src/client/transport/http-transport.ts'
import { HttpTransport } from '../../../src/client/transport/http-transport.ts'
import type { SendOptions } from '../../../src/client/transport/transport.ts'
import type { OutgoingRequest } from '../../../src/operations/http/requests.ts'
import type { RelayedNode } from '../relayed-node.ts'
import { answering, fake, freezeTime, refusing, until } from '../with-fakes.ts'

const GET = { method: 'GET', path: '/v1/kv/k', headers: {}, body: undefined }
const HOUR_MS = 3_600_000

let transport: HttpTransport
let node: RelayedNode
beforeEach(async () => {
  transport = new HttpTransport()
  node = await fake()
})
afterEach(() => {
  transport.close()
})

const exchange = (
  url: string,
  options: Partial<SendOptions> = {},
  request: OutgoingRequest = GET,
  stream = false,
): Promise<HttpOutcome> =>
  transport.exchange(new Endpoint(new URL(url)), request, { timeoutMs: HOUR_MS, ...options }, stream)

const count = (kind: string) => process.getActiveResourcesInfo().filter((what) => what === kind).length

const MAYBE = { kind: 'maybe-applied', timedOut: false }

test('idle connections that have carried no answer since a time end, and no others', async () => {
  const other = await fake('n2')
  await Promise.all([...Array.from({ length: 3 }, () => exchange(node.url)), exchange(other.url)])
  expect([node.connections, other.connections]).toEqual([3, 1])
  const since = performance.now()
  await exchange(node.url)
  transport.endIdle(new Endpoint(new URL(node.url)), since)
  // The node learns the ends before these requests.
  for (let n = 0; n < 3; n++) expect(await exchange(node.url)).toMatchObject({ kind: 'answered' })
  expect([node.connections, other.connections]).toEqual([1, 1])
})

describe('the outcome of a request', () => {
  test('without an answer in time: maybe applied', async () => {
    // There is a connection already.
    await exchange(node.url)
    node.fault = () => 'hang'
    const outcome = exchange(node.url, { timeoutMs: 20.4 })
    expect(transport.inFlight).toBe(1)
    const cause = { message: 'no answer within 20 ms' }
    expect(await outcome).toMatchObject({ ...MAYBE, timedOut: true, cause })
    expect(transport.inFlight).toBe(0)
    await until(() => node.connections === 0)
  })

  test('whose time is over when the connection is made: not sent', async () => {
    freezeTime()
    const put = { ...GET, method: 'PUT', body: Buffer.from('v') }
    for (let round = 0; round < 2; round++) {
      // Node handles connections next, and then the callbacks of the next turn.
      await nextTurn()
      const outcome = exchange(node.url, { timeoutMs: 5_000 }, put)
      vi.advanceTimersByTime(5_000)
      expect(await outcome).toMatchObject({ kind: 'not-sent', reached: true, timedOut: true })
      await until(() => node.connections === 0)
    }
    expect(node.seen).toEqual([])
  })

  test('whose connection moves nothing for longer than any node needs: maybe applied', async () => {
    // The first answer takes longer than later ones.
    await exchange(node.url)
    transport.close()
    const impatient = new HttpTransport({ silenceMaxMs: 1_000 })
    onTestFinished(() => impatient.close())
    const send = () =>
      impatient.exchange(new Endpoint(new URL(node.url)), GET, { timeoutMs: Number.POSITIVE_INFINITY })
    node.set('k', 'v')
    for (let round = 0; round < 2; round++) {
      expect(await send()).toMatchObject({ kind: 'answered' })
      // On the same connection.
      node.faults.push('hang')
      expect(await send()).toMatchObject({ ...MAYBE, timedOut: true })
      await until(() => node.connections === 0)
    }
    expect(impatient.inFlight).toBe(0)
  })

  test('that its caller aborts: maybe applied, and its connection is closed', async () => {
    node.fault = () => 'hang'
    for (let round = 0; round < 2; round++) {
      const abort = new AbortController()
      const { length } = node.seen
      const outcome = exchange(node.url, { signal: abort.signal })
      await until(() => node.seen.length > length)
      abort.abort()
      expect(await outcome).toMatchObject(MAYBE)
      await until(() => node.connections === 0)
    }
  })

  test('to a port where nobody listens: not sent', async () => {
    const cause = { code: 'ECONNREFUSED' }
    expect(await exchange(await refusing())).toMatchObject({
      kind: 'not-sent',
      reached: false,
      timedOut: false,
      cause,
    })
  })

  test('that is cut, before the answer or within: maybe applied', async () => {
    node.fault = () => 'cut'
    expect(await exchange(node.url)).toMatchObject(MAYBE)
    const { url } = await answering('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}')
    expect(await exchange(url)).toMatchObject(MAYBE)
    expect(transport.inFlight).toBe(0)
  })

  test('of a transport that is closed: maybe applied, if it was sent', async () => {
    node.fault = () => 'hang'
    const outcomes = [exchange(node.url), exchange(node.url)]
    await until(() => node.seen.length === 2)
    transport.close()
    for (const outcome of outcomes) expect(await outcome).toMatchObject(MAYBE)
    await until(() => node.connections === 0)
    const early = exchange(node.url)
    transport.close()
    expect(await early).toMatchObject({ kind: 'not-sent' })
    expect(transport.inFlight).toBe(0)
  })

  test('that is answered: the connection serves the next one, and no timer is left', async () => {
    // The node would have timers.
    node.fault = () => ({ status: 200, body: {} })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    for (let round = 0; round < 3; round++) {
      const outcome = exchange(node.url)
      expect(vi.getTimerCount()).toBe(1)
      expect(await outcome).toMatchObject({ kind: 'answered', status: 200, headers: { 'kv-node': 'n1' } })
      expect(vi.getTimerCount()).toBe(0)
      expect(node.connections).toBe(1)
      expect(node.seen.at(-1)?.headers).toMatchObject({ connection: 'keep-alive' })
    }
  })

  test.each(['', 'Content-Length: 2\r\n'])(
    'whose connection closes behind the answer (%j): answered',
    async (length) => {
      const { url } = await answering(`HTTP/1.1 200 OK\r\nConnection: close\r\n${length}\r\n{}`)
      const body = Buffer.from('{}')
      for (let round = 0; round < 3; round++)
        expect(await exchange(url)).toMatchObject({ kind: 'answered', status: 200, body })
    },
  )

  test('for a stream: only a 200 is handed over when it begins', async () => {
    for (const status of [201, 404, 503]) {
      node.fault = () => ({ status, body: { code: 'x' } })
      expect(await exchange(node.url, {}, GET, true)).toMatchObject({ kind: 'answered', status })
    }
    node.fault = () => ({ status: 200, body: { code: 'x' } })
    const begun = await exchange(node.url, {}, GET, true)
    expect(begun.kind).toBe('streaming')
    if (begun.kind === 'streaming') begun.stream.destroy()
    await until(() => node.connections === 0)
  })

  test('for a stream: its reader may pause for longer than any node needs', async () => {
    const impatient = new HttpTransport({ silenceMaxMs: 50 })
    onTestFinished(() => impatient.close())
    const { url, send } = await answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n', { staysOpen: true })
    const endpoint = new Endpoint(new URL(url))
    // On a busy machine the answer may begin later than this transport waits.
    let begun = await impatient.exchange(endpoint, GET, { timeoutMs: HOUR_MS }, true)
    while (begun.kind !== 'streaming')
      begun = await impatient.exchange(endpoint, GET, { timeoutMs: HOUR_MS }, true)
    if ('messages' in begun.stream) throw new Error('not a stream of bytes')
    const other = await impatient.exchange(endpoint, GET, { timeoutMs: HOUR_MS }, false)
    // By now the transport has given up a request whose connection was as quiet.
    expect(other).toMatchObject({ timedOut: true })
    send('{}')
    const chunks: Buffer[] = []
    for await (const chunk of begun.stream) chunks.push(chunk)
    expect(Buffer.concat(chunks).toString()).toBe('{}')
  })

  test.each([Buffer.from('value'), Buffer.alloc(0), Buffer.alloc(100_000)])(
    'with a body: it is sent with its length',
    async (body) => {
      await exchange(node.url, {}, { ...GET, method: 'PUT', body })
      expect(node.seen[0]?.body).toEqual(body)
      expect(node.seen[0]?.headers).toMatchObject({ 'content-length': `${body.length}` })
    },
  )
})

describe('a request with a limit of silence', () => {
  const LIMITS = { timeoutMs: 5_000, silenceMs: 1_500 }

  /** Time passes, bytes are sent, and the client reads them. */
  async function receives(send: (text: string) => void, ms: number, text: string): Promise<void> {
    await vi.advanceTimersByTimeAsync(ms)
    send(text)
    for (let turn = 0; turn < 100; turn++) await nextTurn()
  }

  test('is given up when no byte arrives for so long, if that is allowed', async () => {
    freezeTime()
    node.fault = () => 'hang'
    let allowed = false
    const outcome = exchange(node.url, { ...LIMITS, mayGiveUp: () => allowed })
    await until(() => node.seen.length === 1)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(transport.inFlight).toBe(1)
    allowed = true
    await vi.advanceTimersByTimeAsync(50)
    // Pending data is read first.
    await nextTurn()
    expect(await outcome).toMatchObject({ ...MAYBE, timedOut: true })
  })

  test('is not given up while its answer arrives', async () => {
    freezeTime()
    const { url, connections, send } = await answering('', { staysOpen: true })
    const outcome = exchange(url, LIMITS)
    await until(() => connections() === 1)
    for (let turn = 0; turn < 100; turn++) await nextTurn()
    await receives(send, 1_000, 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n')
    for (const byte of '{  }') await receives(send, 900, byte)
    expect(await outcome).toMatchObject({ kind: 'answered', body: Buffer.from('{  }') })
  })
})

test('the time for the lookup of a name does not count against the connection, if the caller waits for it', async () => {
  // A server that begins to listen looks up a name, too.
  await node.openPort()
  freezeTime()
  let answer = () => {}
  type Callback = (error: null, addresses: readonly dns.LookupAddress[]) => void
  const slow = (_host: string, _options: unknown, done: Callback) => {
    answer = () => done(null, [{ address: '127.0.0.1', family: 4 }])
  }
  const spy = vi.spyOn(dns, 'lookup').mockImplementation(slow as unknown as typeof dns.lookup)
  onTestFinished(() => spy.mockRestore())
  const url = (name: string) => `http://${name}.example:${node.port}`
  const patient = exchange(url('patient'), { connectMs: 100, waitsForLookup: true })
  await vi.advanceTimersByTimeAsync(3_000)
  answer()
  expect((await patient).kind).toBe('answered')
  const impatient = exchange(url('impatient'), { connectMs: 100 })
  await vi.advanceTimersByTimeAsync(101)
  expect(await impatient).toMatchObject({ kind: 'not-sent', reached: false, timedOut: true })
  answer()
})

test('a request in the background keeps no process alive', async () => {
  node.fault = () => 'hang'
  // Connections of other tests are still closing.
  await until(() => count('TCPSocketWrap') === 0)
  for (const background of [true, false]) {
    const timers = count('Timeout')
    const { length } = node.seen
    const abort = new AbortController()
    const outcome = exchange(node.url, {
      background,
      connectMs: HOUR_MS,
      silenceMs: 1_000,
      signal: abort.signal,
    })
    // It has its socket in the next tick, which is connecting then.
    await new Promise<void>((resolve) => process.nextTick(resolve))
    expect(count('Timeout')).toBe(timers + (background ? 0 : 2))
    await until(() => node.seen.length > length)
    // One is the node's own.
    expect(count('TCPSocketWrap')).toBe(background ? 1 : 2)
    abort.abort()
    await outcome
    await until(() => node.connections === 0 && count('TCPSocketWrap') === 0)
  }
})
