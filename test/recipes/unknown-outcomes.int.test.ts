// A table: everything in the recipes that writes, while each change has an unknown outcome several times. It ends as if
// the first try had been answered, and what it does is done once.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { Client } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import {
  barrier,
  cache,
  campaign,
  counter,
  type HeldLock,
  leaderOf,
  lock,
  queue,
  rateLimiter,
  registry,
  runAsLeader,
  rwLock,
  saga,
  semaphore,
  topic,
} from '../../src/recipes/index.ts'
import { unsureRelay } from '../unsure-relay.ts'

let cluster: EmbeddedCluster
let own: Client
beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  own = cluster.client()
})
afterAll(() => cluster.close())

async function all<T, U>(items: AsyncIterable<T>, of: (item: T) => U): Promise<U[]> {
  const found: U[] = []
  for await (const item of items) found.push(of(item))
  return found
}

/** On a busy machine nothing ends before it is done: then its writes would be given up, and made by another lease. */
const ttlMs = 300_000
const visibilityMs = ttlMs

/** Returns what was done. `name`: one for each row and test. */
type Row = readonly [act: (kv: Client, name: string) => Promise<unknown>, expected: unknown]

/** The lock is held, its writes are done, and it is free again. */
const heldOnce = async (name: string, held: HeldLock): Promise<unknown> => {
  await held.put(name, 'v')
  held.throwIfLost()
  const { succeeded } = await held.txn({ success: [{ put: { key: name, value: 'w' } }] })
  return [succeeded, (await own.get(name))?.version, await held.release()]
}
const HELD = [true, 2, true]

const run = async (name: string, kv: Client) => {
  const runs: string[] = []
  const steps = [
    { name: 'a', run: () => runs.push('a'), compensate: () => runs.push('undo a') },
    { name: 'b', run: () => Promise.reject(new Error('no')) },
  ]
  const sagas = saga(kv, name, steps, { ttlMs })
  const { status } = await sagas.run('1', null)
  return {
    runs,
    status,
    forgotten: await sagas.forget('1'),
    left: await own.count({ prefix: `saga/${name}/` }),
  }
}

const ROWS: Readonly<Record<string, Row>> = {
  lock: [async (kv, name) => heldOnce(name, await lock(kv, name, { ttlMs })), HELD],
  'rwLock.read': [async (kv, name) => heldOnce(name, await rwLock(kv, name).read({ ttlMs })), HELD],
  'rwLock.write': [async (kv, name) => heldOnce(name, await rwLock(kv, name).write({ ttlMs })), HELD],
  'semaphore.acquire': [
    async (kv, name) => heldOnce(name, await semaphore(kv, name, 1).acquire({ ttlMs })),
    HELD,
  ],
  campaign: [async (kv, name) => heldOnce(name, await campaign(kv, name, { ttlMs })), HELD],
  runAsLeader: [
    async (kv, name) => {
      const result = await runAsLeader(kv, name, ({ put }) => put(name, 'v'), { ttlMs })
      return [result, (await own.get(name))?.version, await leaderOf(own, name)]
    },
    [undefined, 1, undefined],
  ],
  barrier: [
    async (kv, name) => {
      const gate = barrier(kv, name)
      return [await gate.raise(), await gate.raise(), await gate.lower(), await gate.isRaised()]
    },
    [true, false, true, false],
  ],
  'counter.add': [
    async (kv, name) => {
      await counter(kv, name).add(3)
      await counter(kv, name).add(2, { once: 'x' })
      await counter(kv, name).add(2, { once: 'x' })
      return counter(own, name).get()
    },
    5,
  ],
  'rateLimiter.take': [
    async (kv, name) => {
      const limits = { limit: 3, windowMs: 3_600_000 }
      const taken = [await rateLimiter(kv, name, limits).take(2), await rateLimiter(kv, name, limits).take(2)]
      return taken.map(({ allowed, remaining }) => [allowed, remaining])
    },
    [
      [true, 1],
      [false, 1],
    ],
  ],
  queue: [
    async (kv, name) => {
      const jobs = queue(kv, name, { attemptsMax: 1, visibilityMs })
      await jobs.push('a')
      await jobs.push('b', { priority: 5 })
      const first = await jobs.pop()
      await first?.extend()
      await first?.ack()
      const second = await jobs.pop()
      await second?.nack({ error: 'e' })
      const dead = await all(queue(own, name).dead.list(), (item) => item.text())
      const back = await jobs.dead.requeue()
      const third = await jobs.pop()
      await third?.nack({ error: 'e' })
      const deleted = await jobs.dead.delete(third?.id ?? '')
      const left = await own.count({ prefix: `queue/${name}/` })
      return [first?.text(), second?.text(), dead, back, third?.attempts, deleted, left]
    },
    ['b', 'a', ['a'], 1, 1, true, 0],
  ],
  'queue.consume': [
    async (kv, name) => {
      const seen: [string, number][] = []
      const over = new AbortController()
      for (const value of ['a', 'b', 'c']) await queue(own, name).push(value)
      await queue(kv, name, { visibilityMs }).consume(
        (item) => {
          if (seen.push([item.text(), item.attempts]) === 3) over.abort()
        },
        { signal: over.signal },
      )
      return [seen, await queue(own, name).len()]
    },
    [
      [
        ['a', 1],
        ['b', 1],
        ['c', 1],
      ],
      { ready: 0, held: 0, dead: 0 },
    ],
  ],
  topic: [
    async (kv, name) => {
      const news = topic(kv, name, { ageMs: 3_600_000 })
      for (const value of ['a', 'b', 'c']) await news.publish(value)
      const seen: string[] = []
      for await (const message of news.subscribe({ group: 'g', from: 'oldest', ttlMs })) {
        if (seen.push(message.text()) === 3) break
        await message.ack()
      }
      for await (const message of news.subscribe({ group: 'g', ttlMs })) {
        seen.push(message.text())
        break
      }
      await news.forgetGroup('g')
      return [seen, await topic(own, name).position('g')]
    },
    [['a', 'b', 'c', 'c'], undefined],
  ],
  registry: [
    async (kv, name) => {
      const api = registry(kv, name)
      const registration = await api.register({ id: 'i', url: 'u', ttlMs })
      await registration.update({ weight: 7 })
      const listed = (await registry(own, name).list()).map(({ id, url, weight }) => [id, url, weight])
      return [listed, await registration.close(), await registry(own, name).list()]
    },
    [[['i', 'u', 7]], true, []],
  ],
  saga: [
    async (kv, name) => run(name, kv),
    { runs: ['a', 'undo a'], status: 'compensated', forgotten: true, left: 0 },
  ],
  cache: [
    async (kv, name) => {
      await using near = cache(kv, { prefix: `${name}/` })
      let loads = 0
      const value = await near.get('k', () => `v${++loads}`)
      return [value?.text(), (await own.get(`${name}/k`))?.version]
    },
    ['v1', 1],
  ],
}

/** More tries than any recipe makes by itself. */
const LOSSES = 4

test.each([true, false])('what is unknown is asked again until it is known; done: %s', async (done) => {
  const rows = Object.entries(ROWS).map(async ([what, [act]]) => {
    await using relay = await unsureRelay(cluster.endpoints[0] ?? '', { losses: LOSSES, done })
    await using kv = new Client({
      ...{ endpoints: [relay.url], discover: false, transport: 'http', timeoutMs: 60_000 },
    })
    const end = await act(kv, `${what}-${done}`).catch((error: unknown) => error)
    return [what, end, [...new Set(relay.tries.values())]]
  })
  const expected = Object.entries(ROWS).map(([what, [, end]]) => [what, end, [LOSSES + 1]])
  expect(await Promise.all(rows)).toEqual(expected)
})
