// Users, passwords and rights that change between the two halves of a check, while something is read, or while a watch
// is open; and what was valid once and has ended.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { AuthChange } from '../../../src/kv/index.ts'
import type { LeaseId } from '../../../src/operations/forms/index.ts'
import { ApiError } from '../../../src/operations/forms/index.ts'
import type { Operation } from '../../../src/operations/index.ts'
import type { ApiAnswer } from '../../../src/server/api/answer.ts'
import { Authenticator } from '../../../src/server/api/authenticator.ts'
import type { Principal } from '../../../src/server/api/call.ts'
import { apiLimits } from '../../../src/server/api/limits.ts'
import { NEWER_MS_MAX } from '../../../src/server/api/permit.ts'
import { UsedToken } from '../../../src/server/auth/used-tokens.ts'
import type { WatchSink } from '../../../src/server/node/watch/index.ts'
import { BOB_HASH, BOB_PASSWORD, nodeWithUsers, permit, ROOT_HASH } from '../auth/users.ts'
import type { FakeNode } from '../http/fake-node.ts'
import { executed } from './executed.ts'

const changeAuth = (node: FakeNode, change: AuthChange): void =>
  node.apply({ kind: 'auth', ifRevision: undefined, change })

const ROOT = { user: 'root', epoch: undefined }
const LEASE = '7' as LeaseId

// ---------------------------------------------------------------------------------------------------------------------

test.each(['users', 'roles'] as const)(
  'a list of %s that change while it is read is that of one revision',
  async (what) => {
    const node = nodeWithUsers()
    const add = (at: number): void =>
      changeAuth(
        node,
        what === 'users'
          ? { kind: 'put-user', name: `u${at}`, passwordHash: BOB_HASH, roles: [] }
          : { kind: 'put-role', name: `u${at}`, permissions: [] },
      )
    const remove = (at: number): void =>
      changeAuth(node, { kind: what === 'users' ? 'delete-user' : 'delete-role', name: `u${at}` })
    for (let at = 0; at < 300; at++) add(at)
    const named = (): readonly string[] => [...node.auth.state[what].keys()]
    const before = node.auth.revision
    const known = new Map([[before, named()]])
    let answer: ApiAnswer | undefined
    const operation = { kind: what === 'users' ? 'show-users' : 'show-roles', name: undefined } as const
    void executed(node, operation, ROOT).then((result) => {
      answer = result
    })
    for (let turn = 0; answer === undefined; turn++) {
      await nextTurn()
      if (turn > 6) continue
      remove(turn)
      add(1_000 + turn)
      known.set(node.auth.revision, named())
    }
    if (answer instanceof ApiError || answer.kind !== operation.kind) expect.fail()
    const { revision = 0, ...all } = answer.result
    const names = Object.values(all)
      .flat()
      .map(({ name }) => name)
    expect(revision).toBeGreaterThan(before)
    expect(names).toEqual(known.get(revision))
  },
)

// ---------------------------------------------------------------------------------------------------------------------

const TOKEN = new UsedToken(
  { user: 'bob', epoch: 4, endsAt: Date.now() + apiLimits.authTokenMs },
  apiLimits.authTokenMs,
)

/** How bob is known. */
const KNOWN_BY = {
  password: { user: 'bob', epoch: 4 },
  token: { user: 'bob', epoch: 4, token: TOKEN },
  certificate: { user: 'bob', epoch: undefined },
} as const satisfies Record<string, Principal>

const app = { start: Buffer.from('app/'), end: Buffer.from('app0') }
const newPassword: AuthChange = { kind: 'put-user', name: 'bob', passwordHash: ROOT_HASH, roles: undefined }

type Ended = 'no-user' | 'no-right' | undefined

/** The reason for which each change ends the watch of bob, by how he is known; undefined: the watch continues. */
const CHANGES: readonly (readonly [
  string,
  (node: FakeNode) => void,
  Record<keyof typeof KNOWN_BY, Ended>,
])[] = [
  [
    'a new password',
    (node) => changeAuth(node, newPassword),
    { password: 'no-user', token: 'no-user', certificate: undefined },
  ],
  [
    'no password any more',
    (node) => changeAuth(node, { ...newPassword, passwordHash: null }),
    { password: 'no-user', token: 'no-user', certificate: undefined },
  ],
  [
    'the end of the user',
    (node) => changeAuth(node, { kind: 'delete-user', name: 'bob' }),
    { password: 'no-user', token: 'no-user', certificate: 'no-user' },
  ],
  [
    'another user of this name',
    (node) => {
      changeAuth(node, { kind: 'delete-user', name: 'bob' })
      changeAuth(node, { kind: 'put-user', name: 'bob', passwordHash: BOB_HASH, roles: ['app'] })
    },
    { password: 'no-user', token: 'no-user', certificate: 'no-user' },
  ],
  [
    'no role',
    (node) => changeAuth(node, { ...newPassword, passwordHash: undefined, roles: [] }),
    { password: 'no-right', token: 'no-right', certificate: 'no-right' },
  ],
  [
    'a role that may only write',
    (node) => permit(node, { access: 'write', range: app }),
    { password: 'no-right', token: 'no-right', certificate: 'no-right' },
  ],
  [
    'a role that may read as before',
    (node) => permit(node, { access: 'read', range: app }),
    { password: undefined, token: undefined, certificate: undefined },
  ],
  [
    'another password of somebody else',
    (node) => changeAuth(node, { ...newPassword, name: 'root' }),
    { password: undefined, token: undefined, certificate: undefined },
  ],
  [
    'rights that are not checked any more',
    (node) => changeAuth(node, { kind: 'disable' }),
    { password: undefined, token: undefined, certificate: undefined },
  ],
]

const CASES = CHANGES.flatMap(([change, make, ends]) =>
  (['password', 'token', 'certificate'] as const).map((by) => [change, by, make, ends[by]] as const),
)

test.each(CASES)('a watch after %s, of a user who is known by a %s', async (_, by, make, ends) => {
  const node = nodeWithUsers()
  const ended: string[] = []
  let events = 0
  const sink: WatchSink = {
    isFull: false,
    waits() {},
    events: () => void events++,
    progress() {},
    ended: ({ kind }) => void ended.push(kind),
  }
  const request = {
    ...{ where: app, from: undefined, only: undefined, prev: false },
    ...{ values: true, progressMs: 3_600_000 },
  }
  const result = await executed(node, { kind: 'watch', request }, KNOWN_BY[by], { openSink: () => sink })
  if (result instanceof ApiError || result.kind !== 'watch') expect.fail()
  onTestFinished(() => result.watch.cancel())
  node.put('app/before', '1')
  await vi.waitFor(() => expect(events).toBe(1))
  make(node)
  node.put('app/after', '2')
  await vi.waitFor(() => expect([ended, events]).toEqual(ends === undefined ? [[], 2] : [[ends], 1]))
})

// ---------------------------------------------------------------------------------------------------------------------

test('a token lives while it is used, and ends a life after its last use; so does the next one', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  onTestFinished(() => void vi.useRealTimers())
  const authenticator = new Authenticator(nodeWithUsers(), apiLimits.authTokenMs)
  const logIn = (): Promise<string> =>
    new Promise((resolve) =>
      authenticator.logIn('bob', BOB_PASSWORD, '10.0.0.1', 1_000, (error, token) => {
        expect(error).toBeUndefined()
        resolve(token)
      }),
    )
  const codeOf = (token: string): Promise<string | undefined> =>
    new Promise((resolve) =>
      authenticator.identify(
        { authorization: `Bearer ${token}`, address: '10.0.0.1', certificateUser: undefined },
        NEWER_MS_MAX,
        (error, principal) => resolve(error?.code ?? principal?.user),
      ),
    )
  for (let round = 0; round < 2; round++) {
    const token = await logIn()
    for (let use = 0; use < 5; use++) {
      expect(await codeOf(token)).toBe('bob')
      vi.setSystemTime(Date.now() + apiLimits.authTokenMs - 1)
    }
    expect(await codeOf(token)).toBe('bob')
    vi.setSystemTime(Date.now() + apiLimits.authTokenMs)
    expect([await codeOf(token), await codeOf(token)]).toEqual(['unauthenticated', 'unauthenticated'])
  }
})

test.each(['show-lease', 'list-leases'] as const)(
  'a leader that says nothing of the times of leases leaves time to answer without it: %s',
  async (kind) => {
    const node = nodeWithUsers()
    node.apply({ kind: 'grant', id: LEASE, ttlMs: 60_000 })
    const asked: number[] = []
    node.remainingTtls = (ids, timeoutMs, done) => {
      asked.push(timeoutMs)
      setImmediate(
        done,
        ids.map(() => undefined),
      )
    }
    const operation: Operation =
      kind === 'show-lease'
        ? { kind, id: LEASE, keys: false, freshness: {} }
        : { kind, after: undefined, limit: undefined, freshness: {} }
    const result = await executed(node, operation, ROOT)
    expect(result).toMatchObject({ kind })
    expect(asked).toHaveLength(1)
    expect(asked[0]).toBeLessThanOrEqual(30_000)
    expect(asked[0]).toBeGreaterThan(10_000)
  },
)

test.each([
  [300, 300],
  [60_000, NEWER_MS_MAX],
])(
  'before it refuses a call that has %d ms left, a node waits at most %d ms for newer rights',
  async (leftMs, atMostMs) => {
    const node = nodeWithUsers()
    const asked: number[] = []
    const { read } = node
    node.read = (options, done) => {
      asked.push(options.timeoutMs)
      return read.call(node, options, done)
    }
    const operation: Operation = {
      kind: 'delete',
      key: Buffer.from('other'),
      condition: undefined,
      prev: false,
      idempotency: undefined,
    }
    const deadline = performance.now() + leftMs
    const result = await executed(node, operation, KNOWN_BY.password, { deadline })
    expect(result).toMatchObject({ code: 'permission_denied' })
    expect(asked).toHaveLength(1)
    expect(asked[0]).toBeLessThanOrEqual(atMostMs)
    expect(asked[0]).toBeGreaterThan(0)
  },
)
