// Users and roles are only read: etcd changes them one part at a time.

import { type Permission as EtcdPermission, PERMISSION_TYPES } from '../../etcd/messages/auth.ts'
import { RPC } from '../../etcd/rpcs.ts'
import { ETCD_ERRORS, GrpcError } from '../../etcd/status.ts'
import { type AuthRole, keyAfter, type Permission } from '../../operations/forms/index.ts'
import type { RolesResult, ShowRolesRequest } from '../../operations/show-roles.ts'
import type { ShowUsersRequest, UsersResult } from '../../operations/show-users.ts'
import type { EtcdCalls, EtcdOperation } from './operation.ts'

/** Before version 3.5, etcd does not say its auth revision. */
const NO_REVISION = 0

export const showRoles: EtcdOperation<ShowRolesRequest, RolesResult> = async ({ name }, calls) => {
  if (name !== undefined) return { result: { role: await readRole(name, calls) }, header: undefined }
  const { header, roles: names } = await calls.read(RPC.roleList, {})
  const roles = await readListed(names, (each) => readRole(each, calls))
  return { result: { roles, revision: NO_REVISION }, header }
}

/** etcd does not say who has a password. */
export const showUsers: EtcdOperation<ShowUsersRequest, UsersResult> = async ({ name }, calls) => {
  const read = async (user: string) => {
    const { roles } = await calls.read(RPC.userGet, { name: user })
    return { name: user, roles: roles.toSorted(), hasPassword: true }
  }
  if (name !== undefined) return { result: { user: await read(name) }, header: undefined }
  const { header, users: names } = await calls.read(RPC.userList, {})
  const users = await readListed(names, read)
  return { result: { users, revision: NO_REVISION }, header }
}

const NOT_FOUND: ReadonlySet<string> = new Set([
  ETCD_ERRORS.roleNotFound.message,
  ETCD_ERRORS.userNotFound.message,
])

/** Reads users or roles. Some may have been removed since they were listed. */
async function readListed<T>(names: readonly string[], read: (name: string) => Promise<T>): Promise<T[]> {
  const found: T[] = []
  for (const name of names)
    try {
      found.push(await read(name))
    } catch (error) {
      if (!(error instanceof GrpcError && NOT_FOUND.has(error.message))) throw error
    }
  return found
}

async function readRole(name: string, calls: EtcdCalls): Promise<AuthRole> {
  const { perm } = await calls.read(RPC.roleGet, { role: name })
  return { name, permissions: perm.map(decodePermission) }
}

const ACCESSES = ['read', 'write', 'readwrite'] as const

function decodePermission({ permType, key, rangeEnd }: EtcdPermission): Permission {
  const access = ACCESSES[permType] ?? 'read'
  // A zero byte is etcd's least key, and as an end it stands for none.
  const start = isZero(key) ? new Uint8Array() : key
  if (rangeEnd.length === 0) return { access, range: { start: key, end: keyAfter(key) } }
  return { access, range: { start, end: isZero(rangeEnd) ? undefined : rangeEnd } }
}

const isZero = (bytes: Uint8Array): boolean => bytes.length === 1 && bytes[0] === 0

if (PERMISSION_TYPES.length !== ACCESSES.length) throw new Error('a permission of etcd has no counterpart')
