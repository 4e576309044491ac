// A topic whose records an import has restored into a fresh cluster, which has fewer revisions than the old one had.

import { expect, it } from 'vitest'
import { topic } from '../../src/recipes/topic.ts'
import { sleep, virtualCluster } from './virtual-cluster.ts'

const cluster = virtualCluster()
const kv = cluster.client()

it('a group whose consumer starts some time after the import gets the messages of the new cluster', async () => {
  // `quorate import` restores position/GROUP, which has no lease.
  await kv.put('topic/orders/position/billing', '{"revision":200}')
  const orders = topic(kv, 'orders')
  expect(await orders.position('billing')).toBeUndefined()
  // The publishers run, the consumer not yet: the revision of the new cluster passes 200.
  const published: string[] = []
  for (let revision = 0; revision < 250; ) {
    published.push(String(published.length))
    revision = await orders.publish(published.at(-1) ?? '')
  }
  const got: string[] = []
  for await (const message of orders.subscribe({ group: 'billing', from: 'oldest' })) {
    got.push(message.text())
    await message.ack()
    if (message.text() === published.at(-1)) break
  }
  expect(got).toEqual(published)
})

it('a slow subscriber gets all messages of a topic that was never trimmed here', async () => {
  const before = (await kv.put('other', '')).revision
  const { revision } = await kv.put('topic/news/trimmed', String(before + 100))
  const news = topic(kv, 'news')
  const messages = news.subscribe({ from: revision })
  const first = messages.next()
  const published = ['0']
  await news.publish('0')
  expect((await first).value?.text()).toBe('0')
  for (let n = 1; n < 150; n++) {
    published.push(String(n))
    await news.publish(String(n))
  }
  await sleep(1_100)
  const got = ['0']
  while (got.at(-1) !== published.at(-1)) got.push((await messages.next()).value?.text() ?? '')
  await messages.return()
  expect(got).toEqual(published)
})

const idAt = (revision: number, n: number) =>
  `${String(revision).padStart(16, '0')}-${n.toString(16).padStart(16, '0')}`

/** Restores `count` messages of a cluster that had 5,000 revisions when they were published. */
async function restore(name: string, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await kv.put(`topic/${name}/message/${idAt(5_000, n)}`, 'restored')
}

/** Other programs write, until the store has more revisions than the old cluster had. */
async function passRevision(revision: number): Promise<void> {
  while ((await kv.put('other', '')).revision <= revision);
}

it('a topic holds at least the last messages when the revision passes that of the old cluster', async () => {
  const messagesMax = 100
  await restore('audit', messagesMax)
  const audit = topic(kv, 'audit', { messagesMax })
  const published: number[] = []
  for (let n = 0; n < messagesMax; n++) published.push(await audit.publish(String(n)))
  await passRevision(5_100)
  // At least one publisher trims within 64 messages.
  for (let n = 0; n < 64; n++) published.push(await audit.publish(String(messagesMax + n)))
  const held = new Set<number>()
  for await (const { modRevision } of kv.list({ prefix: 'topic/audit/message/' })) held.add(modRevision)
  const lost = published.slice(-messagesMax).filter((revision) => !held.has(revision))
  expect(lost).toHaveLength(0)
})

it('publishers still remove what is too many when the revision passes that of the old cluster', async () => {
  const messagesMax = 100
  await restore('events', 4_200)
  await passRevision(5_100)
  const events = topic(kv, 'events', { messagesMax })
  for (let n = 0; n < 1_000; n++) await events.publish('new')
  const own: number[] = []
  for await (const { value, modRevision } of kv.list({ prefix: 'topic/events/message/' }))
    if (Buffer.from(value).toString() === 'new') own.push(modRevision)
  expect(own.length).toBeLessThan(messagesMax + 200)
})
