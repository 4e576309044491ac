// Migrations between two clusters: interrupted, compacted, with leases, and over the limits of the target.

import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { positionKey } from '../../../src/cli/migrate/position.ts'
import { verify } from '../../../src/cli/migrate/survey.ts'
import { TargetLimits } from '../../../src/cli/migrate/target-limits.ts'
import type { Client } from '../../../src/client/index.ts'
import { EtcdClient } from '../../../src/etcd-client/index.ts'
import {
  keysByRevision,
  LeaselessClient,
  LongLeaseClient,
  LossyClient,
  RefusingClient,
  SteppingClient,
  TestRun,
  TIMEOUT_MS,
  useSides,
  WrittenClient,
} from './sides.ts'

const sides = useSides()
const SAME = { different: 0, differences: [] }

async function putMany(client: Client, prefix: string, count: number): Promise<void> {
  for (let at = 0; at < count; at += 50) {
    const puts = Array.from({ length: Math.min(50, count - at) }, (_, n) => ({
      put: { key: `${prefix}${((at + n) * 7919) % count}`, value: `${at + n}` },
    }))
    await client.txn({ success: puts })
  }
}

/** Compacts the source behind everything that a migration has seen. */
async function compactAll(client: Client): Promise<void> {
  await client.put('elsewhere', '1')
  await client.compact(await client.put('elsewhere', '2').then(({ revision }) => revision))
}

const crashAfter = (copied: number) => (event: { kind: string; position?: { copied: number } }) =>
  event.kind === 'moved' && (event.position?.copied ?? 0) >= copied

describe('a copy', () => {
  it('keeps values and the order of revisions', async () => {
    const { source, target } = sides()
    await putMany(source, 'order/', 300)
    const binary = Uint8Array.of(0, 255, 10)
    await source.put(Buffer.concat([Buffer.from('order/'), binary]), binary)
    const { result } = new TestRun(sides(), { prefix: 'order/' })
    expect(await result).toMatchObject({ ...SAME, keys: 301, copied: 301, changes: 0 })
    const order = await keysByRevision(target, 'order/')
    const revisions = new Map<string, number>()
    for await (const { key, modRevision } of source.list({ prefix: 'order/' }))
      revisions.set(key, modRevision)
    const copied = order.map((key) => revisions.get(key) ?? 0)
    // Several revisions share a transaction.
    expect(copied.every((revision, at) => at < 127 || revision >= (copied[at - 127] ?? 0))).toBe(true)
    expect(copied.slice(-127)).toContain(Math.max(...copied))
  })

  it('is refused when the target has other keys', async () => {
    const { target } = sides()
    await target.put('occupied/a', '1')
    await expect(new TestRun(sides(), { prefix: 'occupied/' }).result).rejects.toThrow('such as occupied/a')
    expect(await target.get(positionKey('occupied/'))).toBeUndefined()
  })

  it('leaves positions of migrations out, in both clusters', async () => {
    const { source, target } = sides()
    await source.put('quorate/migration/other', '{}')
    await source.put('quorate/x', '1')
    await target.put('quorate/migration/third', '{}')
    // They lie in the first of several pages.
    await putMany(source, 'quorate/y', 100)
    expect(await new TestRun(sides(), { prefix: 'quorate/' }).result).toMatchObject({ ...SAME, keys: 101 })
    expect(await target.count({ prefix: 'quorate/y' })).toBe(100)
  })

  it('continues after a crash, and has the changes since', async () => {
    const { source } = sides()
    await putMany(source, 'crash/', 200)
    const first = new TestRun(sides(), { prefix: 'crash/', crashAt: crashAfter(127) })
    await expect(first.result).rejects.toMatchObject({ name: 'AbortError' })
    await source.put('crash/late', '1')
    await source.delete('crash/0')
    const second = new TestRun(sides(), { prefix: 'crash/' })
    const result = await second.result
    expect(result).toMatchObject({ ...SAME, keys: 200, changes: 2 })
    expect(result.copied).toBeLessThan(200)
    // Once more: nothing is left to copy.
    expect(await new TestRun(sides(), { prefix: 'crash/' }).result).toMatchObject({ ...SAME, copied: 0 })
  })

  it('whose revision was compacted in a crash copies what differs', async () => {
    const { source } = sides()
    await putMany(source, 'gone/', 200)
    const first = new TestRun(sides(), { prefix: 'gone/', crashAt: crashAfter(127) })
    await expect(first.result).rejects.toThrow()
    await source.deleteRange({ prefix: 'gone/1' })
    await source.compact(await source.put('gone/new', '1').then(({ revision }) => revision))
    const second = new TestRun(sides(), { prefix: 'gone/' })
    expect(await second.result).toMatchObject(SAME)
    expect(second.has('compacted')).toBe(true)
  })

  it.each(['copy', 'repair', 'follow'])(
    'of a source that was restored is refused in the phase %s',
    async (phase) => {
      const { source, target } = sides()
      const { revision } = await source.put('restored/a', '1')
      const position = { source: '1', prefix: 'restored/', phase, revision: revision + 1_000_000, copied: 0 }
      await target.put(positionKey('restored/'), JSON.stringify(position))
      await expect(new TestRun(sides(), { prefix: 'restored/' }).result).rejects.toThrow(
        /^the source has gone back/,
      )
      expect(await target.get('restored/a')).toBeUndefined()
    },
  )

  it('from another source, or by another run, is refused', async () => {
    const { source } = sides()
    await source.put('whose/a', '1')
    const first = new TestRun(sides(), { prefix: 'whose/', follow: true })
    await first.reached('following')
    await expect(new TestRun(sides(), { prefix: 'whose/', sourceId: '2' }).result).rejects.toThrow(
      'cluster 1',
    )
    const second = new TestRun(sides(), { prefix: 'whose/', follow: true })
    await second.reached('following')
    await source.put('whose/b', '1')
    await expect(first.result).rejects.toThrow('another run of this migration')
    expect(await second.end()).toMatchObject({ ...SAME, keys: 2 })
  })
})

describe('a migration that follows', () => {
  /** A change that is copied. */
  const changeOf = (key: string) => async () => {
    const { source, target } = sides()
    await source.put(key, 'new')
    await expect.poll(async () => (await target.get(key))?.text()).toBe('new')
  }

  it('is taken over while it copies changes', async () => {
    const { source, clusters } = sides()
    await source.put('turn/a', '1')
    const first = new TestRun(sides(), { prefix: 'turn/', follow: true })
    await first.reached('caught-up')
    const writer = new SteppingClient(clusters[1]?.endpoints ?? [], changeOf('turn/a'))
    onTestFinished(() => writer.close())
    const second = new TestRun({ ...sides(), writer }, { prefix: 'turn/' })
    expect(await second.result).toMatchObject({ ...SAME, keys: 1 })
    await source.put('turn/a', 'newer')
    await expect(first.result).rejects.toThrow('another run of this migration')
  })

  it('is verified at its position while it copies changes', async () => {
    const { source, clusters } = sides()
    for (const name of ['a', 'b']) await source.put(`verified/${name}`, '1')
    const run = new TestRun(sides(), { prefix: 'verified/', follow: true })
    await run.reached('caught-up')
    const target = new SteppingClient(clusters[1]?.endpoints ?? [], changeOf('verified/a'))
    onTestFinished(() => target.close())
    const { signal } = new AbortController()
    expect(await verify({ source, target, prefix: 'verified/', signal })).toMatchObject({ ...SAME, keys: 2 })
    await run.end()
  })

  it('is verified at its position when it is finished', async () => {
    const { source } = sides()
    await source.put('verified-end/a', '1')
    const { revision } = await new TestRun(sides(), { prefix: 'verified-end/', finish: true }).result
    await source.put('verified-end/a', 'late')
    const { signal } = new AbortController()
    const verified = await verify({ ...sides(), prefix: 'verified-end/', signal })
    expect(verified).toMatchObject({ ...SAME, keys: 1, revision })
    expect(verified.newest).toBeGreaterThan(revision)
  })

  it('copies puts and deletes in their order, and ends with what the source has then', async () => {
    const { source, target } = sides()
    await putMany(source, 'follow/', 100)
    const run = new TestRun(sides(), { prefix: 'follow/', follow: true })
    await run.reached('following')
    await run.reached('caught-up')
    for (let n = 0; n < 70; n++) {
      await source.put(`follow/w${n % 20}`, String(n))
      if (n % 7 === 0) await source.delete(`follow/w${(n + 3) % 20}`)
    }
    expect(await run.end()).toMatchObject(SAME)
    const order = await keysByRevision(source, 'follow/w')
    // Several revisions share a transaction of the target: there they have no order.
    expect(await keysByRevision(target, 'follow/w', (key) => order.indexOf(key))).toEqual(order)
  })

  it('is exact when answers of transactions are lost', async () => {
    const { source, clusters } = sides()
    const target = new LossyClient({ endpoints: clusters[1]?.endpoints ?? [], timeoutMs: TIMEOUT_MS })
    onTestFinished(() => target.close())
    await putMany(source, 'lossy/', 300)
    const run = new TestRun({ source, target }, { prefix: 'lossy/', follow: true })
    await run.reached('following')
    const watch = sides().target.watch({ key: 'lossy/counter', fromRevision: 1 })
    for (let n = 1; n <= 5; n++) await source.put('lossy/counter', String(n))
    // A revision of four transactions: the first three leave the position where it was.
    await source.deleteRange({ prefix: 'lossy/' })
    await putMany(source, 'lossy/', 500)
    await source.deleteRange({ prefix: 'lossy/' })
    await source.put('lossy/last', '1')
    expect(await run.end()).toMatchObject({ ...SAME, keys: 1 })
    // Each change is made once.
    const seen: string[] = []
    for await (const { events } of watch) {
      for (const event of events) if (event.type === 'put') seen.push(event.kv.text())
      if (seen.length === 5) break
    }
    expect(seen).toEqual(['1', '2', '3', '4', '5'])
  })

  it('copies what differs when the source has compacted what it needs', async () => {
    const { source } = sides()
    await putMany(source, 'behind/', 100)
    await new TestRun(sides(), { prefix: 'behind/' }).result
    await source.delete('behind/1')
    await source.put('behind/2', 'new')
    await source.compact(await source.put('behind/3', 'new').then(({ revision }) => revision))
    const run = new TestRun(sides(), { prefix: 'behind/', follow: true })
    await run.reached('following')
    await source.put('behind/4', 'new')
    expect(await run.end()).toMatchObject({ ...SAME, keys: 99 })
    expect(run.has('compacted')).toBe(true)
  })

  it('continues once more, however often it has continued and the source was compacted', async () => {
    const { source } = sides()
    await putMany(source, 'often/', 5)
    for (let times = 0; times < 4; times++) {
      expect(await new TestRun(sides(), { prefix: 'often/' }).result).toMatchObject({ ...SAME, keys: 5 })
      await source.put('often/1', `${times}`)
      await source.put('often/2', `${times}`)
      if (times > 0) await compactAll(source)
    }
  })

  it('is not finished while a client writes to the source', async () => {
    const { source: own, target, clusters } = sides()
    await own.put('written/a', '0')
    let writes = 0
    const source = new WrittenClient(clusters[0]?.endpoints ?? [], () => own.put('written/a', `${++writes}`))
    onTestFinished(() => source.close())
    const run = new TestRun({ source, target }, { prefix: 'written/', finish: true })
    await expect(run.result).rejects.toThrow('clients still write to the source')
    expect(JSON.parse((await target.get(positionKey('written/')))?.text() ?? '')).toMatchObject({
      phase: 'follow',
    })
    expect(writes).toBeGreaterThan(1)
  })

  it('copies a revision with more changes than a transaction has, and says so', async () => {
    const { source } = sides()
    await putMany(source, 'large/', 300)
    const run = new TestRun(sides(), { prefix: 'large/', follow: true })
    await run.reached('following')
    const { revision } = await source.deleteRange({ prefix: 'large/' })
    expect(await run.end()).toMatchObject({ ...SAME, keys: 0, changes: 300 })
    expect(run.events).toContainEqual({ kind: 'split', revision, changes: 300 })
  })

  it('finds what others write into the target', async () => {
    const { source, target } = sides()
    await putMany(source, 'foreign/', 10)
    const run = new TestRun(sides(), { prefix: 'foreign/', follow: true })
    await run.reached('following')
    await target.delete('foreign/1')
    await target.put('foreign/2', 'other')
    await target.put('foreign/extra', '1')
    const { id } = await target.grantLease({ ttlMs: 60_000 })
    await target.put('foreign/3', ((await source.get('foreign/3')) ?? { value: '' }).value, { lease: id })
    const { different, differences } = await run.end()
    expect(different).toBe(4)
    expect(
      differences.map(({ key, difference, isForeign }) => [
        Buffer.from(key).toString(),
        difference,
        isForeign,
      ]),
    ).toEqual([
      ['foreign/1', 'missing', true],
      ['foreign/2', 'value', true],
      ['foreign/3', 'lease', true],
      ['foreign/extra', 'extra', true],
    ])
  })
})

describe('what somebody else has changed in the target', () => {
  const REFUSED = /^somebody else has changed/

  async function content(client: Client, prefix: string): Promise<Record<string, string>> {
    const found: Record<string, string> = {}
    for await (const record of client.list({ prefix })) found[record.key] = record.text()
    return found
  }

  it.each([
    ['puts', (target: Client, prefix: string) => target.put(`${prefix}1`, 'new')],
    ['deletes', (target: Client, prefix: string) => target.delete(`${prefix}1`)],
    ['creates', (target: Client, prefix: string) => target.put(`${prefix}created`, 'new')],
  ])('is kept when clients use it and the command runs again: %s', async (name, change) => {
    const { source, target } = sides()
    for (const compacts of [false, true]) {
      const prefix = `again-${name}-${compacts}/`
      await putMany(source, prefix, 20)
      await new TestRun(sides(), { prefix }).result
      await change(target, prefix)
      await source.put(`${prefix}1`, 'a client that was forgotten')
      await source.delete(`${prefix}2`)
      if (compacts) await compactAll(source)
      const before = await content(target, prefix)
      // Refused once more: a refusal leaves no other state behind.
      for (let runs = 0; runs < 3; runs++)
        await expect(new TestRun(sides(), { prefix }).result).rejects.toThrow(REFUSED)
      expect(await content(target, prefix)).toEqual(before)
    }
  })

  it('is kept when the migration went on since, and the source has compacted it', async () => {
    const { source, target } = sides()
    await putMany(source, 'since/', 5)
    const run = new TestRun(sides(), { prefix: 'since/', follow: true })
    await run.reached('caught-up')
    await target.put('since/theirs', '1')
    await target.put('since/1', 'theirs')
    await source.put('since/2', 'new')
    await run.end()
    await source.put('since/1', 'a client that was forgotten')
    await compactAll(source)
    const before = await content(target, 'since/')
    await expect(new TestRun(sides(), { prefix: 'since/' }).result).rejects.toMatchObject({
      message: expect.stringMatching(REFUSED),
      details: expect.arrayContaining(['since/1', 'since/theirs']),
    })
    expect(await content(target, 'since/')).toEqual(before)
  })

  it('may be put back, and the migration continues', async () => {
    const { source, target } = sides()
    await putMany(source, 'back/', 5)
    await new TestRun(sides(), { prefix: 'back/' }).result
    const record = await target.get('back/1')
    await target.put('back/1', 'mistake')
    await expect(new TestRun(sides(), { prefix: 'back/' }).result).rejects.toThrow(REFUSED)
    await target.put('back/1', record?.value ?? '')
    await source.put('back/1', 'new')
    expect(await new TestRun(sides(), { prefix: 'back/' }).result).toMatchObject({ ...SAME, changes: 1 })
  })

  it('is kept when it is in the way of the next change', async () => {
    const { source, target } = sides()
    await putMany(source, 'way/', 5)
    const run = new TestRun(sides(), { prefix: 'way/', follow: true })
    await run.reached('following')
    await target.put('way/1', 'theirs')
    await source.put('way/1', 'ours')
    await expect(run.result).rejects.toThrow(REFUSED)
    expect((await target.get('way/1'))?.text()).toBe('theirs')
  })

  it('is kept when it is in the way of the last of many changes', async () => {
    const { source, target } = sides()
    for (let n = 0; n < 100; n++) await source.put(`row/${n + 100}`, '1')
    const run = new TestRun(sides(), { prefix: 'row/', follow: true })
    await run.reached('following')
    await target.put('row/199', 'theirs')
    await source.deleteRange({ prefix: 'row/' })
    await expect(run.result).rejects.toMatchObject({
      message: expect.stringMatching(REFUSED),
      details: expect.arrayContaining(['row/199']),
    })
    expect(await target.count({ prefix: 'row/' })).toBe(100)
  })

  it('is named by the comparison, and not awaited as a change of the source', async () => {
    const { source: own, target, clusters } = sides()
    await own.put('awaited/1', '1')
    const source = new EtcdClient({ endpoints: clusters[0]?.endpoints ?? [], timeoutMs: TIMEOUT_MS })
    onTestFinished(() => source.close())
    const run = new TestRun({ source, target }, { prefix: 'awaited/', follow: true, timeoutMs: 3_000 })
    await run.reached('caught-up')
    await target.put('awaited/theirs', '1')
    // A watch of etcd does not say how far it is.
    await own.put('elsewhere', '1')
    expect(await run.end()).toMatchObject({ differences: [{ difference: 'extra', isForeign: true }] })
  })

  it('is kept when it is in the way of a copy that continues', async () => {
    const { source, target } = sides()
    for (const [name, compacts, isCopied] of [
      ['copy-a/', false, false],
      ['copy-b/', true, false],
      ['copy-c/', false, true],
    ] as const) {
      await putMany(source, name, 200)
      const first = new TestRun(sides(), { prefix: name, crashAt: crashAfter(127) })
      await expect(first.result).rejects.toThrow()
      const key = (await keysByRevision(source, name)).at(isCopied ? 0 : -1) ?? ''
      await target.put(key, 'theirs')
      if (compacts) await compactAll(source)
      for (let runs = 0; runs < 2; runs++)
        await expect(new TestRun(sides(), { prefix: name }).result).rejects.toThrow(REFUSED)
      expect((await target.get(key))?.text()).toBe('theirs')
    }
  })

  it('is no part of a migration that was finished', async () => {
    const { source, target } = sides()
    await putMany(source, 'finished/', 5)
    const result = await new TestRun(sides(), { prefix: 'finished/', finish: true }).result
    expect(result).toMatchObject({ ...SAME, isFinished: true })
    await source.put('finished/1', 'late')
    await expect(new TestRun(sides(), { prefix: 'finished/' }).result).rejects.toThrow(
      `was finished at revision ${result.revision} of the source`,
    )
    expect((await target.get('finished/1'))?.text()).not.toBe('late')
  })

  it('does not let a migration be finished', async () => {
    const { source, target } = sides()
    await putMany(source, 'unfinished/', 5)
    const run = new TestRun(sides(), { prefix: 'unfinished/', follow: true, finish: true })
    await run.reached('following')
    await target.put('unfinished/x', '1')
    expect(await run.end()).toMatchObject({ different: 1, isFinished: false })
  })
})

describe('leases', () => {
  it('have their ids, live as long as in the source, and end with their keys', async () => {
    const { source, target } = sides()
    const { lease: id } = await source.session({ ttlMs: 4_000 })
    const renew = vi.spyOn(target, 'keepLeasesAlive')
    onTestFinished(() => renew.mockRestore())
    await source.put('lease/a', '1', { lease: id })
    const run = new TestRun(sides(), { prefix: 'lease/', follow: true })
    await run.reached('following')
    await source.put('lease/b', '2', { lease: id })
    await expect.poll(async () => (await target.get('lease/b'))?.lease).toBe(id)
    const before = renew.mock.calls.length
    await expect.poll(() => renew.mock.calls.length).toBeGreaterThan(before + 1)
    expect(await target.get('lease/a')).toMatchObject({ lease: id, version: 1 })
    await source.revokeLease(id)
    await expect.poll(() => target.get('lease/b')).toBeUndefined()
    expect(await run.end()).toMatchObject({ ...SAME, keys: 0 })
  })

  it('that end in the target alone are granted anew, with their keys', async () => {
    const { source, target } = sides()
    await using session = await source.session({ ttlMs: 10_000 })
    await session.put('lost/a', '1')
    await session.put('lost/b', '2')
    await session.put('beside-lost', '3')
    const run = new TestRun(sides(), { prefix: 'lost/', follow: true })
    await run.reached('following')
    await target.revokeLease(session.lease)
    await expect.poll(async () => (await target.get('lost/a'))?.lease).toBe(session.lease)
    // In the moment of a put.
    await target.revokeLease(session.lease)
    await session.put('lost/b', '3')
    await expect.poll(async () => (await target.get('lost/b'))?.text()).toBe('3')
    await expect.poll(async () => (await target.get('lost/a'))?.lease).toBe(session.lease)
    // Before the comparison.
    await target.revokeLease(session.lease)
    await expect(run.end()).resolves.toMatchObject({ ...SAME, keys: 2, leases: 1 })
    // While no migration runs.
    await target.revokeLease(session.lease)
    expect(await new TestRun(sides(), { prefix: 'lost/' }).result).toMatchObject({
      ...SAME,
      keys: 2,
      leases: 1,
    })
    expect(await target.get('beside-lost')).toBeUndefined()
  })

  it('are granted anew together, where keys of several are put at once', async () => {
    const { source, target } = sides()
    const leases = await Promise.all([1, 2, 3].map(() => source.grantLease({ ttlMs: 3_600_000 })))
    const putAll = (value: string) =>
      source.txn({
        success: leases.map(({ id }, at) => ({ put: { key: `together/${at}`, value, lease: id } })),
      })
    await putAll('1')
    const run = new TestRun(sides(), { prefix: 'together/', follow: true })
    await run.reached('caught-up')
    for (const { id } of leases.slice(1)) await target.revokeLease(id)
    await putAll('2')
    await expect.poll(async () => (await target.get('together/2'))?.text()).toBe('2')
    expect(await run.end()).toMatchObject({ ...SAME, keys: 3, leases: 3 })
  })

  it('that end during a copy take their keys along', async () => {
    const { source, target } = sides()
    const { id } = await source.grantLease({ ttlMs: 60_000 })
    await putMany(source, 'ended/', 200)
    for (let n = 0; n < 20; n++) await source.put(`ended/leased${n}`, '1', { lease: id })
    const first = new TestRun(sides(), { prefix: 'ended/', crashAt: crashAfter(205) })
    await expect(first.result).rejects.toThrow()
    await source.revokeLease(id)
    expect(await new TestRun(sides(), { prefix: 'ended/' }).result).toMatchObject({ ...SAME, keys: 200 })
    expect(await target.count({ prefix: 'ended/leased' })).toBe(0)
  })

  const createOrder = async (client: Client, prefix: string): Promise<string[]> => {
    const found: { key: string; createRevision: number }[] = []
    for await (const record of client.list({ prefix })) found.push(record)
    expect(new Set(found.map(({ createRevision }) => createRevision)).size).toBe(found.length)
    return found.sort((a, b) => a.createRevision - b.createRevision).map(({ key }) => key)
  }

  it('keep the order of their keys, on which locks rely', async () => {
    const { source, target } = sides()
    const { id } = await source.grantLease({ ttlMs: 60_000 })
    const keys = ['queue-of/c', 'queue-of/a', 'queue-of/b']
    for (const key of keys) await source.put(key, '', { lease: id })
    // The leader is still the first one.
    await source.put('queue-of/c', 'proclaimed', { lease: id })
    expect(await new TestRun(sides(), { prefix: 'queue-of/' }).result).toMatchObject({ ...SAME, leases: 1 })
    expect(await createOrder(target, 'queue-of/')).toEqual(keys)
  })

  it('keep the order of their keys when all of them have ended in the target', async () => {
    const { source, target } = sides()
    const keys = ['again/c', 'again/a', 'again/b']
    const ids: string[] = []
    for (const key of keys) {
      const { id } = await source.grantLease({ ttlMs: 60_000 })
      await source.put(key, '', { lease: id })
      ids.push(id)
    }
    await new TestRun(sides(), { prefix: 'again/' }).result
    for (const id of ids) await target.revokeLease(id)
    expect(await new TestRun(sides(), { prefix: 'again/' }).result).toMatchObject({ ...SAME, leases: 3 })
    expect(await createOrder(target, 'again/')).toEqual(keys)
  })

  it('keep the order of their keys when the source has compacted what is needed', async () => {
    const { source, target } = sides()
    const { id } = await source.grantLease({ ttlMs: 60_000 })
    const put = (name: string) => source.put(`turns/${name}`, '', { lease: id })
    const recreate = async (name: string) => {
      await source.delete(`turns/${name}`)
      await put(name)
    }
    const compact = async () => {
      await source.compact(await source.put('elsewhere', '').then(({ revision }) => revision))
    }
    for (const name of ['z', 'a', 'y']) await put(name)
    await new TestRun(sides(), { prefix: 'turns/' }).result
    for (const name of ['x', 'b']) await put(name)
    // Its value and its lease are as before.
    await recreate('a')
    await compact()
    // It takes over, begins, deletes a key, and puts another one.
    let moves = 0
    const crashAt = ({ kind }: { kind: string }) => kind === 'moved' && ++moves === 4
    const first = new TestRun(sides(), { prefix: 'turns/', crashAt })
    await expect(first.result).rejects.toMatchObject({ name: 'AbortError' })
    expect(first.has('compacted')).toBe(true)
    expect(await createOrder(target, 'turns/')).toEqual(['turns/z', 'turns/y', 'turns/x'])
    await recreate('x')
    await compact()
    expect(await new TestRun(sides(), { prefix: 'turns/' }).result).toMatchObject({ ...SAME, keys: 5 })
    const keys = ['z', 'y', 'b', 'a', 'x'].map((name) => `turns/${name}`)
    expect(await createOrder(source, 'turns/')).toEqual(keys)
    expect(await createOrder(target, 'turns/')).toEqual(keys)
  })

  it('that live for longer than ten years are shorter', async () => {
    const { source: own, clusters, target } = sides()
    const { id } = await own.grantLease({ ttlMs: 60_000 })
    await own.put('long/a', '1', { lease: id })
    const source = new LongLeaseClient({ endpoints: clusters[0]?.endpoints ?? [], timeoutMs: TIMEOUT_MS })
    onTestFinished(() => source.close())
    expect(await new TestRun({ source, target }, { prefix: 'long/' }).result).toMatchObject(SAME)
    expect(await target.lease(id)).toMatchObject({ grantedTtlMs: 3_650 * 24 * 3_600_000 })
  })

  it('that the source has lost without their keys are a difference', async () => {
    const { source: own, clusters, target } = sides()
    const { id } = await own.grantLease({ ttlMs: 60_000 })
    await own.put('orphan/a', '1', { lease: id })
    await own.put('orphan/b', '1')
    const source = new LeaselessClient({ endpoints: clusters[0]?.endpoints ?? [], timeoutMs: TIMEOUT_MS })
    onTestFinished(() => source.close())
    expect(await new TestRun({ source, target }, { prefix: 'orphan/' }).result).toMatchObject({
      keys: 2,
      differences: [{ key: new Uint8Array(Buffer.from('orphan/a')), difference: 'missing' }],
    })
  })

  it('have their keys again when a run has ended before it put them', async () => {
    const { source, target } = sides()
    const { id } = await source.grantLease({ ttlMs: 60_000 })
    for (const name of ['a', 'b']) await source.put(`half/${name}`, '', { lease: id })
    await new TestRun(sides(), { prefix: 'half/' }).result
    await target.revokeLease(id)
    await target.grantLease({ id, ttlMs: 60_000 })
    await target.put('half/b', '', { lease: id })
    expect(await new TestRun(sides(), { prefix: 'half/' }).result).toMatchObject({ ...SAME, keys: 2 })
  })
})

describe('limits of the target', () => {
  const limits = (settings: Record<string, unknown>) => ({ limits: new TargetLimits(settings) })

  it('are checked before the first key is copied', async () => {
    const { source, target } = sides()
    await source.put('limits/a', 'x'.repeat(2_000))
    await source.put(`limits/${'k'.repeat(100)}`, '1')
    const settings = { key_bytes_max: 50, value_bytes_max: 1_000, store_bytes_max: 2_000 }
    await expect(
      new TestRun(sides(), { prefix: 'limits/', ...limits(settings) }).result,
    ).rejects.toMatchObject({
      message: expect.stringContaining('nothing was copied'),
      details: [
        expect.stringContaining(
          'limits/a has 2000 bytes: value_bytes_max of the target is 1000; raise it with',
        ),
        expect.stringContaining('107 bytes: key_bytes_max of the target is 50'),
        expect.stringContaining('store_bytes_max'),
      ],
    })
    expect(await target.get(positionKey('limits/'))).toBeUndefined()
  })

  it('say that no setting allows it', async () => {
    const { source } = sides()
    await source.put('never/a', '1')
    const over = limits({ key_bytes_max: 2, value_bytes_max: 1_000 })
    await expect(new TestRun(sides(), { prefix: 'never/', ...over }).result).rejects.toMatchObject({
      details: [expect.stringContaining('raise it')],
    })
    const record = {
      keyBytes: Buffer.alloc(5_000, 'k'),
      value: Buffer.alloc(0),
      lease: undefined,
      createRevision: 1,
      modRevision: 1,
      version: 1,
      bytes: 5_000,
    }
    const negative = new TargetLimits().findFault({ ...record, lease: '-7' })
    expect(negative).toMatch(/^the lease of k+… has the id -7: quorate has positive ids only$/)
    const fault = new TargetLimits({ key_bytes_max: 4_096 }).findFault(record)
    expect(fault).toMatch(/^the key k{200}… has 5000 bytes: .* and can be 4096 at most$/)
  })

  it('of etcd are tried with the largest record', async () => {
    const { source } = sides()
    await source.put('largest/a', 'x'.repeat(2_000))
    const target = new RefusingClient({
      endpoints: sides().clusters[1]?.endpoints ?? [],
      timeoutMs: TIMEOUT_MS,
    })
    onTestFinished(() => target.close())
    await expect(new TestRun({ source, target }, { prefix: 'largest/' }).result).rejects.toThrow(
      /^nothing was copied: largest\/a has 2009 bytes with its value, which the target refuses \(too large\)/,
    )
    expect(await target.get(positionKey('largest/'))).toBeUndefined()
  })

  it.each([
    ['is replaced', (source: Client) => source.put('later/a', '2'), 2],
    ['is deleted', (source: Client) => source.delete('later/a'), 1],
  ])('stop following before the revision that has too much, until it %s', async (_, replace, keys) => {
    const { source, target } = sides()
    await source.put('later/a', '1')
    const over = limits({ value_bytes_max: 1_000 })
    const run = new TestRun(sides(), { prefix: 'later/', follow: true, ...over })
    await run.reached('following')
    await source.put('later/b', '1')
    const { revision } = await source.put('later/a', 'x'.repeat(2_000))
    await expect(run.result).rejects.toThrow(`revision ${revision} of the source: the value of later/a`)
    expect((await target.get('later/a'))?.text()).toBe('1')
    // The source has replaced it: the target need not have it.
    await replace(source)
    expect(await new TestRun(sides(), { prefix: 'later/', ...over }).result).toMatchObject({ ...SAME, keys })
    await source.deleteRange({ prefix: 'later/' })
    await new TestRun(sides(), { prefix: 'later/', finish: true }).result
    await target.delete(positionKey('later/'))
  })
})
