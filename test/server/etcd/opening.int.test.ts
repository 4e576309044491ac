// Connections that begin with the preface of HTTP/2.

import { connect } from 'node:net'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { REST_MS_MAX } from '../../../src/server/connections/raw-connection.ts'
import { put } from '../../../src/server/etcd/services/put.ts'
import { range } from '../../../src/server/etcd/services/range.ts'
import { settled } from '../http/raw-client.ts'
import { serve } from '../http/served.ts'
import { callRpc, frame, openSession } from './grpc-call.ts'
import { callFields, frame as dataFrame, END_STREAM, headers, RawHttp2, TYPE } from './raw-http2.ts'

const GRPC = '../../../src/server/etcd/grpc/connections.ts'
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
const SETTINGS = '\0\0\0\x04\0\0\0\0\0'
const key = Buffer.from('a')
const value = Buffer.from('1')

/** How often the transport is loaded. */
function countLoads(): () => number {
  let loads = 0
  vi.doMock(GRPC, async (original) => {
    loads++
    return await original()
  })
  return () => loads
}

afterEach(() => {
  vi.doUnmock(GRPC)
  vi.resetModules()
})

test('a put and a get through gRPC are those of HTTP', async () => {
  const { ask, node, port } = await serve()
  const session = openSession(port)
  expect(await callRpc(session, put, { key, value })).toMatchObject({ status: 0, message: '' })
  expect((await ask('GET', '/v1/kv/a')).text).toBe('1')
  await ask('PUT', '/v1/kv/a', { body: '2' })
  const { response } = await callRpc(session, range, { key })
  expect(response).toMatchObject({ count: 1, header: { revision: node.revision } })
  expect(response?.kvs.map((row) => Buffer.from(row.value).toString())).toEqual(['2'])
})

test('the transport is loaded for the first connection that speaks HTTP/2', async () => {
  const loads = countLoads()
  const { ask, port } = await serve()
  for (const path of ['/livez', '/v1/kv/a', '/openapi.json']) await ask('GET', path)
  expect(loads()).toBe(0)
  const sessions = [openSession(port), openSession(port)]
  const answers = await Promise.all(sessions.map((session) => callRpc(session, range, { key })))
  expect(answers.map(({ status }) => status)).toEqual([0, 0])
  expect(loads()).toBe(1)
})

test('a transport that could not be loaded is tried again', async () => {
  vi.doMock(GRPC, () => {
    throw new Error('too many open files')
  })
  const { port, logged } = await serve()
  expect((await callRpc(openSession(port), range, { key })).status).toBeUndefined()
  expect(logged).toEqual(['the API of etcd could not be loaded yet'])
  vi.doUnmock(GRPC)
  expect((await callRpc(openSession(port), range, { key })).status).toBe(0)
})

test('a connection whose transport is loaded while the node stops serves its calls, and says farewell', async () => {
  let load = (): void => {}
  const arrived = new Promise<void>((resolve) => {
    load = resolve
  })
  let isLoading = false
  vi.doMock(GRPC, async (original) => {
    isLoading = true
    await arrived
    return await original()
  })
  const { http, port, node } = await serve()
  const client = new RawHttp2(port)
  const request = frame(put.request.encode({ key, value }))
  client.write(headers(1, callFields(put.path)), dataFrame(TYPE.data, END_STREAM, 1, request))
  await expect.poll(() => isLoading).toBe(true)
  const closed = http.close({ graceful: true })
  load()
  // A connection that is cut has no farewell.
  const farewell = await client.find(({ type }) => type === TYPE.goaway)
  expect(farewell?.payload.readUInt32BE(4)).toBe(0)
  await closed
  expect(node.records().map((row) => Buffer.from(row.value).toString())).toEqual(['1'])
})

test('without the API of etcd, HTTP/2 is no HTTP, and loads nothing', async () => {
  const loads = countLoads()
  const { raw } = await serve({ etcdApi: false })
  expect(await raw(PREFACE + SETTINGS)).toMatch(/^HTTP\/1.1 400 Bad Request\r\n.*not an HTTP request/s)
  expect(loads()).toBe(0)
})

describe('the preface', () => {
  /** The first frame that a server sends: its type. */
  const SETTINGS_TYPE = '\x04'
  const speaksHttp2 = (received: string): boolean => received.length > 9 && received[3] === SETTINGS_TYPE

  test('may arrive in pieces, however slowly', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const served = await serve()
    const socket = connect({ port: served.port, host: '127.0.0.1', noDelay: true })
    onTestFinished(() => void socket.destroy())
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
    })
    for (const byte of PREFACE + SETTINGS) {
      await new Promise((resolve) => socket.write(byte, 'latin1', resolve))
      await settled(served, () => socket.bytesRead, 10)
      vi.advanceTimersByTime(REST_MS_MAX)
      await settled(served, () => socket.bytesRead, 10)
    }
    await vi.waitUntil(() => speaksHttp2(received), { timeout: 60_000 })
  })

  test.each([
    ['is preceded by an empty line', `\r\n${PREFACE}`],
    ['is that of another version', PREFACE.replace('2.0', '3.0')],
    ['is within a request', `PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nX: ${PREFACE}`],
    ['ends early', PREFACE.slice(0, -2) + SETTINGS],
  ])('is none if it %s', async (_, bytes) => {
    const loads = countLoads()
    const { raw } = await serve()
    expect(await raw(bytes)).toMatch(/HTTP\/1.1 400 /)
    expect(loads()).toBe(0)
  })

  test('is none after a request of HTTP/1.1', async () => {
    const loads = countLoads()
    const { raw } = await serve()
    const received = await raw(`GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n${PREFACE}${SETTINGS}`)
    expect(received).toMatch(/^HTTP\/1.1 404 .*HTTP\/1.1 400 /s)
    expect(loads()).toBe(0)
  })

  test('that is cut off ends as an incomplete request does', async () => {
    const { port } = await serve()
    const socket = connect({ port, host: '127.0.0.1' })
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
    })
    socket.end(PREFACE.slice(0, 20))
    await new Promise((resolve) => socket.once('close', resolve))
    expect(received).toMatch(/^HTTP\/1.1 400 /)
  })
})

test('the connection that was idle longest makes room: it is idle from its last response on', async () => {
  const { port } = await serve({ limits: { connectionsMax: 2 } })
  const [older, newer] = [openSession(port), openSession(port)]
  const closed = new Promise((resolve) => {
    older.once('close', () => resolve('older'))
    newer.once('close', () => resolve('newer'))
  })
  for (const session of [older, newer, older])
    expect(await callRpc(session, range, { key })).toMatchObject({ status: 0 })
  expect(await callRpc(openSession(port), range, { key })).toMatchObject({ status: 0 })
  expect(await closed).toBe('newer')
  expect(await callRpc(older, range, { key })).toMatchObject({ status: 0 })
})
