// Recipes that are open and wait for nothing keep no process alive. A call that waits does, until its client is closed.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { cache, config, registry } from '../../src/recipes/index.ts'

/** The programs make their calls on a machine that may be busy. */
const TIMEOUT_MS = 30_000

const root = pathToFileURL(join(import.meta.dirname, '../../src/')).href

let cluster: EmbeddedCluster
beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
}, 60_000)
afterAll(() => cluster.close())

/** One client uses multiplexed connections, as after many calls. */
test.each(['http', 'auto'])(
  'over %s, a process ends although recipes of its client are open',
  async (transport) => {
    const program = `
    import { Client } from '${root}client/index.ts'
    import { cache, campaign, config, lock, registry, semaphore } from '${root}recipes/index.ts'
    const options = { endpoints: ${JSON.stringify(cluster.endpoints)}, timeoutMs: ${TIMEOUT_MS} }
    const kv = new Client({ ...options, transport: '${transport}' })
    await Promise.all(Array.from({ length: 200 }, (_, n) => kv.put('x' + n, '1')))
    const ttlMs = 3_600_000
    const held = [
      await lock(kv, 'open', { ttlMs }),
      await semaphore(kv, 'open', 1).acquire({ ttlMs }),
      await campaign(kv, 'open', { ttlMs }),
    ]
    const near = cache(kv, { prefix: 'x' })
    const read = await config(kv, { key: 'x1', validate: Number, confirmMs: ttlMs, timeoutMs: ttlMs })
    await registry(kv, 's').resolver({ confirmMs: ttlMs }).resolve()
    while (!near.statistics.isWatching) await near.get('y' + Math.random())
    kv.watch({ prefix: 'x', background: true })
    let hasBegun = false
    kv.watch({ prefix: 'x', background: true }).ready.then(() => (hasBegun = true))
    while (!hasBegun) await kv.get('x')
    if (held.some(({ leftMs }) => leftMs === 0) || read.current !== 1) throw new Error('not open')
    // Where nothing answers, each tries again and again.
    const gone = new Client({ endpoints: ['http://127.0.0.1:1'], transport: '${transport}', timeoutMs: 500 })
    cache(gone, { prefix: 'x' })
    registry(gone, 's').resolver()
    process.on('exit', () => held.forEach((each) => each.throwIfLost()))`
    expect(await endOf(program)).toEqual([0, null])
    await using kv = cluster.client()
    for await (const { id } of kv.leases()) await kv.revokeLease(id)
  },
)

test('a process stays alive while a call waits, and while a callback of one does', async () => {
  const program = `
    import { once } from 'node:events'
    import { Client } from '${root}client/index.ts'
    import { barrier, cache, lock, queue, registry, runAsLeader, saga, topic } from '${root}recipes/index.ts'
    const kv = new Client({ endpoints: ${JSON.stringify(cluster.endpoints)}, timeoutMs: ${TIMEOUT_MS} })
    const soon = (ms = 300) => new Promise((resolve) => setTimeout(resolve, ms).unref())
    const after = (act) => void soon().then(act)
    // A wait misses the changes before it. On a busy machine these may be all of them, so they are made again.
    const meanwhile = async (act, waits) => {
      const timer = setInterval(act, 300).unref()
      await waits()
      clearInterval(timer)
    }
    const held = await lock(kv, 'stays')
    after(() => held.release())
    await (await lock(kv, 'stays')).release()
    await barrier(kv, 'stays').raise()
    after(() => barrier(kv, 'stays').lower())
    await barrier(kv, 'stays').wait()
    after(() => queue(kv, 'stays').push('x'))
    await (await queue(kv, 'stays').pop({ waitMs: Infinity })).ack()
    await meanwhile(() => topic(kv, 'stays').publish('x'), async () => {
      for await (const _ of topic(kv, 'stays').subscribe({ group: 'g' })) break
    })
    const listed = registry(kv, 'stays').watch()
    await listed.next()
    after(() => registry(kv, 'stays').register({ url: 'u' }))
    await listed.next()
    await meanwhile(() => kv.put('stays', 'x'), async () => {
      for await (const _ of kv.watch({ key: 'stays' })) break
    })
    await runAsLeader(kv, 'stays', () => soon())
    await saga(kv, 'stays', [{ name: 'a', run: () => soon() }]).run('1', null)
    await cache(kv, { prefix: 'load/' }).get('y', () => soon().then(() => 'v'))
    // The item of the handler is lost while it runs.
    const jobs = queue(kv, 'lost', { visibilityMs: 1000 })
    await jobs.push('x')
    const over = new AbortController()
    const handler = async () => {
      await kv.deleteRange({ prefix: 'queue/lost/' })
      await soon(3000)
      over.abort()
    }
    await jobs.consume(handler, { signal: over.signal, onError: () => {} })
    process.exit(7)`
  expect(await endOf(program)).toEqual([7, null])
})

test('a process ends when its client is closed, or when it only holds what needs no watch', async () => {
  const program = `
    import { Client } from '${root}client/index.ts'
    import {
      barrier, cache, campaign, config, lock, queue, registry, runAsLeader, saga, semaphore, topic,
    } from '${root}recipes/index.ts'
    const kv = new Client({ endpoints: ${JSON.stringify(cluster.endpoints)} })
    const ttlMs = 3_600_000
    await registry(kv, 'idle').register({ url: 'u', ttlMs })
    await kv.session({ ttlMs })
    const jobs = queue(kv, 'idle', { visibilityMs: ttlMs })
    await jobs.push('x')
    await (await jobs.pop()).extend()
    await (await lock(kv, 'idle', { ttlMs, waitMs: ttlMs })).release()
    await runAsLeader(kv, 'idle', () => 'done', { ttlMs })
    await saga(kv, 'idle', [{ name: 'a', run: () => 1 }], { ttlMs }).run('1', null)
    const news = topic(kv, 'idle', { messagesMax: 1 })
    for (let n = 0; n < 3; n++) await news.publish('x')
    for await (const _ of news.subscribe({ from: 'oldest', group: 'g', ttlMs })) break
    for await (const _ of kv.mirror({ prefix: 'x' })) break
    const watch = kv.watch({ prefix: 'x' })
    await watch.ready
    watch.close()
    // Enough for a connection of many calls, and a session for their writes.
    await Promise.all(Array.from({ length: 200 }, (_, n) => kv.put('x' + n, '1')))

    const closed = new Client({ endpoints: kv.endpoints })
    await closed.put('c', '1')
    await cache(closed, { prefix: 'x' }).get('y')
    await config(closed, { key: 'c', validate: Number, confirmMs: 3_600_000, onError: () => {} })
    const services = registry(closed, 's')
    await services.register({ url: 'u' })
    await services.resolver().resolve()
    await lock(closed, 'held', { ttlMs })
    await semaphore(closed, 'held', 1).acquire({ ttlMs })
    await campaign(closed, 'held', { ttlMs })
    const following = registry(closed, 's').watch()
    await following.next()
    const subscribed = topic(closed, 'held').subscribe({ from: 'oldest', group: 'g', ttlMs }).next()
    const consuming = queue(closed, 'held').consume(() => {}, { signal: new AbortController().signal })
    await closed.close()
    const over = (await Promise.allSettled([following.next(), subscribed, consuming])).map(({ reason }) => reason?.code)
    if (!over.every((code) => code === 'closed')) throw new Error(over.join())
    // Waits that cannot begin any more.
    const waitMs = 3_600_000
    const waiting = [
      lock(closed, 'a'), campaign(closed, 'a'), barrier(closed, 'a').wait(),
      lock(closed, 'a', { waitMs }), campaign(closed, 'a', { waitMs }), barrier(closed, 'a').wait({ waitMs }),
    ]
    const codes = (await Promise.allSettled(waiting)).map(({ reason }) => reason?.code)
    if (!codes.every((code) => code === 'closed')) throw new Error(codes.join())`
  expect(await endOf(program)).toEqual([0, null])
})

test('what is asked of a client that was closed fails at once, and says so by its code', async () => {
  const kv = cluster.client()
  const own = [cache(kv, { prefix: 'x' }), registry(kv, 'x').resolver()] as const
  for (const each of own) await each.close()
  await kv.close()
  // Times that never end: the process does not wait for them.
  const read = { key: 'x', validate: Number, timeoutMs: Number.POSITIVE_INFINITY, onError: () => {} }
  const asked = [
    config(kv, read),
    config(kv, { ...read, initial: 4 }),
    registry(kv, 'x').resolver({ timeoutMs: Number.POSITIVE_INFINITY }).resolve(),
    registry(kv, 'x').watch().next(),
    cache(kv, { prefix: 'x' }).get('y'),
    own[0].get('y'),
    own[1].resolve(),
  ]
  const reason = { code: 'closed', written: 'no' }
  const rejected = asked.map(() => ({ status: 'rejected', reason }))
  expect(await Promise.allSettled(asked)).toMatchObject(rejected)
})

/** A process that does not end is a failure, and not one that is slow. */
const END_MS_MAX = 180_000

/** Exit code and signal. */
async function endOf(program: string): Promise<unknown[]> {
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  try {
    return await once(child, 'exit', { signal: AbortSignal.timeout(END_MS_MAX) })
  } finally {
    child.kill('SIGKILL')
  }
}
