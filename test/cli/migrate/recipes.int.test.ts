// Recipes in the target of a migration.

import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Client, QuorateError } from '../../../src/client/index.ts'
import { startCluster } from '../../../src/embed/index.ts'
import { EtcdClient } from '../../../src/etcd-client/index.ts'
import { lock, queue } from '../../../src/recipes/index.ts'
import { topic } from '../../../src/recipes/topic.ts'
import { SteppingClient, TestRun, TIMEOUT_MS, useSides } from './sides.ts'

const sides = useSides()

/** Messages of a subscription, up to the message `last`. */
async function readUntil(
  client: Client,
  name: string,
  last: string,
  group?: string,
): Promise<{ readonly texts: string[]; readonly missed: boolean[]; readonly revisions: number[] }> {
  const got = { texts: [] as string[], missed: [] as boolean[], revisions: [] as number[] }
  const from = group === undefined ? 'oldest' : 'next'
  for await (const message of topic(client, name).subscribe({ from, group })) {
    got.texts.push(message.text())
    got.missed.push(message.missed)
    got.revisions.push(message.revision)
    if (message.text() === last) break
  }
  return got
}

describe('a topic', () => {
  it.each(['a copy', 'a repair'])(
    'has its messages in their order after %s, each with a revision of its own',
    async (way) => {
      const { source, target } = sides()
      const name = way.replace(' ', '-')
      const [prefix, orders] = [`topic/${name}/`, topic(source, name)]
      if (way === 'a repair') {
        await source.put(`${prefix}other`, '')
        await new TestRun(sides(), { prefix }).result
      }
      for (let n = 0; n < 20; n++) await orders.publish(`${n}`)
      if (way === 'a repair')
        await source.compact(await source.put('elsewhere', '').then(({ revision }) => revision))
      const run = new TestRun(sides(), { prefix })
      await run.result
      expect(run.has('compacted')).toBe(way === 'a repair')
      const { texts, revisions, missed } = await readUntil(target, name, '19')
      expect(texts).toEqual(Array.from({ length: 20 }, (_, n) => `${n}`))
      expect(new Set(revisions).size).toBe(20)
      expect(missed).not.toContain(true)
    },
  )

  it('whose messages have all their age says nothing, and one that has lost some says so', async () => {
    const { source, target } = sides()
    for (const [name, lost] of [
      ['whole', false],
      ['lost', true],
    ] as const) {
      const orders = topic(source, name, { ageMs: 60_000 })
      for (let n = 0; n < 5; n++) await orders.publish(`${n}`)
      // The oldest message ends before the others.
      for await (const { key, lease = '' } of source.list({ prefix: `topic/${name}/message/`, limit: 1 }))
        if (lost) await source.revokeLease(lease).then(() => expect(key).toBeTruthy())
      await new TestRun(sides(), { prefix: `topic/${name}/` }).result
      const { texts, missed } = await readUntil(target, name, '4')
      expect([texts.length, missed[0]]).toEqual(lost ? [4, true] : [5, false])
    }
  })

  it('says so after a copy that was interrupted, too', async () => {
    const { source, target } = sides()
    for (const [name, lost] of [
      ['whole-again', 0],
      ['lost-again', 1],
    ] as const) {
      const orders = topic(source, name, { ageMs: 3_600_000 })
      for (let n = 0; n < 5; n++) await orders.publish(`${n}`)
      for await (const { lease = '' } of source.list({ prefix: `topic/${name}/message/`, limit: 1 }))
        if (lost > 0) await source.revokeLease(lease)
      const prefix = `topic/${name}/`
      const crashAt = ({ kind, position }: MovedEvent) => kind === 'moved' && position?.copied === 2
      await expect(new TestRun(sides(), { prefix, crashAt }).result).rejects.toThrow()
      expect(await new TestRun(sides(), { prefix }).result).toMatchObject({ different: 0 })
      const { texts, missed } = await readUntil(target, name, '4')
      expect([texts.length, missed[0]]).toEqual([5 - lost, lost > 0])
    }
  })

  it('whose history the source has compacted says that messages may be lost', async () => {
    const { source, target } = sides()
    const orders = topic(source, 'aged', { ageMs: 60_000 })
    await orders.publish('0')
    await new TestRun(sides(), { prefix: 'topic/aged/' }).result
    const before = (await target.txn({ success: [{ get: { key: 'x' } }] })).revision
    await orders.publish('1')
    for await (const { lease = '' } of source.list({ prefix: 'topic/aged/message/' }))
      await source.revokeLease(lease)
    await orders.publish('2')
    await source.compact(await source.put('elsewhere', '').then(({ revision }) => revision))
    await new TestRun(sides(), { prefix: 'topic/aged/' }).result
    for await (const message of topic(target, 'aged').subscribe({ from: before + 1 })) {
      expect([message.text(), message.missed]).toEqual(['2', true])
      break
    }
  })
})

interface MovedEvent {
  readonly kind: string
  readonly position?: { readonly copied: number }
}

/** Two clusters without keys. The target is written through etcd's API, and read through that of quorate, or etcd's. */
async function freshSides(target: 'quorate' | 'etcd') {
  const [from, to] = await Promise.all([startCluster({ nodes: 1 }), startCluster({ nodes: 1 })])
  const writer = new EtcdClient({ endpoints: to.endpoints, timeoutMs: TIMEOUT_MS })
  onTestFinished(async () => {
    await writer.close()
    await Promise.all([from.close(), to.close()])
  })
  const source = from.client({ timeoutMs: TIMEOUT_MS })
  return {
    source,
    target: target === 'etcd' ? writer : (to.client({ timeoutMs: TIMEOUT_MS }) as EtcdClient),
    writer,
    clusters: [from, to],
  }
}

describe('revisions', () => {
  it.each([
    ['quorate', 1_000_000_000, 10],
    ['etcd', 1_000, 1_100],
  ] as const)('in a new %s begin above those of the source, and stay there', async (kind, above, puts) => {
    const both = await freshSides(kind)
    const { source, target } = both
    for (let n = 0; n < 100; n++) await source.put('other', `${n}`)
    const held = await lock(source, 'l')
    const { token } = held
    await held.release()
    for (const name of ['1', '2']) await queue(source, 'q').push(name)
    const orders = topic(source, 't')
    for (const name of ['1', '2', '3']) await orders.publish(name)
    for await (const message of orders.subscribe({ group: 'g', from: 'oldest' })) {
      await message.ack()
      if (message.text() === '2') break
    }
    const position = await orders.position('g')
    const run = new TestRun(both, { prefix: '', follow: true })
    await run.reached('following')
    expect(run.events).toContainEqual({
      kind: 'raised',
      revision: expect.any(Number),
      source: expect.any(Number),
    })
    // The source makes revisions that are not copied: more than the target is above it, unless that is quorate.
    await Promise.all(Array.from({ length: puts }, () => source.put('quorate/migration/other', '')))
    await orders.publish('4')
    const { revision } = await source.put('last', '')
    const result = await run.end()
    expect(result).toMatchObject({ different: 0, isAbove: true })
    expect((await target.get('last'))?.modRevision).toBeGreaterThan(revision)
    const later = await lock(target, 'l')
    expect(later.token).toBeGreaterThan(Math.max(token, result.newest))
    expect(later.token - token).toBeGreaterThan(above)
    await later.release()
    await queue(target, 'q').push('3')
    const items: string[] = []
    for (
      let item = await queue(target, 'q').pop();
      item !== undefined;
      item = await queue(target, 'q').pop()
    ) {
      items.push(item.text())
      await item.ack()
    }
    expect(items).toEqual(['1', '2', '3'])
    expect(await topic(target, 't').position('g')).toBe(position)
    const { texts, missed } = await readUntil(target, 't', '4', 'g')
    expect([texts, missed.includes(true)]).toEqual([['1', '2', '3', '4'], false])
  })

  it('that stay below are reported before anything is copied, and a topic says missed', async () => {
    const both = await freshSides('etcd')
    const { source, target } = both
    await source.raiseRevision(10_000_000)
    for (const name of ['1', '2']) await topic(source, 't').publish(name)
    const run = new TestRun(both, { prefix: '' })
    expect(await run.result).toMatchObject({ different: 0, isAbove: false })
    const kinds = run.events.map(({ kind }) => kind)
    expect(kinds.indexOf('below')).toBeLessThan(kinds.indexOf('moved'))
    expect(kinds.filter((kind) => kind === 'below')).toHaveLength(1)
    await topic(target, 't').publish('3')
    expect(await readUntil(target, 't', '3')).toMatchObject({ texts: ['3'], missed: [true] })
  })

  it('begin above those of a source that compacts while it is read for the first time', async () => {
    const both = await freshSides('quorate')
    await both.source.raiseRevision(10_000_000)
    await both.source.put('a', '1')
    const { revision } = await both.source.put('a', '2')
    const { endpoints } = both.source
    const source = new SteppingClient(endpoints, async () => {
      await both.source.put('b', '1')
      await both.source.compact(revision + 1)
    })
    onTestFinished(() => source.close())
    const run = new TestRun({ ...both, source }, { prefix: '' })
    expect(await run.result).toMatchObject({ different: 0, isAbove: true })
    expect(run.has('compacted')).toBe(true)
  })

  it('of a target of version 0.1.0 are raised by writes, or reported', async () => {
    const both = await freshSides('quorate')
    const { source, target } = both
    vi.spyOn(target, 'raiseRevision').mockRejectedValue(
      new QuorateError('no such route', { code: 'route_not_found', written: 'no', status: 404 }),
    )
    for (let n = 0; n < 50; n++) await source.put('app/1', `${n}`)
    expect(await new TestRun(both, { prefix: 'app/' }).result).toMatchObject({ different: 0, isAbove: true })
    await target.delete('app/1')
    await source.delete('app/1')
    await source.raiseRevision(10_000_000)
    await source.put('other/1', '1')
    const run = new TestRun(both, { prefix: 'other/' })
    expect(await run.result).toMatchObject({ different: 0, isAbove: false })
    expect(run.events).toContainEqual(
      expect.objectContaining({ kind: 'below', reason: 'a node of the target runs an older version' }),
    )
  })

  it('of a target with other keys are raised by writes, and no key of them is left', async () => {
    const both = await freshSides('quorate')
    const { source, target } = both
    await target.put('other', '1')
    for (let n = 0; n < 50; n++) await source.put('app/1', `${n}`)
    expect(await new TestRun(both, { prefix: 'app/' }).result).toMatchObject({ different: 0, isAbove: true })
    const keys: string[] = []
    for await (const { key } of target.list()) keys.push(key)
    expect(keys).toEqual(['app/1', 'other', expect.stringMatching(/^quorate\/migration\/[0-9a-f]{16}$/)])
  })
})
