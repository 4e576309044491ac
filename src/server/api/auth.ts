// Operations on users, roles and the switch that makes rights be checked.

import timers from 'node:timers/promises'
import {
  type AuthChange,
  type AuthState,
  type ByName,
  isAuthName,
  ROLE_PERMISSIONS_MAX,
  ROOT,
  USER_ROLES_MAX,
} from '../../kv/index.ts'
import type { User } from '../../kv/types.ts'
import type { ChangeAuthResult } from '../../operations/change-auth.ts'
import {
  type AuthStatusResult,
  type Credential,
  PermissionDocument,
  type SelfResult,
  type UserDescription,
} from '../../operations/documents/auth.ts'
import { ApiError, type AuthRole, type Permission } from '../../operations/forms/index.ts'
import type { OperationOf, RequestedAuthChange } from '../../operations/index.ts'
import { newAuthKeys } from '../auth/auth-keys.ts'
import { passwordFault } from '../auth/passwords.ts'
import type { KvNode } from '../node/kv-node.ts'
import { type AnswerTo, NO_HEAD, type Respond } from './answer.ts'
import type { Api } from './api.ts'
import { errorOfPassword } from './authenticator.ts'
import type { Call, Principal } from './call.ts'
import { errorOfNode } from './errors.ts'
import { JoiningNode, refusalNow } from './permit.ts'
import { propose } from './propose.ts'
import { checkTime } from './ranges.ts'
import { readOptions, timeLeftMs } from './read-options.ts'

export const describeAuth = ({ auth: { enabled, revision } }: Pick<KvNode, 'auth'>): AuthStatusResult => ({
  enabled,
  revision,
})

/** Answers as far as this node knows, so that a user can see it without a leader too. */
export function describeSelf(
  { auth }: Pick<KvNode, 'auth'>,
  { principal }: Pick<Call, 'principal'>,
): SelfResult {
  const { enabled, revision, state } = auth
  // A node that joins is no user.
  const named = principal instanceof JoiningNode ? undefined : principal
  const roles = (named && state.users.get(named.user)?.roles) ?? []
  const permissions = enabled ? permissionsOf(roles, state) : ALL
  const credential = named && credentialOf(named)
  return { enabled, revision, user: named?.user, credential, roles, permissions }
}

const credentialOf = ({ epoch, token }: Principal): Credential =>
  epoch === undefined ? 'certificate' : token === undefined ? 'password' : 'token'

/** Permissions of the role root, and of everybody while rights are not checked. */
const ALL: readonly Permission[] = [
  { access: 'readwrite', range: { start: new Uint8Array(), end: undefined } },
  { access: 'admin', range: undefined },
]

/** Without repetitions: roles may permit the same. */
function permissionsOf(roles: readonly string[], state: AuthState): readonly Permission[] {
  if (roles.includes(ROOT)) return ALL
  const all = roles.flatMap((role) => state.roles.get(role)?.permissions ?? [])
  return [...new Map(all.map((each) => [JSON.stringify(PermissionDocument.encode(each)), each])).values()]
}

export function logIn(
  api: Api,
  { user, password }: OperationOf<'log-in'>,
  call: Call,
  respond: Respond<AnswerTo<'log-in'>>,
): void {
  api.authenticator.logIn(
    user,
    password,
    clientAddress(call),
    timeLeftMs(call),
    (error, token, expiresInMs) =>
      respond(error ?? { kind: 'log-in', result: { token, expiresInMs }, head: NO_HEAD }),
  )
}

/** The address of the client, without the port. */
const clientAddress = (call: Call): string => call.origin?.().address.replace(/:[0-9]+$/, '') ?? ''

export function showUsers(
  api: Api,
  { name }: OperationOf<'show-users'>,
  call: Call,
  respond: Respond<AnswerTo<'show-users'>>,
): void {
  const show = ({ items, revision }: AuthList<User>): void => {
    const users = items.map(describeUser)
    const [user] = users
    const result = name === undefined || user === undefined ? { users, revision } : { user, revision }
    respond({ kind: 'show-users', result, head: NO_HEAD })
  }
  list(api, ({ users }) => users, name, call, show, respond)
}

export function showRoles(
  api: Api,
  { name }: OperationOf<'show-roles'>,
  call: Call,
  respond: Respond<AnswerTo<'show-roles'>>,
): void {
  const show = ({ items: roles, revision }: AuthList<AuthRole>): void => {
    const [role] = roles
    const result = name === undefined || role === undefined ? { roles, revision } : { role, revision }
    respond({ kind: 'show-roles', result, head: NO_HEAD })
  }
  list(api, ({ roles }) => roles, name, call, show, respond)
}

const describeUser = ({ name, roles, passwordHash }: User): UserDescription => ({
  name,
  roles,
  hasPassword: passwordHash !== undefined,
})

/** Users or roles at one auth revision. */
interface AuthList<T> {
  readonly items: readonly T[]
  readonly revision: number
}

/** Passes all of a table, or the one with this name, to `show`, after a read. */
function list<T extends User | AuthRole>(
  api: Api,
  pickTable: (state: AuthState) => ByName<T>,
  name: string | undefined,
  call: Call,
  show: (found: AuthList<T>) => void,
  fail: (error: ApiError) => void,
): void {
  const { node } = api
  call.withdraw = node.read(readOptions({}, timeLeftMs(call)), (result) => {
    if (!result.ok) return fail(errorOfNode(result.problem, true))
    void readTable(node, call, pickTable, name)
      .then(show)
      .catch((error: unknown) => fail(api.toApiError(error)))
  })
}

/** Users, or permissions of roles, that are read before the event loop does other work. */
const READ_AT_ONCE = 256

/** All users or roles, or the one with this name, at one auth revision: the reading begins anew after a change. */
async function readTable<T extends User | AuthRole>(
  node: Pick<KvNode, 'auth'>,
  call: Call,
  pickTable: (state: AuthState) => ByName<T>,
  name: string | undefined,
): Promise<AuthList<T>> {
  for (;;) {
    const refusal = refusalNow(node, call)
    if (refusal !== undefined) throw refusal
    const { revision, state } = node.auth
    const table = pickTable(state)
    const items: T[] = []
    let count = 0
    for (const each of name === undefined ? table.keys() : [name]) {
      const found = table.get(each)
      if (found === undefined)
        throw new ApiError(
          'not_found',
          `there is no ${call.operation?.kind === 'show-users' ? 'user' : 'role'} ${each}`,
        )
      items.push(found)
      count += 1 + ('permissions' in found ? found.permissions.length : 0)
      if (count < READ_AT_ONCE) continue
      count = 0
      await timers.setImmediate()
      checkTime(call)
      if (node.auth.revision !== revision) break
    }
    if (node.auth.revision === revision) return { items, revision }
  }
}

export function changeAuth(
  api: Api,
  { change, ifRevision }: OperationOf<'change-auth'>,
  call: Call,
  respond: Respond<AnswerTo<'change-auth'>>,
) {
  checkNames(change)
  checkCounts(change)
  const run = (made: AuthChange): void =>
    propose(api, { kind: 'auth', change: made, ifRevision }, undefined, call, (applied) => {
      if (applied instanceof ApiError) respond(applied)
      else respond({ kind: 'change-auth', result: describeChanged(api, change), head: NO_HEAD })
    })
  switch (change.kind) {
    case 'enable': {
      const rootHasCertificate = call.principal?.user === ROOT && call.principal.epoch === undefined
      return run({ kind: 'enable', rootHasCertificate, ...newAuthKeys() })
    }
    case 'put-user':
      checkPassword(change)
      return withOldPassword(api, change, call, respond, () => putUser(api, change, call, run, respond))
    default:
      return run(change as AuthChange)
  }
}

type UserChange = Extract<RequestedAuthChange, { readonly kind: 'put-user' }>

/** Throws `ApiError`. */
function checkPassword({ password, passwordBytesMin }: UserChange): void {
  const fault = typeof password === 'string' ? passwordFault(password, passwordBytesMin) : undefined
  if (fault !== undefined) throw new ApiError('bad_request', fault)
}

/** A token may be stolen: alone it changes no password of its user, who would be locked out. */
function withOldPassword(
  api: Api,
  { name, password, oldPassword }: UserChange,
  call: Call,
  respond: Respond<never>,
  then: () => void,
) {
  const { principal } = call
  const isByToken = api.node.auth.enabled && principal?.user === name && principal.token !== undefined
  if (!isByToken || password === undefined) return then()
  if (oldPassword === undefined)
    return respond(
      new ApiError(
        'permission_denied',
        'a token alone changes no password: give old_password, or send the password itself (Authorization: Basic)',
      ),
    )
  api.authenticator.checkPassword(name, oldPassword, clientAddress(call), (error) => {
    if (error === undefined) return guarded(api, respond, then)
    const isWrong = error.code === 'unauthenticated'
    respond(isWrong ? new ApiError('permission_denied', 'old_password is not the password') : error)
  })
}

function guarded(api: Api, respond: Respond<never>, run: () => void): void {
  try {
    run()
  } catch (error) {
    respond(api.toApiError(error))
  }
}

function putUser(
  api: Api,
  { name, password, roles }: UserChange,
  { principal }: Call,
  run: (made: AuthChange) => void,
  respond: Respond<never>,
) {
  const put = (passwordHash: string | null | undefined): void =>
    run({ kind: 'put-user', name, passwordHash, roles })
  if (typeof password !== 'string') return put(password)
  api.authenticator.passwords.hash(password, principal?.user ?? '', (error, hash) => {
    if (error === undefined) guarded(api, respond, () => put(hash))
    else respond(errorOfPassword(error))
  })
}

/** This node has applied the change. */
function describeChanged({ node }: Api, change: RequestedAuthChange): ChangeAuthResult {
  const { revision, state } = node.auth
  const user = change.kind === 'put-user' ? state.users.get(change.name) : undefined
  if (user !== undefined) return { user: describeUser(user), revision }
  const role = change.kind === 'put-role' ? state.roles.get(change.name) : undefined
  return role === undefined ? describeAuth(node) : { role, revision }
}

/** Throws `ApiError`. */
function checkNames(change: RequestedAuthChange): void {
  const names = 'name' in change ? [change.name] : []
  const roles = change.kind === 'put-user' ? (change.roles ?? []) : []
  for (const name of [...names, ...roles])
    if (!isAuthName(name))
      throw new ApiError(
        'bad_request',
        `${JSON.stringify(name)} is no name: use up to 64 letters, digits and . _ @ + -, and begin with a letter or a digit`,
      )
  if ((change.kind === 'put-role' || change.kind === 'delete-role') && change.name === ROOT)
    throw new ApiError('bad_request', 'the role root may do everything: it cannot be changed')
}

/** Throws `ApiError`. */
function checkCounts(change: RequestedAuthChange): void {
  const [count, max, what] =
    change.kind === 'put-role'
      ? [change.permissions.length, ROLE_PERMISSIONS_MAX, 'permissions of a role']
      : [change.kind === 'put-user' ? new Set(change.roles).size : 0, USER_ROLES_MAX, 'roles of a user']
  if (count > max)
    throw new ApiError('bad_request', `${count} ${what}, at most ${max}: use several roles, or prefixes`)
}
