// Handles that keep a process alive. They are counted in the whole process, so this file has one of its own.

import { beforeEach, expect, test } from 'vitest'
import { after } from '../../src/client/timer.ts'
import { held, oneNode, served } from './one-node.ts'
import type { Item } from './relayed-lines.ts'
import { clientOf, failure, fake, until } from './with-fakes.ts'

const alive = (what: string) => process.getActiveResourcesInfo().filter((name) => name === what).length
const [sockets, timers] = [() => alive('TCPSocketWrap'), () => alive('Timeout')]
// Connections of the test before are still closing.
beforeEach(() => until(() => sockets() === 0))

test('an operation keeps a process alive only while a caller waits for it', async () => {
  // Its server has timers.
  await (await fake()).openPort()
  const timersBefore = timers()
  const { node, lines, kv } = await oneNode()
  const isIdle = () => sockets() === node.sockets && timers() <= timersBefore
  // The sockets of the node itself do.
  await until(isIdle)
  const items = held(lines)
  const abort = new AbortController()
  const calls = [kv.put('a', '1'), failure(kv.put('b', '2', { signal: abort.signal }))]
  await until(() => items.length === 2)
  expect(sockets()).toBe(node.sockets + 1)
  items[0]?.line.send(served(items[0]?.item as Item))
  await calls[0]
  expect(sockets()).toBe(node.sockets + 1)
  // The node may still answer it, but nobody waits for that.
  abort.abort()
  await calls[1]
  await until(isIdle)
})

test('the list of members keeps no process alive', async () => {
  const node = await fake()
  const kv = clientOf([node], { discover: true })
  node.fault = ({ target }) => (target === '/v1/cluster' ? 'hang' : undefined)
  await kv.get('k')
  await until(() => node.seen.some(({ target }) => target === '/v1/cluster'))
  // Only the node's own sockets.
  expect(sockets()).toBe(node.sockets)
})

test('a timer keeps a process alive, unless told otherwise', () => {
  const before = timers()
  const cancels = [
    after(1_000, () => {}),
    after(1_000, () => {}, { unref: true }),
    after(1_000, () => {}, {}),
  ]
  expect(timers()).toBe(before + 2)
  for (const cancel of cancels) cancel()
  expect(timers()).toBe(before)
})
