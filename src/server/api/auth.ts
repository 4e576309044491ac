// Operations on users, roles and the switch that makes rights be checked.

import { type AuthChange, isAuthName, ROOT } from '../../kv/index.ts'
import { newAuthKeys } from '../auth/auth-keys.ts'
import { passwordFault } from '../auth/passwords.ts'
import type { Api } from './api.ts'
import { errorOfPassword } from './authenticator.ts'
import { ApiError, errorOfNode } from './errors.ts'
import { readOptions, timeLeftMs } from './keys.ts'
import type { ApiOperation, ApiResult, Call, RequestedAuthChange, Respond } from './operation.ts'
import { refusalNow, whenNewest } from './permit.ts'
import { propose } from './propose.ts'

type OperationOf<K extends ApiOperation['kind']> = Extract<ApiOperation, { readonly kind: K }>

export function showAuth({ node: { auth } }: Api, respond: Respond): void {
  respond({ kind: 'auth', enabled: auth.enabled, revision: auth.revision })
}

export function logIn(
  { node, authenticator }: Api,
  { user, password }: OperationOf<'log-in'>,
  respond: Respond,
): void {
  const makeToken = (): void =>
    authenticator.logIn(user, password, (error, token, expiresInMs) =>
      respond(error ?? { kind: 'token', token, expiresInMs }),
    )
  if (node.auth.enabled) makeToken()
  else whenNewest(node, () => (node.auth.enabled ? makeToken() : respond(NOT_CHECKED)))
}

const NOT_CHECKED = new ApiError(
  'bad_request',
  'rights are not checked, so nobody needs to log in: `quorate auth enable`',
)

export function showUsersOrRoles(
  api: Api,
  { kind, name }: OperationOf<'show-users' | 'show-roles'>,
  call: Call,
  respond: Respond,
): void {
  const { node } = api
  call.withdraw = node.read(readOptions({}, timeLeftMs(call)), (result) => {
    if (!result.ok) return respond(errorOfNode(result.problem, true))
    const refusal = refusalNow(node, call)
    if (refusal !== undefined) return respond(refusal)
    const { revision, state } = node.auth
    const one = name !== undefined
    const named = <T>(all: ReadonlyMap<string, T>): readonly T[] => {
      if (name === undefined) return [...all.values()]
      const found = all.get(name)
      if (found === undefined)
        throw new ApiError('not_found', `there is no ${kind === 'show-users' ? 'user' : 'role'} ${name}`)
      return [found]
    }
    try {
      if (kind === 'show-users') respond({ kind: 'users', users: named(state.users), revision, one })
      else respond({ kind: 'roles', roles: named(state.roles), revision, one })
    } catch (error) {
      respond(api.errorOf(error))
    }
  })
}

export function changeAuth(api: Api, operation: OperationOf<'change-auth'>, call: Call, respond: Respond) {
  const { change, ifRevision } = operation
  checkNames(change)
  const run = (made: AuthChange): void =>
    propose(api, { kind: 'auth', change: made, ifRevision }, undefined, call, (result) =>
      respond(result instanceof ApiError ? result : shownAfter(api, change)),
    )
  switch (change.kind) {
    case 'enable': {
      const rootHasCertificate = call.principal?.user === ROOT && call.principal.epoch === undefined
      return run({ kind: 'enable', rootHasCertificate, ...newAuthKeys() })
    }
    case 'put-user': {
      const { name, password, roles } = change
      const put = (passwordHash: string | null | undefined): void =>
        run({ kind: 'put-user', name, passwordHash, roles })
      if (typeof password !== 'string') return put(password)
      const fault = passwordFault(password)
      if (fault !== undefined) throw new ApiError('bad_request', fault)
      return api.authenticator.passwords.hash(password, (error, hash) => {
        try {
          if (error === undefined) put(hash)
          else respond(errorOfPassword(error))
        } catch (thrown) {
          respond(api.errorOf(thrown))
        }
      })
    }
    default:
      return run(change as AuthChange)
  }
}

/** This node has applied the change. */
function shownAfter({ node }: Api, change: RequestedAuthChange): ApiResult {
  const { enabled, revision, state } = node.auth
  const user = change.kind === 'put-user' ? state.users.get(change.name) : undefined
  if (user !== undefined) return { kind: 'users', users: [user], revision, one: true }
  const role = change.kind === 'put-role' ? state.roles.get(change.name) : undefined
  if (role !== undefined) return { kind: 'roles', roles: [role], revision, one: true }
  return { kind: 'auth', enabled, revision }
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
