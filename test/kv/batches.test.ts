// Batches: many changes in one entry, each as if it were an entry for itself.

import { describe, expect, test } from 'vitest'
import { decodeRequest } from '../../src/kv/codec/request.ts'
import type { KeyCommand, Outcome } from '../../src/kv/types.ts'
import { ask, batchOf, bodyOf, deleteOf, MemoryStore, putOf, rev, utf8 } from './store.ts'

function outcomesOf(store: MemoryStore, ...commands: readonly KeyCommand[]): readonly Outcome[] {
  const { outcome } = store.apply(ask(batchOf(...commands)))
  if (outcome.kind !== 'batch') throw new Error(`not a batch: ${outcome.kind}`)
  expect(outcome.revision).toBe(store.state.revision)
  return outcome.outcomes
}

test('each change has a revision and an outcome of its own, in the order of the commands', () => {
  const store = new MemoryStore()
  expect(outcomesOf(store, putOf('a', '1'), deleteOf('none'), putOf('b', '22'), deleteOf('a'))).toEqual([
    { kind: 'put', revision: 2, createRevision: 2, modRevision: 2, version: 1, prev: undefined },
    { kind: 'delete', deleted: 0, revision: 2, prev: undefined },
    { kind: 'put', revision: 3, createRevision: 3, modRevision: 3, version: 1, prev: undefined },
    { kind: 'delete', deleted: 1, revision: 4, prev: undefined },
  ])
  expect(store.state).toMatchObject({ revision: 4, keys: 1, storeBytes: 3 })
  expect(store.get('b')).toMatchObject({ value: utf8('22'), modRevision: 3 })
})

describe('a command sees what the commands before it have done', () => {
  test('to its key: put, put, delete, put', () => {
    const store = new MemoryStore()
    const [, second, , last] = outcomesOf(
      store,
      putOf('k', '1'),
      putOf('k', '22'),
      deleteOf('k'),
      putOf('k', '333'),
    )
    expect(second).toMatchObject({ createRevision: 2, modRevision: 3, version: 2 })
    expect(last).toMatchObject({ createRevision: 5, modRevision: 5, version: 1 })
    expect(store.get('k')).toMatchObject({ value: utf8('333'), version: 1 })
    expect(store.state).toMatchObject({ keys: 1, storeBytes: 4 })
  })

  test('in its conditions', () => {
    const store = new MemoryStore()
    const kinds = outcomesOf(
      store,
      putOf('k', '1', { ifNoneMatch: 'any' }),
      putOf('k', '2', { ifNoneMatch: 'any' }),
      putOf('k', '3', { ifMatch: [rev(2)] }),
      deleteOf('k', { ifMatch: [rev(2)] }),
      deleteOf('k', { ifMatch: [rev(3)] }),
      deleteOf('k', { ifMatch: 'any' }),
    ).map(({ kind }) => kind)
    expect(kinds).toEqual([
      'put',
      'precondition-failed',
      'put',
      'precondition-failed',
      'delete',
      'precondition-failed',
    ])
  })

  test('to the size of the store; what is refused does not stop the others', () => {
    const store = new MemoryStore({ storeBytesMax: 10, keyBytesMax: 3 })
    const outcomes = outcomesOf(
      store,
      putOf('a', '12345678'),
      putOf('b', '12'),
      deleteOf('a'),
      putOf('b', '12'),
      putOf('long', ''),
      putOf('', ''),
      putOf('c', ''),
    )
    expect(outcomes.map((outcome) => (outcome.kind === 'refused' ? outcome.reason : outcome.kind))).toEqual([
      ...['put', 'store-full', 'delete', 'put', 'key-too-long', 'empty-key', 'put'],
    ])
    expect(store.state).toMatchObject({ revision: 5, keys: 2, storeBytes: 4 })
  })
})

test('a batch without commands changes nothing', () => {
  const store = new MemoryStore()
  const { outcome, changes } = store.apply(ask(batchOf()))
  expect(outcome).toEqual({ kind: 'batch', revision: 1, outcomes: [] })
  expect(changes).toEqual([])
})

test('65 535 commands are the most that a batch has room for', () => {
  const of = (count: number) => ask(batchOf(...Array.from({ length: count }, () => deleteOf('k'))))
  expect(decodeRequest(19, 1, bodyOf(of(65_535))).command).toMatchObject({ commands: { length: 65_535 } })
  expect(() => bodyOf(of(65_536))).toThrow(RangeError)
})

describe('under a token', () => {
  const token = (text: string, since?: number) => ({
    token: text,
    since: since === undefined ? undefined : rev(since),
  })
  const batch = batchOf(putOf('k', '1', { ifNoneMatch: 'any' }), deleteOf('none'), putOf('k', '2'))

  test('a repeat gets the same outcomes and changes nothing', () => {
    const store = new MemoryStore()
    const { outcome } = store.apply(ask(batch, token('t', 1)))
    store.apply(ask(deleteOf('k')))
    const { state } = store
    expect(store.apply(ask(batch, token('t', 1)))).toEqual({ outcome, replayed: true, changes: [], state })
  })

  test.each([
    ['fewer commands', batchOf(putOf('k', '1', { ifNoneMatch: 'any' }), deleteOf('none'))],
    ['another order', batchOf(deleteOf('none'), putOf('k', '1', { ifNoneMatch: 'any' }), putOf('k', '2'))],
    ['no batch', putOf('k', '1', { ifNoneMatch: 'any' })],
  ])('another request is refused: %s', (_, other) => {
    const store = new MemoryStore()
    store.apply(ask(batch, token('t', 1)))
    expect(store.apply(ask(other, token('t', 1)))).toMatchObject({
      outcome: { reason: 'token-reused' },
      changes: [],
    })
  })

  test('once it is forgotten, a late copy is refused: the horizon is its last revision', () => {
    const store = new MemoryStore({ idempotencyTokensMax: 1 })
    store.apply(ask(batch, token('t', 1)))
    store.apply(ask(putOf('l', ''), token('u', 3)))
    expect(store.state.idempotencyTokens.horizon).toBe(3)
    expect(store.apply(ask(batch, token('t', 1))).outcome).toMatchObject({ reason: 'token-expired' })
    expect(store.state.idempotencyTokens.bytes).toBe(
      [...store.rows]
        .filter(([key]) => key.startsWith('02') || key.startsWith('03'))
        .reduce((sum, [key, row]) => sum + key.length / 2 + row.length, 0),
    )
  })

  test('a since beyond the store refuses all of it, also when a copy comes late', () => {
    const store = new MemoryStore()
    const ahead = ask(batch, token('t', 9))
    const { outcome } = store.apply(ahead)
    expect(outcome).toMatchObject({ kind: 'refused', reason: 'since-ahead' })
    for (let count = 0; count < 9; count++) store.apply(ask(putOf('l', '')))
    expect(store.apply(ahead)).toMatchObject({ outcome, replayed: true, changes: [] })
  })
})
