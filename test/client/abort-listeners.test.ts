// One AbortSignal that is given to thousands of calls. A listener for each would make every further call search them
// all, when it begins and when it ends.

import { getEventListeners } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import type { Client } from '../../src/client/index.ts'
import { pause } from '../../src/client/timer.ts'
import { clientOf, failure, fake, until } from './with-fakes.ts'

const AT_REST = { calls: 0, permits: 0, requests: 0, probes: 0 }
/** One for each part of the client that listens. */
const LISTENERS_MAX = 4

const first = async (list: AsyncGenerator): Promise<unknown> => (await list.next()).value

test.each<[string, (kv: Client, signal: AbortSignal) => Promise<unknown>]>([
  ['watches', (kv, signal) => kv.watch({ key: 'k', signal }).next()],
  ['bodies of transactions', (kv, signal) => kv.transact(() => new Promise(() => {}), { signal })],
  ['reads and writes', (kv, signal) => Promise.any([kv.put('k', 'v', { signal }), kv.get('k', { signal })])],
  ['lists', (kv, signal) => first(kv.list({ prefix: 'k', snapshot: true, signal }))],
  ['mirrors', (kv, signal) => first(kv.mirror({ prefix: 'k', signal }))],
  ['pauses of recipes', (_kv, signal) => pause(Number.POSITIVE_INFINITY, signal)],
])('%s with one signal share its listeners, and leave none behind', async (_what, call) => {
  const node = await fake()
  const kv = clientOf([node], { timeoutMs: 60_000 })
  await kv.put('first', '1')
  node.fault = () => 'hang'
  const abort = new AbortController()
  const { signal } = abort
  const ends = Array.from({ length: 50 }, () => call(kv, signal).catch(() => 'ended'))
  await until(() => getEventListeners(signal, 'abort').length > 0)
  for (let turns = 0; turns < 20; turns++) await nextTurn()
  expect(getEventListeners(signal, 'abort').length).toBeLessThanOrEqual(LISTENERS_MAX)
  abort.abort()
  await Promise.all(ends)
  await until(() => kv[inspect]().calls === 0)
  expect([getEventListeners(signal, 'abort'), kv[inspect]()]).toEqual([[], AT_REST])
})

test('a signal that earlier calls have had ends later ones too', async () => {
  const node = await fake()
  const kv = clientOf([node], { timeoutMs: 60_000 })
  const abort = new AbortController()
  const { signal } = abort
  for (let n = 0; n < 3; n++) {
    await kv.put('k', 'v', { signal })
    expect(getEventListeners(signal, 'abort')).toEqual([])
  }
  node.fault = () => 'hang'
  let isOver = false
  const get = failure(kv.get('k', { signal })).finally(() => {
    isOver = true
  })
  await until(() => node.seen.length === 4)
  abort.abort()
  await until(() => isOver)
  expect(await get).toMatchObject({ code: 'aborted', written: 'no' })
  expect([getEventListeners(signal, 'abort'), kv[inspect]()]).toEqual([[], AT_REST])
})
