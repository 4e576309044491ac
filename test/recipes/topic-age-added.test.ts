// A topic that got the option `ageMs` in a later version of the service, or in one of its processes first.

import { expect } from 'vitest'
import { topic } from '../../src/recipes/topic.ts'
import { it, kv } from './simulated-test.ts'

const AGE_MS = 3_600_000

it('a group gets the messages that were published before the option was there', async () => {
  const before = topic(kv, 'orders')
  for (let n = 0; n < 5; n++) await before.publish(`old ${n}`)
  const after = topic(kv, 'orders', { ageMs: AGE_MS })
  await after.publish('new')
  const got: string[] = []
  for await (const message of after.subscribe({ group: 'billing', from: 'oldest' })) {
    got.push(message.text())
    await message.ack()
    if (message.text() === 'new') break
  }
  expect(got).toEqual(['old 0', 'old 1', 'old 2', 'old 3', 'old 4', 'new'])
})

it('a group gets the messages of a process that has not been restarted yet', async () => {
  const old = topic(kv, 'rolling')
  const own = topic(kv, 'rolling', { ageMs: AGE_MS })
  const got: string[] = []
  const messages = own.subscribe({ group: 'billing', from: 'oldest' })
  const first = messages.next()
  await old.publish('paid by a process of the old version')
  await own.publish('last')
  for (let next = await first; next.value !== undefined; next = await messages.next()) {
    got.push(next.value.text())
    await next.value.ack()
    if (next.value.text() === 'last') break
  }
  await messages.return()
  expect(got).toEqual(['paid by a process of the old version', 'last'])
})
