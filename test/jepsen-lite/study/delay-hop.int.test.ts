// The hop of the study of distance on a real socket.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { createDelayHop } from '../../../jepsen-lite/study/delay-hop.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

test('a hop delivers everything, in order, in both directions, and then the end', async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closing.push(() => server.close())
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('not bound')
  const hop = await createDelayHop(5, () => ({ host: '127.0.0.1', port: bound.port }))
  closing.push(() => hop.close())
  const caller: Socket = connect(hop.address)
  closing.push(() => caller.destroy())
  const sent = Array.from({ length: 500 }, (_, number) => `${number} `)
  const chunks: Buffer[] = []
  caller.on('data', (chunk) => chunks.push(chunk))
  for (const text of sent) caller.write(text)
  caller.end()
  await once(caller, 'end')
  expect(Buffer.concat(chunks).toString()).toBe(sent.join(''))
})

test('a hop without a target resets the connection', async () => {
  const hop = await createDelayHop(5, () => undefined)
  closing.push(() => hop.close())
  const caller = connect(hop.address)
  closing.push(() => caller.destroy())
  const [error] = await once(caller, 'error')
  expect(error).toMatchObject({ code: 'ECONNRESET' })
})
