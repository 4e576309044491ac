// Background work of a recipe keeps no process alive once its client is closed, whatever was open, and even if it could
// not begin. A registration, a session, an item of a queue, and what has ended keep none alive in any case.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { cache, config, registry } from '../../src/recipes/index.ts'

const root = pathToFileURL(join(import.meta.dirname, '../../src/')).href

let cluster: EmbeddedCluster
beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
}, 60_000)
afterAll(() => cluster.close())

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

/** Exit code and signal. */
async function endOf(program: string): Promise<unknown[]> {
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  try {
    return await once(child, 'exit', { signal: AbortSignal.timeout(40_000) })
  } finally {
    child.kill('SIGKILL')
  }
}
