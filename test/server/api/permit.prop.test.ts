// Rights against a model without ranges: it asks for each key. All bounds are out of a few keys, so a range has a
// forbidden key exactly if one of these bounds is forbidden in it.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AuthState, DEFAULT_SETTINGS } from '../../../src/kv/index.ts'
import { ApiError, type LeaseId, type Permission, type Where } from '../../../src/operations/forms/index.ts'
import type { KvTxn, KvTxnOperation, Operation } from '../../../src/operations/index.ts'
import { decide } from '../../../src/server/api/permit.ts'
import type { KvNode } from '../../../src/server/node/kv-node.ts'
import { runs } from '../../runs.ts'
import { nodeWithUsers, permit } from '../auth/users.ts'
import { FakeNode } from '../http/fake-node.ts'
import { executed } from './executed.ts'

const NAMES = ['', 'a', 'a\0', 'a\0\0', 'ab', 'ab\0', 'b', 'b\0', 'ba', 'c', 'c\0', 'd'] as const
const bytes = (text: string): Uint8Array => Buffer.from(text)
const text = (key: Uint8Array): string => Buffer.from(key).toString()

const key = fc.constantFrom(...NAMES.slice(1))
const range = fc
  .record({ start: fc.constantFrom(...NAMES), end: fc.option(key, { nil: undefined }) })
  .map(({ start, end }) => ({ start: bytes(start), end: end === undefined ? undefined : bytes(end) }))
const where: fc.Arbitrary<Where> = fc.oneof(
  key.map((name) => ({ key: bytes(name) })),
  range,
)
const permission: fc.Arbitrary<Permission> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ access: fc.constantFrom('read', 'write', 'readwrite'), range }) },
  { weight: 1, arbitrary: fc.constant({ access: 'admin', range: undefined } as const) },
)

const LEASES = ['1', '2', '3'] as LeaseId[]
const lease = fc.constantFrom(...LEASES)
const putLease = fc.option(
  fc.oneof(
    lease.map((id) => ({ id })),
    fc.constant({ ttlMs: 1000 }),
  ),
  { nil: undefined },
)
const put = fc.record({
  ...{ kind: fc.constant('put' as const), key: key.map(bytes), value: fc.constant(bytes('')) },
  ...{ prev: fc.boolean(), lease: putLease },
})
const condition = fc.option(
  fc.constantFrom(
    { ifMatch: 'any', ifNoneMatch: undefined } as const,
    { ifMatch: undefined, ifNoneMatch: 'any' } as const,
  ),
  { nil: undefined },
)

const { txn } = fc.letrec<{ txn: KvTxn; operation: KvTxnOperation }>((tie) => ({
  txn: fc.record({
    compare: fc.array(
      where.map((place) => ({ where: place, op: '=', target: 'version', to: 0 }) as const),
      { maxLength: 2 },
    ),
    success: fc.array(tie('operation'), { maxLength: 2 }),
    failure: fc.array(tie('operation'), { maxLength: 2 }),
  }),
  operation: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    put,
    fc.record({
      ...{ kind: fc.constant('get' as const), where, limit: fc.constant(undefined) },
      ...{ keysOnly: fc.boolean(), count: fc.boolean(), countOnly: fc.boolean() },
    }),
    fc.record({ kind: fc.constant('delete' as const), where, prev: fc.boolean() }),
    fc.record({ kind: fc.constant('txn' as const), txn: tie('txn') }),
  ),
}))

const freshness = fc.constant({})
const nothing = fc.constant(undefined)
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    ...{ kind: fc.constant('put' as const), key: key.map(bytes), value: fc.constant(bytes('')) },
    ...{ condition, prev: fc.boolean(), lease: putLease, idempotency: nothing },
  }),
  fc.record({
    ...{ kind: fc.constant('delete' as const), key: key.map(bytes) },
    ...{ condition, prev: fc.boolean(), idempotency: nothing },
  }),
  fc.record({ kind: fc.constant('get' as const), key: key.map(bytes), freshness }),
  fc.record({ kind: fc.constant('range' as const), range, freshness }),
  fc.record({ kind: fc.constant('delete-range' as const), range, idempotency: nothing }),
  fc.record({ kind: fc.constant('txn' as const), txn, idempotency: nothing, freshness }),
  fc.record({
    kind: fc.constant('batch' as const),
    commands: fc.array(
      fc.oneof(
        fc.record({
          ...{ kind: fc.constant('put' as const), key: key.map(bytes) },
          ...{ value: fc.constant(bytes('')), condition, prev: fc.constant(false as const), lease: putLease },
        }),
        fc.record({
          ...{ kind: fc.constant('delete' as const), key: key.map(bytes) },
          ...{ condition, prev: fc.constant(false as const) },
        }),
      ),
      { maxLength: 3 },
    ),
    idempotency: nothing,
  }),
  where.map((place) => ({
    kind: 'watch' as const,
    request: { where: place, from: undefined, only: undefined, prev: true, values: true, progressMs: 1 },
  })),
  fc.record({ kind: fc.constant('revoke' as const), id: lease, idempotency: nothing }),
  fc.record({
    kind: fc.constant('keep-alive' as const),
    ids: fc.array(lease, { maxLength: 3 }),
    one: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('show-lease' as const), id: lease, keys: fc.boolean(), freshness }),
)

interface Lease {
  readonly owner: string | undefined
  readonly keys: readonly string[]
  /** Limit on the beginning of its keys that the node knows. */
  readonly prefix: number
}
const leases = fc.tuple(
  ...LEASES.map(() =>
    fc.option(
      fc.record({
        owner: fc.constantFrom('bob', 'carl', undefined),
        keys: fc.array(key, { maxLength: 3 }),
        prefix: fc.nat(3),
      }),
      { nil: undefined },
    ),
  ),
)

// ---------------------------------------------------------------------------------------------------------------------
// The model

/** The auth revision at which bob was made. */
const BOB = 7

class Model {
  readonly #permissions: readonly Permission[]
  readonly #leases: readonly (Lease | undefined)[]

  constructor(permissions: readonly Permission[], held: readonly (Lease | undefined)[]) {
    this.#permissions = permissions
    this.#leases = held
  }

  #mayOn(name: string, wanted: 'read' | 'write'): boolean {
    return this.#permissions.some(
      ({ access, range }) =>
        range !== undefined && (access === wanted || access === 'readwrite') && isIn(name, range),
    )
  }

  may(place: Where, wanted: 'read' | 'write'): boolean {
    return NAMES.filter((name) => isIn(name, place)).every((name) => this.#mayOn(name, wanted))
  }

  holds(id: LeaseId, to: 'attach' | 'keep-alive' | 'revoke' | 'read-lease'): boolean {
    const held = this.#leases[Number(id) - 1]
    if (held === undefined || (to === 'keep-alive' && held.owner === 'bob')) return true
    if (to === 'read-lease') return held.keys.every((name) => this.#mayOn(name, 'read'))
    if (held.keys.length === 0) return held.owner === 'bob'
    return held.keys.every((name) => this.#mayOn(name, 'write'))
  }

  change(place: Where, reads: boolean, lease?: { id: LeaseId } | { ttlMs: number }): boolean {
    const isAttached = lease !== undefined && 'id' in lease ? this.holds(lease.id, 'attach') : true
    return this.may(place, 'write') && (!reads || this.may(place, 'read')) && isAttached
  }

  txn({ compare, success, failure }: KvTxn): boolean {
    return (
      compare.every(({ where: place }) => this.may(place, 'read')) &&
      [...success, ...failure].every((each) => {
        if (each.kind === 'txn') return this.txn(each.txn)
        if (each.kind === 'get') return this.may(each.where, 'read')
        if (each.kind === 'delete') return this.change(each.where, each.prev)
        return this.change(each, each.prev, each.lease)
      })
    )
  }

  permits(asked: Operation): boolean {
    switch (asked.kind) {
      case 'put':
        return this.change(asked, asked.prev || asked.condition !== undefined, asked.lease)
      case 'delete':
        return this.change(asked, asked.prev || asked.condition !== undefined)
      case 'get':
        return this.may(asked, 'read')
      case 'range':
        return this.may(asked.range, 'read')
      case 'delete-range':
        return this.may(asked.range, 'write')
      case 'txn':
        return this.txn(asked.txn)
      case 'batch':
        return asked.commands.every((each) =>
          this.change(each, each.condition !== undefined, each.kind === 'put' ? each.lease : undefined),
        )
      case 'watch':
        return this.may(asked.request.where, 'read')
      case 'revoke':
        return this.holds(asked.id, 'revoke')
      case 'keep-alive':
        return asked.ids.every((id) => this.holds(id, 'keep-alive'))
      case 'show-lease':
        return !asked.keys || this.holds(asked.id, 'read-lease')
      default:
        throw new Error(`${asked.kind} is not in this model`)
    }
  }
}

function isIn(name: string, place: Where): boolean {
  if ('key' in place) return name === text(place.key)
  return name >= text(place.start) && (place.end === undefined || name < text(place.end))
}

const sharedBy = ([first = '', ...others]: readonly string[]): string => {
  const end = [...first].findIndex((char, at) => others.some((other) => other[at] !== char))
  return end === -1 ? first : first.slice(0, end)
}

/** A node that knows users and leases. */
function nodeOf(roles: readonly (readonly Permission[])[], held: readonly (Lease | undefined)[]): KvNode {
  const named = roles.map((permissions, at) => ({ name: `role${at}`, permissions }))
  const bob = {
    ...{ name: 'bob', madeAt: BOB, passwordHash: undefined, epoch: 1 },
    roles: named.map(({ name }) => name),
  }
  const state = new AuthState(
    new Map([['bob', bob]]),
    new Map(named.map((role) => [role.name, role])),
    new Map([[BOB, 'bob']]),
    { tokenKey: new Uint8Array(), leaseIdKey: new Uint8Array() },
  )
  return {
    auth: { enabled: true, revision: 2, state },
    status: () => ({ settings: DEFAULT_SETTINGS }),
    read: (_: unknown, done: (result: { ok: boolean }) => void) => done({ ok: true }),
    lease(id: LeaseId) {
      const found = held[Number(id) - 1]
      return (
        found && {
          grantedTtlMs: 1,
          remainingTtlMs: 1,
          ...{
            deadlineMs: 1,
            isEnding: false,
            keyCount: found.keys.length,
            keyBytes: found.keys.join('').length,
          },
          // The beginning is shorter than it could be if the lease had more keys.
          keyPrefix: found.keys.length > 0 ? bytes(sharedBy(found.keys).slice(0, found.prefix)) : undefined,
          owner: found.owner && { name: found.owner, madeAt: found.owner === 'bob' ? BOB : 1 },
        }
      )
    },
    keysOfLease(id: LeaseId) {
      const left = [...(held[Number(id) - 1]?.keys ?? [])]
      return {
        next: (_: unknown, done: (error: undefined, keys: Uint8Array[], more: boolean) => void) => {
          const keys = left.splice(0, 1).map(bytes)
          done(undefined, keys, left.length > 0)
        },
        finish: (done: (error: undefined) => void) => done(undefined),
        close() {},
      }
    },
  } as unknown as KvNode
}

test('an operation is permitted exactly if each of its keys is', () => {
  let permitted = 0
  fc.assert(
    fc.property(
      fc.array(fc.array(permission, { maxLength: 4 }), { maxLength: 3 }),
      leases,
      fc.array(operation, { minLength: 1, maxLength: 10 }),
      (roles, held, operations) => {
        const node = nodeOf(roles, held)
        const model = new Model(roles.flat(), held)
        for (const asked of operations) {
          const call = {
            ...{ deadline: 0, expansion: 1, isAbandoned: () => false },
            principal: { user: 'bob', epoch: undefined },
          }
          let refusal: unknown = 'none'
          decide(node, asked, call, (found) => {
            refusal = found?.code
          })
          const isPermitted = model.permits(asked)
          if (isPermitted) permitted++
          expect(refusal).toBe(isPermitted ? undefined : 'permission_denied')
        }
      },
    ),
    { numRuns: runs(2_000) },
  )
  expect(permitted).toBeGreaterThan(100)
})

const EVERYTHING = { start: bytes(''), end: undefined }

test('the refusal to delete a large range has its number of keys exactly if all of it may be read', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(permission, { maxLength: 4 }),
      fc.array(range, { minLength: 1, maxLength: 12 }),
      async (permissions, ranges) => {
        const node = nodeWithUsers(new FakeNode({ rangeKeysMax: 1 }))
        permit(node, { access: 'write', range: EVERYTHING }, ...permissions)
        for (const name of NAMES.slice(1)) node.put(name, '')
        const model = new Model(permissions, [])
        for (const place of ranges) {
          const count = NAMES.slice(1).filter((name) => isIn(name, place)).length
          if (count < 2) continue
          const asked: Operation = { kind: 'delete-range', range: place, idempotency: undefined }
          const answer = await executed(node, asked, { user: 'bob', epoch: undefined })
          if (!(answer instanceof ApiError)) expect.fail(answer.kind)
          const isPermitted = model.may(place, 'read')
          expect([answer.code, answer.members]).toEqual(['range_too_large', isPermitted ? { count } : {}])
          // The keys are counted at that revision or later, as this node may know older ones.
          const read = isPermitted ? { consistency: 'stale', minRevision: answer.revision } : undefined
          const [last] = node.asked.slice(-1)
          expect(last?.options && { ...last.options, timeoutMs: 0 }).toEqual(
            read && { ...read, maxStalenessMs: undefined, timeoutMs: 0 },
          )
        }
        await node.scansClosed()
      },
    ),
    { numRuns: runs(1_000) },
  )
})
