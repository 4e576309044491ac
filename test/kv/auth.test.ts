// Users, roles and the switch in the state machine, and what it does with entries that were permitted under other
// rights.

import { describe, expect, test } from 'vitest'
import { type applyEntry, applySteps } from '../../src/kv/apply.ts'
import { AUTH_KEY, AuthRows, decodeAuthHead, encodeAuthHead } from '../../src/kv/auth/state.ts'
import { isOfNode } from '../../src/kv/commands.ts'
import { TOKEN_USERS_MAX } from '../../src/kv/idempotency.ts'
import { decodeLeaseOwner } from '../../src/kv/index.ts'
import type { AuthChange, Command, Request } from '../../src/kv/types.ts'
import { SYSTEM_PRINCIPAL } from '../../src/kv/types.ts'
import { asRevision, type KvSettings, type LeaseId, prefixEnd } from '../../src/operations/forms/index.ts'
import { ask, batchOf, deleteOf, hex, MemoryStore, putOf, utf8 } from './store.ts'

const TOKEN_KEY = utf8('the key of tokens')
const KEYS = { tokenKey: TOKEN_KEY, leaseIdKey: utf8('of 16 bytes, yes') }
const ENABLE = { kind: 'enable', ...KEYS, rootHasCertificate: false } as const
const ROOT_USER = { kind: 'put-user', name: 'root', passwordHash: 'hash', roles: ['root'] } as const

const authOf = (change: AuthChange, ifRevision?: number): Command => ({ kind: 'auth', change, ifRevision })

/** A request that was permitted under the rights of now, or of another auth revision. */
const by = (principal: string, command: Command, store: MemoryStore, authRevision?: number): Request => ({
  ...ask(command),
  principal,
  authRevision: authRevision ?? store.state.auth.revision,
  madeAt: stateOf(store).users.get(principal)?.madeAt ?? 0,
})

const change = (store: MemoryStore, ...changes: readonly AuthChange[]) =>
  changes.map((each) => {
    const command = authOf(each)
    const { enabled } = store.state.auth
    return store.apply(enabled ? by('root', command, store) : ask(command)).outcome
  })

const authRowsOf = (store: MemoryStore) => new AuthRows((key) => store.rows.get(hex(key)))
const stateOf = (store: MemoryStore) => authRowsOf(store).state

const enabledStore = (...changes: readonly AuthChange[]): MemoryStore => enabledStoreWith({}, ...changes)

function enabledStoreWith(settings: Partial<KvSettings>, ...changes: readonly AuthChange[]): MemoryStore {
  const store = new MemoryStore(settings)
  for (const outcome of change(store, ROOT_USER, ...changes, ENABLE)) expect(outcome.kind).toBe('auth')
  expect(store.state.auth.enabled).toBe(true)
  return store
}

const userOf = (name: string, roles: readonly string[] = []) =>
  ({ kind: 'put-user', name, passwordHash: 'h', roles }) as const

const refusedAs = (reason: string) => expect.objectContaining({ kind: 'refused', reason })

test('each change raises the auth revision, and not the revision of the store', () => {
  const store = new MemoryStore()
  const outcomes = change(
    store,
    { kind: 'put-role', name: 'app', permissions: [{ access: 'admin', range: undefined }] },
    { kind: 'put-user', name: 'bob', passwordHash: undefined, roles: ['root', 'app', 'app'] },
    { kind: 'put-user', name: 'bob', passwordHash: 'h', roles: undefined },
    { kind: 'put-user', name: 'bob', passwordHash: undefined, roles: undefined },
  )
  expect(outcomes).toEqual([2, 3, 4, 5].map((authRevision) => ({ kind: 'auth', revision: 1, authRevision })))
  expect(stateOf(store).users.get('bob')).toEqual({
    ...{ name: 'bob', madeAt: 3, passwordHash: 'h', roles: ['app', 'root'] },
    // The revision of the last password.
    epoch: 4,
  })
  change(store, { kind: 'delete-role', name: 'app' })
  expect(stateOf(store).users.get('bob')?.roles).toEqual(['root'])
  expect(stateOf(store).findRights('bob')?.isAdmin).toBe(true)
  change(store, { kind: 'delete-user', name: 'bob' })
  expect(stateOf(store).findRights('bob')).toBeUndefined()
})

test('a change is refused if users or roles are missing, or were changed since', () => {
  const store = new MemoryStore()
  const user = { kind: 'put-user', name: 'bob', passwordHash: undefined, roles: ['none'] } as const
  expect(
    change(store, user, { kind: 'delete-user', name: 'bob' }, { kind: 'delete-role', name: 'app' }),
  ).toEqual([refusedAs('unknown-role'), refusedAs('no-such-user'), refusedAs('no-such-role')])
  expect(store.apply(ask(authOf(ROOT_USER, 7))).outcome).toEqual(refusedAs('auth-changed'))
  expect(store.apply(ask(authOf(ROOT_USER, 1))).outcome.kind).toBe('auth')
  expect(store.state.auth).toEqual({ enabled: false, revision: 2 })
})

test('rights are checked only while there is a user root who can log in', () => {
  const store = new MemoryStore()
  const withoutPassword = { ...ROOT_USER, passwordHash: null }
  expect(change(store, ENABLE, withoutPassword, ENABLE)).toEqual([
    refusedAs('root-needed'),
    expect.objectContaining({ kind: 'auth' }),
    refusedAs('root-needed'),
  ])
  expect(change(store, { ...ENABLE, rootHasCertificate: true })).toMatchObject([{ kind: 'auth' }])
  expect(change(store, ROOT_USER, withoutPassword)).toEqual([
    expect.objectContaining({ kind: 'auth' }),
    refusedAs('root-needed'),
  ])
  expect(
    change(
      store,
      { kind: 'delete-user', name: 'root' },
      { kind: 'put-user', name: 'root', passwordHash: undefined, roles: [] },
    ),
  ).toEqual([refusedAs('root-needed'), refusedAs('root-needed')])
  expect(change(store, { kind: 'disable' }, { kind: 'delete-user', name: 'root' })).toMatchObject([
    { kind: 'auth' },
    { kind: 'auth' },
  ])
})

test('users and roles that would take too much room are refused', () => {
  const store = new MemoryStore()
  const range = { start: new Uint8Array(4096), end: undefined }
  const permissions = Array.from({ length: 200 }, () => ({ access: 'read', range }) as const)
  const outcomes = change(
    store,
    ...['a', 'b'].map((name) => ({ kind: 'put-role', name, permissions }) as const),
  )
  expect(outcomes).toEqual([expect.objectContaining({ kind: 'auth' }), refusedAs('auth-too-large')])
  expect([...stateOf(store).roles.keys()]).toEqual(['a'])
})

test('each user, role and permission counts some bytes beside its own', () => {
  const store = new MemoryStore()
  const range = { start: utf8('a'), end: undefined }
  const permissions = Array.from({ length: 4096 }, () => ({ access: 'read', range }) as const)
  const outcomes = change(
    store,
    ...Array.from({ length: 12 }, (_, at) => ({ kind: 'put-role', name: `r${at}`, permissions }) as const),
  )
  expect(outcomes.map(({ kind }) => kind)).toEqual([...Array(11).fill('auth'), 'refused'])
  const one = { kind: 'put-role', name: 'r0', permissions: [] } as const
  expect(change(store, one, { kind: 'delete-role', name: 'r1' })).toMatchObject([
    { kind: 'auth' },
    { kind: 'auth' },
  ])
  expect(change(store, { kind: 'put-role', name: 'new', permissions })).toMatchObject([{ kind: 'auth' }])
})

test('what users and roles count is what their rows have, whatever was changed', () => {
  const store = enabledStore({
    kind: 'put-role',
    name: 'app',
    permissions: [{ access: 'write', range: { start: utf8('a'), end: utf8('b') } }],
  })
  const before = authRowsOf(store).head
  change(
    store,
    { kind: 'put-role', name: 'b', permissions: [{ access: 'admin', range: undefined }] },
    { kind: 'put-user', name: 'bob', passwordHash: 'h', roles: ['app', 'b'] },
    { kind: 'put-user', name: 'bob', passwordHash: 'another', roles: undefined },
    { kind: 'delete-role', name: 'b' },
    { kind: 'delete-user', name: 'bob' },
  )
  expect(authRowsOf(store).head).toEqual(before)
})

test('the row of what they share has one form', () => {
  const store = enabledStore({ kind: 'put-role', name: 'app', permissions: [] })
  const row = store.rows.get(hex(AUTH_KEY)) ?? new Uint8Array()
  expect(encodeAuthHead(decodeAuthHead(row))).toEqual(row)
  expect(decodeAuthHead(row)).toMatchObject({
    ...{ keys: KEYS, users: [{ name: 'root', madeAt: 2 }], roles: ['app'] },
  })
})

test('a change writes the rows of what it changes, and reads no other', () => {
  const store = enabledStore(
    ...['a', 'b', 'c'].map((name) => ({ kind: 'put-role', name, permissions: [] }) as const),
    ...['x', 'y', 'z'].map(
      (name) => ({ kind: 'put-user', name, passwordHash: 'h', roles: ['a', 'b'] }) as const,
    ),
  )
  const written = (each: AuthChange) =>
    store
      .apply(by('root', authOf(each), store))
      .changes.map(({ key }) => `${Buffer.from(key.subarray(2))}`)
      .sort()
  expect(written({ kind: 'put-user', name: 'x', passwordHash: 'i', roles: undefined })).toEqual(['x'])
  expect(written({ kind: 'put-role', name: 'a', permissions: [] })).toEqual(['a'])
  expect(written({ kind: 'put-user', name: 'z', passwordHash: undefined, roles: ['c'] })).toEqual(['', 'z'])
  expect(written({ kind: 'delete-role', name: 'b' })).toEqual(['', 'b', 'x', 'y'])
})

test('after a change only the changed rows are read again', () => {
  const roles = ['a', 'b', 'c']
  const store = enabledStore(
    ...roles.map((name) => ({ kind: 'put-role', name, permissions: [] }) as const),
    ...['x', 'y'].map((name) => ({ kind: 'put-user', name, passwordHash: 'h', roles }) as const),
  )
  const known = authRowsOf(store)
  const rightsOf = (user: string) => known.state.findRights(user)
  const before = rightsOf('x')
  // The row of what they share, a user, and his roles.
  expect(known.rowsRead).toBe(5)
  expect(rightsOf('y')).toBe(before)
  expect(known.rowsRead).toBe(6)
  const changed = (each: AuthChange) => {
    for (const { key } of store.apply(by('root', authOf(each), store)).changes) known.changed(key)
    const { rowsRead } = known
    const rights = ['x', 'y'].map(rightsOf)
    return { rights, read: known.rowsRead - rowsRead }
  }
  expect(changed({ kind: 'put-user', name: 'y', passwordHash: 'another', roles: undefined })).toEqual({
    rights: [before, before],
    read: 2,
  })
  expect(rightsOf('x')).toBe(before)
  const [x, y] = changed({ kind: 'put-role', name: 'b', permissions: [] }).rights
  expect(x).not.toBe(before)
  expect(y).toBe(x)
})

const APP = { start: utf8('app/'), end: utf8('app0') }
const roleOf = (...accesses: readonly ('read' | 'write')[]) =>
  ({
    kind: 'put-role',
    name: 'app',
    permissions: accesses.map((access) => ({ access, range: APP })),
  }) as const

test('an entry that is no longer permitted is refused, and nothing of it is remembered', () => {
  const store = enabledStore(roleOf('write'), userOf('bob', ['app']))
  const token = { token: 't', since: undefined }
  const put = { ...by('bob', putOf('app/a', '1'), store), idempotency: token }
  change(store, roleOf('read'))
  const before = new Map(store.rows)
  expect(store.apply(put).outcome).toEqual(refusedAs('rights-changed'))
  expect(new Map(store.rows)).toEqual(before)
  change(store, roleOf('write'))
  expect(store.apply(put)).toMatchObject({ replayed: false, outcome: { kind: 'put', version: 1 } })
  // The same request, whatever the rights were when it was permitted.
  expect(store.apply({ ...put, authRevision: store.state.auth.revision })).toMatchObject({
    ...{ replayed: true, outcome: { kind: 'put', version: 1 } },
  })
})

test.each([
  ['another user has a new password', [{ ...userOf('carl'), roles: undefined }]],
  ['a user is made, and one removed', [userOf('dora'), { kind: 'delete-user', name: 'carl' }]],
  ['another right is given and taken', [roleOf('write', 'read'), roleOf('write')]],
  ['another role is removed', [{ kind: 'delete-role', name: 'other' }]],
  ['a role is added', [{ ...userOf('bob', ['app', 'other']), passwordHash: undefined }]],
] satisfies readonly [string, readonly AuthChange[]][])(
  'a change in flight is made at once although %s',
  (_, changes) => {
    const store = enabledStore(
      ...[roleOf('write'), { ...roleOf('read'), name: 'other' }],
      ...[userOf('bob', ['app']), userOf('carl')],
    )
    const requests = [putOf('app/a', '1'), batchOf(putOf('app/b', '1'), deleteOf('app/c'))] as const
    const inFlight = requests.map((command) => by('bob', command, store))
    for (const outcome of change(store, ...changes)) expect(outcome.kind).toBe('auth')
    expect(inFlight.map((request) => store.apply(request).outcome.kind)).toEqual(['put', 'batch'])
  },
)

test.each([
  ['the user has a new password', [{ ...userOf('bob'), roles: undefined }]],
  ['the user has no password any more', [{ ...userOf('bob'), passwordHash: null, roles: undefined }]],
  ['the user is removed', [{ kind: 'delete-user', name: 'bob' }]],
  ['the user is made again', [{ kind: 'delete-user', name: 'bob' }, userOf('bob', ['app'])]],
  ['the user loses a role', [{ ...userOf('bob', []), passwordHash: undefined }]],
  ['the role is removed', [{ kind: 'delete-role', name: 'app' }]],
  ['rights are not checked any more', [{ kind: 'disable' }]],
] satisfies readonly [string, readonly AuthChange[]][])(
  'a change in flight is decided again when %s',
  (_, changes) => {
    const store = enabledStore(roleOf('write'), userOf('bob', ['app']))
    const inFlight = by('bob', putOf('app/a', '1'), store)
    for (const outcome of change(store, ...changes)) expect(outcome.kind).toBe('auth')
    expect(store.apply(inFlight).outcome).toEqual(refusedAs('rights-changed'))
  },
)

test.each([
  ['the permissions of a role', roleOf('read')],
  ['the roles of a user', { ...userOf('bob'), passwordHash: undefined }],
  ['a user', { kind: 'delete-user', name: 'bob' }],
] satisfies readonly [string, AuthChange][])(
  'a snapshot that changes %s decides on what follows it',
  (_, taken) => {
    const store = enabledStore(roleOf('write'), userOf('bob', ['app']), userOf('carl'))
    const sender = new MemoryStore()
    sender.becomes(store)
    const inFlight = by('bob', putOf('app/a', '1'), store)
    // The replica decides on it by the users and roles of now, and knows them from then on.
    change(store, { ...userOf('carl'), roles: undefined })
    expect(store.apply(inFlight).outcome.kind).toBe('put')
    sender.becomes(store)
    change(sender, taken)
    store.becomes(sender)
    expect(store.apply(inFlight).outcome).toEqual(refusedAs('rights-changed'))
  },
)

test('of two changes of the own password in flight, the second one is decided again', () => {
  const store = enabledStore(userOf('bob'))
  const passwords = ['first', 'second'].map((passwordHash) =>
    by('bob', authOf({ ...userOf('bob'), passwordHash, roles: undefined }), store),
  )
  expect(passwords.map((request) => store.apply(request).outcome)).toEqual([
    expect.objectContaining({ kind: 'auth' }),
    refusedAs('rights-changed'),
  ])
  expect(stateOf(store).users.get('bob')?.passwordHash).toBe('first')
})

test.each([
  ['nobody', { ...ask(putOf('a', '1')) }],
  ['nobody, with a revision', { ...ask(putOf('a', '1')), principal: '', authRevision: 99 }],
  ['a node that puts', { ...ask(putOf('a', '1')), principal: SYSTEM_PRINCIPAL }],
  ['a node that deletes', { ...ask(deleteOf('a')), principal: SYSTEM_PRINCIPAL }],
  ['a node that revokes', { ...ask({ kind: 'revoke', id: '7' as LeaseId }), principal: SYSTEM_PRINCIPAL }],
  ['a node that changes users', { ...ask(authOf({ kind: 'disable' })), principal: SYSTEM_PRINCIPAL }],
  [
    'a node that compacts at a revision',
    { ...ask({ kind: 'compact', revision: asRevision(1) }), principal: SYSTEM_PRINCIPAL },
  ],
  ['a user who ends leases', { ...ask({ kind: 'expire', leases: [] }), principal: 'bob', authRevision: 2 }],
] satisfies readonly [string, Request][])('while rights are checked, %s is refused', (_, request) => {
  expect(enabledStore().apply(request).outcome).toEqual(refusedAs('rights-changed'))
})

test.each([
  { kind: 'expire', leases: [] },
  { kind: 'renew', ids: [] },
  { kind: 'compact', revision: undefined },
] satisfies Command[])('a node may $kind while rights are checked', (command) => {
  const { outcome } = enabledStore().apply({ ...ask(command), principal: SYSTEM_PRINCIPAL })
  expect(outcome.kind).not.toBe('refused')
})

test('whether only nodes may make a change is known without a look at its keys', () => {
  const unread = {
    get key(): Uint8Array {
      throw new Error('a key was read')
    },
  }
  const put = Object.create(unread, Object.getOwnPropertyDescriptors({ ...PUT_WITHOUT_KEY }))
  const batch = { kind: 'batch', commands: [put] } as const
  expect([put, batch].map(isOfNode)).toEqual([false, false])
})

const PUT_WITHOUT_KEY = { kind: 'put', value: utf8(''), condition: undefined, prev: false }

test('a version has its writer while rights are checked', () => {
  const store = new MemoryStore()
  store.apply(ask(putOf('a', '1')))
  expect(store.get('a')).not.toHaveProperty('by')
  change(store, ROOT_USER, ENABLE)
  store.apply(by('bob', putOf('a', '2'), store))
  expect(store.get('a')).toMatchObject({ by: 'bob', version: 2 })
  store.apply(by('carl', { kind: 'txn', txn: txnOf('a', 'b') }, store))
  expect(store.list(undefined).map((record) => record.by)).toEqual(['carl', 'carl'])
  change(store, { kind: 'disable' })
  store.apply(ask(putOf('a', '3')))
  expect(store.get('a')).not.toHaveProperty('by')
})

const txnOf = (...keys: readonly string[]) => ({
  compare: [],
  success: keys.map((key) => ({ kind: 'put', key: utf8(key), value: utf8(''), prev: false }) as const),
  failure: [],
})

test('a lease has its owner until it ends', () => {
  const store = enabledStore(...['bob', 'dora', 'carl'].map((name) => userOf(name, ['root'])))
  const id = '7' as LeaseId
  store.apply(by('bob', { kind: 'grant', id, ttlMs: 1000 }, store))
  const owners = () =>
    [...store.rows].filter(([key]) => key.startsWith('0a')).map(([, row]) => decodeLeaseOwner(row).name)
  expect(owners()).toEqual(['bob'])
  store.apply(by('carl', { ...putOf('a', '1'), lease: { id } }, store))
  store.apply(by('dora', { ...putOf('own', '1'), lease: { ttlMs: 1000 } }, store))
  expect(owners()).toEqual(['bob', 'dora'].sort())
  store.apply(by('bob', { kind: 'revoke', id }, store))
  store.apply(by('bob', deleteOf('own'), store))
  expect(owners()).toEqual([])
  expect(store.state.leases.count).toBe(0)
})

test('a lease is revoked only by a user who may write all keys that it has when the entry is applied', () => {
  const range = { start: utf8('app/'), end: utf8('app0') }
  const store = enabledStore(
    { kind: 'put-role', name: 'app', permissions: [{ access: 'write', range }] },
    { kind: 'put-user', name: 'bob', passwordHash: 'h', roles: ['app'] },
  )
  const id = '7' as LeaseId
  const revoke = { kind: 'revoke', id } as const
  store.apply(by('root', { kind: 'grant', id, ttlMs: 1000 }, store))
  for (const key of ['app/1', 'other']) store.apply(by('root', { ...putOf(key, '1'), lease: { id } }, store))
  const token = { token: 't', since: undefined }
  const request = { ...by('bob', revoke, store), idempotency: token }
  expect(store.apply(request).outcome).toEqual(refusedAs('rights-changed'))
  expect(store.apply(by('nobody', revoke, store)).outcome).toEqual(refusedAs('rights-changed'))
  store.apply(by('root', deleteOf('other'), store))
  // The refusal was not remembered.
  expect(store.apply(request)).toMatchObject({ replayed: false, outcome: { kind: 'revoked', deleted: 1 } })
  expect(store.apply(request)).toMatchObject({ replayed: true, outcome: { kind: 'revoked', deleted: 1 } })
})

test.each([
  { clusterVersion: 1, rangeKeysMax: 4, attached: 'batch', revoked: 'revoked' },
  { clusterVersion: 1, rangeKeysMax: 3, attached: 'range-too-large', revoked: 'revoked' },
  // A single lease had more keys only if the limit was lowered since.
  { clusterVersion: 1, rangeKeysMax: 1, attached: 'range-too-large', revoked: 'revoked' },
  { clusterVersion: 2, rangeKeysMax: 4, attached: 'batch', revoked: 'revoked' },
  { clusterVersion: 2, rangeKeysMax: 3, attached: 'range-too-large', revoked: 'revoked' },
  { clusterVersion: 2, rangeKeysMax: 1, attached: 'range-too-large', revoked: 'range-too-large' },
])('leases are decided on whose keys an entry may read: $clusterVersion, $rangeKeysMax', (each) => {
  const { clusterVersion, rangeKeysMax, attached, revoked } = each
  const ids = ['7', '8'] as LeaseId[]
  const range = { start: utf8('z'), end: undefined }
  // No permission has what the keys of a lease have in common.
  const second = { ...roleOf('write'), name: 'second', permissions: [{ access: 'write', range } as const] }
  const users = [roleOf('write'), second, userOf('bob', ['app', 'second'])]
  const store = enabledStoreWith({ clusterVersion }, ...users)
  for (const id of ids) {
    store.apply(by('bob', { kind: 'grant', id, ttlMs: 1000 }, store))
    for (const key of [`app/${id}`, `z${id}`])
      store.apply(by('bob', { ...putOf(key, '1'), lease: { id } }, store))
  }
  store.apply(by('root', { kind: 'settings', settings: { rangeKeysMax } }, store))
  const resultOf = (user: string, command: Command): string => {
    const { outcome } = store.apply(by(user, command, store))
    return outcome.kind === 'refused' ? outcome.reason : outcome.kind
  }
  const attach = ids.map((id) => ({ ...putOf('app/9', '1'), prev: false, lease: { id } }) as const)
  expect(resultOf('bob', batchOf(...attach))).toBe(attached)
  expect(resultOf('bob', { kind: 'revoke', id: '7' as LeaseId })).toBe(revoked)
  expect(resultOf('root', { kind: 'revoke', id: '8' as LeaseId })).toBe('revoked')
})

test('a lease without keys is ended by the user who was granted it, or by root', () => {
  const store = enabledStore(userOf('bob'), userOf('carl'))
  const id = '7' as LeaseId
  const revokedBy = (user: string, owner: string) => {
    store.apply(by(owner, { kind: 'grant', id, ttlMs: 1000 }, store))
    return store.apply(by(user, { kind: 'revoke', id }, store)).outcome
  }
  expect(revokedBy('bob', 'carl')).toEqual(refusedAs('rights-changed'))
  for (const user of ['carl', 'root']) expect(revokedBy(user, 'carl')).toMatchObject({ kind: 'revoked' })
  // It was granted to nobody.
  change(store, { kind: 'disable' })
  store.apply(ask({ kind: 'grant', id, ttlMs: 1000 }))
  change(store, ENABLE)
  expect(store.apply(by('bob', { kind: 'revoke', id }, store)).outcome).toEqual(refusedAs('rights-changed'))
  expect(store.apply(by('root', { kind: 'revoke', id }, store)).outcome).toMatchObject({ kind: 'revoked' })
})

test('a key is attached to a lease only by a user who may write all its keys, also to his own', () => {
  const store = enabledStore(
    roleOf('write'),
    {
      ...roleOf('write'),
      name: 'other',
      permissions: [{ access: 'write', range: { start: utf8('x'), end: utf8('y') } }],
    },
    userOf('bob', ['app', 'other']),
  )
  const id = '7' as LeaseId
  store.apply(by('bob', { kind: 'grant', id, ttlMs: 1000 }, store))
  const attach = (user: string, key: string) =>
    store.apply(by(user, { ...putOf(key, '1'), lease: { id } }, store)).outcome
  for (const key of ['app/1', 'x/1', 'app/2']) expect(attach('bob', key)).toMatchObject({ kind: 'put' })
  change(store, { ...userOf('bob', ['app']), passwordHash: undefined })
  expect(attach('bob', 'app/3')).toEqual(refusedAs('rights-changed'))
  // The keys decide when what they have in common does not.
  store.apply(by('root', deleteOf('x/1'), store))
  expect(attach('bob', 'app/3')).toMatchObject({ kind: 'put' })
  expect(attach('root', 'z')).toMatchObject({ kind: 'put' })
  expect(attach('bob', 'app/4')).toEqual(refusedAs('rights-changed'))
})

test('a session serves only the user who has opened it', () => {
  const store = enabledStore(userOf('bob'), userOf('carl'))
  const opened = store.apply(by('bob', { kind: 'open-session' }, store)).outcome
  const session = 'session' in opened ? opened.session : 0
  const put = (user: string, seq: number) => {
    const idempotency = { session, slot: 0, seq }
    return store.apply({ ...by(user, putOf(user, '1'), store), idempotency })
  }
  expect(put('carl', 1000).outcome).toEqual(refusedAs('session-expired'))
  expect(put('bob', 1)).toMatchObject({ replayed: false, outcome: { kind: 'put' } })
  expect(put('carl', 1).outcome).toEqual(refusedAs('session-expired'))
  expect(put('bob', 1)).toMatchObject({ replayed: true, outcome: { kind: 'put' } })
  change(store, { kind: 'disable' })
  const idempotency = { session, slot: 0, seq: 2 }
  expect(store.apply({ ...ask(putOf('a', '1')), idempotency }).outcome.kind).toBe('put')
})

test('a session of nobody answers repetitions of its last requests, and serves no new one', () => {
  const store = new MemoryStore()
  store.apply(ask({ kind: 'open-session' }))
  const inSlot = (slot: number, seq: number) => ({ session: 1, slot, seq })
  const put = putOf('a', '1')
  store.apply(ask(put, inSlot(0, 1)))
  change(store, ROOT_USER, userOf('bob'), ENABLE)
  const repeat = { ...by('bob', put, store), idempotency: inSlot(0, 1) }
  expect(store.apply(repeat)).toMatchObject({ replayed: true, outcome: { kind: 'put', version: 1 } })
  for (const slot of [inSlot(0, 2), inSlot(1, 1)])
    expect(store.apply({ ...repeat, idempotency: slot }).outcome).toEqual(refusedAs('session-expired'))
})

// ---------------------------------------------------------------------------------------------------------------------
// Identity

test('a user who is made again inherits nothing of the former one', () => {
  const store = enabledStore(userOf('bob', ['root']))
  const id = '7' as LeaseId
  const token = { token: 't', since: undefined }
  store.apply(by('bob', { kind: 'grant', id, ttlMs: 1000 }, store))
  store.apply(by('bob', { kind: 'open-session' }, store))
  const slot = { session: 1, slot: 0, seq: 1 }
  const put = putOf('a', '1')
  for (const idempotency of [token, slot]) store.apply({ ...by('bob', put, store), idempotency })
  expect(store.apply({ ...by('bob', put, store), idempotency: token }).replayed).toBe(true)
  change(store, { kind: 'delete-user', name: 'bob' }, userOf('bob'))
  expect(store.apply({ ...by('bob', put, store), idempotency: token })).toMatchObject({
    ...{ replayed: false, outcome: { kind: 'put', version: 3 } },
  })
  expect(store.apply({ ...by('bob', put, store), idempotency: slot }).outcome).toEqual(
    refusedAs('session-expired'),
  )
  for (const command of [
    { kind: 'revoke', id } as const,
    { ...putOf('a', '1'), lease: { id } },
    batchOf({ ...putOf('a', '1'), lease: { id } }),
  ])
    expect(store.apply(by('bob', command, store)).outcome).toEqual(refusedAs('rights-changed'))
})

describe('the token of a user', () => {
  const TOKEN = { token: 't', since: undefined }
  const under = (store: MemoryStore, user: string | undefined, value: string) => {
    const request = user === undefined ? ask(putOf('a', value)) : by(user, putOf('a', value), store)
    return store.apply({ ...request, idempotency: TOKEN })
  }
  const REUSED = { outcome: refusedAs('token-reused') }
  const made = (version: number) => ({ replayed: false, outcome: { kind: 'put', version } })
  const repeated = (version: number) => ({ replayed: true, outcome: { kind: 'put', version } })

  test('is neither found nor taken by another user', () => {
    const store = enabledStore(userOf('bob'), userOf('carl'))
    expect(under(store, 'bob', '1')).toMatchObject(made(1))
    expect(under(store, 'carl', '2')).toMatchObject(made(2))
    // The same request of another user is another request.
    expect(under(store, 'root', '1')).toMatchObject(made(3))
    expect(under(store, 'bob', '1')).toMatchObject(repeated(1))
    expect(under(store, 'carl', '2')).toMatchObject(repeated(2))
    expect(under(store, 'carl', '1')).toMatchObject(REUSED)
  })

  test('keeps its answer when rights begin to be checked, and when they cease', () => {
    const store = new MemoryStore()
    under(store, undefined, '1')
    change(store, ROOT_USER, userOf('bob'), ENABLE)
    expect(under(store, 'bob', '1')).toMatchObject(repeated(1))
    // Nobody's token does not keep a user from using it.
    expect(under(store, 'bob', '2')).toMatchObject(made(2))
    expect(under(store, 'root', '3')).toMatchObject(made(3))
    change(store, { kind: 'disable' })
    for (const version of [1, 2, 3])
      expect(under(store, undefined, `${version}`)).toMatchObject(repeated(version))
    expect(under(store, undefined, '4')).toMatchObject(REUSED)
  })

  test('is forgotten alone, and its bytes with it', () => {
    const store = enabledStore(userOf('bob'), userOf('carl'))
    under(store, 'bob', '1')
    store.apply({ ...by('carl', putOf('a', '2'), store), idempotency: TOKEN }, 1000)
    const { idempotencyAgeMsMax } = store.state.settings
    store.apply(by('root', putOf('b', ''), store), idempotencyAgeMsMax + 1)
    expect(store.state.idempotencyTokens.count).toBe(1)
    expect(under(store, 'carl', '2')).toMatchObject(repeated(2))
    expect(under(store, 'bob', '1')).toMatchObject(made(3))
    store.apply(by('root', putOf('b', ''), store), 3 * idempotencyAgeMsMax)
    expect(store.state.idempotencyTokens).toMatchObject({ count: 0, bytes: 0 })
    expect([...store.rows.keys()].filter((name) => /^0[23]/.test(name))).toEqual([])
  })

  test('is refused when too many users have it', () => {
    const names = Array.from({ length: TOKEN_USERS_MAX }, (_, at) => `user${at}`)
    const store = enabledStore(...names.map((name) => userOf(name)), userOf('late'))
    for (const [at, name] of names.entries()) expect(under(store, name, `${at}`)).toMatchObject(made(at + 1))
    expect(under(store, 'late', 'x').outcome).toEqual(refusedAs('too-many-token-users'))
    expect(under(store, 'user7', '7')).toMatchObject(repeated(8))
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Leases

test('who was granted a lease revokes only keys that he may still write', () => {
  const store = enabledStore(appRole('alice/'), userOf('alice', ['app']))
  const id = '7' as LeaseId
  store.apply(by('alice', { kind: 'grant', id, ttlMs: 1000 }, store))
  store.apply(by('alice', { ...putOf('alice/1', ''), lease: { id } }, store))
  const revoke = () => store.apply(by('alice', { kind: 'revoke', id }, store)).outcome
  store.apply(by('root', { ...putOf('secret', ''), lease: { id } }, store))
  expect(revoke()).toEqual(refusedAs('rights-changed'))
  store.apply(by('root', deleteOf('secret'), store))
  change(store, { kind: 'put-role', name: 'app', permissions: [] })
  expect(revoke()).toEqual(refusedAs('rights-changed'))
  change(store, appRole('alice/'))
  expect(revoke()).toMatchObject({ kind: 'revoked', deleted: 1 })
})

const appRole = (prefix: string) =>
  ({
    kind: 'put-role',
    name: 'app',
    permissions: [{ access: 'readwrite', range: { start: utf8(prefix), end: prefixEnd(utf8(prefix)) } }],
  }) as const

test('ids of leases are a secret of the cluster, below 2^63, and not 0', () => {
  const idsOf = (leaseIdKey: Uint8Array | undefined): bigint[] => {
    const store = new MemoryStore()
    if (leaseIdKey !== undefined) change(store, ROOT_USER, { ...ENABLE, leaseIdKey })
    return Array.from({ length: 20 }, () => {
      const command = { kind: 'grant', id: undefined, ttlMs: 1000 } as const
      const { outcome } = store.apply(leaseIdKey === undefined ? ask(command) : by('root', command, store))
      return 'lease' in outcome ? BigInt(outcome.lease) : 0n
    })
  }
  const [first, second, open] = [
    idsOf(utf8('first of secrets')),
    idsOf(utf8('second of those.')),
    idsOf(undefined),
  ]
  const all = [...first, ...second, ...open]
  expect(new Set(all).size).toBe(60)
  expect(idsOf(utf8('first of secrets'))).toEqual(first)
  for (const id of all) expect(id > 0n && id < 2n ** 63n).toBe(true)
})

test('the rights on a lease with many keys are decided in steps', () => {
  const store = enabledStore(appRole('app/'), { ...appRole('x/'), name: 'x' }, userOf('bob', ['app', 'x']))
  const id = '7' as LeaseId
  store.apply(by('root', { kind: 'grant', id, ttlMs: 1000 }, store))
  // The beginning of all keys does not decide.
  const puts = Array.from({ length: 500 }, (_, at) => ({
    ...putOf(`${at % 2 === 0 ? 'app' : 'x'}/${at}`, ''),
    lease: { id },
  }))
  store.apply(by('root', batchOf(...puts), store))
  const request = by('bob', { ...putOf('app/more', ''), lease: { id } }, store)
  const { apply, count } = inSteps()
  expect(store.apply(request, 0, apply).outcome).toMatchObject({ kind: 'put' })
  expect(count()).toBeGreaterThanOrEqual(500)
})

test('the rights of now on a large batch of older rights are decided in steps', () => {
  const store = enabledStore(appRole('app/'), userOf('bob', ['app']), userOf('carl'))
  const puts = Array.from({ length: 500 }, (_, at) => putOf(`app/${at}`, ''))
  // The last key is refused, so all steps are those of the decision.
  const request = by('bob', batchOf(...puts, putOf('x', '')), store)
  change(store, { kind: 'delete-user', name: 'carl' })
  const { apply, count } = inSteps()
  expect(store.apply(request, 0, apply).outcome).toEqual(refusedAs('rights-changed'))
  expect(count()).toBeGreaterThanOrEqual(500)
})

function inSteps() {
  let steps = 0
  const apply: typeof applyEntry = (...entry) => {
    const left = applySteps(...entry)
    for (;;) {
      const { done, value } = left.next()
      if (done) return value
      steps++
    }
  }
  return { apply, count: () => steps }
}

test.each([
  { clusterVersion: 1, both: 'range-too-large' },
  // The prefix of their keys is permitted, so none of the keys is read.
  { clusterVersion: 2, both: 'batch' },
])('leases that have too many keys together, at version $clusterVersion', ({ clusterVersion, both }) => {
  const store = enabledStoreWith({ clusterVersion }, appRole('app/'), userOf('bob', ['app']))
  store.apply(by('root', { kind: 'settings', settings: { rangeKeysMax: 3 } }, store))
  const leases = ['7', '8'].map((id) => ({ id: id as LeaseId }))
  for (const { id } of leases) {
    store.apply(by('root', { kind: 'grant', id, ttlMs: 1000 }, store))
    for (const at of [1, 2])
      store.apply(by('root', { ...putOf(`app/${id}/${at}`, ''), lease: { id } }, store))
  }
  const [one, other] = leases.map((lease) => ({ ...putOf('app/x', ''), lease }))
  if (one === undefined || other === undefined) throw new Error('two leases')
  expect(store.apply(by('bob', batchOf(one), store)).outcome).toMatchObject({ kind: 'batch' })
  const { outcome } = store.apply(by('bob', batchOf(one, other), store))
  expect(outcome.kind === 'refused' ? outcome.reason : outcome.kind).toBe(both)
})
