// The connection of the driver: it lasts while its server answers, and keeps the process alive exactly while a call
// waits.

import { createSecureServer, createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { Endpoint } from '../../src/client/endpoints.ts'
import type { TlsSource } from '../../src/client/tls.ts'
import { RPC } from '../../src/etcd/rpcs.ts'
import { EtcdTransport } from '../../src/etcd-client/etcd-transport.ts'
import { GrpcClient } from '../../src/etcd-client/grpc-client.ts'
import { get } from '../../src/operations/get.ts'
import { authority } from '../server/tls/certificates.ts'

afterEach(() => void vi.useRealTimers())

/** A member whose answers the test sends. */
async function openMember() {
  const waiting: ServerHttp2Stream[] = []
  const sessions: ServerHttp2Session[] = []
  const server = createServer()
    .on('session', (session) => void sessions.push(session))
    .on('stream', (stream) => {
      stream.on('error', () => {})
      waiting.push(stream)
    })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const client = new GrpcClient({ endpoint: `http://127.0.0.1:${port}` })
  onTestFinished(() => {
    client.close()
    server.close()
    for (const session of sessions) session.destroy()
  })
  return { client, waiting, sessions, answer: answerWell }
}

function answerWell(stream: ServerHttp2Stream | undefined): void {
  stream?.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream?.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream?.end(new Uint8Array(5))
}

async function until(isSo: () => boolean): Promise<void> {
  for (let turn = 0; !isSo(); turn++) {
    if (turn > 100_000) expect.fail('it does not become so')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Sockets for which the process lives. */
const countSockets = (): number =>
  process.getActiveResourcesInfo().filter((resource) => resource === 'TCPSocketWrap').length

test('a call that waits keeps the process alive, whatever ran in the background before', async () => {
  const before = countSockets()
  const { client, waiting, answer } = await openMember()
  /** The side of the server always does. */
  const isAlive = (): boolean => countSockets() - before > 1
  const call = async (background: boolean, ends: 'well' | 'cancelled'): Promise<void> => {
    const stream = client.serverStream(RPC.status, {}, { background })
    const responses = stream[Symbol.asyncIterator]()
    const first = responses.next().catch(() => {})
    await until(() => waiting.length === 1)
    expect(isAlive()).toBe(!background)
    if (ends === 'well') answer(waiting.shift())
    else {
      waiting.length = 0
      stream.cancel()
    }
    await first
    await responses.return?.()
    await until(() => !isAlive())
  }
  for (const ends of ['well', 'cancelled'] as const)
    for (const background of [false, true, true, false, false, true, false]) await call(background, ends)
})

test('a connection whose server answers outlives every call that was not answered in time', async () => {
  const { client, waiting, sessions, answer } = await openMember()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const watch = client.duplex(RPC.watch)
  let end: unknown
  void watch[Symbol.asyncIterator]()
    .next()
    .catch((error: unknown) => (end = error))
  await until(() => waiting.length === 1)
  for (let round = 1; round <= 3; round++) {
    let isAnswered = false
    client.probe()
    // The answer to its ping.
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    await vi.advanceTimersByTimeAsync(10_000)
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    const call = client.unary(RPC.status, {}).then(() => (isAnswered = true))
    await until(() => waiting.length === 2)
    answer(waiting.pop())
    await call
    expect([isAnswered, end, sessions.length]).toEqual([true, undefined, 1])
  }
})

test('new certificates are those of the calls that follow, and no call that waits is cut', async () => {
  const ca = authority()
  const waiting: ServerHttp2Stream[] = []
  const sessions = new Set<ServerHttp2Session>()
  const server = createSecureServer(ca.node('n1'))
    .on('session', (session) => sessions.add(session.once('close', () => sessions.delete(session))))
    .on('stream', (stream) => void waiting.push(stream))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const certificates = { current: { ca: ca.cert } }
  const transport = new EtcdTransport(certificates as unknown as TlsSource)
  onTestFinished(() => {
    transport.close()
    server.close()
  })
  const endpoint = new Endpoint(new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`))
  const read = () =>
    transport.send(
      endpoint,
      get,
      { kind: 'get', key: new Uint8Array([1]), freshness: {} },
      { timeoutMs: 60_000 },
    )
  const before = read()
  await until(() => waiting.length === 1)
  certificates.current = { ca: ca.cert }
  const after = [read(), read()]
  await until(() => waiting.length === 3)
  expect(new Set(waiting.map(({ session }) => session)).size).toBe(2)
  for (const stream of waiting) answerWell(stream)
  expect((await Promise.all([before, ...after])).map(({ kind }) => kind)).toEqual([
    'served',
    'served',
    'served',
  ])
  // The connection with the old certificates ends with its last call.
  await until(() => sessions.size === 1)
})
