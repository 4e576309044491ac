// A topic whose records an import has restored: the cluster has fewer revisions than the old one had, or more.

import { beforeAll, expect, it, vi } from 'vitest'
import { topic } from '../../src/recipes/topic.ts'
import { sleep, VirtualCluster, virtualCluster } from './virtual-cluster.ts'

const cluster = virtualCluster()
const kv = cluster.client()
const COUNT = 250
/** The position of a group and the mark of the trim, of the old cluster. */
const former: { readonly key: Uint8Array; readonly value: Uint8Array; readonly revision: number }[] = []

beforeAll(async () => {
  vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  await using old = new VirtualCluster()
  const client = old.client()
  const orders = topic(client, 'orders', { messagesMax: 10 })
  let last = 0
  for (let n = 0; n < COUNT - 50; n++) last = await orders.publish(String(n))
  for await (const message of orders.subscribe({ group: 'billing', from: 'oldest' })) {
    await message.ack()
    if (message.revision === last) break
  }
  for (const name of ['position/billing', 'trimmed']) {
    const record = await client.get(`topic/orders/${name}`)
    if (record === undefined) throw new Error(`${name} is missing`)
    const { revision } = record.json() as { readonly revision: number }
    former.push({ key: record.keyBytes, value: record.value, revision })
  }
})

/** Publishes messages. Imports the records of the old cluster before the one with the number `at`. */
async function publishAround(client: ReturnType<VirtualCluster['client']>, at: number): Promise<string[]> {
  const published: string[] = []
  for (let n = 0; n <= COUNT; n++) {
    if (n === at)
      for (const { key, value, revision } of former) {
        const imported = await client.put(key, value)
        expect(imported.revision > revision).toBe(at > 0)
      }
    published.push(String(n))
    await topic(client, 'orders').publish(String(n))
  }
  return published
}

it.each([0, COUNT])('a group gets all messages, of which %d were published before the import', async (at) => {
  await using own = new VirtualCluster()
  const client = own.client()
  const published = await publishAround(client, at)
  const orders = topic(client, 'orders')
  expect(await orders.position('billing')).toBeUndefined()
  const got: string[] = []
  for await (const message of orders.subscribe({ group: 'billing', from: 'oldest' })) {
    got.push(message.text())
    await message.ack()
    if (message.text() === published.at(-1)) break
  }
  expect(got).toEqual(published)
  expect(await orders.position('billing')).toBeGreaterThan(COUNT)
})

it.each([0, COUNT])(
  'a slow subscriber gets all messages, of which %d were published before the import',
  async (at) => {
    await using own = new VirtualCluster()
    const client = own.client()
    const messages = topic(client, 'orders').subscribe({ from: 'next' })
    const first = messages.next()
    await sleep(100)
    const published = await publishAround(client, at)
    await sleep(1_100)
    const got = [(await first).value?.text()]
    while (got.at(-1) !== published.at(-1)) {
      const { value } = await messages.next()
      expect(value?.missed).toBe(false)
      got.push(value?.text())
    }
    await messages.return()
    expect(got).toEqual(published)
  },
)

const idAt = (revision: number, n: number) =>
  `${String(revision).padStart(16, '0')}-${n.toString(16).padStart(16, '0')}`

/** Restores `count` messages of a cluster that had 500 revisions when they were published. */
async function restore(name: string, count: number): Promise<void> {
  const keys = Array.from({ length: count }, (_, n) => `topic/${name}/message/${idAt(500, n)}`)
  while (keys.length > 0)
    await kv.txn({ success: keys.splice(0, 100).map((key) => ({ put: { key, value: 'restored' } })) })
}

it('a topic holds at least the last messages when the revision passes that of the old cluster', async () => {
  const messagesMax = 100
  await restore('audit', messagesMax)
  const audit = topic(kv, 'audit', { messagesMax })
  const published: number[] = []
  for (let n = 0; n < messagesMax; n++) published.push(await audit.publish(String(n)))
  // Other programs write, until the store has more revisions than the old cluster had.
  while ((await kv.put('other', '')).revision <= 600);
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
  const events = topic(kv, 'events', { messagesMax })
  for (let n = 0; n < 1_000; n++) await events.publish('new')
  const own: number[] = []
  for await (const { value, modRevision } of kv.list({ prefix: 'topic/events/message/' }))
    if (Buffer.from(value).toString() === 'new') own.push(modRevision)
  expect(own.length).toBeLessThan(messagesMax + 200)
})
