// The routes beside the keys are loaded apart from the rest, and that may fail; so may the listener, which shares the
// open files of the process with others.

import { Server } from 'node:net'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { Client, until } from './raw-client.ts'
import { serve } from './served.ts'

const REST = '../../../src/server/http/routes.ts'
const CONSOLE = '../../../src/console/built-page.ts'
const DESCRIPTORS = '../../../src/server/node/observe/descriptors.ts'
const MULTIPLEXER = '../../../src/server/mux/multiplexer.ts'
const GATEWAY = '../../../src/server/etcd/gateway/gateway.ts'

afterEach(() => {
  vi.doUnmock(REST)
  vi.doUnmock(CONSOLE)
  vi.doUnmock(DESCRIPTORS)
  vi.doUnmock(GATEWAY)
  vi.doUnmock(MULTIPLEXER)
  vi.resetModules()
})

test('the routes beside the keys are loaded before anybody asks for them', async () => {
  const loaded = new Promise<void>((resolve) => {
    vi.doMock(REST, async (original) => {
      resolve()
      return await original()
    })
  })
  const { ask } = await serve()
  await loaded
  expect((await ask('GET', '/livez')).status).toBe(200)
})

test('routes that could not be loaded are tried again, and the front closes all the same', async () => {
  let failures = 0
  vi.doMock(REST, () => {
    failures++
    throw new Error('too many open files')
  })
  const { ask, http } = await serve()
  const failed = await ask('GET', '/livez')
  expect([failed.status, failed.json.code]).toEqual([500, 'internal'])
  expect(failures).toBeGreaterThan(0)
  expect((await ask('PUT', '/v1/kv/a', { body: '1' })).status).toBe(200)
  vi.doUnmock(REST)
  expect((await ask('GET', '/livez')).status).toBe(200)
  await http.close({ graceful: true })

  vi.doMock(REST, () => {
    throw new Error('too many open files')
  })
  const other = await serve()
  expect((await other.ask('GET', '/livez')).status).toBe(500)
  await expect(other.http.close({ graceful: true })).resolves.toBeUndefined()
})

test('multiplexed connections whose code could not be loaded are tried again', async () => {
  vi.doMock(MULTIPLEXER, () => {
    throw new Error('too many open files')
  })
  const { raw } = await serve()
  const fields = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
  fields.push('Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==', 'Sec-WebSocket-Protocol: quorate.v1')
  const request = ['GET /v1/connect HTTP/1.1', 'Host: localhost', ...fields, '', ''].join('\r\n')
  const open = () => raw(request, (received) => received.includes('\r\n\r\n'))
  expect(await open()).toMatch(/^HTTP\/1.1 500 /)
  vi.doUnmock(MULTIPLEXER)
  expect(await open()).toMatch(/^HTTP\/1.1 101 /)
})

test('a node that nobody looks at loads nothing for the console', async () => {
  let loads = 0
  vi.doMock(CONSOLE, async (original) => {
    loads++
    return await original()
  })
  const { ask } = await serve()
  for (const path of ['/livez', '/', '/openapi.json', '/ui', '/ui/console.json', '/v1/status'])
    await ask('GET', path)
  expect(loads).toBe(0)
  expect((await ask('GET', '/ui/')).status).toBe(200)
  await ask('GET', '/ui/')
  expect(loads).toBe(1)
})

test('a console that could not be loaded is tried again', async () => {
  vi.doMock(CONSOLE, () => {
    throw new Error('too many open files')
  })
  const { ask, logged } = await serve()
  expect((await ask('GET', '/ui/')).json.code).toBe('internal')
  expect(logged).toEqual([expect.stringContaining('a request failed')])
  vi.doUnmock(CONSOLE)
  expect((await ask('GET', '/ui/')).status).toBe(200)
})

test('streams of the JSON gateway that begin while it is loaded end when the node stops', async () => {
  let load = (): void => {}
  const arrived = new Promise<void>((resolve) => {
    load = resolve
  })
  vi.doMock(GATEWAY, async (original) => {
    await arrived
    return await original()
  })
  const served = await serve()
  const { port, http, node } = served
  const created = '{"create_request":{"key":"YQ=="}}'
  const head = ['POST /v3/watch HTTP/1.1', 'Host: localhost', 'Content-Type: application/json']
  const request = [...head, 'Transfer-Encoding: chunked', '', created.length.toString(16), created, ''].join(
    '\r\n',
  )
  const clients = [await new Client(port).send(request), await new Client(port).send(request)]
  await until(served, () => http.inspect().requests === 2)
  load()
  await until(served, () => node.watches.counts().open === 2)
  await http.close({ graceful: true })
  // A connection that is cut has no last chunk.
  for (const client of clients) expect(await client.rest()).toMatch(/"created":true.*\r\n0\r\n\r\n$/s)
})

test('a connection that cannot be accepted is reported, and the node goes on', async () => {
  const listening = vi.spyOn(Server.prototype, 'listen')
  const { ask, logged } = await serve()
  const [server] = listening.mock.contexts
  listening.mockRestore()
  if (!(server instanceof Server)) throw new Error('nothing listens')
  server.emit('error', new Error('accept ENOBUFS'))
  expect(logged).toEqual(['the HTTP listener failed'])
  expect((await ask('PUT', '/v1/kv/a', { body: '1' })).status).toBe(200)
})

test('a listener that has closed leaves its open files to the others of the process', async () => {
  vi.doMock(DESCRIPTORS, async (original) => ({ ...(await original<object>()), openFilesMax: () => 400 }))
  vi.resetModules()
  const { start } = await import('./served.ts')
  for (let time = 0; time < 2; time++) await (await start()).close()
  const { port, http, close } = await start({ limits: { headMs: 300_000 } })
  onTestFinished(close)
  // Fewer than 400 without the 192 files of one node, and more than without those of two.
  const clients = Array.from({ length: 200 }, () => new Client(port))
  await Promise.all(clients.map((client) => client.send('GET /livez HT')))
  await vi.waitFor(() => expect(http.inspect().connections).toBe(clients.length), { timeout: 30_000 })
  expect(http.inspect().unidentifiedClosedTotal).toBe(0)
})
