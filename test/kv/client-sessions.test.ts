// Sessions: a change is known by session, slot and number, and is applied at most once.

import { describe, expect, test } from 'vitest'
import { CLIENT_SESSIONS_MAX, STEPS_OF_DELETION, STEPS_PER_ENTRY } from '../../src/kv/client-sessions.ts'
import { decodeRequest } from '../../src/kv/codec/request.ts'
import { MissingRowError } from '../../src/kv/errors.ts'
import type { SessionSlot } from '../../src/operations/forms/index.ts'
import { SESSION_SLOTS_MAX } from '../../src/operations/forms/index.ts'
import { ask, batchOf, bodyOf, deleteOf, hex, MemoryStore, putOf, rev, utf8 } from './store.ts'

const OPEN = ask({ kind: 'open-session' })
const inSlot = (slot: number, seq: number, session = 1): SessionSlot => ({ session, slot, seq })

/** A store with one open session. */
function opened(settings?: ConstructorParameters<typeof MemoryStore>[0]): MemoryStore {
  const store = new MemoryStore(settings)
  store.apply(OPEN)
  return store
}

const rowsOf = (store: MemoryStore, table: '04' | '05') =>
  [...store.rows].filter(([key]) => key.startsWith(table))
const slotBytes = (store: MemoryStore) =>
  rowsOf(store, '05').reduce((sum, [key, row]) => sum + key.length / 2 + row.length, 0)

test('sessions are numbered from 1, and opening one changes no key', () => {
  const store = new MemoryStore({ idempotencyAgeMsMax: 1234 })
  expect(store.apply(OPEN).outcome).toEqual({ kind: 'session', revision: 1, session: 1, ageMsMax: 1234 })
  expect(store.apply(OPEN).outcome).toMatchObject({ session: 2 })
  expect(store.state).toMatchObject({ revision: 1, keys: 0, clientSessions: { next: 3, horizon: 1 } })
})

test('a session that is opened under a token is opened once', () => {
  const store = new MemoryStore()
  const open = ask(OPEN.command, { token: 't', since: undefined })
  const { outcome } = store.apply(open)
  store.apply(OPEN)
  expect(store.apply(open)).toMatchObject({ outcome, replayed: true, changes: [] })
  expect(store.state.clientSessions.next).toBe(3)
})

test('the token of a session that was opened is refused for any other request', () => {
  const store = new MemoryStore()
  const token = { token: 't', since: undefined }
  store.apply(ask(OPEN.command, token))
  for (const other of [{ kind: 'settings', settings: {} } as const, batchOf(), deleteOf('')])
    expect(store.apply(ask(other, token)).outcome).toMatchObject({ reason: 'token-reused' })
})

test('a late copy of opening one, at the newest revision, may open another; nothing else changes', () => {
  const store = new MemoryStore({ idempotencyTokensMax: 1 })
  const open = ask(OPEN.command, { token: 't', since: rev(1) })
  store.apply(open)
  store.apply(ask(deleteOf('none'), { token: 'u', since: rev(1) }))
  expect(store.apply(open)).toMatchObject({ outcome: { session: 2, revision: 1 }, replayed: false })
  expect(store.state).toMatchObject({ revision: 1, keys: 0 })
  store.apply(ask(putOf('k', '')))
  expect(store.apply(ask(OPEN.command, { token: 'v', since: rev(1) })).outcome).toMatchObject({
    reason: 'token-expired',
  })
})

describe('a repeat', () => {
  test('with another request is refused as reused, and the first one stays known', () => {
    const store = opened()
    const first = ask(putOf('k', '1'), inSlot(0, 1))
    store.apply(first)
    for (const other of [putOf('k', '2'), putOf('l', '1'), deleteOf('k'), batchOf(putOf('k', '1'))]) {
      const applied = store.apply(ask(other, inSlot(0, 1)))
      expect(applied).toMatchObject({ outcome: { reason: 'token-reused' }, replayed: false, changes: [] })
    }
    // It is the same request, whoever makes it.
    expect(store.apply({ ...first, principal: 'another' }).replayed).toBe(true)
    expect(store.apply(first).replayed).toBe(true)
  })

  test('never answers with a value or a key', () => {
    const store = opened()
    store.apply(ask(putOf('key', 'secret'), inSlot(0, 1)))
    for (const [, row] of rowsOf(store, '05')) expect(hex(row)).not.toMatch(hex(utf8('secret')))
    expect(store.apply(ask(putOf('key', 'x', undefined, true), inSlot(0, 2)))).toMatchObject({
      outcome: { reason: 'prev-with-token' },
      changes: [],
    })
    // That refusal is not remembered, as it does not depend on the store.
    expect(store.apply(ask(putOf('key', 'x'), inSlot(0, 2))).outcome.kind).toBe('put')
  })
})

describe('numbers', () => {
  test('may have gaps; a lower one is refused and never applied', () => {
    const store = opened()
    expect(store.apply(ask(putOf('a', '1'), inSlot(0, 5))).outcome.kind).toBe('put')
    expect(store.apply(ask(putOf('a', '2'), inSlot(0, 9))).outcome.kind).toBe('put')
    for (const seq of [0, 1, 5, 8])
      expect(store.apply(ask(putOf('a', 'late'), inSlot(0, seq)))).toMatchObject({
        outcome: { kind: 'refused', code: 'idempotency_expired', reason: 'seq-passed', numbers: [0, 9] },
        replayed: false,
        changes: [],
      })
    expect(store.get('a')).toMatchObject({ value: utf8('2') })
  })

  test('of one slot say nothing about another, nor about another session', () => {
    const store = opened()
    store.apply(OPEN)
    store.apply(ask(putOf('a', ''), inSlot(0, 9)))
    for (const slot of [inSlot(1, 1), inSlot(0, 1, 2), inSlot(255, 1)])
      expect(store.apply(ask(putOf('b', ''), slot)).outcome.kind).toBe('put')
    expect(rowsOf(store, '05')).toHaveLength(4)
  })

  test('go from 0 to below 2^48', () => {
    const store = opened()
    for (const seq of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 48 - 1]) {
      const request = ask(putOf('a', `${seq}`), inSlot(0, seq))
      expect(decodeRequest(16, 1, bodyOf(request))).toEqual(request)
      expect(store.apply(request)).toMatchObject({ outcome: { kind: 'put' }, replayed: false })
      expect(store.apply(request).replayed).toBe(true)
    }
    for (const seq of [2 ** 48, -1, 0.5])
      expect(() => bodyOf(ask(putOf('a', ''), inSlot(0, seq)))).toThrow(RangeError)
  })

  test('a slot beyond the last is refused', () => {
    const store = opened()
    expect(store.apply(ask(putOf('a', ''), inSlot(SESSION_SLOTS_MAX, 1)))).toMatchObject({
      outcome: { reason: 'slot-out-of-range', numbers: [SESSION_SLOTS_MAX, SESSION_SLOTS_MAX - 1] },
      changes: [],
    })
    expect(store.apply(ask(putOf('a', ''), inSlot(SESSION_SLOTS_MAX - 1, 1))).outcome.kind).toBe('put')
    expect(() => bodyOf(ask(putOf('a', ''), inSlot(2 ** 16, 1)))).toThrow(RangeError)
  })
})

test.each([0, 2, 3, 2 ** 53 - 1])('session %d, which is not open, is refused', (session) => {
  const store = opened()
  expect(store.apply(ask(putOf('a', ''), inSlot(0, 1, session)))).toMatchObject({
    outcome: { code: 'idempotency_expired', reason: 'session-expired', numbers: [session, 0] },
    changes: [],
  })
})

describe('forgetting', () => {
  const put = (store: MemoryStore, slot: SessionSlot, at = 0) =>
    store.apply(ask(putOf('k', ''), slot), at).outcome
  const tick = (store: MemoryStore, at: number) => void store.apply(ask(deleteOf('none')), at)

  test('after its age, not at it, however much the session is used', () => {
    const store = new MemoryStore({ idempotencyAgeMsMax: 1000 })
    store.apply(OPEN, 100)
    expect(put(store, inSlot(0, 1), 1100).kind).toBe('put')
    // It is used once more by the entry after which it is forgotten.
    expect(put(store, inSlot(0, 2), 1101).kind).toBe('put')
    expect(put(store, inSlot(0, 2), 1101)).toMatchObject({ reason: 'session-expired' })
    expect(store.state.clientSessions).toEqual({ next: 2, horizon: 2, oldestAtMs: 0, bytes: 0, toSweep: 0 })
    expect([...rowsOf(store, '04'), ...rowsOf(store, '05')]).toEqual([])
  })

  test('the next one has its own age', () => {
    const store = new MemoryStore({ idempotencyAgeMsMax: 1000 })
    for (const at of [100, 150, 300]) store.apply(OPEN, at)
    tick(store, 1150)
    expect(store.state.clientSessions).toMatchObject({ horizon: 2, oldestAtMs: 150 })
    tick(store, 1151)
    expect(store.state.clientSessions).toMatchObject({ horizon: 3, oldestAtMs: 300 })
    tick(store, 1301)
    store.apply(OPEN, 5000)
    tick(store, 6000)
    expect(store.state.clientSessions).toMatchObject({ horizon: 4, next: 5, oldestAtMs: 5000 })
  })

  test('the oldest, when there are too many', () => {
    const store = new MemoryStore()
    for (let count = 0; count < CLIENT_SESSIONS_MAX; count++) store.apply(OPEN)
    expect(store.state.clientSessions).toMatchObject({ horizon: 1, next: CLIENT_SESSIONS_MAX + 1 })
    store.apply(OPEN)
    expect(store.state.clientSessions).toMatchObject({ horizon: 2, next: CLIENT_SESSIONS_MAX + 2 })
    expect(rowsOf(store, '04')).toHaveLength(CLIENT_SESSIONS_MAX)
  })

  test('the oldest, when they take too many bytes, and no more than needed', () => {
    const store = new MemoryStore()
    for (let session = 1; session <= 5; session++) {
      store.apply(OPEN)
      for (let slot = 0; slot < 200; slot++) put(store, inSlot(slot, 1, session))
    }
    const { bytes } = store.state.clientSessions
    expect(bytes).toBe(slotBytes(store))
    store.state = { ...store.state, settings: { ...store.state.settings, idempotencyBytesMax: bytes } }
    for (let entries = 0; entries < 10; entries++) tick(store, 0)
    expect(store.state.clientSessions).toMatchObject({ horizon: 1, bytes })
    // A third of the oldest session is not enough.
    store.apply(ask(batchOf(...Array.from({ length: 150 }, () => putOf('k', ''))), inSlot(200, 1, 5)))
    for (let entries = 0; entries < 10; entries++) tick(store, 0)
    expect(store.state.clientSessions.horizon).toBe(2)
    expect(store.state.clientSessions.bytes).toBe(slotBytes(store))
    expect(rowsOf(store, '05')).toHaveLength(4 * 200 + 1)
    for (const session of [2, 3, 4, 5])
      expect(store.apply(ask(putOf('k', ''), inSlot(199, 1, session))).replayed).toBe(true)
  })

  test('the rows of a large session go in steps, and those of the next one stay', () => {
    const store = new MemoryStore({ idempotencyAgeMsMax: 1000 })
    store.apply(OPEN, 0)
    store.apply(OPEN, 900)
    const change = (slot: number, session: number, atMs: number) =>
      store.apply(ask(deleteOf('none'), inSlot(slot, 1, session)), atMs)
    for (let slot = 0; slot < SESSION_SLOTS_MAX; slot++) change(slot, 1, 900)
    for (let slot = 0; slot < 100; slot++) change(slot, 2, 900)
    const held: number[] = []
    for (let entry = 0; entry < 4; entry++) {
      tick(store, 1001)
      held.push(rowsOf(store, '05').length)
      expect(store.state.clientSessions.bytes).toBe(slotBytes(store))
    }
    // The first step forgets the session.
    const first = SESSION_SLOTS_MAX + 100 - Math.ceil((STEPS_PER_ENTRY - 1) / STEPS_OF_DELETION)
    const each = Math.ceil(STEPS_PER_ENTRY / STEPS_OF_DELETION)
    expect(held).toEqual([first, first - each, first - 2 * each, first - 3 * each])
    while (store.state.clientSessions.toSweep > 0) tick(store, 1001)
    expect(store.state.clientSessions).toMatchObject({ horizon: 2 })
    expect(rowsOf(store, '05')).toHaveLength(100)
    expect(change(99, 2, 1001).replayed).toBe(true)
  })

  test('many that are due are forgotten by a few entries', () => {
    const store = new MemoryStore({ idempotencyAgeMsMax: 1000 })
    const count = 2 * STEPS_PER_ENTRY + 10
    for (let opened = 0; opened < count; opened++) store.apply(OPEN, 0)
    const horizons = [1, 2, 3].map((at) => {
      tick(store, 1000 + at)
      return store.state.clientSessions.horizon
    })
    expect(horizons).toEqual([1 + STEPS_PER_ENTRY, 1 + 2 * STEPS_PER_ENTRY, 1 + count])
  })

  test('deleting keeps up with opening, whatever slots are used', () => {
    for (let rows = 1; rows <= SESSION_SLOTS_MAX; rows++) {
      const steps = 1 + (SESSION_SLOTS_MAX - rows) + STEPS_OF_DELETION * rows
      expect((1 + rows) * STEPS_PER_ENTRY).toBeGreaterThanOrEqual(steps)
    }
  })

  test.each([0, SESSION_SLOTS_MAX - 1])('rows of short sessions that use slot %d do not pile up', (slot) => {
    const store = new MemoryStore({ idempotencyAgeMsMax: 1000 })
    for (let session = 1; session <= 100; session++) {
      store.apply(OPEN, 200 * session)
      expect(put(store, inSlot(slot, 1, session), 200 * session + 100).kind).toBe('put')
      expect(rowsOf(store, '05').length).toBeLessThan(10)
    }
    expect(store.state.clientSessions.bytes).toBe(slotBytes(store))
  })

  test('a session whose own rows are too large is forgotten after the answer', () => {
    const store = opened({ idempotencyBytesMax: 4096 })
    const batch = batchOf(...Array.from({ length: 200 }, () => putOf('k', '')))
    const { outcome } = store.apply(ask(batch, inSlot(0, 1)))
    expect(outcome).toMatchObject({ kind: 'batch', revision: 201 })
    expect(store.apply(ask(batch, inSlot(0, 1))).outcome).toMatchObject({ reason: 'session-expired' })
    expect(store.state).toMatchObject({ revision: 201, clientSessions: { bytes: 0, horizon: 2 } })
  })

  test('a smaller outcome in a slot gives bytes back', () => {
    const store = opened()
    store.apply(ask(batchOf(putOf('k', ''), putOf('l', '')), inSlot(0, 1)))
    const { bytes } = store.state.clientSessions
    store.apply(ask(deleteOf('k'), inSlot(0, 2)))
    expect(store.state.clientSessions.bytes).toBe(slotBytes(store))
    expect(store.state.clientSessions.bytes).toBeLessThan(bytes)
  })
})

test('what belongs together and is not there stops the node', () => {
  const store = opened()
  store.rows.delete(hex(Uint8Array.of(4, 0, 0, 0, 0, 0, 0, 0, 1)))
  expect(() => store.apply(ask(putOf('k', ''), inSlot(0, 1)))).toThrow(MissingRowError)
})
