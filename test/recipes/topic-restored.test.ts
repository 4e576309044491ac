// A topic whose records an import has restored: the cluster has fewer revisions than the old one had, or more.

import { beforeAll, describe, expect, test } from 'vitest'
import type { KvRecord } from '../../src/client/index.ts'
import { topic } from '../../src/recipes/topic.ts'
import { inSimulation, it, kv, sleep } from './simulated-test.ts'

const COUNT = 60
/** The position of a group and the mark of the trim, of the old cluster. */
const former: { readonly key: Uint8Array; readonly value: Uint8Array; readonly revision: number }[] = []

beforeAll(() =>
  inSimulation(async () => {
    const orders = topic(kv, 'orders', { messagesMax: 10 })
    let last = 0
    for (let n = 0; n < COUNT - 20; n++) last = await orders.publish(String(n))
    for await (const message of orders.subscribe({ group: 'billing', from: 'oldest' })) {
      await message.ack()
      if (message.revision === last) break
    }
    for (const name of ['position/billing', 'trimmed']) {
      const record = await kv.get(`topic/orders/${name}`)
      if (record === undefined) throw new Error(`${name} is missing`)
      const { revision } = record.json() as { readonly revision: number }
      former.push({ key: record.keyBytes, value: record.value, revision })
    }
  }),
)

/** Publishes messages. Imports the records of the old cluster before the one with the number `at`. */
async function publishAround(at: number): Promise<string[]> {
  const published: string[] = []
  for (let n = 0; n <= COUNT; n++) {
    if (n === at)
      for (const { key, value, revision } of former) {
        const imported = await kv.put(key, value)
        expect(imported.revision > revision).toBe(at > 0)
      }
    published.push(String(n))
    await topic(kv, 'orders').publish(String(n))
  }
  return published
}

it.each([0, COUNT])('a group gets all messages, of which %d were published before the import', async (at) => {
  const published = await publishAround(at)
  const orders = topic(kv, 'orders')
  // The number of the old cluster would hide messages.
  expect(await orders.position('billing')).toBe(0)
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
    const messages = topic(kv, 'orders').subscribe({ from: 'next' })
    const first = messages.next()
    await sleep(100)
    const published = await publishAround(at)
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

describe('a topic that was moved to another cluster, whose group has read a part of it,', () => {
  /** The topic as the old cluster has it: the group has acknowledged the message with this number. */
  const makeTopic = (acked: number, messagesMax = 1_000) =>
    inSimulation(async () => {
      const jobs = topic(kv, 'jobs', { messagesMax })
      const published: number[] = []
      for (let n = 0; n < 10; n++) published.push(await jobs.publish(String(n)))
      for await (const message of jobs.subscribe({ group: 'g', from: 'oldest' })) {
        await message.ack()
        if (message.text() === String(acked)) break
      }
      for (let n = 10; n < 60; n++) published.push(await jobs.publish(String(n)))
      const records: KvRecord[] = []
      for await (const record of kv.list({ prefix: 'topic/jobs/' })) records.push(record)
      const copied = records.toSorted((a, b) => a.modRevision - b.modRevision)
      return { records: copied, position: published[acked] ?? 0, last: published.at(-1) ?? 0 }
    })

  /** Messages of the group, up to the last one. */
  async function readAll(): Promise<{ readonly texts: string[]; readonly missed: boolean[] }> {
    const [texts, missed]: [string[], boolean[]] = [[], []]
    for await (const message of topic(kv, 'jobs').subscribe({ group: 'g' })) {
      texts.push(message.text())
      missed.push(message.missed)
      await message.ack()
      if (message.text() === 'last') break
    }
    return { texts, missed }
  }

  async function move(records: readonly KvRecord[], above: number): Promise<void> {
    while ((await kv.put('other', '')).revision <= above);
    for (const { keyBytes, value } of records) await kv.put(keyBytes, value)
  }

  test('loses nothing, and keeps its position, where the revisions are above those of the old one', async () => {
    const { records, position, last } = await makeTopic(3)
    await inSimulation(async () => {
      await move(records, last)
      expect(await topic(kv, 'jobs').position('g')).toBe(position)
      await topic(kv, 'jobs').publish('last')
      const { texts, missed } = await readAll()
      expect(texts).toEqual([...Array.from({ length: 60 }, (_, n) => String(n)), 'last'])
      expect(missed).not.toContain(true)
      expect(await topic(kv, 'jobs').position('g')).toBeGreaterThan(last)
    })
  })

  test('is notified of messages that the old one has trimmed behind its position', async () => {
    const { records, last } = await makeTopic(3, 20)
    await inSimulation(async () => {
      await move(records, last)
      await topic(kv, 'jobs').publish('last')
      const { texts, missed } = await readAll()
      expect(texts.length).toBeLessThan(57)
      expect([missed[0], missed.lastIndexOf(true)]).toEqual([true, 0])
    })
  })

  test('is notified where the revisions are below those of the old one', async () => {
    const { records, last } = await makeTopic(3)
    await inSimulation(async () => {
      await move(records.slice(-20), 0)
      // The positions of the old cluster are no revisions of this one.
      expect(await topic(kv, 'jobs').position('g')).toBeUndefined()
      for (const { key, value } of records) if (!key.includes('/message/')) await kv.put(key, value)
      expect(await topic(kv, 'jobs').position('g')).toBe(0)
      while ((await kv.put('other', '')).revision <= last + 10);
      await topic(kv, 'jobs').publish('last')
      expect(await readAll()).toEqual({ texts: ['last'], missed: [true] })
    })
  })
})

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
  for (let n = 0; n < 400; n++) await events.publish('new')
  const own: number[] = []
  for await (const { value, modRevision } of kv.list({ prefix: 'topic/events/message/' }))
    if (Buffer.from(value).toString() === 'new') own.push(modRevision)
  expect(own.length).toBeLessThan(messagesMax + 200)
})
