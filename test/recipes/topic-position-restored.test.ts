// A position that an import has restored into a cluster whose publishers run already.

import { expect, it } from 'vitest'
import { topic } from '../../src/recipes/topic.ts'
import { sleep, virtualCluster } from './virtual-cluster.ts'

const cluster = virtualCluster()
const kv = cluster.client()

it('a group skips messages of this cluster that nobody has read when an import restores a position that names an earlier revision than its record', async () => {
  const orders = topic(kv, 'orders')
  // The publishers run, the consumers of the group not yet.
  const published: string[] = []
  for (let n = 0; n < 50; n++) {
    published.push(String(n))
    await orders.publish(String(n))
  }
  // An import of 100 keys, of which the position is one of the last. In its own cluster it named an older message.
  for (let n = 0; n < 100; n++) await kv.put(`conf/${n}`, '')
  await kv.put('topic/orders/position/billing', '{"revision":40}')
  const got: string[] = []
  for await (const message of orders.subscribe({ group: 'billing', from: 'oldest' })) {
    got.push(message.text())
    await message.ack()
    if (message.text() === published.at(-1)) break
  }
  expect(got).toEqual(published)
})

it('a slow subscriber loses messages that the topic holds when an import restores a mark of the trim that names an earlier revision than its record', async () => {
  const news = topic(kv, 'news')
  const messages = news.subscribe({ from: (await kv.put('other', '')).revision })
  const first = messages.next()
  const published = ['0']
  await news.publish('0')
  expect((await first).value?.text()).toBe('0')
  let revision = 0
  for (let n = 1; n < 50; n++) {
    published.push(String(n))
    revision = await news.publish(String(n))
  }
  await kv.put('topic/news/trimmed', String(revision - 10))
  await sleep(1_100)
  const got = ['0']
  while (got.at(-1) !== published.at(-1)) got.push((await messages.next()).value?.text() ?? '')
  await messages.return()
  expect(got).toEqual(published)
})
