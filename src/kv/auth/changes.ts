// Changes of users, roles and the switch. Each raises the auth revision by 1, even if it changes nothing: a request
// that was permitted before it is judged again.

import { assertNever } from '../../bytes/index.ts'
import type { AuthRole } from '../../operations/forms/index.ts'
import type { ApplyContext } from '../apply-context.ts'
import { rejection } from '../rejections.ts'
import type { Steps } from '../steps.ts'
import type { AuthChange, Command, Outcome, Reason, Rejection, Rows, User, UserIdentity } from '../types.ts'
import { AUTH_BYTES_MAX, AUTH_ITEM_BYTES, ROOT } from './names.ts'
import {
  AUTH_KEY,
  type AuthHead,
  type AuthKeys,
  AuthRows,
  type AuthState,
  type ByName,
  encodeAuthHead,
  encodeRole,
  encodeUser,
  roleKey,
  userKey,
} from './state.ts'

/** In steps: a role may have thousands of users, from each of which its deletion takes it. */
export function* executeAuthChange(
  { change, ifRevision }: Extract<Command, { kind: 'auth' }>,
  { state, rows }: ApplyContext,
): Steps<Outcome> {
  const { auth } = state
  if (ifRevision !== undefined && ifRevision !== auth.revision)
    return rejection(state.revision, 'auth-changed', [auth.revision, ifRevision])
  const known = findAuthStateCache(rows)
  const revision = auth.revision + 1
  const changed = yield* collectChanges(known.at(auth.revision), change, revision)
  if (typeof changed === 'string') return rejection(state.revision, changed)
  const enabled = change.kind === 'enable' || (auth.enabled && change.kind !== 'disable')
  const root = changed.users.has(ROOT) ? changed.users.get(ROOT) : known.state.users.get(ROOT)
  const hasCertificate =
    change.kind === 'enable'
      ? change.rootHasCertificate
      : known.state.users.get(ROOT)?.passwordHash === undefined
  if (enabled && !isAble(root, hasCertificate)) return rejection(state.revision, 'root-needed')
  const written = yield* encodeChangedRows(known, changed)
  if (written.head.bytes > AUTH_BYTES_MAX) return tooLarge(written.head.bytes, state.revision)
  for (const row of written.rows) {
    rows.write(row)
    known.changed(row.key)
    yield
  }
  known.revision = revision
  state.auth = { enabled, revision }
  return { kind: 'auth', revision: state.revision, authRevision: revision }
}

/** The users and roles of a store as apply sees them, for decisions while an entry is applied. */
export const readAuthState = ({ state, rows }: Pick<ApplyContext, 'state' | 'rows'>): AuthState =>
  findAuthStateCache(rows).at(state.auth.revision)

/** Users and roles at the auth revision that apply has reached. */
class AuthStateCache extends AuthRows {
  revision = 0

  /** Another revision than the last one: a snapshot has replaced the rows. */
  at(revision: number): AuthState {
    if (revision !== this.revision) this.replaced()
    this.revision = revision
    return this.state
  }
}

/** One entry at a time is applied to a store. */
function findAuthStateCache(rows: Rows): AuthStateCache {
  const known = authStateCaches.get(rows)
  if (known !== undefined) return known
  const made = new AuthStateCache((rowKey) => rows.read(rowKey, false)?.bytes)
  authStateCaches.set(rows, made)
  return made
}

const authStateCaches = new WeakMap<Rows, AuthStateCache>()

const tooLarge = (bytes: number, revision: Rejection['revision']): Rejection =>
  rejection(revision, 'auth-too-large', [bytes, AUTH_BYTES_MAX])

/**
 * While rights are checked, somebody must be able to change them. A certificate of root may be its only credential. It
 * was shown when rights were enabled without a password; a password of root is not taken away later.
 */
const isAble = (root: User | undefined, hasCertificate: boolean): boolean =>
  root?.roles.includes(ROOT) === true && (hasCertificate || root.passwordHash !== undefined)

/** The users and roles that a change writes; undefined: it deletes them. */
interface Changes {
  readonly users: Map<string, User | undefined>
  readonly roles: Map<string, AuthRole | undefined>
  readonly keys: AuthKeys
}

/** `revision`: of the change. */
function* collectChanges(before: AuthState, change: AuthChange, revision: number): Steps<Changes | Reason> {
  const users: Changes['users'] = new Map()
  const roles: Changes['roles'] = new Map()
  let { keys } = before
  switch (change.kind) {
    case 'enable':
      keys = { tokenKey: change.tokenKey, leaseIdKey: change.leaseIdKey }
      break
    case 'disable':
      break
    case 'put-user': {
      const { name, passwordHash, roles: wanted } = change
      const user = before.users.get(name)
      const names = wanted === undefined ? (user?.roles ?? []) : [...new Set(wanted)].sort()
      if (names.some((role) => role !== ROOT && !before.roles.has(role))) return 'unknown-role'
      const hash = passwordHash === undefined ? user?.passwordHash : (passwordHash ?? undefined)
      const epoch = user === undefined || passwordHash !== undefined ? revision : user.epoch
      users.set(name, { name, madeAt: user?.madeAt ?? revision, passwordHash: hash, roles: names, epoch })
      break
    }
    case 'delete-user':
      if (!before.users.has(change.name)) return 'no-such-user'
      users.set(change.name, undefined)
      break
    case 'put-role':
      roles.set(change.name, { name: change.name, permissions: change.permissions })
      break
    case 'delete-role':
      if (!before.roles.has(change.name)) return 'no-such-role'
      roles.set(change.name, undefined)
      for (const name of before.users.keys()) {
        const user = before.users.get(name)
        if (user?.roles.includes(change.name))
          users.set(name, { ...user, roles: user.roles.filter((role) => role !== change.name) })
        yield
      }
      break
    default:
      return assertNever(change, 'change')
  }
  return { users, roles, keys }
}

interface RowsOfChange {
  readonly head: AuthHead
  readonly rows: { readonly key: Uint8Array; readonly value: Uint8Array | undefined }[]
}

/** The rows of a change, the head if it differs. */
function* encodeChangedRows(before: AuthRows, { users, roles, keys }: Changes): Steps<RowsOfChange> {
  const { head, state } = before
  let { bytes } = head
  const rows: RowsOfChange['rows'] = []
  for (const [name, user] of users) {
    const old = state.users.get(name)
    if (old !== undefined) bytes -= userSize(name, encodeUser(old))
    const value = user && encodeUser(user)
    if (value !== undefined) bytes += userSize(name, value)
    rows.push({ key: userKey(name), value })
    yield
  }
  for (const [name, role] of roles) {
    const old = state.roles.get(name)
    if (old !== undefined) bytes -= roleSize(name, encodeRole(old), old)
    const value = role && encodeRole(role)
    if (role !== undefined && value !== undefined) bytes += roleSize(name, value, role)
    rows.push({ key: roleKey(name), value })
  }
  const after = {
    keys,
    bytes,
    users: updateIdentities(head.users, users, state.users),
    roles: updateNames(head.roles, roles, state.roles),
  }
  const isSame =
    keys === state.keys && bytes === head.bytes && after.users === head.users && after.roles === head.roles
  if (!isSame) rows.push({ key: AUTH_KEY, value: encodeAuthHead(after) })
  return { head: after, rows }
}

/** The share of `AUTH_BYTES_MAX` that a user counts. */
export const userSize = (name: string, row: Uint8Array): number => AUTH_ITEM_BYTES + name.length + row.length

const roleSize = (name: string, row: Uint8Array, { permissions }: AuthRole): number =>
  AUTH_ITEM_BYTES * (1 + permissions.length) + name.length + row.length

/** The users after a change, in the order of their names. The same list if it neither makes nor removes one. */
function updateIdentities(
  before: readonly UserIdentity[],
  changes: Changes['users'],
  known: ByName<User>,
): readonly UserIdentity[] {
  const isSame = [...changes].every(([name, changed]) => (changed !== undefined) === known.has(name))
  if (isSame) return before
  const all = new Map(before.map((user) => [user.name, user]))
  for (const [name, user] of changes)
    if (user === undefined) all.delete(name)
    else all.set(name, { name, madeAt: user.madeAt })
  return [...all.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The names after a change, in order. The same list if it neither adds nor removes one. */
function updateNames<T>(
  names: readonly string[],
  changes: ReadonlyMap<string, T | undefined>,
  before: ByName<T>,
): readonly string[] {
  const isSame = [...changes].every(([name, changed]) => (changed !== undefined) === before.has(name))
  if (isSame) return names
  const all = new Set(names)
  for (const [name, changed] of changes)
    if (changed === undefined) all.delete(name)
    else all.add(name)
  return [...all].sort()
}
