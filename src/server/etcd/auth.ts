// Users and roles as etcd's API changes them: it reads what is there, and says what to do about it. The change is made
// only if users and roles are still those that were read.

import {
  type AuthResponse,
  type Permission as EtcdPermission,
  PERMISSION_TYPES,
} from '../../etcd/messages/auth.ts'
import { ETCD_ERRORS } from '../../etcd/status.ts'
import type { UserDescription } from '../../operations/documents/auth.ts'
import {
  ApiError,
  type AuthRole,
  compareKeys,
  type KeyRange,
  keyAfter,
} from '../../operations/forms/index.ts'
import type { Permission } from '../../operations/forms/roles.ts'
import type { RequestedAuthChange } from '../../operations/index.ts'
import type { EtcdCall } from './call.ts'
import { decodeWhere } from './fields.ts'

/** The user who manages users, and the role that may do everything. */
export const ROOT = 'root'

export async function listUsers(call: EtcdCall): Promise<readonly UserDescription[]> {
  const { result } = await call.execute({ kind: 'show-users', name: undefined })
  return 'users' in result ? result.users : [result.user]
}

export async function findUser(name: string, call: EtcdCall): Promise<UserDescription | undefined> {
  const found = await call.execute({ kind: 'show-users', name }).catch(undefinedIfNotFound)
  return found !== undefined && 'user' in found.result ? found.result.user : undefined
}

/** Throws `GrpcError` if there is none. */
export async function readUser(name: string, call: EtcdCall): Promise<UserDescription> {
  const user = await findUser(name, call)
  if (user === undefined) throw ETCD_ERRORS.userNotFound
  return user
}

export async function findRole(name: string, call: EtcdCall): Promise<AuthRole | undefined> {
  const found = await call.execute({ kind: 'show-roles', name }).catch(undefinedIfNotFound)
  return found !== undefined && 'role' in found.result ? found.result.role : undefined
}

/** Throws `GrpcError` if there is none. */
export async function readRole(name: string, call: EtcdCall): Promise<AuthRole> {
  const role = await findRole(name, call)
  if (role === undefined) throw ETCD_ERRORS.roleNotFound
  return role
}

function undefinedIfNotFound(error: unknown): undefined {
  if (error instanceof ApiError && error.code === 'not_found') return undefined
  throw error
}

/** Users with the role root, which every cluster has. Clients of etcd make it, and find it when somebody has it. */
export const usersWithRoot = async (call: EtcdCall): Promise<readonly UserDescription[]> =>
  (await listUsers(call)).filter(({ roles }) => roles.includes(ROOT))

// ---------------------------------------------------------------------------------------------------------------------
// Changes

/** How often a change is tried whose users and roles others have changed meanwhile. */
const TRIES_MAX = 5

/**
 * Makes the change that `decide` has found out from what it has read; undefined: there is nothing to change. Who may
 * not make one such as `requested` is refused before he waits: his calls delay nobody's.
 */
export async function changeAuth(
  call: EtcdCall,
  requested: RequestedAuthChange,
  decide: () => Promise<RequestedAuthChange | undefined>,
): Promise<AuthResponse> {
  await call.check({ kind: 'change-auth', change: requested, ifRevision: undefined })
  const { etcd } = call
  const before = etcd.lastAuthChange
  const made = (async () => {
    if (before !== undefined) await inTime(before, call)
    await tryChange(call, decide)
  })()
  etcd.lastAuthChange = made
  await made
  return { header: call.header() }
}

/** Resolves when the change before has ended. Rejects with `GrpcError` when the time of the call is over. */
function inTime(before: Promise<unknown>, call: EtcdCall): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(ETCD_ERRORS.timeout),
      Math.max(0, call.deadline - performance.now()),
    )
    const ended = (): void => {
      clearTimeout(timer)
      resolve()
    }
    before.then(ended, ended)
  })
}

async function tryChange(
  call: EtcdCall,
  decide: () => Promise<RequestedAuthChange | undefined>,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    // Before the read: what is read is at least as new, and a newer one makes the change fail.
    const { revision: ifRevision } = call.api.node.auth
    const change = await decide()
    if (change === undefined) return
    try {
      await call.execute({ kind: 'change-auth', change, ifRevision })
      return
    } catch (error) {
      const isConflict = error instanceof ApiError && error.code === 'precondition_failed'
      if (!isConflict || tries === TRIES_MAX || call.isOver) throw error
    }
  }
}

/** Rejects with `ApiError` who may not administer: etcd refuses them before it reads anything. */
export async function checkMayAdminister(call: EtcdCall): Promise<void> {
  await call.execute({ kind: 'show-roles', name: undefined })
}

/** etcd has no least length of passwords. An empty one would be no password. */
const PASSWORD_BYTES_MIN = 1

interface ChangedUser {
  readonly password?: string | null
  readonly roles?: readonly string[]
}

export const putUser = (name: string, { password, roles }: ChangedUser): RequestedAuthChange => ({
  ...{ kind: 'put-user', name, password, roles },
  ...{ passwordBytesMin: PASSWORD_BYTES_MIN, oldPassword: undefined },
})

export const putRole = (name: string, permissions: readonly Permission[]): RequestedAuthChange => ({
  ...{ kind: 'put-role', name, permissions },
})

// ---------------------------------------------------------------------------------------------------------------------
// Permissions

/** The range of a permission, as etcd names it. Throws `GrpcError`. */
export function decodePermissionRange(key: Uint8Array, rangeEnd: Uint8Array): KeyRange {
  const where = decodeWhere(key, rangeEnd)
  if ('key' in where) return { start: key, end: keyAfter(key) }
  // etcd's clients name all keys by a zero byte, which is the least key.
  const { start, end } = where
  const isAll = end === undefined && start.length === 1 && start[0] === 0
  return isAll ? { start: new Uint8Array(), end } : where
}

/** Throws `GrpcError`: etcd 3.6 refuses a range that has no key. */
export function checkPermissionRange(key: Uint8Array, rangeEnd: Uint8Array): void {
  const { start, end } = decodePermissionRange(key, rangeEnd)
  if (key.length === 0 || (end !== undefined && compareKeys(start, end) >= 0))
    throw ETCD_ERRORS.invalidAuthManagement
}

export const isSameRange = (a: KeyRange, b: KeyRange): boolean =>
  compareKeys(a.start, b.start) === 0 &&
  (a.end === undefined || b.end === undefined ? a.end === b.end : compareKeys(a.end, b.end) === 0)

/** undefined: there is no such type. */
export const decodeAccess = (type: number): 'read' | 'write' | 'readwrite' | undefined => ACCESSES[type]

const ACCESSES = ['read', 'write', 'readwrite'] as const

/** A permission without a range, which etcd does not know, is left out. */
export const encodePermissions = (permissions: readonly Permission[]): readonly EtcdPermission[] =>
  permissions
    .flatMap(({ access, range }) => (range === undefined ? [] : [encodePermission(access, range)]))
    .sort((a, b) => compareKeys(a.key, b.key))

function encodePermission(access: string, { start, end }: KeyRange): EtcdPermission {
  const key = start.length === 0 ? LEAST_KEY : start
  const rangeEnd = end === undefined ? LEAST_KEY : compareKeys(end, keyAfter(start)) === 0 ? NO_END : end
  return { permType: PERMISSION_TYPES.indexOf(access.toUpperCase()), key, rangeEnd }
}

const LEAST_KEY = Uint8Array.of(0)
const NO_END = new Uint8Array()
