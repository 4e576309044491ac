// The bare multiplexed connection of the generator, against a server that serves what it likes.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { pack, unpack } from 'msgpackr'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { MuxTarget } from '../../bench/load/mux-target.ts'

const [SUCCESS, PROBLEM] = [0, 1]
let server: WebSocketServer
let target: MuxTarget
let messages: [id: number, op: number, timeoutMs: number, key: unknown, ...more: unknown[]][][]

beforeEach(async () => {
  messages = []
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', (socket) => {
    socket.send(pack([[0, 'welcome', {}]]))
    socket.on('message', (data: Buffer) => {
      const items: (typeof messages)[number] = unpack(data)
      messages.push(items)
      const answers = items.map(([id, op, , key]) => {
        if (String(key) === 'refused') return [id, PROBLEM, { code: 'overloaded' }]
        return op === 3 ? [id, SUCCESS, 7, String(key) === 'absent' ? null : []] : [id, SUCCESS, 7, 2, 6, 3]
      })
      // Answers may come in any order.
      socket.send(pack(answers.reverse()))
    })
  })
  await once(server, 'listening')
  target = await MuxTarget.connect([`http://127.0.0.1:${(server.address() as AddressInfo).port}`], 1)
})

afterEach(async () => {
  target.close()
  for (const socket of server.clients) socket.terminate()
  await new Promise((resolve) => server.close(resolve))
})

test('what is asked in one turn leaves in one message, and each answer finds its operation', async () => {
  const value = Buffer.from('value')
  const asked = [
    target.put('a', value),
    target.put('refused', value),
    target.get('b', 'stale'),
    target.get('absent', 'linearizable'),
    target.range('c', 100, 'linearizable'),
  ]
  const ended = await Promise.allSettled(asked)
  expect(ended.map((end) => (end.status === 'rejected' ? end.reason.message : 'served'))).toEqual([
    'served',
    'overloaded',
    'served',
    'not_found',
    'served',
  ])
  expect(messages.map(({ length }) => length)).toEqual([5])
})

test('a connection that breaks fails what is under way and all that follows', async () => {
  await target.put('a', Buffer.from('value'))
  for (const socket of server.clients) socket.terminate()
  const first = target.put('b', Buffer.from('value'))
  await expect(first).rejects.toThrow('connection closed')
  await expect(target.put('c', Buffer.from('value'))).rejects.toThrow('connection closed')
})

test('an update has a condition, and resolves with the new revision of the key', async () => {
  const value = Buffer.from('value')
  expect(await Promise.all([target.update('a', value, 0), target.update('b', value, 5)])).toEqual([6, 6])
  expect(messages.flat().map((item) => item.at(-1))).toEqual([{ if_none_match: '*' }, { if_match: [5] }])
})
