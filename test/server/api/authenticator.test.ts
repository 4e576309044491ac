import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { AuthChange } from '../../../src/kv/index.ts'
import type { LeaseId } from '../../../src/operations/forms/index.ts'
import { ApiError, asRevision } from '../../../src/operations/forms/index.ts'
import type { Operation } from '../../../src/operations/index.ts'
import { asReplicaId } from '../../../src/raft/types.ts'
import { Api } from '../../../src/server/api/api.ts'
import { Authenticator, type Credentials } from '../../../src/server/api/authenticator.ts'
import type { Call } from '../../../src/server/api/call.ts'
import { execute } from '../../../src/server/api/execute.ts'
import { apiLimits } from '../../../src/server/api/limits.ts'
import { decide, JoiningNode, NEWER_MS_MAX } from '../../../src/server/api/permit.ts'
import { signAuthToken } from '../../../src/server/auth/auth-tokens.ts'
import { UsedToken } from '../../../src/server/auth/used-tokens.ts'
import { asBearer } from '../../../src/server/etcd/authorization.ts'
import { BOB_HASH, BOB_PASSWORD, basic, nodeWithUsers, ROOT_HASH, ROOT_PASSWORD } from '../auth/users.ts'
import type { FakeNode } from '../http/fake-node.ts'

const ADD_MEMBER: Operation = { kind: 'add-member', member: {} as never }
const STATUS: Operation = { kind: 'status' }

/** The code of the refusal of an operation. */
async function refusalOf(
  certificate: Partial<Credentials>,
  operation: Operation,
  node = nodeWithUsers(),
): Promise<string | undefined> {
  const credentials = { authorization: undefined, address: '', certificateUser: undefined, ...certificate }
  return new Promise((resolve) =>
    new Authenticator(node, apiLimits.authTokenMs).identify(credentials, NEWER_MS_MAX, (error, principal) => {
      if (error !== undefined) return resolve(error.code)
      const call: Call = { deadline: 0, expansion: 1, isAbandoned: () => false, principal }
      decide(node, operation, call, (refusal) => resolve(refusal?.code))
    }),
  )
}

test('the certificate of a node permits to join, and nothing else', async () => {
  expect(await refusalOf({ node: () => true }, ADD_MEMBER)).toBeUndefined()
  expect(await refusalOf({ node: () => true }, STATUS)).toBe('unauthenticated')
})

test('a node adds itself and replaces the member that it is, and no other', async () => {
  const node = nodeWithUsers()
  const [n1, n2] = node.configuration.members
  if (n1 === undefined || n2 === undefined) throw new Error('a cluster of several is needed')
  const added = { id: asReplicaId('99'), name: 'web1', peer: 'web1:1', url: 'http://web1:2' }
  const api = new Api({ node, limits: apiLimits, version: '', failed: () => {} })
  const refusal = (named: string, operation: Operation) =>
    new Promise((resolve) => {
      const principal = new JoiningNode(({ name }) => name === named)
      const call: Call = {
        deadline: performance.now() + 5_000,
        expansion: 1,
        isAbandoned: () => false,
        principal,
      }
      execute(api, operation, call, (result) =>
        resolve(result instanceof ApiError ? result.code : result.kind),
      )
    })
  const add = (member: typeof added): Operation => ({ kind: 'add-member', member })
  const replace = (name: string, member: typeof added): Operation => ({
    kind: 'replace-member',
    name,
    member,
  })
  for (const [named, operation] of [
    ['web1', replace(n2.name, added)],
    ['web1', replace(n2.name, { ...added, name: n2.name })],
    // The id, or the name, of a member with an address of its own.
    ['web1', add({ ...added, id: n2.id })],
    ['web1', add({ ...added, name: n2.name })],
    [n1.name, replace(n2.name, { ...added, name: n2.name })],
  ] as const)
    expect(await refusal(named, operation)).toBe('permission_denied')
  expect(await refusal(n2.name, replace(n2.name, { ...added, name: n2.name }))).toBe('replace-member')
  expect(await refusal('web1', add({ ...added, id: asReplicaId('98') }))).toBe('add-member')
})

test('a node joins though the CA of the nodes signs users too, and its name is no user', async () => {
  const n4 = { node: () => true, certificateUser: 'n4' }
  expect(await refusalOf(n4, ADD_MEMBER)).toBeUndefined()
  expect(await refusalOf(n4, STATUS)).toBe('unauthenticated')
  expect(await refusalOf({ node: () => true, certificateUser: 'bob' }, ADD_MEMBER)).toBe('permission_denied')
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
  new Promise((resolve) =>
    authenticator.logIn(user, password, '10.0.0.1', 1000, (error) => resolve(error?.code)),
  )

test('a login during which the password is changed, or the user removed, gives no token', async () => {
  for (const change of [
    { kind: 'put-user', name: 'bob', passwordHash: 'scrypt$15$8$1$AAAA$AAAA', roles: undefined },
    { kind: 'delete-user', name: 'bob' },
  ] as const) {
    const node = nodeWithUsers()
    const authenticator = new Authenticator(node, apiLimits.authTokenMs)
    expect(await logIn(authenticator, 'bob', BOB_PASSWORD)).toBeUndefined()
    const other = new Authenticator(node, apiLimits.authTokenMs)
    const login = logIn(other, 'bob', BOB_PASSWORD)
    while (other.passwords.size === 0) await nextTurn()
    node.apply({ kind: 'auth', ifRevision: undefined, change })
    expect(await login, change.kind).toBe('unauthenticated')
  }
})

test('a password of a name that nobody can have is neither computed nor remembered', async () => {
  const authenticator = new Authenticator(nodeWithUsers(), apiLimits.authTokenMs)
  for (const name of ['x'.repeat(1_000_000), '', '*', 'a b']) {
    const login = logIn(authenticator, name, BOB_PASSWORD)
    expect(authenticator.passwords.size).toBe(0)
    expect(await login).toBe('unauthenticated')
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// Nodes that lag behind

/** The change reaches the node only with its next linearizable read. */
function lagging(node: FakeNode, change: AuthChange): FakeNode {
  node.hold = (release) => {
    node.hold = undefined
    node.apply({ kind: 'auth', ifRevision: undefined, change })
    release()
  }
  return node
}

const carl = { kind: 'put-user', name: 'carl', passwordHash: BOB_HASH, roles: [] } as const
const newHash = { kind: 'put-user', name: 'bob', passwordHash: ROOT_HASH, roles: undefined } as const

test('a login knows the users that were changed before it', async () => {
  const added = new Authenticator(lagging(nodeWithUsers(), carl), apiLimits.authTokenMs)
  expect(await logIn(added, 'carl', BOB_PASSWORD)).toBeUndefined()
  const withNewPassword = new Authenticator(lagging(nodeWithUsers(), newHash), apiLimits.authTokenMs)
  expect(await logIn(withNewPassword, 'bob', ROOT_PASSWORD)).toBeUndefined()
})

test('a login with the password from before a change gives no token', async () => {
  const authenticator = new Authenticator(lagging(nodeWithUsers(), newHash), apiLimits.authTokenMs)
  expect(await logIn(authenticator, 'bob', BOB_PASSWORD)).toBe('unauthenticated')
})

test('a user who was made just now is known by a password, by a token, and by a certificate', async () => {
  const { auth } = nodeWithUsers()
  const facts = { user: 'carl', epoch: auth.revision + 1, endsAt: Date.now() + 3_600_000 }
  const token = signAuthToken(facts, auth.state.keys.tokenKey)
  for (const credentials of [
    { authorization: basic('carl', BOB_PASSWORD).Authorization, certificateUser: undefined },
    // Clients of etcd send a token without a scheme, or under any.
    { authorization: asBearer(token), certificateUser: undefined },
    { authorization: asBearer(`bearer ${token}`), certificateUser: undefined },
    { authorization: asBearer(`BEARER ${token}`), certificateUser: undefined },
    { authorization: undefined, certificateUser: 'carl' },
  ])
    expect(await refusalOf(credentials, STATUS, lagging(nodeWithUsers(), carl))).toBeUndefined()
})

test.each(['it is refused', 'its events are compacted'])(
  'a watch that does not begin holds no token: %s',
  async (why) => {
    const node = nodeWithUsers()
    const { users } = node.auth.state
    const facts = { user: 'root', epoch: users.get('root')?.epoch ?? 0, endsAt: Date.now() + 1_000 }
    const token = new UsedToken(facts, 1_000)
    for (let at = 0; at < 3; at++) node.put('k', 'v')
    if (why === 'it is refused')
      node.watch = () => ({ ok: false, problem: { code: 'overloaded', detail: 'too many', written: 'no' } })
    else node.apply({ kind: 'compact', revision: node.revision, onlyForward: undefined })
    const api = new Api({ node, limits: apiLimits, version: '', failed: () => {} })
    const sink = { isFull: false, waits() {}, events() {}, progress() {}, ended() {} }
    const request = {
      ...{ where: { start: Buffer.of(), end: undefined }, from: asRevision(1), only: undefined },
      ...{ prev: false, values: true, progressMs: 60_000 },
    }
    const answer = await new Promise((resolve) => {
      const call: Call = {
        ...{ deadline: performance.now() + 5_000, expansion: 1, isAbandoned: () => false },
        ...{ principal: { user: 'root', epoch: facts.epoch, token }, openSink: () => sink },
      }
      execute(api, { kind: 'watch', request }, call, resolve)
    })
    expect(answer).toBeInstanceOf(ApiError)
    const later = Date.now() + 2_000
    const clock = vi.spyOn(Date, 'now').mockReturnValue(later)
    onTestFinished(() => clock.mockRestore())
    expect(token.isOver).toBe(true)
  },
)

test('a node that cannot know the newest users refuses nobody for good', async () => {
  const node = nodeWithUsers()
  node.problem = { code: 'no_leader', detail: 'there is none', written: 'no' }
  expect(await logIn(new Authenticator(node, apiLimits.authTokenMs), 'carl', BOB_PASSWORD)).toBe('no_leader')
  for (const credentials of [
    { authorization: basic('carl', BOB_PASSWORD).Authorization, certificateUser: undefined },
    { authorization: undefined, certificateUser: 'carl' },
  ])
    expect(await refusalOf(credentials, STATUS, node)).toBe('no_leader')
})

test('a refusal by the keys of a lease waits for the newest ones', async () => {
  const node = nodeWithUsers()
  const id = '7' as LeaseId
  node.apply({ kind: 'grant', id, ttlMs: 60_000 })
  for (const key of ['app/1', 'secret'])
    node.apply({
      ...{ kind: 'put', key: Buffer.from(key), value: Buffer.from(''), condition: undefined, prev: false },
      lease: { id },
    })
  node.hold = (release) => {
    node.hold = undefined
    node.apply({ kind: 'delete', key: Buffer.from('secret'), condition: undefined, prev: false })
    release()
  }
  const revoke = { kind: 'revoke', id, idempotency: undefined } as const
  expect(await refusalOf({ certificateUser: 'bob' }, revoke, node)).toBeUndefined()
})

test('a lease that this node has not learned of is kept alive only by whoever may', async () => {
  const id = '7' as LeaseId
  const keepAlive = { kind: 'keep-alive', ids: [id], one: true } as const
  const refusalWhile = (change: (node: FakeNode) => void): Promise<string | undefined> => {
    const node = nodeWithUsers()
    node.hold = (release) => {
      node.hold = undefined
      change(node)
      release()
    }
    return refusalOf({ certificateUser: 'bob' }, keepAlive, node)
  }
  const grant = { kind: 'grant', id, ttlMs: 60_000 } as const
  expect(await refusalWhile((node) => node.apply(grant))).toBe('permission_denied')
  expect(await refusalWhile((node) => node.applyAs('bob', grant))).toBeUndefined()
  expect(await refusalWhile(() => {})).toBeUndefined()
})
