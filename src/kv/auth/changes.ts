// Changes of users, roles and the switch. Each raises the auth revision by 1, even if it changes nothing: a request
// that was permitted before it is judged again.

import type { ApplyContext } from '../apply-context.ts'
import { assertNever } from '../errors.ts'
import { rejection } from '../rejections.ts'
import type { AuthChange, Command, Outcome, Reason, Rejection } from '../types.ts'
import { AUTH_BYTES_MAX, ROLE_BYTES_MIN, ROOT } from './names.ts'
import { AUTH_KEY, AuthState, decodeAuth, encodeAuth } from './state.ts'

export function changeAuth(
  { change, ifRevision }: Extract<Command, { kind: 'auth' }>,
  { state, rows }: ApplyContext,
): Outcome {
  const { auth } = state
  if (ifRevision !== undefined && ifRevision !== auth.revision)
    return rejection(state.revision, 'auth-changed', [auth.revision, ifRevision])
  const row = rows.read(AUTH_KEY, false)
  const before = row === undefined ? AuthState.EMPTY : decodeAuth(row.bytes)
  const revision = auth.revision + 1
  const changed = changedState(before, change, revision)
  if (typeof changed === 'string') return rejection(state.revision, changed)
  const enabled = change.kind === 'enable' || (auth.enabled && change.kind !== 'disable')
  const hasCertificate =
    change.kind === 'enable' ? change.rootHasCertificate : before.users.get(ROOT)?.passwordHash === undefined
  if (enabled && !hasRoot(changed, hasCertificate)) return rejection(state.revision, 'root-needed')
  const bytesMin = changed.roles.size * ROLE_BYTES_MIN
  if (bytesMin > AUTH_BYTES_MAX) return tooLarge(bytesMin, state.revision)
  const bytes = encodeAuth(changed)
  if (bytes.length > AUTH_BYTES_MAX) return tooLarge(bytes.length, state.revision)
  rows.write({ key: AUTH_KEY, value: bytes })
  state.auth = { enabled, revision }
  return { kind: 'auth', revision: state.revision, authRevision: revision }
}

const tooLarge = (bytes: number, revision: Rejection['revision']): Rejection =>
  rejection(revision, 'auth-too-large', [bytes, AUTH_BYTES_MAX])

/**
 * While rights are checked, somebody must be able to change them. A certificate of root may be its only credential. It
 * was shown when rights were enabled without a password; a password of root is not taken away later.
 */
function hasRoot({ users }: AuthState, hasCertificate: boolean): boolean {
  const root = users.get(ROOT)
  return root?.roles.includes(ROOT) === true && (hasCertificate || root.passwordHash !== undefined)
}

/** `revision`: of the change. */
function changedState(before: AuthState, change: AuthChange, revision: number): AuthState | Reason {
  const users = new Map(before.users)
  const roles = new Map(before.roles)
  let { keys } = before
  switch (change.kind) {
    case 'enable':
      keys = { tokenKey: change.tokenKey, leaseIdKey: change.leaseIdKey }
      break
    case 'disable':
      break
    case 'put-user': {
      const { name, passwordHash, roles: wanted } = change
      const user = users.get(name)
      const names = wanted === undefined ? (user?.roles ?? []) : [...new Set(wanted)].sort()
      if (names.some((role) => role !== ROOT && !roles.has(role))) return 'unknown-role'
      const hash = passwordHash === undefined ? user?.passwordHash : (passwordHash ?? undefined)
      const epoch = user === undefined || passwordHash !== undefined ? revision : user.epoch
      users.set(name, { name, madeAt: user?.madeAt ?? revision, passwordHash: hash, roles: names, epoch })
      break
    }
    case 'delete-user':
      if (!users.delete(change.name)) return 'no-such-user'
      break
    case 'put-role':
      roles.set(change.name, { name: change.name, permissions: change.permissions })
      break
    case 'delete-role':
      if (!roles.delete(change.name)) return 'no-such-role'
      for (const [name, user] of users)
        users.set(name, { ...user, roles: user.roles.filter((role) => role !== change.name) })
      break
    default:
      return assertNever(change, 'change')
  }
  return new AuthState(users, roles, keys)
}
