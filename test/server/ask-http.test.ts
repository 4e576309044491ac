// Whoever listens there need not be a node: each question ends.

import { createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { askHttp } from '../../src/server/ask-http.ts'

const UPGRADE = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n'

test.each([
  ['another protocol', UPGRADE, true],
  ['another protocol, and closes', UPGRADE, false],
  ['nothing', '', true],
  ['nothing, and closes', '', false],
  ['no HTTP', 'SSH-2.0-OpenSSH_9.6\r\n', true],
  ['half a body', `${HEAD}{}`, false],
  ['half a body, and then nothing', `${HEAD}{}`, true],
])('%s: a question to it fails', async (_, text, staysOpen) => {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    socket.on('data', () => (staysOpen ? socket.write(text) : socket.end(text)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  for (let round = 0; round < 2; round++) {
    await expect(askHttp(`http://127.0.0.1:${port}/`, { timeoutMs: 60 })).rejects.toThrow()
    await expect.poll(() => sockets.size).toBe(0)
  }
  await new Promise((resolve) => server.close(resolve))
})

test('an answer is taken whole', async () => {
  const body = 'x'.repeat(300_000)
  const server = createServer((socket) => {
    socket.on('data', () =>
      socket.end(`HTTP/1.1 409 Conflict\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const question = askHttp(`http://127.0.0.1:${port}/`, { method: 'POST', body: {}, timeoutMs: 20_000 })
  expect(await question).toEqual({ status: 409, text: body })
  await new Promise((resolve) => server.close(resolve))
})
