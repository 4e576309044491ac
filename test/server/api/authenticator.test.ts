import { expect, test } from 'vitest'
import { Authenticator, type Credentials } from '../../../src/server/api/authenticator.ts'
import type { ApiOperation, Call } from '../../../src/server/api/operation.ts'
import { decide } from '../../../src/server/api/permit.ts'
import { BOB_PASSWORD, nodeWithUsers } from '../auth/users.ts'

const ADD_MEMBER: ApiOperation = { kind: 'add-member', member: {} as never }
const STATUS: ApiOperation = { kind: 'status' }

/** The code of the refusal of an operation. */
async function refusalOf(
  certificate: Partial<Credentials>,
  operation: ApiOperation,
): Promise<string | undefined> {
  const node = nodeWithUsers()
  const credentials = { authorization: undefined, address: '', certificateUser: undefined, ...certificate }
  return new Promise((resolve) =>
    new Authenticator(node).identify(credentials, (_, principal) => {
      const call: Call = { deadline: 0, expansion: 1, isAbandoned: () => false, principal }
      decide(node, operation, call, (refusal) => resolve(refusal?.code))
    }),
  )
}

test('the certificate of a node permits to join, and nothing else', async () => {
  expect(await refusalOf({ isNode: true }, ADD_MEMBER)).toBeUndefined()
  expect(await refusalOf({ isNode: true }, STATUS)).toBe('unauthenticated')
})

test('a node joins though the CA of the nodes signs users too, and its name is no user', async () => {
  const n4 = { isNode: true, certificateUser: 'n4' }
  expect(await refusalOf(n4, ADD_MEMBER)).toBeUndefined()
  expect(await refusalOf(n4, STATUS)).toBe('unauthenticated')
  expect(await refusalOf({ isNode: true, certificateUser: 'bob' }, ADD_MEMBER)).toBe('permission_denied')
})

test.each(['*', '', 'a b', 'nobody'])(
  'a certificate of a client with the name "%s" permits nothing',
  async (name) => {
    for (const operation of [ADD_MEMBER, STATUS])
      expect(await refusalOf({ certificateUser: name }, operation)).toBe('unauthenticated')
  },
)

test('a certificate has the rights of its user', async () => {
  expect(await refusalOf({ certificateUser: 'bob' }, STATUS)).toBeUndefined()
  expect(await refusalOf({ certificateUser: 'bob' }, ADD_MEMBER)).toBe('permission_denied')
  expect(await refusalOf({ certificateUser: 'root' }, ADD_MEMBER)).toBeUndefined()
})

/** The code of the refusal; undefined: there is a token. */
const logIn = (authenticator: Authenticator, user: string, password: string): Promise<string | undefined> =>
  new Promise((resolve) => authenticator.logIn(user, password, '10.0.0.1', (error) => resolve(error?.code)))

test('a login during which the password is changed, or the user removed, gives no token', async () => {
  for (const change of [
    { kind: 'put-user', name: 'bob', passwordHash: 'scrypt$15$8$1$AAAA$AAAA', roles: undefined },
    { kind: 'delete-user', name: 'bob' },
  ] as const) {
    const node = nodeWithUsers()
    const authenticator = new Authenticator(node)
    expect(await logIn(authenticator, 'bob', BOB_PASSWORD)).toBeUndefined()
    const other = new Authenticator(node)
    const login = logIn(other, 'bob', BOB_PASSWORD)
    node.apply({ kind: 'auth', ifRevision: undefined, change })
    expect(await login, change.kind).toBe('unauthenticated')
  }
})

test('a password of a name that nobody can have is neither computed nor remembered', async () => {
  const authenticator = new Authenticator(nodeWithUsers())
  for (const name of ['x'.repeat(1_000_000), '', '*', 'a b']) {
    const login = logIn(authenticator, name, BOB_PASSWORD)
    expect(authenticator.passwords.size).toBe(0)
    expect(await login).toBe('unauthenticated')
  }
})
