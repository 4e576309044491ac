// The console under clients that send half a request, read nothing, or are too many: each of them is bounded.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test } from 'vitest'
import { parsePort } from '../../src/local/addresses.ts'
import type { SupervisorEvent } from '../../src/local/cluster/cluster-nodes.ts'
import { succeeded } from '../../src/local/cluster/control-protocol.ts'
import {
  CONSOLE_CONNECTIONS_MAX,
  CONSOLE_UNIDENTIFIED_MAX,
  type Console,
  type ConsoleOptions,
  openConsole,
} from '../../src/local/console/console-server.ts'
import { createRelayMesh } from '../../src/local/relays/mesh.ts'
import { begin, call, known, openFor } from './console-requests.ts'
import { eventually, freePorts } from './kv.ts'

interface Fixture extends Console {
  readonly emit: (event: SupervisorEvent) => void
}

/** A console of a cluster whose nodes do not run. */
async function open(options: Partial<ConsoleOptions> = {}): Promise<Fixture> {
  const watchers = new Set<(event: SupervisorEvent) => void>()
  const mesh = await createRelayMesh(['n1', 'n2'], () => undefined)
  const opened = await openConsole({
    cluster: {
      nodes: [],
      clusterId: '7',
      mesh,
      watch(watcher) {
        watchers.add(watcher)
        return () => watchers.delete(watcher)
      },
    },
    execute: async () => succeeded(''),
    port: await freePorts(1),
    ...options,
  })
  onTestFinished(async () => {
    await opened.close()
    await mesh.close()
  })
  const emit = (event: SupervisorEvent): void => {
    for (const watcher of watchers) watcher(event)
  }
  return { ...opened, emit }
}

/** A connection that sends these bytes and no more. */
function dial({ address }: Console, bytes: string): { socket: Socket; text: () => string } {
  let text = ''
  const socket = connect(parsePort(address.url), '127.0.0.1')
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  socket.on('error', () => {}).write(bytes)
  onTestFinished(() => void socket.destroy())
  return { socket, text: () => text }
}

test('the page is open to all, with the headers that keep other sites from it, and nothing beside it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-page-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  mkdirSync(join(directory, 'assets'))
  writeFileSync(join(directory, 'index.html'), '<!doctype html><title>quorate</title>')
  writeFileSync(join(directory, 'assets/main-1a2b.js'), 'export {}')
  writeFileSync(join(directory, 'secret'), 'secret')
  const { address } = await open({ pageDirectory: directory })
  const page = await call(address, '/ui/')
  expect([page.status, page.text]).toEqual([200, '<!doctype html><title>quorate</title>'])
  expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; .*; frame-ancestors 'none'$/)
  expect(page.headers['content-security-policy']).toContain("connect-src 'self';")
  const head = await call(address, '/ui/', { method: 'HEAD' })
  expect([head.status, head.text, head.headers.etag]).toEqual([200, '', page.headers.etag])
  const tag = { 'If-None-Match': page.headers.etag ?? '' }
  expect((await call(address, '/ui/', { headers: tag })).status).toBe(304)
  expect((await call(address, '/ui/assets/main-1a2b.js')).headers['cache-control']).toContain('immutable')
  // A link of another site may lead to the page, as to that of a node.
  const visit = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' }
  expect((await call(address, '/ui/', { headers: visit })).status).toBe(200)
  for (const path of ['secret', '../secret', '%2e%2e/secret', 'assets/../secret', 'assets/', 'index.html'])
    expect((await call(address, `/ui/${path}`)).status).toBe(404)
  expect((await call(address, '/ui/', { method: 'POST' })).status).toBe(401)
  const post = await call(address, '/ui/', { method: 'POST', headers: known(address) })
  expect([post.status, post.headers.allow]).toEqual([405, 'GET, HEAD'])
})

test('what is not sent to its end is not waited for', async () => {
  const console = await open()
  const control = [
    'POST /control/heal HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json',
    `Quorate-Control: ${console.address.token}\r\nContent-Length: 9\r\n\r\n{`,
  ].join('\r\n')
  const refused = 'POST /control/heal HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{'
  const silent = dial(console, '')
  const head = dial(console, 'GET /ui/ HTTP/1.1\r\nHost: loc')
  const body = dial(console, control)
  const dropped = dial(console, refused)
  await Promise.all([silent, head, dropped].map(({ socket }) => once(socket, 'close')))
  expect(head.text()).toMatch(/^(HTTP\/1\.1 408|$)/)
  expect(dropped.text()).toMatch(/^HTTP\/1\.1 401/)
  await eventually(() => body.text().startsWith('HTTP/1.1 400'))
})

test('there are so many connections, and no more; those that end make room', async () => {
  const console = await open()
  const token = `Quorate-Control: ${console.address.token}`
  // A stream lasts, however long the others take.
  const request = `GET /control/events HTTP/1.1\r\nHost: localhost\r\n${token}\r\n\r\n`
  const dials: ReturnType<typeof dial>[] = []
  for (let count = 0; count < CONSOLE_CONNECTIONS_MAX; count++) {
    const next = dial(console, request)
    await eventually(() => next.text().includes('event: state'))
    dials.push(next)
  }
  const over = dial(console, request)
  await once(over.socket, 'close')
  expect(over.text()).toBe('')
  dials[0]?.socket.destroy()
  await eventually(
    async () => (await call(console.address, '/ui/console.json').catch(() => undefined))?.status === 200,
  )
})

test('a connection that is kept has its next request answered, however many came before', async () => {
  const console = await open()
  const token = `Quorate-Control: ${console.address.token}`
  const request = `GET /ui/console.json HTTP/1.1\r\nHost: localhost\r\n${token}\r\n\r\n`
  const kept = dial(console, request)
  for (let count = 1; count <= 20; count++) {
    await eventually(() => kept.text().split('"kind":"cluster"').length > count, 1)
    kept.socket.write(request)
  }
  expect(kept.text()).not.toContain('overloaded')
})

test('programs without the token cannot hold all connections: the oldest of theirs ends', async () => {
  const console = await open()
  const silent = Array.from({ length: CONSOLE_CONNECTIONS_MAX }, () => dial(console, ''))
  await eventually(() => silent.filter(({ socket }) => !socket.destroyed).length <= CONSOLE_UNIDENTIFIED_MAX)
  const state = await call(console.address, '/control/state', { headers: known(console.address) })
  expect(state.status).toBe(200)
})

test('the stream of a page that reads nothing ends; that of another goes on', async () => {
  const console = await open()
  const headers = known(console.address)
  const unread = await begin(console.address, '/control/events', { headers })
  unread.on('error', () => {}).pause()
  const read = await begin(console.address, '/control/events', { headers })
  let events = 0
  const lines = createInterface(read.on('error', () => {}))
  lines
    .on('error', () => {})
    .on('line', (line) => {
      if (line === 'event: action') events++
    })
  let gone = false
  unread.socket.on('close', () => {
    gone = true
  })
  const message = 'x'.repeat(64_000)
  // Far more than the kernel keeps for one connection.
  for (let sent = 0; sent < 1_000 && !gone; sent++) {
    console.emit({ kind: 'command', message, timeMs: 0, action: 'heal', by: 'command' })
    await eventually(() => events > sent, 1)
  }
  // A client that reads nothing does not see that it was cut, until it reads.
  unread.resume()
  await eventually(() => gone)
  expect(gone).toBe(true)
  expect(read.readableEnded).toBe(false)
})

test('requests that follow each other on a connection are all answered, though not all are served', async () => {
  const console = await open()
  const token = `Quorate-Control: ${console.address.token}`
  const request = `GET /ui/console.json HTTP/1.1\r\nHost: localhost\r\n${token}\r\n\r\n`
  const { text } = dial(console, request.repeat(1_000))
  await eventually(() => text().split('HTTP/1.1 ').length === 1_001)
  expect(new Set([...text().matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status))).toContain('200')
})

test('a connection without the token, or with another protocol, has one request, and none behind it is done', async () => {
  const done: string[] = []
  const console = await open({ execute: async ({ command }) => succeeded(String(done.push(command))) })
  const heal = [
    'POST /control/heal HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json',
    `Quorate-Control: ${console.address.token}\r\nContent-Length: 2\r\n\r\n{}`,
  ].join('\r\n')
  const field = `Quorate-Control: ${console.address.token}\r\nUpgrade: h2c\r\nConnection: Upgrade`
  for (const [path, more] of [
    ['/ui/console.json', 'X: x'],
    ['/control/state', 'X: x'],
    ['/control/state', 'Expect: anything'],
    // The parser drops what follows.
    ['/control/state', field],
  ]) {
    const head = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n\r\n`
    const { socket, text } = dial(console, head + heal)
    await once(socket, 'close')
    expect(text()).toMatch(/^HTTP\/1\.1 (?:200|401) (?:.*\r\n)*Connection: close\r\n/)
    expect(text().split('HTTP/1.1 ').length - 1).toBe(1)
  }
  expect(done).toEqual([])
  const { text } = dial(console, heal + heal)
  await eventually(() => text().split('HTTP/1.1 200').length === 3)
  expect(done).toEqual(['heal', 'heal'])
})

test('a browser without the token, or under another name, gets a page with the command that opens the console', async () => {
  const console = await open()
  for (const [path, headers, status] of [
    ['/control/state', {}, 401],
    ['/ui/', { Host: 'evil.example' }, 421],
    ['/ui/assets/a.js', { 'Sec-Fetch-Site': 'cross-site' }, 403],
  ] as const) {
    const page = await call(console.address, path, { headers: { ...headers, Accept: 'text/html,*/*' } })
    expect([page.status, page.headers['content-type']]).toEqual([status, 'text/html; charset=utf-8'])
    expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'/)
    expect(page.headers['www-authenticate']).toBe(status === 401 ? 'Quorate-Control' : undefined)
    expect(page.text).toContain('quorate console')
    const problem = await call(console.address, path, { headers })
    expect(problem.headers['content-type']).toBe('application/problem+json')
  }
})

test('the longest ranges pass, and all fields of a head', async () => {
  const received: IncomingMessage[] = []
  const node = createServer({ maxHeaderSize: 64 * 1024 }, (request, response) => {
    received.push(request)
    response.end()
  })
  Object.assign(node, { maxHeadersCount: 0 }).listen(0, '127.0.0.1')
  await once(node, 'listening')
  onTestFinished(() => {
    node.closeAllConnections()
    node.close()
  })
  const url = `http://127.0.0.1:${(node.address() as AddressInfo).port}`
  const { address } = await openFor({ name: 'n1', url })
  const bound = '%FF'.repeat(4_097)
  const many = Object.fromEntries(Array.from({ length: 2_100 }, (_, at) => [`a${at}`, '']))
  const headers = { ...many, 'If-Match': '"7"', ...known(address) }
  expect((await call(address, `/nodes/n1/v1/kv?start=${bound}`, { headers: known(address) })).status).toBe(
    200,
  )
  expect((await call(address, '/nodes/n1/v1/kv/a', { method: 'DELETE', headers })).status).toBe(200)
  expect(received[1]?.headers['if-match']).toBe('"7"')
})

test('requests without the token leave room for those with it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-page-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  mkdirSync(join(directory, 'assets'))
  writeFileSync(join(directory, 'index.html'), 'page')
  writeFileSync(join(directory, 'assets', 'a.js'), randomBytes(8 * 1024 * 1024))
  const console = await open({ pageDirectory: directory })
  // The answer to the first request is not read, so the others wait behind it.
  const head = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
  for (let each = 0; each < CONSOLE_UNIDENTIFIED_MAX - 1; each++)
    dial(console, head('/ui/assets/a.js') + head('/x').repeat(100)).socket.pause()
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect((await call(console.address, '/control/state', { headers: known(console.address) })).status).toBe(
    200,
  )
})
