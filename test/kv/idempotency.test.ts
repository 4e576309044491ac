import { describe, expect, test } from 'vitest'
import { EVICTIONS_PER_ENTRY_MAX } from '../../src/kv/idempotency.ts'
import { type Command, TABLE_IDEMPOTENCY_TOKEN_ORDER, TABLE_IDEMPOTENCY_TOKENS } from '../../src/kv/types.ts'
import type { Idempotency } from '../../src/operations/forms/index.ts'
import { ask, batchOf, deleteOf, hex, MemoryStore, putOf, rev, utf8 } from './store.ts'

const token = (text: string, since?: number) => ({
  token: text,
  since: since === undefined ? undefined : rev(since),
})

/** The name of a row of tokens or of their order. */
const isOfTokens = (name: string): boolean => name.startsWith('02') || name.startsWith('03')

const REPEATED: readonly (readonly [string, Command, object])[] = [
  ['a put', putOf('k', 'new'), { kind: 'put', revision: 3, createRevision: 2, modRevision: 3, version: 2 }],
  ['a delete', deleteOf('k'), { kind: 'delete', deleted: 1, revision: 3 }],
  ['a delete of nothing', deleteOf('none'), { kind: 'delete', deleted: 0, revision: 2 }],
  [
    'a failed precondition',
    putOf('k', 'new', { ifMatch: [rev(9)] }),
    {
      kind: 'precondition-failed',
      revision: 2,
      current: { key: utf8('k'), createRevision: 2, modRevision: 2, version: 1 },
    },
  ],
  [
    'a failed precondition on a missing key',
    putOf('none', '', { ifMatch: 'any' }),
    { kind: 'precondition-failed', revision: 2, current: null },
  ],
  ['a refusal', putOf('k', '12345'), { kind: 'refused', code: 'value_too_large', revision: 2 }],
  [
    'a change of settings',
    { kind: 'settings', settings: { storeBytesMax: 1000 } },
    { kind: 'settings', revision: 3, settings: { storeBytesMax: 1000, valueBytesMax: 4 } },
  ],
  ['opening a session', { kind: 'open-session' }, { kind: 'session', session: 2 }],
  [
    'a batch',
    batchOf(putOf('k', 'new'), deleteOf('none'), putOf('k', '12345'), putOf('k', '', { ifMatch: [rev(9)] })),
    {
      kind: 'batch',
      revision: 3,
      outcomes: [
        { kind: 'put', modRevision: 3 },
        { kind: 'delete', deleted: 0 },
        { kind: 'refused', reason: 'value-too-large', numbers: [5, 4] },
        { kind: 'precondition-failed', current: { key: utf8('k'), modRevision: 3, version: 2 } },
      ],
    },
  ],
]

describe.each<[string, Idempotency]>([
  ['a token', { token: 't', since: undefined }],
  ['a slot of a session', { session: 1, slot: 3, seq: 7 }],
])('a repeat under %s', (_, name) => {
  test.each(REPEATED)('of %s gets the same outcome and changes nothing', (_what, command, expected) => {
    const store = new MemoryStore({ valueBytesMax: 4 })
    store.apply(ask({ kind: 'open-session' }))
    store.apply(ask(putOf('k', 'old')))
    const first = store.apply(ask(command, name))
    expect(first.outcome).toMatchObject(expected)
    expect(first.replayed).toBe(false)
    // A change in between must not affect the answer.
    store.apply(ask(putOf('k', 'else')))
    const { state } = store
    const repeat = store.apply(ask(command, name))
    expect(repeat).toEqual({ outcome: first.outcome, replayed: true, changes: [], state })
  })
})

test('a token never answers with a value', () => {
  const store = new MemoryStore()
  store.apply(ask(putOf('key', 'secret'), token('t')))
  const held = [...store.rows].filter(([key]) => key.startsWith('02') || key.startsWith('03'))
  expect(held).toHaveLength(2)
  for (const [, row] of held) expect(hex(row)).not.toContain(hex(utf8('secret')))
})

test.each<readonly [string, Command]>([
  ['another value', putOf('k', '2')],
  ['another key', putOf('l', '1')],
  ['another condition', putOf('k', '1', { ifNoneMatch: 'any' })],
  ['another method', deleteOf('k')],
])('the token of a request with %s is refused as reused', (_, command) => {
  const store = new MemoryStore()
  store.apply(ask(putOf('k', '1'), token('t')))
  const { outcome, replayed, changes } = store.apply(ask(command, token('t')))
  expect(outcome).toMatchObject({ kind: 'refused', code: 'idempotency_key_reused', revision: 2 })
  expect({ replayed, changes }).toEqual({ replayed: false, changes: [] })
  // The first outcome is still remembered.
  expect(store.apply(ask(putOf('k', '1'), token('t'))).replayed).toBe(true)
})

describe('forgetting', () => {
  const put = (store: MemoryStore, name: string, at = 0) => store.apply(ask(putOf(name, ''), token(name)), at)

  test('the oldest go when they take too many bytes', () => {
    const store = new MemoryStore({ idempotencyBytesMax: 4096 })
    for (let i = 0; i < 40; i++) {
      put(store, `${i}`.padStart(200, '.'))
      const held = [...store.rows].filter(([key]) => isOfTokens(key))
      const bytes = held.reduce((sum, [key, row]) => sum + key.length / 2 + row.length, 0)
      expect(store.state.idempotencyTokens).toMatchObject({ bytes, count: held.length / 2 })
      expect(bytes).toBeLessThanOrEqual(4096)
    }
    expect(store.state.idempotencyTokens.oldest).toBeGreaterThan(0)
  })

  test('they go by age with the next request, whatever it is, and not before', () => {
    const store = new MemoryStore({ idempotencyAgeMsMax: 1000 })
    put(store, 'a', 5000)
    put(store, 'b', 5500)
    expect(put(store, 'a', 6000).replayed).toBe(true)
    store.apply(ask(deleteOf('none')), 6001)
    expect(store.state.idempotencyTokens).toMatchObject({ count: 1, oldest: 1, oldestAtMs: 5500, horizon: 2 })
    expect(put(store, 'b', 6500).replayed).toBe(true)
    store.apply(ask(deleteOf('none')), 9000)
    expect(store.state.idempotencyTokens).toMatchObject({ count: 0, bytes: 0 })
    expect([...store.rows.keys()].filter(isOfTokens)).toEqual([])
  })

  test('the first one after all have gone is remembered for its whole age', () => {
    const store = new MemoryStore({ idempotencyAgeMsMax: 1000 })
    for (const name of ['a', 'b']) put(store, name, 0)
    for (const at of [5000, 20_000]) {
      store.apply(ask(deleteOf('none')), at)
      expect(store.state.idempotencyTokens.count).toBe(0)
      put(store, `from-${at}`, at + 500)
      store.apply(ask(deleteOf('none')), at + 1000)
      expect(put(store, `from-${at}`, at + 1500).replayed).toBe(true)
    }
  })

  test('one entry forgets a limited number, the next entries forget the rest', () => {
    const store = new MemoryStore({ idempotencyAgeMsMax: 1000 })
    for (let i = 0; i < EVICTIONS_PER_ENTRY_MAX + 10; i++) put(store, `t${i}`)
    store.apply(ask(deleteOf('none')), 5000)
    expect(store.state.idempotencyTokens.count).toBe(10)
    store.apply(ask(deleteOf('none')), 5000)
    expect(store.state.idempotencyTokens.count).toBe(0)
  })

  test('a token in use since before the horizon is refused as expired, never applied', () => {
    const store = new MemoryStore({ idempotencyTokensMax: 1 })
    store.apply(ask(putOf('a', '1'), token('a', 1)))
    store.apply(ask(putOf('b', '1'), token('b', 1)))
    expect(store.state.idempotencyTokens.horizon).toBe(2)
    const expired = store.apply(ask(putOf('a', '1'), token('a', 1)))
    expect(expired.outcome).toMatchObject({ kind: 'refused', code: 'idempotency_expired', revision: 3 })
    expect(expired.changes).toEqual([])
    // A remembered outcome is answered whatever its since. A token that is newer than the horizon is accepted as new.
    expect(store.apply(ask(putOf('b', '1'), token('b', 1))).replayed).toBe(true)
    expect(store.apply(ask(putOf('c', '1'), token('c', 3))).outcome.kind).toBe('put')
  })

  test('a request that changed nothing is not executed when it comes late, although its since is its revision', () => {
    const store = new MemoryStore({ idempotencyTokensMax: 1 })
    store.apply(ask(putOf('a', '1')))
    const creation = ask(putOf('a', 'late', { ifNoneMatch: 'any' }), token('t', 2))
    expect(store.apply(creation).outcome).toMatchObject({ kind: 'precondition-failed', revision: 2 })
    const other = ask(putOf('a', '', { ifNoneMatch: 'any' }), token('u', 2))
    expect(store.apply(other).outcome.kind).toBe('precondition-failed')
    expect(store.state.idempotencyTokens.horizon).toBe(2)
    store.apply(ask(deleteOf('a')))
    expect(store.apply(creation).outcome).toMatchObject({ code: 'idempotency_expired' })
    expect(store.get('a')).toBeUndefined()
  })

  test('a token as new as the store is fresh, whatever was forgotten at this revision', () => {
    const store = new MemoryStore({ idempotencyTokensMax: 1 })
    for (let i = 0; i < 5; i++)
      expect(store.apply(ask(deleteOf('none'), token(`${i}`, 1))).outcome).toMatchObject({ deleted: 0 })
    expect(store.state.idempotencyTokens.horizon).toBe(1)
    expect(store.apply(ask(putOf('a', '1'), token('new', 1))).outcome.kind).toBe('put')
  })

  test('a change of settings is not made twice, although it changes no key', () => {
    const store = new MemoryStore({ idempotencyTokensMax: 1 })
    const set = (storeBytesMax: number): Command => ({ kind: 'settings', settings: { storeBytesMax } })
    const first = ask(set(1), token('t', 1))
    store.apply(first)
    store.apply(ask(set(2), token('u', store.state.revision)))
    expect(store.apply(first).outcome).toMatchObject({ code: 'idempotency_expired' })
    expect(store.state.settings.storeBytesMax).toBe(2)
  })

  test('a since beyond the store is a mistake', () => {
    const store = new MemoryStore()
    const { outcome, changes } = store.apply(ask(putOf('a', '1'), token('t', 2)))
    expect(outcome).toMatchObject({ kind: 'refused', code: 'bad_request', revision: 1 })
    expect(changes.map(({ key }) => key[0])).toEqual([
      TABLE_IDEMPOTENCY_TOKENS,
      TABLE_IDEMPOTENCY_TOKEN_ORDER,
    ])
  })

  test('a since beyond the store is still a mistake when a copy comes late and the store has reached it', () => {
    const store = new MemoryStore()
    const ahead = ask(putOf('a', '1'), token('t', 3))
    const { outcome } = store.apply(ahead)
    store.apply(ask(putOf('b', '1')))
    store.apply(ask(putOf('b', '2')))
    expect(store.apply(ahead)).toMatchObject({ outcome, replayed: true, changes: [] })
    expect(store.get('a')).toBeUndefined()
  })
})
