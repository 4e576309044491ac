// One request in the protocol of NATS, to a server that answers what it likes.

import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { natsRequest } from '../../bench/clusters/nats-request.ts'

let server: Server
afterEach(async () => {
  server.close()
  await once(server, 'close')
})

/** Greets, and sends these parts once the request is complete. undefined: it closes the connection. */
async function serve(...parts: readonly (string | undefined)[]): Promise<{ url: string; lines: string[] }> {
  const lines: string[] = []
  server = createServer((socket) => {
    let received = ''
    socket.write('INFO {"max_payload":1048576}\r\n')
    socket.on('error', () => {})
    socket.on('data', async (data) => {
      received += data
      if (!received.endsWith('the value\r\n')) return
      lines.push(...received.split('\r\n').slice(1, -1))
      for (const part of parts) {
        if (part === undefined) socket.destroy()
        else await new Promise((resolve) => socket.write(part, resolve))
        await new Promise((resolve) => setImmediate(resolve))
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`, lines }
}

const message = (text: string): string => `MSG answer 1 ${text.length}\r\n${text}\r\n`

test('the answer may come in parts, after a ping', async () => {
  const whole = message('{"stream":"KV_bench","seq":7}')
  const { url, lines } = await serve('PING\r\n', whole.slice(0, 9), whole.slice(9, 30), whole.slice(30))
  expect(await natsRequest(url, '$KV.bench.key', 'the value')).toEqual({ stream: 'KV_bench', seq: 7 })
  expect(lines).toEqual(['SUB answer 1', 'PUB $KV.bench.key answer 9', 'the value'])
})

test.each([
  ['an error of JetStream', message('{"error":{"description":"no quorum"}}'), 'no quorum'],
  ['a refusal', "-ERR 'Authorization Violation'\r\n", 'Authorization Violation'],
  ['the end of the connection', undefined, 'connection closed'],
])('%s rejects', async (_, part, reason) => {
  const { url } = await serve(part)
  await expect(natsRequest(url, '$KV.bench.key', 'the value')).rejects.toThrow(reason)
})
