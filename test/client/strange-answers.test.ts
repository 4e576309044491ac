// Whoever listens on the port need not be a node, nor keep to HTTP: each call ends all the same, says what is certain, and leaves nothing behind.

import { createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { QuorateError } from '../../src/client/index.ts'
import { clientOf, failure } from './with-fakes.ts'

const AT_REST = { calls: 0, requests: 0, questions: 0, probes: 0 }
const ends: (() => void)[] = []

afterEach(() => {
  for (const end of ends.splice(0)) end()
})

/** Listens, and answers whatever comes with these bytes; without `open` it closes the connection behind them. */
async function answering(
  text: string,
  { open = false } = {},
): Promise<{ url: string; connections: () => number }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    socket.on('data', () => (open ? socket.write(text) : socket.end(text)))
  })
  ends.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not bound to a port')
  return { url: `http://127.0.0.1:${address.port}`, connections: () => sockets.size }
}

const HEAD = 'HTTP/1.1 200 OK\r\nKv-Cluster: 77\r\nKv-Revision: 1\r\n'
const UPGRADE = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

const answers: [string, string, boolean][] = [
  ['another protocol', UPGRADE, true],
  ['another protocol, and closes', UPGRADE, false],
  ['nothing', '', true],
  ['nothing, and closes', '', false],
  ['no HTTP', 'SSH-2.0-OpenSSH_9.6\r\n', true],
  ['a part of the headers', HEAD, false],
  ['half a body', `${HEAD}Content-Length: 100\r\n\r\n{"revision":`, false],
  ['half a body, and then nothing', `${HEAD}Content-Length: 100\r\n\r\n{"revision":`, true],
  ['broken chunks', `${HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{}zz`, true],
  ['a body without an end', `${HEAD}\r\n{"revision":`, false],
  ['two answers', `${HEAD}Content-Length: 2\r\n\r\n[]${HEAD}Content-Length: 2\r\n\r\n[]`, true],
  ['a promise of more', 'HTTP/1.1 100 Continue\r\n\r\n', true],
  ['a redirection', 'HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n', true],
]

test.each(answers)('%s', async (_, text, open) => {
  const { url, connections } = await answering(text, { open })
  const kv = clientOf([url], { timeoutMs: 60 })
  for (let round = 0; round < 2; round++) {
    expect(await failure(kv.get('a'))).toMatchObject({ written: 'no' })
    expect(await failure(kv.list({ snapshot: true }).next())).toMatchObject({ written: 'no' })
    // Some of these answers tell a cluster and a revision: then the write itself has left.
    expect(await failure(kv.put('a', '1'))).toBeInstanceOf(QuorateError)
    await expect.poll(() => kv[inspect]()).toEqual(AT_REST)
  }
  const waiting = failure(kv.get('a', { timeoutMs: 3_600_000 }))
  await kv.close()
  await waiting
  await expect.poll(() => kv[inspect]()).toEqual(AT_REST)
  await expect.poll(connections).toBe(0)
})
