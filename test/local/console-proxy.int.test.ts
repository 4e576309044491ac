// Requests that the console of a local cluster passes on to a node: one for each that it receives.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test, vi } from 'vitest'
import { pairPaths } from '../../src/certificates/paths.ts'
import { parsePort } from '../../src/local/addresses.ts'
import { CERTIFICATE_DIRECTORY, makeCertificates } from '../../src/local/directory/certificates.ts'
import { SupervisedNode } from '../../src/local/node/supervised-node.ts'
import { begin, type ConsoleReply, call, known, openFor } from './console-requests.ts'
import { eventually, freePorts } from './kv.ts'

/** A console of a cluster with one node, and the requests that this node has received. */
async function openPlain() {
  const received: string[] = []
  const codings: (string | undefined)[] = []
  const node = createServer((request, response) => {
    codings.push(request.headers['transfer-encoding'])
    text(request).then((body) => {
      received.push(`${request.method} ${request.url} ${body}`)
      response.end('done')
    })
  })
  node.listen(0, '127.0.0.1')
  await once(node, 'listening')
  const url = `http://127.0.0.1:${(node.address() as AddressInfo).port}`
  onTestFinished(() => {
    node.closeAllConnections()
    node.close()
  })
  return { console: await openFor({ name: 'n1', url }), received, codings }
}

test.each(['GET', 'DELETE'])('a body of %s stays one when Connection names its length', async (method) => {
  const { console, received } = await openPlain()
  const { url, token } = console.address
  const inner =
    'PUT /v1/kv/smuggled HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n'
  const head = [
    `${method} /nodes/n1/v1/kv/a HTTP/1.1`,
    'Host: localhost',
    `Quorate-Control: ${token}`,
    'Connection: content-length',
    `Content-Length: ${inner.length}`,
  ]
  const socket = connect(parsePort(url), '127.0.0.1').setEncoding('utf8')
  onTestFinished(() => void socket.destroy())
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.write(`${head.join('\r\n')}\r\n\r\n${inner}`)
  await eventually(() => answer.includes('done') || / [45]\d\d /.test(answer))
  expect(received).toEqual([`${method} /v1/kv/a ${inner}`])
})

test('a coding that the console does not decode reaches the node', async () => {
  const { console, codings } = await openPlain()
  for (const coding of ['chunked', 'gzip, chunked']) {
    const headers = { ...known(console.address), 'Transfer-Encoding': coding }
    await call(console.address, '/nodes/n1/v1/kv/a', { method: 'PUT', headers, body: 'x' })
  }
  expect(codings).toEqual(['chunked', 'gzip, chunked'])
})

test('a stream rests for as long as it likes, and its end on either side is the end of the other', async () => {
  // Only the timers of the console: those of connections are not of this clock.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const streams: ServerResponse[] = []
  let ended = 0
  const node = createServer((_, response) => {
    streams.push(response)
    response.on('close', () => ended++)
    response.flushHeaders()
  })
  node.listen(0, '127.0.0.1')
  await once(node, 'listening')
  onTestFinished(() => {
    node.closeAllConnections()
    node.close()
  })
  const url = `http://127.0.0.1:${(node.address() as AddressInfo).port}`
  const console = await openFor({ name: 'n1', url })
  const headers = known(console.address)
  const watch = await begin(console.address, '/nodes/n1/v1/watch', { headers })
  await vi.advanceTimersByTimeAsync(3_600_000)
  const line = once(watch, 'data')
  streams[0]?.write('still there')
  expect(String((await line)[0])).toBe('still there')
  expect(ended).toBe(0)
  streams[0]?.end()
  await text(watch)
  expect(ended).toBe(1)
  const left = await begin(console.address, '/nodes/n1/v1/watch', { headers })
  left.on('error', () => {}).destroy()
  await vi.waitFor(() => expect(ended).toBe(2))
  expect(vi.getTimerCount()).toBe(0)
})

test('a page that only listens may rest for longer than the pause between two comments', async () => {
  const served: Socket[] = []
  const collect = (message: unknown): void => void served.push((message as { socket: Socket }).socket)
  subscribe('net.server.socket', collect)
  onTestFinished(() => void unsubscribe('net.server.socket', collect))
  const { console } = await openPlain()
  for (let time = 1; time <= 2; time++) {
    const stream = await begin(console.address, '/control/events', { headers: known(console.address) })
    stream.on('error', () => {})
    const limit = served.find(({ remotePort }) => remotePort === stream.socket.localPort)?.timeout
    // The console sends a comment every ten seconds.
    expect(limit).toBeGreaterThan(30_000)
    stream.destroy()
  }
})

/** Endings of a node, and whether a change that was on its way may have been made. */
const ENDINGS = {
  'does not listen': { respond: undefined, mayBeMade: false },
  'ends before it answers': { respond: (response: ServerResponse) => response.destroy(), mayBeMade: true },
  'changes the protocol': {
    respond: ({ socket }: ServerResponse) => {
      socket?.end('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')
    },
    mayBeMade: true,
  },
} as const

test.each(Object.entries(ENDINGS))('a node that %s: what became of a change is said', async (_, ending) => {
  const { respond, mayBeMade } = ending
  const node = createServer((request, response) => {
    request.resume().on('end', () => respond?.(response))
  })
  node.listen(0, '127.0.0.1')
  await once(node, 'listening')
  const url = `http://127.0.0.1:${(node.address() as AddressInfo).port}`
  onTestFinished(() => {
    node.closeAllConnections()
    node.close()
  })
  if (respond === undefined) await new Promise((resolve) => node.close(resolve))
  const console = await openFor({ name: 'n1', url })
  // Each of them the second time too.
  for (const method of ['PUT', 'POST', 'DELETE', 'GET', 'HEAD', 'PUT', 'GET']) {
    const isRead = method === 'GET' || method === 'HEAD'
    const reply = await call(console.address, '/nodes/n1/v1/kv/a', {
      ...{ method, headers: known(console.address) },
      ...(method === 'PUT' && { body: 'value' }),
    })
    expect(reply.status, method).toBe(502)
    expect(reply.headers['kv-node'], method).toBeUndefined()
    if (method === 'HEAD') continue
    const { code } = JSON.parse(reply.text) as { readonly code: string }
    expect(code, method).toBe(mayBeMade && !isRead ? 'outcome_unknown' : 'not_ready')
  }
})

test('certificates that are renewed while the console runs hold for the next request', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-console-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const files = join(dir, CERTIFICATE_DIRECTORY)
  const read = (): { key: Buffer; cert: Buffer } => {
    const { key, cert } = pairPaths(files, 'n1')
    return { key: readFileSync(key), cert: readFileSync(cert) }
  }
  await makeCertificates(dir, ['n1'])
  const port = await freePorts(1)
  const served = createSecureServer(read(), (_, response) => response.end('done')).listen(port, '127.0.0.1')
  await once(served, 'listening')
  onTestFinished(() => void served.close())
  const plan = { name: 'n1', port, peerPort: 1, stage: 'member', tls: true } as const
  const node = new SupervisedNode(plan, dir, () => {})
  const console = await openFor(node)
  const ask = (): Promise<ConsoleReply> =>
    call(console.address, '/nodes/n1/livez', { headers: known(console.address) })
  expect(await ask()).toMatchObject({ status: 200, text: 'done' })
  rmSync(files, { recursive: true })
  await makeCertificates(dir, ['n1'])
  served.setSecureContext(read())
  expect(await ask()).toMatchObject({ status: 200, text: 'done' })
})
