// The time of a change and its user, in the rows of versions and of deletions. People read them, and nothing else does.

import { describe, expect, test } from 'vitest'
import { applySteps } from '../../src/kv/apply.ts'
import { decodeVersion, readDeletion, tombstoneKey, versionKey } from '../../src/kv/codec/rows.ts'
import { runSteps } from '../../src/kv/steps.ts'
import { type Command, type Request, SYSTEM_PRINCIPAL } from '../../src/kv/types.ts'
import type { LeaseId } from '../../src/operations/forms/index.ts'
import { ask, batchOf, deleteOf, hex, MemoryStore, putOf, rev, utf8 } from './store.ts'

const NOON = Date.UTC(2026, 10, 29, 12)
const KEYS = { tokenKey: utf8('the key of tokens'), leaseIdKey: utf8('of 16 bytes, yes') }
const auth = (change: Extract<Command, { kind: 'auth' }>['change']): Command => ({
  ...{ kind: 'auth', change, ifRevision: undefined },
})

/** Rights are checked, and bob may do everything. */
function storeOfBob(clusterVersion = 2): MemoryStore {
  const store = new MemoryStore({ clusterVersion })
  for (const name of ['root', 'bob'])
    store.apply(ask(auth({ kind: 'put-user', name, passwordHash: 'h', roles: ['root'] })))
  store.apply(ask(auth({ kind: 'enable', ...KEYS, rootHasCertificate: false })))
  return store
}

const byBob = (store: MemoryStore, command: Command, timeMs?: number): Request => ({
  ...{ ...ask(command), principal: 'bob', authRevision: store.state.auth.revision, madeAt: 3 },
  ...(timeMs === undefined ? {} : { timeMs }),
})

const rowOf = (store: MemoryStore, rowKey: Uint8Array): string =>
  hex(store.rows.get(hex(rowKey)) ?? new Uint8Array())
const get = (store: MemoryStore) => (rowKey: Uint8Array) => store.rows.get(hex(rowKey))
const deletion = (store: MemoryStore, key: string, revision: number) =>
  readDeletion(utf8(key), rev(revision), get(store))
const written = (store: MemoryStore, key: string, revision: number) => {
  const name = { key: utf8(key), revision: rev(revision), isTombstone: false }
  return decodeVersion(name, get(store)(versionKey(name.key, name.revision)) ?? new Uint8Array())
}

test('rows keep their bytes', () => {
  const store = storeOfBob()
  store.apply(byBob(store, putOf('k', 'v'), 0x01_02_03_04_05_06))
  store.apply(byBob(store, deleteOf('k'), 0x01_02_03_04_05_07))
  store.apply({ ...ask(auth({ kind: 'disable' })), ...byBob(store, auth({ kind: 'disable' })) })
  store.apply({ ...ask(putOf('k', 'v')), timeMs: 7 })
  store.apply({ ...ask(deleteOf('k')), timeMs: 8 })
  store.apply(ask(putOf('k', 'v')))
  store.apply(ask(deleteOf('k')))
  const version = (revision: number) => rowOf(store, versionKey(utf8('k'), rev(revision)))
  const tombstone = (revision: number) => rowOf(store, tombstoneKey(utf8('k'), rev(revision)))
  expect([version(2), tombstone(3)]).toEqual([
    '0c00000000000000020000000000000001' + '010203040506' + '03626f62' + '76',
    '0d' + '010203040507' + '03626f62',
  ])
  expect([version(4), tombstone(5)]).toEqual([
    '0800000000000000040000000000000001' + '000000000007' + '76',
    '09' + '000000000008',
  ])
  expect([version(6), tombstone(7)]).toEqual(['0000000000000000060000000000000001' + '76', '01'])
})

test('before cluster version 2 a deletion names nobody, whoever makes it', () => {
  const store = storeOfBob(1)
  store.apply(byBob(store, putOf('k', 'v')))
  store.apply(byBob(store, deleteOf('k')))
  expect(written(store, 'k', 2)).toMatchObject({ by: 'bob' })
  expect(rowOf(store, tombstoneKey(utf8('k'), rev(3)))).toBe('01')
  expect(deletion(store, 'k', 3)).toEqual({})
  store.apply(byBob(store, { kind: 'settings', settings: { clusterVersion: 2 } }))
  store.apply(byBob(store, putOf('k', 'v')))
  store.apply(byBob(store, deleteOf('k')))
  // Its entry was proposed before the node knew of the new version.
  expect(deletion(store, 'k', 6)).toEqual({ by: 'bob' })
})

const lease = '7' as LeaseId
const leased = { ...putOf('b', 'v'), lease: { id: lease } }
const range = { start: utf8('a'), end: utf8('c') }

describe('each kind of command that writes versions', () => {
  const origin = { by: 'bob', timeMs: NOON }
  const applied = (command: Command, request: Partial<Request> = {}) => {
    const store = storeOfBob()
    store.apply(byBob(store, { kind: 'grant', id: lease, ttlMs: 1000 }), 1)
    store.apply(byBob(store, batchOf(putOf('a', 'v'), leased), NOON - 1), 1)
    const before = store.state.revision
    const outcome = store.apply({ ...byBob(store, command, NOON), ...request }, 2000).outcome
    expect(outcome.kind).not.toBe('refused')
    return { store, at: before + 1 }
  }

  test('a put and a delete', () => {
    const put = applied(putOf('a', 'w'))
    expect(written(put.store, 'a', put.at)).toMatchObject(origin)
    const gone = applied(deleteOf('a'))
    expect(deletion(gone.store, 'a', gone.at)).toEqual(origin)
  })

  test('a batch', () => {
    const { store, at } = applied(batchOf(putOf('a', 'w'), deleteOf('b')))
    expect([written(store, 'a', at), deletion(store, 'b', at + 1)]).toMatchObject([origin, origin])
  })

  test('a delete of a range', () => {
    const { store, at } = applied({ kind: 'delete-range', range })
    expect([deletion(store, 'a', at), deletion(store, 'b', at)]).toEqual([origin, origin])
  })

  test('a transaction', () => {
    const success = [putOf('c', 'w'), { kind: 'delete', where: range, prev: false }] as const
    const { store, at } = applied({ kind: 'txn', txn: { compare: [], success, failure: [] } })
    expect([written(store, 'c', at), deletion(store, 'a', at)]).toMatchObject([origin, origin])
  })

  test('the end of a lease, which is revoked by a user or has expired', () => {
    const revoked = applied({ kind: 'revoke', id: lease })
    expect(deletion(revoked.store, 'b', revoked.at)).toEqual(origin)
    const deadlineMs = 6001
    const expire = { kind: 'expire', leases: [{ id: lease, deadlineMs }] } as const
    const { store, at } = applied(expire, {
      principal: SYSTEM_PRINCIPAL,
      authRevision: undefined,
      madeAt: undefined,
    })
    expect(deletion(store, 'b', at)).toEqual({ timeMs: NOON })
  })
})

test('no outcome and no register depends on the time', () => {
  const run = (times: readonly (number | undefined)[]) => {
    const store = storeOfBob()
    let next = 0
    const apply = (command: Command) => store.apply(byBob(store, command, times[next++]), next)
    const outcomes = [
      apply(putOf('k', 'v')).outcome,
      apply(deleteOf('k')).outcome,
      apply(batchOf(putOf('k', 'w'), putOf('l', ''))).outcome,
      apply({ kind: 'delete-range', range: { start: utf8(''), end: undefined } }).outcome,
    ]
    return { outcomes, state: store.state, records: store.list(undefined) }
  }
  const backwards = run([NOON, 5, 2 ** 48 - 1, 0])
  expect(run([undefined, undefined, undefined, undefined])).toEqual(backwards)
})

test('a copy of a request with another time is a repeat', () => {
  const store = storeOfBob()
  const token = { token: 't', since: undefined }
  const sent = { ...byBob(store, putOf('k', 'v'), 1), idempotency: token }
  const first = store.apply(sent)
  const again = store.apply({ ...sent, timeMs: NOON })
  expect([first.replayed, again.replayed, again.outcome]).toEqual([false, true, first.outcome])
  expect(written(store, 'k', 2)).toMatchObject({ timeMs: 1 })
})

test('history is forgotten with what says who deleted a key, and nothing is left of it', () => {
  const store = storeOfBob()
  const steps = (...args: Parameters<typeof applySteps>) => runSteps(applySteps(...args))
  for (let at = 0; at < 40; at++) {
    store.apply(byBob(store, putOf('k', 'v'), NOON + at), 1, at % 2 === 0 ? steps : undefined)
    store.apply(byBob(store, deleteOf('k'), NOON + at), 1)
  }
  const versions = () => [...store.rows].filter(([name]) => name.startsWith('41'))
  expect(versions()).toHaveLength(80)
  store.apply(byBob(store, putOf('other', 'v'), NOON))
  store.apply(byBob(store, { kind: 'compact', revision: store.state.revision }))
  for (let at = 0; at < 20; at++) store.apply(byBob(store, { kind: 'compact', revision: undefined }))
  // The row of events with the compacted revision stays, and what it deleted.
  expect(versions().length).toBeLessThan(20)
  for (const [, row] of versions()) expect(row.length).toBeGreaterThan(1)
})
