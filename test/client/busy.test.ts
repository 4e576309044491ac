// A process is busy until the time of a call is over. What has arrived by then counts.

import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { clientOf, freezeTime } from './with-fakes.ts'

const TIMEOUT_MS = 5_000
/** Bytes sent in this turn of the event loop are seen only after it. */
const beBusy = () => setImmediate(() => vi.advanceTimersByTime(TIMEOUT_MS))

const HEAD = 'HTTP/1.1 200 OK\r\nKv-Cluster: 77\r\nKv-Revision: 2\r\n'
const revisions = { create_revision: 2, mod_revision: 2, version: 1 }
const line = (json: object) => `${JSON.stringify(json)}\n`
const record = (key: string) => line({ key, value: 'v', ...revisions })

/** A client of a server with these answers. */
async function clientWith(answer: (socket: Socket, request: string) => void): Promise<Client> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (bytes) => answer(socket, bytes.toString()))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  freezeTime()
  const { port } = server.address() as AddressInfo
  return clientOf([`127.0.0.1:${port}`], { timeoutMs: TIMEOUT_MS })
}

test.each(['get', 'put'] as const)('the answer to a %s', async (what) => {
  const body = line({ key: 'k', value: 'v', revision: 2, ...revisions })
  const kv = await clientWith((socket, request) => {
    if (request.startsWith('HEAD')) {
      socket.write(`${HEAD}\r\n`)
      return
    }
    socket.write(`${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`)
    beBusy()
  })
  for (let round = 0; round < 2; round++)
    expect(await (what === 'get' ? kv.get('k') : kv.put('k', 'v'))).toMatchObject({ version: 1 })
})

test('the next records of a stream', async () => {
  let goOn = () => {}
  const kv = await clientWith((socket) => {
    socket.write(`${HEAD}Connection: close\r\n\r\n${record('a')}`)
    goOn = () => socket.end(record('b') + line({ end: true, count: 2, revision: 2 }))
  })
  for (let round = 0; round < 2; round++) {
    const records = kv.list({ snapshot: true })
    expect((await records.next()).value).toMatchObject({ key: 'a' })
    const next = records.next()
    goOn()
    beBusy()
    expect((await next).value).toMatchObject({ key: 'b' })
    expect(await records.next()).toEqual({ done: true, value: undefined })
  }
})
