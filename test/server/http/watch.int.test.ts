// GET /v1/watch, as server-sent events and as lines of JSON, beside test/server/api/watch.int.test.ts.

import { Agent, get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { Client } from './raw-client.ts'
import { type Served, serve } from './served.ts'

const LINES = { Accept: 'application/x-ndjson' }

/** The part of a stream that has arrived. */
class Stream {
  readonly response: IncomingMessage
  text = ''
  isOver = false

  constructor(response: IncomingMessage) {
    this.response = response
    response.setEncoding('utf8').on('data', (text: string) => {
      this.text += text
    })
    response
      .on('error', () => {})
      .on('close', () => {
        this.isOver = true
      })
    onTestFinished(() => void response.destroy())
  }

  // biome-ignore lint/suspicious/noExplicitAny: what came over the wire is checked by the expectations themselves
  get lines(): any[] {
    return this.text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
  }

  /** Server-sent events: their fields. */
  get messages(): Record<string, string>[] {
    return this.text
      .split('\n\n')
      .slice(0, -1)
      .map((message) => Object.fromEntries(message.split('\n').map((line) => line.split(/: (.*)/s))))
  }
}

const open = (
  { port }: Served,
  query: string,
  headers: Record<string, string> = LINES,
  agent: Agent | false = false,
): Promise<Stream> =>
  new Promise((resolve, reject) => {
    get({ port, host: '127.0.0.1', path: `/v1/watch${query}`, headers, agent }, (response) =>
      resolve(new Stream(response)),
    ).on('error', reject)
  })

const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 30_000, interval: 5 })

describe('server-sent events', () => {
  test('are what a browser understands, and its last id is where it goes on', async () => {
    const served = await serve()
    const { node } = served
    node.put('b', '1')
    const stream = await open(served, '?prefix=a&progress=200ms', {})
    node.put('a\n', 'two\nlines')
    node.put('b', '2')
    await until(() => expect(stream.messages.length).toBeGreaterThan(2))
    const { 'content-type': type, 'cache-control': cache } = stream.response.headers
    expect([type, cache]).toEqual(['text/event-stream', 'no-cache'])
    const record = '{"key":"a\\n","value":"two\\nlines","create_revision":3,"mod_revision":3,"version":1}'
    expect(stream.messages.slice(0, 3)).toEqual([
      { event: 'created', id: '2', data: '{"revision":2}' },
      { id: '3', data: `{"revision":3,"events":[{"type":"put","kv":${record}}]}` },
      { event: 'progress', id: '4', data: '{"revision":4}' },
    ])
    const again = await open(served, '?prefix=a&from=2', { 'Last-Event-ID': '2' })
    await until(() => expect(again.messages).toHaveLength(2))
    expect(again.messages[1]?.id).toBe('3')
    const later = await open(served, '?prefix=&from=2', { 'Last-Event-ID': '3' })
    await until(() => expect(later.messages).toHaveLength(2))
    expect(later.messages[1]?.id).toBe('4')
    const latest = await open(served, '?from=4', { 'Last-Event-ID': '2' })
    await until(() => expect(latest.messages).toHaveLength(2))
    expect(latest.messages[1]?.id).toBe('4')
  })

  test('have ids that never go back, also before the first revision that is asked for', async () => {
    const served = await serve()
    const { node } = served
    const stream = await open(served, '?from=5&progress=100ms', {})
    await until(() => expect(stream.messages.length).toBeGreaterThan(1))
    node.put('a', '1')
    await until(() => expect(stream.messages.at(-1)?.data).toBe('{"revision":2}'))
    for (const value of ['2', '3', '4']) node.put('a', value)
    await until(() => expect(stream.messages.at(-1)?.id).toBe('5'))
    expect(stream.messages.slice(0, 2)).toEqual([
      { event: 'created', id: '4', data: '{"revision":1}' },
      { event: 'progress', id: '4', data: '{"revision":1}' },
    ])
    const ids = stream.messages.map(({ id }) => Number(id))
    expect(ids).toEqual(ids.toSorted((a, b) => a - b))
  })
})

describe('a request', () => {
  test('of HEAD begins no watch', async () => {
    const served = await serve()
    const { status, headers, text } = await served.ask('HEAD', '/v1/watch')
    expect([status, headers['content-type'], text]).toEqual([200, 'text/event-stream', ''])
    expect(served.node.watches.counts().open).toBe(0)
  })
})

test('a client that goes away before the watch begins leaves nothing behind', async () => {
  const served = await serve()
  const { node, http } = served
  const held = new Promise<() => void>((resolve) => {
    node.hold = resolve
  })
  const client = await new Client(served.port).send('GET /v1/watch HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const begin = await held
  client.reset()
  await until(() => expect(http.inspect()).toMatchObject({ connections: 0 }))
  begin()
  expect(Object.values(node.watches.inspect()).filter((count) => count !== 0)).toEqual([])
  expect(http.inspect()).toMatchObject({ watchBytes: 0, answerBytes: 0 })
})

test('a client that has closed its side before the watch begins ends it as one that closes it later', async () => {
  const served = await serve()
  const { node, http } = served
  const held = new Promise<() => void>((resolve) => {
    node.hold = resolve
  })
  const client = await new Client(served.port).send('GET /v1/watch HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const begin = await held
  client.endSending()
  node.hold = undefined
  // The end has arrived by then.
  await served.ask('GET', '/v1/kv/a')
  begin()
  await until(() => {
    expect(Object.values(node.watches.inspect()).every((count) => count === 0)).toBe(true)
    expect(http.inspect()).toMatchObject({ watchBytes: 0, answerBytes: 0 })
  })
})

test('a client that closes only its side of the connection leaves nothing behind', async () => {
  const served = await serve()
  const socket = connect({ port: served.port, host: '127.0.0.1', allowHalfOpen: true })
  onTestFinished(() => void socket.destroy())
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk
  })
  socket.write('GET /v1/watch HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
  await until(() => expect(received).toContain('event: created'))
  expect(served.node.watches.counts().open).toBe(1)
  socket.end()
  await until(() => {
    expect(served.node.watches.counts().open).toBe(0)
    expect(served.http.inspect()).toMatchObject({ connections: 0, watchBytes: 0, answerBytes: 0 })
  })
})

test('watches that follow one another on a connection leave nothing on it', async () => {
  const served = await serve()
  const warnings: string[] = []
  const note = ({ name }: Error): void => void warnings.push(name)
  process.on('warning', note)
  onTestFinished(() => void process.off('warning', note))
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  for (let count = 0; count < 20; count++) {
    const stream = await open(served, '', LINES, agent)
    await until(() => expect(stream.lines).toHaveLength(1))
    served.node.watches.endEach('no-leader', 'no leader')
    await until(() => expect(stream.isOver).toBe(true))
    expect(served.http.inspect().connections).toBe(1)
  }
  // Node.js warns of an eleventh listener of one kind.
  expect(warnings).toEqual([])
})
