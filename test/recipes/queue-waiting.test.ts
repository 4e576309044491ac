// Consumers that wait for the items of one queue, in virtual time: so the number of their attempts depends on no
// machine.

import { expect } from 'vitest'
import type { Txn } from '../../src/client/index.ts'
import { queue } from '../../src/recipes/queue.ts'
import { it, kv, sleep } from './simulated-test.ts'
import { withCall } from './with-call.ts'

it('fires the signal of an item only while it is held', async () => {
  const own = queue(kv, 'signals', { visibilityMs: 30_000 })
  for (const text of ['a', 'b', 'c']) await own.push(text)
  const items = [await own.pop(), await own.pop(), await own.pop()]
  const [acknowledged, returned, held] = items
  await sleep(10_000)
  await held?.extend()
  await acknowledged?.ack()
  await returned?.nack()
  await sleep(29_000)
  expect(items.map((item) => item?.signal.aborted)).toEqual([false, false, false])
  await sleep(60_000)
  expect(items.map((item) => item?.signal.aborted)).toEqual([false, false, true])
})

it('does not make all consumers try to take one item', async () => {
  let changes = 0
  const counted = withCall(kv, 'txn', (txn: Txn, options) => {
    if ((txn.compare ?? []).length > 0) changes += 1
    return kv.txn(txn, options)
  })
  const own = queue(kv, 'contended')
  const end = new AbortController()
  let handled = 0
  const handler = () => {
    handled += 1
  }
  const consumers = Array.from({ length: 12 }, () =>
    queue(counted, 'contended').consume(handler, { signal: end.signal, onError: () => {} }),
  )
  for (let n = 0; n < 40; n++) {
    await own.push(String(n))
    await expect.poll(() => own.len()).toMatchObject({ ready: 0, held: 0 })
  }
  end.abort()
  await Promise.all(consumers)
  expect(handled).toBe(40)
  // 80 of them take and acknowledge an item. If each of the twelve tried to take each item, there would be 520.
  expect(changes).toBeLessThan(260)
})
