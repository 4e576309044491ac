import { describe, expect, test } from 'vitest'
import type { KvSettings, LeaseId } from '../../src/operations/forms/index.ts'
import { CLUSTER_VERSION } from '../../src/operations/forms/settings.ts'
import { ask, deleteOf, MemoryStore, putOf, utf8 } from './store.ts'

describe('revisions', () => {
  test('an empty store has revision 1, each change raises it by one', () => {
    const store = new MemoryStore()
    expect(store.state.revision).toBe(1)
    expect(store.apply(ask(putOf('a', '1'))).outcome).toEqual({
      kind: 'put',
      revision: 2,
      createRevision: 2,
      modRevision: 2,
      version: 1,
      prev: undefined,
    })
    expect(store.apply(ask(putOf('b', '1'))).outcome).toMatchObject({
      revision: 3,
      createRevision: 3,
      version: 1,
    })
    expect(store.apply(ask(putOf('a', '1'))).outcome).toMatchObject({
      revision: 4,
      createRevision: 2,
      modRevision: 4,
      version: 2,
    })
    expect(store.apply(ask(deleteOf('a'))).outcome).toEqual({
      kind: 'delete',
      deleted: 1,
      revision: 5,
      prev: undefined,
    })
    expect(store.state).toMatchObject({ revision: 5, keys: 1, storeBytes: 2 })
  })

  test('a delete of nothing changes nothing', () => {
    const store = new MemoryStore()
    const applied = store.apply(ask(deleteOf('a')))
    expect(applied.outcome).toEqual({ kind: 'delete', deleted: 0, revision: 1, prev: undefined })
    expect(applied.changes).toEqual([])
    expect(store.state.revision).toBe(1)
  })

  test('a version restarts after a delete', () => {
    const store = new MemoryStore()
    for (const command of [putOf('a', '1'), putOf('a', '2'), deleteOf('a'), putOf('a', '3')])
      store.apply(ask(command))
    expect(store.get('a')).toEqual({
      key: utf8('a'),
      value: utf8('3'),
      createRevision: 5,
      lease: undefined,
      modRevision: 5,
      version: 1,
    })
  })
})

describe('a put that keeps parts of its key', () => {
  const LEASE = '7' as LeaseId
  const store = (settings?: Partial<KvSettings>) => {
    const made = new MemoryStore(settings)
    made.apply(ask({ kind: 'grant', id: LEASE, ttlMs: 5000 }))
    made.apply(ask({ ...putOf('k', 'value'), lease: { id: LEASE } }))
    return made
  }

  test('has a new version, with the value or the lease that the key had', () => {
    const kept = store()
    expect(kept.apply(ask({ ...putOf('k', 'new'), keepsLease: true })).outcome).toMatchObject({ version: 2 })
    expect(kept.get('k')).toMatchObject({ value: utf8('new'), lease: LEASE, modRevision: 3 })
    expect(kept.apply(ask({ ...putOf('k', ''), keepsValue: true })).outcome).toMatchObject({ version: 3 })
    expect(kept.get('k')).toMatchObject({ value: utf8('new'), lease: undefined, modRevision: 4 })
    expect(kept.state.storeBytes).toBe(4)
    kept.apply(ask({ ...putOf('k', ''), keepsValue: true, keepsLease: true }))
    expect(kept.get('k')).toMatchObject({ value: utf8('new'), lease: undefined, version: 4 })
  })

  test('keeps a lease of its own, which ends when it would have ended', () => {
    const kept = new MemoryStore()
    kept.apply(ask({ ...putOf('k', '1'), lease: { ttlMs: 5000 } }), 1000)
    const before = kept.get('k')?.lease
    kept.apply(ask({ ...putOf('k', '2'), keepsLease: true }), 2000)
    expect(kept.get('k')).toMatchObject({ value: utf8('2'), lease: before })
    expect(kept.state.leases.count).toBe(1)
  })

  test('is refused without a key to keep it of, and changes nothing', () => {
    const empty = new MemoryStore()
    for (const kept of [{ keepsValue: true }, { keepsLease: true }] as const) {
      expect(empty.apply(ask({ ...putOf('k', ''), ...kept })).outcome).toMatchObject({
        reason: 'no-such-key',
      })
      const named = { ...putOf('k', ''), keepsValue: true, lease: { id: LEASE } } as const
      expect(empty.apply(ask(named)).outcome).toMatchObject({ reason: 'lease-not-found' })
    }
    expect(empty.state).toMatchObject({ revision: 1, keys: 0 })
  })

  test('may keep a value that is longer than new ones may be, in a store that is full', () => {
    const kept = store()
    kept.apply(ask({ kind: 'settings', settings: { valueBytesMax: 2, storeBytesMax: 1 } }))
    expect(kept.apply(ask({ ...putOf('k', ''), keepsValue: true })).outcome).toMatchObject({ version: 2 })
    expect(kept.get('k')?.value).toEqual(utf8('value'))
  })
})

describe('limits', () => {
  test('a key that is longer than the current limit can still be deleted', () => {
    const store = new MemoryStore({ keyBytesMax: 4 })
    store.apply(ask(putOf('abcd', '1')))
    store.apply(ask({ kind: 'settings', settings: { keyBytesMax: 3 } }))
    expect(store.apply(ask(putOf('abcd', '2'))).outcome).toMatchObject({ code: 'key_too_long' })
    expect(store.apply(ask(deleteOf('abcd'))).outcome).toMatchObject({ kind: 'delete', deleted: 1 })
  })

  test('a full store refuses writes that make it larger; deletes and smaller values are accepted', () => {
    const store = new MemoryStore({ storeBytesMax: 10 })
    expect(store.apply(ask(putOf('a', '123456789'))).outcome).toMatchObject({ kind: 'put' })
    expect(store.apply(ask(putOf('b', ''))).outcome).toMatchObject({ kind: 'refused', code: 'storage_full' })
    store.apply(ask({ kind: 'settings', settings: { storeBytesMax: 5 } }))
    expect(store.apply(ask(putOf('a', '12345678'))).outcome).toMatchObject({ kind: 'put' })
    expect(store.apply(ask(putOf('a', '123456789'))).outcome).toMatchObject({ code: 'storage_full' })
    expect(store.apply(ask(deleteOf('a'))).outcome).toMatchObject({ deleted: 1 })
    expect(store.state.storeBytes).toBe(0)
  })
})

describe('settings', () => {
  test('the answer to a change has all settings; it raises the revision unless nothing changes', () => {
    const store = new MemoryStore()
    const change = ask({ kind: 'settings', settings: { keyBytesMax: 7, storeBytesMax: 9 } })
    const { outcome } = store.apply(change)
    expect(store.apply(change).outcome).toEqual(outcome)
    expect(store.state.revision).toBe(2)
    expect(outcome).toMatchObject({
      kind: 'settings',
      revision: 2,
      settings: { keyBytesMax: 7, valueBytesMax: 1.5 * 2 ** 20 },
    })
    expect(store.state.settings).toMatchObject({ keyBytesMax: 7, storeBytesMax: 9 })
  })

  test.each([
    { keyBytesMax: 0 },
    { valueBytesMax: 1.5 * 2 ** 20 + 1 },
    { idempotencyTokensMax: 0 },
    { clusterVersion: 0 },
  ])('%o is refused', (settings) => {
    const store = new MemoryStore()
    const before = store.state.settings
    expect(store.apply(ask({ kind: 'settings', settings })).outcome).toMatchObject({ code: 'bad_request' })
    expect(store.state.settings).toEqual(before)
  })

  test('a cluster version is raised, and never lowered', () => {
    const store = new MemoryStore({ clusterVersion: 1 })
    const set = (clusterVersion: number) =>
      store.apply(ask({ kind: 'settings', settings: { clusterVersion } }))
    expect(set(2).outcome).toMatchObject({ kind: 'settings', revision: 2 })
    expect(set(2).outcome).toMatchObject({ kind: 'settings', revision: 2 })
    expect(set(1).outcome).toMatchObject({ kind: 'refused', code: 'bad_request', numbers: [2, 1] })
    expect(store.state.settings.clusterVersion).toBe(2)
  })

  test('a cluster version from the future stops the node', () => {
    const store = new MemoryStore()
    expect(() =>
      store.apply(ask({ kind: 'settings', settings: { clusterVersion: CLUSTER_VERSION + 1 } })),
    ).toThrow(
      `cluster version ${CLUSTER_VERSION + 1} is not known to this version of quorate, which knows versions up to ${CLUSTER_VERSION}: a newer version wrote it, so use that version`,
    )
    expect(
      store.apply(ask({ kind: 'settings', settings: { clusterVersion: CLUSTER_VERSION } })).outcome.revision,
    ).toBe(1)
  })
})

test('cluster time never goes back', () => {
  const store = new MemoryStore()
  store.apply(ask(putOf('a', '')), 50)
  store.apply(ask(putOf('a', '')), 40)
  expect(store.state.clusterTimeMs).toBe(50)
})
