// Recipes on a real cluster whose leader crashes.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { lock, queue, runAsLeader, saga } from '../../src/recipes/index.ts'

describe('when the leader of the cluster crashes', () => {
  let cluster: EmbeddedCluster
  let kv: Client
  beforeAll(async () => {
    cluster = await startCluster({ nodes: 3 })
    kv = cluster.client({ timeoutMs: 60_000 })
  }, 60_000)
  afterAll(() => cluster.close())

  /** The old leader runs again when the function returns. */
  async function crashLeader(): Promise<void> {
    const leader = await cluster.waitForLeader()
    await leader.crash()
    await leader.start()
  }

  it('a lock stays with its holder, and then goes to the next client', { timeout: 60_000 }, async () => {
    const first = await lock(kv, 'l', { ttlMs: 30_000 })
    const next = lock(kv, 'l', { ttlMs: 30_000 })
    await expect.poll(() => kv.count({ prefix: 'lock/l/' }), { timeout: 20_000 }).toBe(2)
    await crashLeader()
    await first.put('guarded', 'by the first')
    await first.release()
    const second = await next
    expect(second.token).toBeGreaterThan(first.token)
    await expect(first.put('guarded', 'late')).rejects.toMatchObject({ code: 'lock_lost' })
    await second.release()
    expect((await kv.get('guarded'))?.text()).toBe('by the first')
  })

  it('a queue delivers every item', { timeout: 60_000 }, async () => {
    const own = queue(kv, 'q', { visibilityMs: 30_000 })
    for (let n = 0; n < 5; n++) await own.push(String(n))
    const item = await own.pop()
    await crashLeader()
    await item?.ack()
    const texts = new Set([item?.text()])
    for (let next = await own.pop(); next !== undefined; next = await own.pop()) {
      texts.add(next.text())
      await next.ack()
    }
    expect([...texts].toSorted()).toEqual(['0', '1', '2', '3', '4'])
    expect(await own.len()).toEqual({ ready: 0, held: 0, dead: 0 })
  })

  it('an election has one leader at a time', { timeout: 60_000 }, async () => {
    const tokens: number[] = []
    let leading = 0
    const candidate = () =>
      runAsLeader(
        kv,
        'e',
        async ({ token, put }) => {
          leading += 1
          expect(leading).toBe(1)
          tokens.push(token)
          if (tokens.length === 1) await crashLeader()
          await put('led', String(token))
          leading -= 1
        },
        { ttlMs: 30_000 },
      )
    await Promise.all([candidate(), candidate()])
    expect(tokens).toHaveLength(2)
    expect(tokens[1]).toBeGreaterThan(tokens[0] ?? 0)
  })

  it('a saga records each of its steps once', { timeout: 60_000 }, async () => {
    const log: string[] = []
    const note = (what: string) => () => void log.push(what)
    const own = saga<number>(
      kv,
      's',
      [
        { name: 'a', run: note('a'), compensate: note('undo a') },
        { name: 'crash', run: crashLeader },
        { name: 'b', run: () => Promise.reject(new Error('cannot')) },
      ],
      { ttlMs: 30_000 },
    )
    expect(await own.run('1', 1)).toMatchObject({ status: 'compensated', failure: { step: 'b' } })
    expect(log).toEqual(['a', 'undo a'])
  })
})
