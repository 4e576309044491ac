// The listener there may be something other than a node: each question ends.

import { createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { requestHttp } from '../../src/system/http-request.ts'

const UPGRADE = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n'

async function listening(onConnection: (socket: Socket) => void) {
  const server = createServer(onConnection)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return {
    url: `http://127.0.0.1:${port}/`,
    close: () => new Promise((resolve) => server.close(resolve)),
  }
}

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
  const server = await listening((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    socket.on('data', () => (staysOpen ? socket.write(text) : socket.end(text)))
  })
  for (let round = 0; round < 2; round++) {
    await expect(requestHttp(server.url, { timeoutMs: 60 })).rejects.toThrow()
    await expect.poll(() => sockets.size).toBe(0)
  }
  await server.close()
})

test('an answer is taken whole', async () => {
  const body = 'x'.repeat(300_000)
  const server = await listening((socket) => {
    socket.on('data', () =>
      socket.end(`HTTP/1.1 409 Conflict\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
    )
  })
  const question = requestHttp(server.url, { method: 'POST', body: {}, timeoutMs: 20_000 })
  expect(await question).toMatchObject({ status: 409, text: body })
  await server.close()
})

test('what is asked arrives: a GET without a body, a POST with JSON and its length', async () => {
  const asked: string[] = []
  const server = await listening((socket) => {
    socket.on('data', (chunk) => {
      asked.push(chunk.toString())
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
  })
  const url = `${server.url}a?b`
  expect(await requestHttp(url, { timeoutMs: 20_000 })).toMatchObject({ status: 200, text: 'ok' })
  const body = { name: 'Größe' }
  expect((await requestHttp(url, { method: 'POST', body, timeoutMs: 20_000 })).status).toBe(200)
  const [get = '', ...post] = asked
  expect(get).toMatch(/^GET \/a\?b HTTP\/1\.1\r\n/)
  expect(get.toLowerCase()).toContain('connection: close')
  expect(get.toLowerCase()).not.toContain('content-')
  const text = post.join('')
  expect(text).toMatch(/^POST \/a\?b HTTP\/1\.1\r\n/)
  expect(text.toLowerCase()).toContain('content-type: application/json\r\n')
  expect(text.toLowerCase()).toContain(`content-length: ${Buffer.byteLength(JSON.stringify(body))}\r\n`)
  expect(text.slice(text.indexOf('\r\n\r\n') + 4)).toBe(JSON.stringify(body))
  await server.close()
})

test('why there is no answer is said', async () => {
  const server = await listening((socket) => void socket.resume().on('error', () => {}))
  await expect(requestHttp(server.url, { timeoutMs: 20.4 })).rejects.toThrow('no response within 20 ms')
  await server.close()
  // No server listens there. The port of the closed server may belong to another one by now.
  await expect(requestHttp('http://127.0.0.1:1/', { timeoutMs: 5000 })).rejects.toThrow('ECONNREFUSED')
  // A URL with TLS never falls back to plain HTTP.
  await expect(requestHttp('https://127.0.0.1:1/', { timeoutMs: 5000 })).rejects.toThrow('ECONNREFUSED')
  await expect(requestHttp('no url', { timeoutMs: 5000 })).rejects.toThrow('Invalid URL')
})
