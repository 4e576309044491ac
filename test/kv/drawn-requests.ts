// Requests of all kinds as they are drawn at random: few keys, values, leases, users and tokens, so that requests meet.
// What depends on the store, such as its revision and the deadlines of leases, is relative.

import fc from 'fast-check'
import type { AuthChange, Command } from '../../src/kv/types.ts'
import {
  type Condition,
  type KeptParts,
  type KeyRange,
  type KvSettings,
  type LeaseId,
  type PutLease,
  TTL_MS_MAX,
  TTL_MS_MIN,
  type Where,
} from '../../src/operations/forms/index.ts'
import type { BatchedCommand, KvComparison, KvTxn, KvTxnOperation } from '../../src/operations/index.ts'
import { ask, MemoryStore, rev } from './store.ts'

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))
const optional = <T>(arbitrary: fc.Arbitrary<T>, freq = 2): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq })

/** Some are beginnings of others. The first and the last are refused. */
const key = fc.constantFrom('', 'a', 'a\0', 'a\0b', 'ab', 'b', 'c', '\xff', 'long').map(bytes)
const value = fc.constantFrom('', 'x', 'yy', 'value', 'too long').map(bytes)
const prev = fc.boolean()
const revision = fc.integer({ min: 1, max: 12 }).map(rev)
const tags = fc.oneof(fc.constant('any' as const), fc.array(revision, { maxLength: 3 }))
export const condition: fc.Arbitrary<Condition | undefined> = optional(
  fc.record({ ifMatch: optional(tags), ifNoneMatch: optional(tags) }),
)

/** The ids that the store chooses first, as long as its leases have no secret key. */
const IDS_CHOSEN: readonly LeaseId[] = (() => {
  const store = new MemoryStore()
  return Array.from({ length: 2 }, () => {
    const { outcome } = store.apply(ask({ kind: 'grant', id: undefined, ttlMs: TTL_MS_MIN }))
    if (outcome.kind !== 'granted') throw new Error(`a grant is answered with ${outcome.kind}`)
    return outcome.lease
  })
})()
const LEASE_ID = '7' as LeaseId
const LAST_LEASE_ID = '9223372036854775807' as LeaseId
/** Mostly the first one, so that it gets several keys. */
const leaseId = fc.oneof(
  { weight: 2, arbitrary: fc.constant(LEASE_ID) },
  { weight: 1, arbitrary: fc.constantFrom(LAST_LEASE_ID, ...IDS_CHOSEN) },
)
const ttlMs = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: TTL_MS_MIN, max: 3000 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, TTL_MS_MIN - 1, TTL_MS_MAX, TTL_MS_MAX + 1) },
)
const lease: fc.Arbitrary<PutLease | undefined> = optional(
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ id: leaseId }) },
    { weight: 1, arbitrary: fc.record({ ttlMs }) },
  ),
)

const kind = <K extends string>(of: K): fc.Arbitrary<K> => fc.constant(of)
const noPrev = fc.constant(false as const)
const range: fc.Arbitrary<KeyRange> = fc.record({ start: key, end: optional(key) })
const where: fc.Arbitrary<Where> = fc.oneof(fc.record({ key }), range)

const op = fc.constantFrom('=' as const, '!=' as const, '<' as const, '>' as const)
const numbered = fc.constantFrom('version' as const, 'create_revision' as const, 'mod_revision' as const)
const comparison: fc.Arbitrary<KvComparison> = fc.oneof(
  fc.record({ where, op, target: kind('value'), to: value }),
  fc.record({ where, op, target: numbered, to: fc.nat(12) }),
  fc.record({ where, op, target: kind('lease'), to: optional(leaseId) }),
)
interface DrawnPut {
  readonly value: Uint8Array
  readonly lease: PutLease | undefined
}

/** Some puts keep the value or the lease of their keys, and do not state it then. */
const keeping = <P extends DrawnPut>(put: fc.Arbitrary<P>): fc.Arbitrary<P & KeptParts> =>
  fc
    .tuple(put, fc.constantFrom('nothing', 'nothing', 'nothing', 'value', 'lease', 'both'))
    .map(([drawn, kept]) => ({
      ...drawn,
      ...((kept === 'value' || kept === 'both') && { value: bytes(''), keepsValue: true as const }),
      ...((kept === 'lease' || kept === 'both') && { lease: undefined, keepsLease: true as const }),
    }))

const { txn } = fc.letrec<{ txn: KvTxn; operation: KvTxnOperation }>((tie) => ({
  txn: fc.record({
    compare: fc.array(comparison, { maxLength: 2 }),
    success: fc.array(tie('operation'), { maxLength: 4 }),
    failure: fc.array(tie('operation'), { maxLength: 3 }),
  }),
  operation: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    keeping(fc.record({ kind: kind('put'), key, value, prev, lease })),
    fc.record({
      ...{ kind: kind('get'), where, limit: optional(fc.nat(3)) },
      ...{ keysOnly: fc.boolean(), count: fc.boolean(), countOnly: fc.boolean() },
      revision: optional(revision, 1),
    }),
    fc.record({ kind: kind('delete'), where, prev }),
    fc.record({ kind: kind('txn'), txn: tie('txn') }),
  ),
}))

const batched: fc.Arbitrary<BatchedCommand> = fc.oneof(
  keeping(fc.record({ kind: kind('put'), key, value, condition, prev: noPrev, lease })),
  fc.record({ kind: kind('delete'), key, condition, prev: noPrev }),
)

export const settings: fc.Arbitrary<Partial<KvSettings>> = fc.record(
  {
    keyBytesMax: fc.integer({ min: 2, max: 3 }),
    valueBytesMax: fc.integer({ min: 2, max: 6 }),
    storeBytesMax: fc.integer({ min: 0, max: 40 }),
    idempotencyTokensMax: fc.integer({ min: 1, max: 4 }),
    idempotencyBytesMax: fc.constant(4096),
    idempotencyAgeMsMax: fc.integer({ min: 1000, max: 2000 }),
    historyRevisionsMax: fc.integer({ min: 1, max: 30 }),
    historyBytesMax: fc.integer({ min: 0, max: 60 }),
    historyAgeMs: fc.integer({ min: 1000, max: 5000 }),
    rangeKeysMax: fc.integer({ min: 1, max: 4 }),
    leaseCheckpointMs: fc.integer({ min: 100, max: 5000 }),
    leasesMax: fc.nat(5),
    clusterVersion: fc.constantFrom(1, 2, 2),
  },
  { requiredKeys: [] },
)

export const USERS = ['root', 'user1', 'user2'] as const
const role = fc.constantFrom('r1', 'r2')
const authChange: fc.Arbitrary<AuthChange> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: kind('enable'),
      tokenKey: fc.constant(bytes('the key of tokens')),
      leaseIdKey: fc.constantFrom('0123456789abcdef', '\0'.repeat(16)).map(bytes),
      rootHasCertificate: fc.constant(false),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('disable') }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: kind('put-user'),
      name: fc.constantFrom(...USERS),
      passwordHash: fc.constantFrom('hash', 'hash', undefined, undefined, null),
      roles: optional(fc.uniqueArray(fc.oneof(role, kind('root')), { maxLength: 2 }), 3),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('delete-user'), name: fc.constantFrom(...USERS) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: kind('put-role'),
      name: role,
      permissions: fc.array(
        fc.record({
          access: fc.constantFrom('read' as const, 'write' as const, 'readwrite' as const),
          range,
        }),
        { maxLength: 3 },
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('delete-role'), name: role }) },
)

const put = keeping(fc.record({ kind: kind('put'), key, value, condition, prev, lease }))

/** Commands that users request. */
export const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 12, arbitrary: put },
  { weight: 4, arbitrary: fc.record({ kind: kind('delete'), key, condition, prev }) },
  { weight: 4, arbitrary: fc.record({ kind: kind('batch'), commands: fc.array(batched, { maxLength: 5 }) }) },
  {
    // Its outcome fills a third of the room for sessions.
    weight: 1,
    arbitrary: fc.record({
      kind: kind('batch'),
      commands: batched.map((each) => Array.from({ length: 50 }, () => each)),
    }),
  },
  { weight: 10, arbitrary: fc.record({ kind: kind('txn'), txn }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('delete-range'), range }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('settings'), settings }) },
  { weight: 3, arbitrary: fc.record({ kind: kind('open-session') }) },
  {
    weight: 3,
    arbitrary: fc
      .record({ kind: kind('compact'), revision: fc.integer({ min: 1, max: 15 }).map(rev) })
      .chain((drawn) => fc.constantFrom(drawn, { ...drawn, onlyForward: true as const })),
  },
  { weight: 8, arbitrary: fc.record({ kind: kind('grant'), id: optional(leaseId), ttlMs }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('revoke'), id: leaseId }) },
)

const authCommand = fc.record({
  kind: kind('auth'),
  change: authChange,
  ifRevision: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.nat(6) }),
})

/** `off`: how far the deadline is from the lease's current one. */
interface DrawnExpiry {
  readonly kind: 'expire'
  readonly leases: readonly { readonly id: LeaseId; readonly off: number }[]
}

/** Commands that nodes propose by themselves. */
const nodeCommand: fc.Arbitrary<Extract<Command, { kind: 'compact' | 'renew' }> | DrawnExpiry> = fc.oneof(
  fc.record({ kind: kind('compact'), revision: fc.constant(undefined) }),
  fc.record({ kind: kind('renew'), ids: fc.array(leaseId, { maxLength: 4 }) }),
  fc.record({
    kind: kind('expire'),
    leases: fc.array(fc.record({ id: leaseId, off: fc.constantFrom(0, 0, 0, 1, -1) }), { maxLength: 3 }),
  }),
)

/** `behind`: how many revisions the store is ahead of what the client knows; -1: the client knows a later one. */
export const idempotency = optional(
  fc.oneof(
    fc.record({
      token: fc.constantFrom('t1', 't2', 't3', 't4'),
      behind: optional(fc.constantFrom(0, 0, 1, 2, 5, -1)),
    }),
    fc.record({
      session: fc.constantFrom(1, 1, 1, 2, 3, 0),
      slot: fc.constantFrom(0, 0, 0, 1, 40, 4095, 4096),
      seq: fc.nat({ max: 6 }),
    }),
  ),
)

export type DrawnStep =
  | {
      readonly do: 'request'
      readonly command: Command
      readonly idempotency: typeof idempotency extends fc.Arbitrary<infer T> ? T : never
      readonly user: (typeof USERS)[number]
      /** It was permitted under earlier rights: under the latest ones but so many. */
      readonly permittedBefore: number
    }
  /** A late copy of an earlier request. */
  | { readonly do: 'repeat'; readonly of: number }
  | { readonly do: 'propose'; readonly command: typeof nodeCommand extends fc.Arbitrary<infer T> ? T : never }

const user = fc.constantFrom('root' as const, ...USERS)
const permittedBefore = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 3 }) },
)
const ordinary: fc.Arbitrary<DrawnStep> = fc.record({
  do: kind('request'),
  command,
  idempotency,
  user,
  permittedBefore,
})
const ofRights: fc.Arbitrary<DrawnStep> = fc.record({
  ...{ do: kind('request'), command: authCommand, idempotency: fc.constant(undefined) },
  ...{ user: kind('root'), permittedBefore },
})
const steps = (rights: number): fc.Arbitrary<DrawnStep> =>
  fc.oneof(
    { weight: 20, arbitrary: ordinary },
    { weight: 4, arbitrary: fc.record({ do: kind('repeat'), of: fc.nat(40) }) },
    { weight: 4, arbitrary: fc.record({ do: kind('propose'), command: nodeCommand }) },
    { weight: rights, arbitrary: ofRights },
  )

export interface DrawnLog {
  /** The settings of the empty store. */
  readonly settings: Partial<KvSettings>
  readonly steps: readonly { readonly step: DrawnStep; readonly elapsedMs: number }[]
}

const elapsedMs = fc.oneof({ weight: 3, arbitrary: fc.nat(200) }, { weight: 1, arbitrary: fc.nat(3000) })
const logOf = (step: fc.Arbitrary<DrawnStep>, first: readonly DrawnStep[] = []): fc.Arbitrary<DrawnLog> =>
  fc
    .record({
      settings,
      rangeBytesMax: optional(fc.integer({ min: 1, max: 12 })),
      steps: fc.array(fc.record({ step, elapsedMs }), { maxLength: 40 }),
    })
    .map(({ settings, rangeBytesMax, steps }) => ({
      settings: {
        ...{ keyBytesMax: 3, valueBytesMax: 6, ...settings },
        ...(rangeBytesMax !== undefined && { rangeBytesMax }),
      },
      steps: [...first.map((step) => ({ step, elapsedMs: 0 })), ...steps],
    }))

const changeOfRights = (change: AuthChange): DrawnStep => ({
  ...{ do: 'request', command: { kind: 'auth', change, ifRevision: undefined }, idempotency: undefined },
  ...{ user: 'root', permittedBefore: 0 },
})
const roleOf = (name: string, start: string, end: string): AuthChange => ({
  kind: 'put-role',
  name,
  permissions: [{ access: 'readwrite', range: { start: bytes(start), end: bytes(end) } }],
})
const userOf = (name: string, ...roles: readonly string[]): AuthChange => ({
  ...{ kind: 'put-user', name, passwordHash: 'hash', roles },
})

/** Two users with different rights. */
const RIGHTS: readonly DrawnStep[] = (
  [
    ...[roleOf('r1', 'a', 'b'), roleOf('r2', '', 'ab')],
    ...[userOf('root', 'root'), userOf('user1', 'r1'), userOf('user2', 'r1', 'r2')],
    {
      ...{ kind: 'enable', tokenKey: bytes('the key of tokens'), leaseIdKey: bytes('0123456789abcdef') },
      rootHasCertificate: false,
    },
  ] satisfies readonly AuthChange[]
).map(changeOfRights)

/** A lease with more keys than an entry may delete. */
const LARGE_LEASE: readonly DrawnStep[] = (
  [
    { kind: 'settings', settings: { rangeKeysMax: 2 } },
    { kind: 'grant', id: LEASE_ID, ttlMs: TTL_MS_MIN },
    ...['a', 'ab', 'b', 'c'].map((name) => ({
      ...{ kind: 'put' as const, key: bytes(name), value: bytes(''), condition: undefined, prev: false },
      lease: { id: LEASE_ID },
    })),
  ] satisfies readonly Command[]
).map((drawn) => ({
  ...{ do: 'request', command: drawn, idempotency: undefined, user: 'root', permittedBefore: 0 },
}))
const ofLeases = fc.oneof(
  fc.record({
    ...{ do: kind('request'), idempotency, user, permittedBefore },
    command: fc.oneof(
      put,
      fc.record({ kind: kind('revoke'), id: fc.constant(LEASE_ID) }),
      fc.record({ kind: kind('grant'), id: fc.constant(LEASE_ID), ttlMs }),
    ),
  }),
  fc.record({ do: kind('propose'), command: nodeCommand }),
)

/** Some logs change users and roles, and the switch. Some end a lease in parts. */
export const log: fc.Arbitrary<DrawnLog> = fc.oneof(
  { weight: 3, arbitrary: logOf(steps(0)) },
  { weight: 1, arbitrary: logOf(steps(20)) },
  { weight: 2, arbitrary: logOf(steps(5), RIGHTS) },
  {
    weight: 1,
    arbitrary: logOf(
      fc.oneof({ weight: 2, arbitrary: ofLeases }, { weight: 1, arbitrary: steps(1) }),
      LARGE_LEASE,
    ),
  },
)
