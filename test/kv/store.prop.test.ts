// The state machine against the model of the simulator (jepsen-lite/sim/oracle/model.ts), which shares no code with
// it. Both replay the same log of random requests: changes under conditions, batches, transactions, leases, settings,
// compaction, tokens and sessions, users and rights. After each entry outcome, registers and records are compared, and
// where history was cut every revision that is kept.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { StoreModel, shown } from '../../jepsen-lite/sim/oracle/model.ts'
import { text } from '../../jepsen-lite/sim/oracle/model-row.ts'
import { applyEntry, applySteps } from '../../src/kv/apply.ts'
import { decodeVersionKey } from '../../src/kv/codec/rows.ts'
import { decodeState, encodeState } from '../../src/kv/codec/state.ts'
import { decodeEvents, eventsKey, type KeyEvent } from '../../src/kv/history.ts'
import { attachedKey, decodeLease, leaseOfKey } from '../../src/kv/leases.ts'
import { runSteps } from '../../src/kv/steps.ts'
import {
  type Apply,
  type Outcome,
  type Reason,
  type Request,
  TABLE_ATTACHMENTS,
  TABLE_EVENTS,
  TABLE_IDEMPOTENCY_TOKEN_ORDER,
  TABLE_IDEMPOTENCY_TOKENS,
  TABLE_LEASES,
  TABLE_SESSION_SLOTS,
  TABLE_VERSIONS,
} from '../../src/kv/types.ts'
import type { KeyRow } from '../../src/operations/forms/index.ts'
import { DEFAULT_SETTINGS } from '../../src/operations/forms/settings.ts'
import { expectEqual } from '../expect-equal.ts'
import { runs } from '../runs.ts'
import { entryOf } from '../server/node/applying.ts'
import { type DrawnLog, log } from './drawn-requests.ts'
import { Requester } from './requester.ts'
import { hex, MemoryStore, rev } from './store.ts'

const applyInSteps: Apply = (...args) => runSteps(applySteps(...args))

interface Compared {
  readonly store: MemoryStore
  readonly model: StoreModel
  readonly outcome: Outcome
  readonly replayed: boolean
}

/** Both replay the log. `after`: called after each entry. */
function replay(
  { settings, steps }: DrawnLog,
  apply: Apply,
  after: (compared: Compared, request: Request, now: number) => void,
): void {
  const store = new MemoryStore(settings)
  const violated = (invariant: string, detail: string): never => {
    throw new Error(`${invariant}: ${detail}`)
  }
  const model = new StoreModel(violated, { ...DEFAULT_SETTINGS, ...settings })
  const requester = new Requester(model)
  let now = 0
  let index = 1
  for (const { step, elapsedMs } of steps) {
    now += elapsedMs
    const request = requester.requestOf(step)
    if (request === undefined) continue
    const effect = model.apply(entryOf(index++, request, now).frame)
    const { outcome, replayed } = store.apply(request, now, apply)
    expectEqual([shown(outcome), replayed], [effect.outcome, effect.replayed])
    after({ store, model, outcome, replayed }, request, now)
  }
}

test('outcomes, registers, records and history are those of the model', () => {
  fc.assert(
    fc.property(log, fc.constantFrom(applyEntry, applyInSteps), (drawn, apply) => {
      let last: Compared | undefined
      replay(drawn, apply, (compared, { command }, now) => {
        last = compared
        expectRegisters(compared)
        expectRecords(compared)
        expectLeases(compared)
        // A change adds a revision to history. Only these take some away.
        if (command.kind !== 'compact' && command.kind !== 'settings') return
        expectHistory(compared)
        if (compared.outcome.kind === 'compacted' && command.kind === 'compact' && !command.revision)
          expectCompacted(compared, now)
      })
      if (last !== undefined) expectHistory(last)
    }),
    { numRuns: runs(1500) },
  )
})

test('the same log leaves the same bytes, from the start or from any registers in between', () => {
  fc.assert(
    fc.property(log, fc.nat(40), (drawn, restartAt) => {
      const entries: { readonly request: Request; readonly now: number }[] = []
      replay(drawn, applyEntry, (_, request, now) => entries.push({ request, now }))
      const [one, other] = [new MemoryStore(drawn.settings), new MemoryStore(drawn.settings)]
      for (const [at, { request, now }] of entries.entries()) {
        if (at === restartAt) other.state = decodeState(encodeState(other.state))
        expectEqual(other.apply(request, now), one.apply(request, now))
      }
      expectEqual(
        [...other.rows].map(([key, row]) => [key, hex(row)]),
        [...one.rows].map(([key, row]) => [key, hex(row)]),
      )
      expect(hex(encodeState(other.state))).toBe(hex(encodeState(one.state)))
    }),
    { numRuns: runs(300) },
  )
})

function expectRegisters({ store: { state, rows }, model }: Compared): void {
  const { revision, settings, storeBytes, keys, idempotencyTokens, clientSessions, history, leases } = state
  const { next, horizon, toSweep, bytes } = clientSessions
  expectEqual(
    {
      ...{ revision, settings, storeBytes, keys, history, leases: leases.count },
      ...{ tokens: idempotencyTokens.count, tokenBytes: idempotencyTokens.bytes },
      ...{ sessions: [horizon, next, toSweep], slotBytes: bytes },
    },
    model.counts,
  )
  expectEqual([state.auth.enabled, state.auth.revision], [model.rights.enabled, model.rights.revision])
  const bytesOf = (...tables: readonly number[]): number =>
    [...rows]
      .filter(([name]) => tables.includes(Number.parseInt(name.slice(0, 2), 16)))
      .reduce((sum, [name, row]) => sum + name.length / 2 + row.length, 0)
  const tokenBytes = bytesOf(TABLE_IDEMPOTENCY_TOKENS, TABLE_IDEMPOTENCY_TOKEN_ORDER)
  // Users with the same token share the key of a row, which is counted for each.
  if (state.auth.revision > 1) expect(tokenBytes).toBeLessThanOrEqual(idempotencyTokens.bytes)
  else expect(tokenBytes).toBe(idempotencyTokens.bytes)
  expect(bytesOf(TABLE_SESSION_SLOTS)).toBe(bytes)
}

function expectRecords({ store, model }: Compared): void {
  expectEqual(recordsIn(store.list(undefined)), recordsAt(model, model.revision))
}

const recordsIn = (records: readonly KeyRow[]): unknown[] =>
  records.map(({ key, value, createRevision, modRevision, version, lease }) => [
    text(key),
    { value: text(value), createRevision, modRevision, version, lease },
  ])

const recordsAt = (model: StoreModel, revision: number): unknown[] =>
  model.keys.flatMap((key) => {
    const row = model.atRevision(key, revision)
    return row === null ? [] : [[key, { ...row, lease: row.lease }]]
  })

/** The rows of both tables. */
function expectLeases({ store, model }: Compared): void {
  const leases: unknown[] = []
  const attached: string[] = []
  for (const [name, row] of store.rows) {
    const rowKey = Buffer.from(name, 'hex')
    if (rowKey[0] === TABLE_LEASES) {
      const id = leaseOfKey(rowKey)
      const { keyPrefix, ...lease } = decodeLease(row)
      const keys = keysOfLease(model, id)
      expect(keys.every((key) => key.startsWith(text(keyPrefix)))).toBe(true)
      expect(keys.length > 0 || keyPrefix.length === 0).toBe(true)
      leases.push([id, lease])
    }
    if (rowKey[0] === TABLE_ATTACHMENTS)
      attached.push(`${rowKey.readBigUInt64BE(1)} ${text(attachedKey(rowKey))}`)
  }
  const expected = [...model.leases].map(([id, { owner, owned, ending, ttlMs, deadlineMs }]) => {
    const keys = keysOfLease(model, id)
    const counted = { keys: keys.length, keyBytes: keys.join('').length }
    return [id, { owned, hasOwner: owner > 0, isEnding: ending !== undefined, ttlMs, deadlineMs, ...counted }]
  })
  expectEqual(leases.sort(), expected.sort())
  const pairs = [...model.leases.keys()].flatMap((id) => keysOfLease(model, id).map((key) => `${id} ${key}`))
  expectEqual(attached.sort(), pairs.sort())
}

const keysOfLease = (model: StoreModel, id: string): string[] =>
  model.keysAt(model.index).filter((key) => model.at(key, model.index)?.lease === id)

/** The store can be read as it was at each revision that is kept, and its events are the changes. */
function expectHistory({ store, model }: Compared): void {
  const { history, revision, keys } = store.state
  for (let at = history.compacted; at <= revision; at = rev(at + 1)) {
    const expected = recordsAt(model, at)
    expectEqual(recordsIn(store.list(at)), expected, `at ${at}`)
    expectEqual(recordsIn(store.list(at, true)), expected.toReversed(), `at ${at}, backwards`)
  }
  // Every revision from the first on is in exactly one row, with its changes.
  const events: KeyEvent[] = []
  let eventRows = 0
  for (let first = history.first; first <= revision; eventRows++) {
    const row = eventsAt(store, first)
    events.push(...row.events)
    first = rev(row.last + 1)
  }
  for (const { key, revision: at, tombstone, before } of events) {
    const was = model.atRevision(text(key), at - 1)
    const is = model.atRevision(text(key), at)
    expectEqual([before?.revision, before?.valueBytes], [was?.modRevision, was?.value.length])
    expectEqual(tombstone === undefined, is !== null)
  }
  expectEqual(
    events.map(({ key, revision: at }) => [at, text(key)]),
    model.events
      .filter((event) => event.revision >= history.first)
      .map((event) => [event.revision, event.key]),
  )
  // Versions that no read can reach are deleted.
  const rows = [...store.rows.keys()].map((name) => Buffer.from(name, 'hex'))
  const versions = rows.filter(([table]) => table === TABLE_VERSIONS).map(decodeVersionKey)
  const tombstones = events.filter(({ tombstone }) => tombstone !== undefined)
  const replaced = events.filter(({ before }) => before !== undefined)
  expect(versions).toHaveLength(keys + replaced.length + tombstones.length)
  expect(rows.filter(([table]) => table === TABLE_EVENTS)).toHaveLength(eventRows)
}

/** Nothing is left that the settings allow to compact, and everything else is kept. */
function expectCompacted({ store }: Compared, now: number): void {
  const { history, settings, revision } = store.state
  if (history.bytes > settings.historyBytesMax) expect(history.first).toBe(revision + 1)
  if (history.first > revision) return
  const { last, clusterTimeMs } = eventsAt(store, history.first)
  expect(revision - last).toBeLessThan(settings.historyRevisionsMax)
  expect(now - clusterTimeMs).toBeLessThanOrEqual(settings.historyAgeMs)
}

function eventsAt(store: MemoryStore, first: KeyRow['modRevision']): ReturnType<typeof decodeEvents> {
  const row = store.rows.get(hex(eventsKey(first)))
  if (row === undefined) throw new Error(`no events at ${first}`)
  return decodeEvents(first, row)
}

/** Every reason to refuse that a log may reach. The others need larger requests, and have their own tests. */
const REASONS: readonly Reason[] = [
  ...(['empty-key', 'key-too-long', 'value-too-large', 'store-full', 'prev-with-token'] as const),
  ...(['token-reused', 'token-expired', 'since-ahead', 'session-expired', 'seq-passed'] as const),
  ...(['slot-out-of-range', 'compacted', 'future-revision', 'duplicate-key'] as const),
  ...(['range-too-large', 'records-too-large', 'lease-not-found', 'lease-exists', 'lease-owned'] as const),
  ...(['lease-full', 'leases-full', 'ttl-out-of-range', 'rights-changed', 'auth-changed'] as const),
  ...(['no-such-user', 'no-such-role', 'unknown-role', 'root-needed', 'no-such-key'] as const),
  'cluster-version-lowered',
]
const KINDS: readonly Outcome['kind'][] = [
  ...(['put', 'delete', 'precondition-failed', 'batch', 'settings', 'session', 'compacted'] as const),
  ...(['delete-range', 'txn', 'granted', 'renewed', 'revoked', 'expired', 'auth', 'refused'] as const),
]

test('the logs reach every kind of outcome, every refusal, and replays of both', () => {
  const [kinds, reasons] = [new Set<string>(), new Set<string>()]
  const take = (outcome: Outcome): void => {
    kinds.add(outcome.kind)
    if (outcome.kind === 'revoked' && outcome.left !== undefined) kinds.add('revoked in part')
    if (outcome.kind === 'refused') reasons.add(outcome.reason)
    if (outcome.kind === 'batch') outcome.outcomes.forEach(take)
  }
  const replayedFrom = new Set<string>()
  const users = ['root', 'user1', 'user2'].map((user) => `permitted ${user}`)
  const isReached = (): boolean =>
    kinds.size === KINDS.length + 1 + users.length &&
    reasons.size === REASONS.length &&
    replayedFrom.size === 2
  for (const drawn of fc.sample(log, { seed: 5, numRuns: 4000 })) {
    if (isReached()) break
    replay(drawn, applyEntry, ({ outcome, replayed }, { idempotency, principal, authRevision }) => {
      take(outcome)
      if (replayed && idempotency !== undefined) replayedFrom.add('token' in idempotency ? 'token' : 'slot')
      if (authRevision !== undefined && outcome.kind !== 'refused')
        kinds.add(`permitted ${userOf(principal)}`)
    })
  }
  expect([...kinds].sort()).toEqual([...KINDS, 'revoked in part', ...users].sort())
  expect([...reasons].sort()).toEqual([...REASONS].sort())
  expect([...replayedFrom].sort()).toEqual(['slot', 'token'])
})

const userOf = (principal: string): string => principal.split('.')[0] ?? ''
