// Logins of a client, its tokens and their renewal, over HTTP and multiplexed connections.

import { inspect as inspected } from 'node:util'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { Client, type ClientOptions } from '../../src/client/index.ts'
import { Guard, USER } from './guarded-node.ts'
import { served } from './one-node.ts'
import { problem, type RelayedNode } from './relayed-node.ts'
import { answered, inVirtualTime, RECORD, scripted } from './scripted-transport.ts'
import { clientOf, connected, failure, fake, freezeTime, refusing, until, WARM_UP_MS } from './with-fakes.ts'

let node: RelayedNode
let guard: Guard
beforeEach(async () => {
  node = await fake()
  guard = new Guard(node)
})

describe('a client with a user', () => {
  test('logs in before its first call, and names the token in each request', async () => {
    const kv = clientOf([node], USER)
    await kv.put('a', '1')
    expect((await kv.get('a'))?.text()).toBe('1')
    expect(guard.logins).toHaveLength(1)
    expect(guard.logins[0]?.headers.authorization).toBeUndefined()
    expect(guard.credentials).toEqual(['Bearer token-1', 'Bearer token-1'])
  })

  test('logs in once for calls that begin together', async () => {
    const kv = clientOf([node], USER)
    await Promise.all(Array.from({ length: 20 }, (_, n) => kv.put(`k${n}`, 'v')))
    expect(guard.logins).toHaveLength(1)
  })

  test('learns the other nodes, and opens a session, with its token', async () => {
    const kv = clientOf([node], { ...USER, discover: true })
    await kv.get('a')
    const discovery = () => node.seen.find(({ target }) => target === '/v1/cluster')
    await kv.get('a')
    await until(() => discovery() !== undefined)
    expect(discovery()?.headers.authorization).toBe('Bearer token-1')
  })

  test('fails with a wrong password, and sends nothing else', async () => {
    const kv = clientOf([node], { ...USER, password: 'wrong password' })
    const error = await failure(kv.put('a', '1'))
    expect(error).toMatchObject({ code: 'unauthenticated', written: 'no', status: 401 })
    expect(node.asked).toHaveLength(1)
    expect(inspected(error)).not.toContain('wrong password')
  })

  test('fails when the login ends too late, and has written nothing', async () => {
    freezeTime()
    guard.login = 'hang'
    const kv = clientOf([node], { ...USER, timeoutMs: 1_000 })
    const put = failure(kv.put('a', '1'))
    await until(() => guard.logins.length > 0)
    await vi.advanceTimersByTimeAsync(1_100)
    expect(await put).toMatchObject({ code: 'timeout', written: 'no' })
    expect(node.asked).toHaveLength(1)
  })

  test('gives a node longer for a login than for another call: it computes on the password', async () => {
    freezeTime()
    const other = await fake('n2')
    const guards = [guard, new Guard(other)]
    for (const each of guards) each.login = 'hang'
    const logins = () => guards.flatMap((each) => each.logins).length
    const get = clientOf([node, other], { ...USER, timeoutMs: 5_000 }).get('a')
    await until(() => logins() === 1)
    await vi.advanceTimersByTimeAsync(1_900)
    expect(logins()).toBe(1)
    for (const each of guards) each.login = undefined
    guards[0]?.tokens.add('token-1')
    guards[1]?.tokens.add('token-1')
    await vi.advanceTimersByTimeAsync(200)
    await get
    expect(logins()).toBe(2)
  })

  test('gives a node as long for a change of a password', async () => {
    freezeTime()
    const nodes = [node, await fake('n2')]
    const changes = () => nodes.flatMap(({ seen }) => seen.filter(({ method }) => method === 'PUT')).length
    for (const each of nodes)
      each.fault = () => (changes() === 1 ? 'hang' : { status: 412, body: { code: 'precondition_failed' } })
    const { users } = clientOf(nodes, { timeoutMs: 5_000 })
    const change = failure(users.put('bob', { password: 'a long password' }, { ifRevision: 3 }))
    await until(() => changes() === 1)
    await vi.advanceTimersByTimeAsync(1_900)
    expect(changes()).toBe(1)
    await vi.advanceTimersByTimeAsync(200)
    // The silent node may have made it.
    expect(await change).toMatchObject({ written: 'unknown' })
    expect(changes()).toBe(2)
  })

  test('waits for a slow login, although it would not wait so long for a connection', async () => {
    freezeTime()
    const login = { outcome: answered(200, { token: 't', expires_in_ms: 600_000 }), afterMs: 3_000 }
    const limits = { ...USER, unreachableAfterMs: 500 }
    const { kv, transport } = scripted(1, (_, nth) => (nth === 0 ? login : RECORD), limits)
    expect(await inVirtualTime(kv.get('k'))).toBeDefined()
    expect(transport.sent.map(({ ms }) => ms)).toEqual([0, 3_000])
  })

  test('finds out in time that no endpoint can be reached', async () => {
    const kv = clientOf([await refusing()], { ...USER, unreachableAfterMs: 50 })
    expect(await failure(kv.put('a', '1'))).toMatchObject({ code: 'unreachable', written: 'no' })
  })

  test('waits for a login only until it is aborted', async () => {
    guard.login = 'hang'
    const abort = new AbortController()
    const put = failure(clientOf([node], USER).put('a', '1', { signal: abort.signal }))
    await until(() => guard.logins.length > 0)
    abort.abort()
    expect(await put).toMatchObject({ code: 'aborted', written: 'no' })
  })

  test('has no token while rights are not checked, and logs in when they are', async () => {
    guard.isOn = false
    const kv = clientOf([node], USER)
    await kv.put('a', '1')
    await kv.put('a', '2')
    expect(guard.logins).toHaveLength(1)
    guard.isOn = true
    await kv.put('a', '3')
    expect(node.contents).toEqual({ a: '3' })
    expect(guard.logins).toHaveLength(2)
    expect(guard.credentials).toEqual([undefined, undefined, undefined, 'Bearer token-1'])
  })

  test('logs in again when its token was refused, once a call', async () => {
    const kv = clientOf([node], USER)
    await kv.get('a')
    guard.tokens.clear()
    await Promise.all(Array.from({ length: 5 }, () => kv.get('a')))
    expect(guard.logins).toHaveLength(2)
    // It accepts no token at all.
    guard.accepts = () => false
    expect(await failure(kv.put('a', '1'))).toMatchObject({ code: 'unauthenticated', written: 'no' })
    expect(guard.logins).toHaveLength(3)
    expect(node.contents).toEqual({})
  })

  test('renews its token before the end, and no call waits for that', async () => {
    freezeTime()
    const kv = clientOf([node], USER)
    await kv.get('a')
    await vi.advanceTimersByTimeAsync(0.6 * guard.expiresInMs)
    await kv.get('a')
    expect(guard.logins).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(0.2 * guard.expiresInMs)
    guard.login = 'hang'
    await kv.get('a')
    await until(() => guard.logins.length === 2)
    expect(guard.credentials.at(-1)).toBe('Bearer token-1')
  })

  test('does not use a token up to its last moment', async () => {
    freezeTime()
    const kv = clientOf([node], USER)
    await kv.get('a')
    await vi.advanceTimersByTimeAsync(0.97 * guard.expiresInMs)
    await kv.get('a')
    expect(guard.credentials).toEqual(['Bearer token-1', 'Bearer token-2'])
  })

  test('renews its token once in each of its lives', async () => {
    freezeTime()
    const kv = clientOf([node], USER)
    await kv.get('a')
    for (let life = 1; life <= 4; life++) {
      await vi.advanceTimersByTimeAsync((life === 1 ? 0.7 : 0.2) * guard.expiresInMs)
      await kv.get('a')
      await until(() => guard.logins.length === life + 1)
      // The answer to the login arrives.
      while (guard.credentials.at(-1) !== `Bearer token-${life + 1}`) await kv.get('a')
      for (let n = 0; n < 5; n++) {
        await vi.advanceTimersByTimeAsync(0.1 * guard.expiresInMs)
        await kv.get('a')
      }
      expect(guard.logins).toHaveLength(life + 1)
    }
  })

  test('repeats a renewal that fails after a pause, however many calls it makes', async () => {
    freezeTime()
    const kv = clientOf([node], USER)
    await kv.get('a')
    await vi.advanceTimersByTimeAsync(0.8 * guard.expiresInMs)
    guard.login = problem(401, 'unauthenticated', 'another password')
    for (let round = 1; round <= 3; round++) {
      for (let n = 0; n < 20; n++) await kv.get('a')
      expect(guard.logins).toHaveLength(1 + round)
      await vi.advanceTimersByTimeAsync(5_000)
    }
    guard.login = undefined
    while (guard.credentials.at(-1) !== 'Bearer token-2') await kv.get('a')
  })

  test('counts the life of its token from before the login was sent', async () => {
    freezeTime()
    const isLogin = ({ method }: { readonly method: string }) => method === 'POST'
    const login = { outcome: answered(200, { token: 't', expires_in_ms: 10_000 }), afterMs: 3_000 }
    const { kv, transport } = scripted(
      1,
      (_, nth) => (transport.sent[nth - 1] === undefined || nth === 2 ? login : RECORD),
      { ...USER, timeoutMs: 60_000 },
    )
    await inVirtualTime(kv.get('k'))
    await vi.advanceTimersByTimeAsync(6_600)
    await inVirtualTime(kv.get('k'))
    // The second call had to wait for a login.
    expect(transport.sent.map((each) => isLogin(each))).toEqual([true, false, true, false])
  })

  test('has more time for a login that it shares than the call that began it', async () => {
    freezeTime()
    guard.login = 'hang'
    const kv = clientOf([node], USER)
    const [short, long] = [failure(kv.get('a', { timeoutMs: 1_000 })), kv.get('b', { timeoutMs: 60_000 })]
    await until(() => guard.logins.length === 1)
    guard.login = undefined
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await short).toMatchObject({ code: 'timeout', written: 'no' })
    let isOver = false
    const over = long.finally(() => {
      isOver = true
    })
    await until(() => isOver || guard.logins.length === 2)
    await over
    expect(guard.credentials).toEqual(['Bearer token-1'])
  })

  test('does not try again what it may not do', async () => {
    const kv = clientOf([node], USER)
    await kv.get('a')
    node.seen.length = 0
    node.faults.push(problem(403, 'permission_denied', 'user "bob" may not write the key "a"'))
    expect(await failure(kv.put('a', '1'))).toMatchObject({
      code: 'permission_denied',
      written: 'no',
      status: 403,
    })
    expect(node.asked).toHaveLength(1)
    node.faults.push(problem(403, 'loopback_only', 'only clients of this machine'))
    expect(await failure(kv.put('a', '1'))).toMatchObject({ code: 'loopback_only', written: 'no' })
  })
})

describe('a client with a token', () => {
  test('uses it, and cannot renew it', async () => {
    guard.tokens.add('mine')
    const kv = clientOf([node], { token: 'mine' })
    await kv.get('a')
    expect(guard.credentials).toEqual(['Bearer mine'])
    guard.tokens.clear()
    expect(await failure(kv.get('a'))).toMatchObject({ code: 'unauthenticated' })
    expect(guard.logins).toHaveLength(0)
  })
})

describe('a multiplexed connection', () => {
  test('is opened with the token', async () => {
    const lines = node.multiplex()
    guard.watch(lines)
    const kv = clientOf([node], { ...USER, transport: 'auto' })
    await connected(kv, [node])
    expect(lines.authorizations).toEqual(['Bearer token-1'])
  })

  test('is left when it refuses, and opened again with a new token', async () => {
    const lines = node.multiplex()
    guard.watch(lines)
    const kv = clientOf([node], { ...USER, transport: 'auto' })
    await connected(kv, [node])
    guard.tokens.clear()
    await Promise.all(Array.from({ length: 30 }, (_, n) => kv.put(`k${n}`, 'v')))
    expect(node.rows.size).toBe(30)
    while (lines.authorizations.length < 2) await kv.get('a')
    expect(lines.authorizations).toEqual(['Bearer token-1', 'Bearer token-2'])
    expect(guard.logins).toHaveLength(1)
  })

  test('is used although the one before it, whose token was refused, ends later', async () => {
    const lines = node.multiplex()
    guard.watch(lines)
    const kv = clientOf([node], { ...USER, transport: 'auto', timeoutMs: WARM_UP_MS })
    await connected(kv, [node])
    const judge = lines.onItem
    let answer: (() => void) | undefined
    lines.onItem = (item, line) => {
      lines.onItem = judge
      answer = () => line.send(served(item))
      return true
    }
    const first = kv.put('a', '1')
    await until(() => answer !== undefined)
    guard.tokens.clear()
    await kv.put('b', '2')
    lines.items.length = 0
    while (lines.items.length === 0) await kv.get('b')
    answer?.()
    await first
    await until(() => lines.open.length === 1)
    lines.items.length = 0
    for (let n = 0; n < 5; n++) await kv.get('b')
    expect(lines.items).toHaveLength(5)
    expect(lines.authorizations).toEqual(['Bearer token-1', 'Bearer token-2'])
  })

  test('without a user is left when rights are switched on', async () => {
    guard.isOn = false
    const lines = node.multiplex()
    guard.watch(lines)
    const kv = clientOf([node], { ...USER, transport: 'auto' })
    await connected(kv, [node])
    guard.isOn = true
    await kv.put('a', '1')
    while (lines.authorizations.length < 2) await kv.get('a')
    expect(lines.authorizations).toEqual([undefined, 'Bearer token-1'])
  })

  test('stays when the client has no user that could log in', async () => {
    guard.isOn = false
    const lines = node.multiplex()
    guard.watch(lines)
    const kv = clientOf([node], { transport: 'auto' })
    await connected(kv, [node])
    guard.isOn = true
    for (let n = 0; n < 3; n++)
      expect(await failure(kv.put('a', '1'))).toMatchObject({ code: 'unauthenticated', written: 'no' })
    expect(lines.upgrades).toHaveLength(1)
  })
})

describe('the arguments', () => {
  const client = (options: Partial<ClientOptions>) => () => new Client({ endpoints: [node.url], ...options })

  test.each<[Partial<ClientOptions>, string]>([
    [{ user: 'bob' }, 'user and password belong together'],
    [{ password: 'secret' }, 'user and password belong together'],
    [{ user: 'bob', password: '' }, 'password must be a string that is not empty'],
    [{ user: '', password: 'secret' }, 'user must be a string that is not empty'],
    [{ token: 'a b' }, 'token must be a token of a login'],
    [{ token: 't', user: 'bob', password: 'secret' }, 'token and user contradict each other'],
  ])('%j are refused', (options, message) => {
    expect(client(options)).toThrow(TypeError)
    expect(client(options)).toThrow(message)
  })

  test('a secret is not shown', () => {
    const password = ['top secret'] as unknown as string
    expect(client({ user: 'bob', password })).toThrow(
      /^(?!.*top secret).*password must be a string that is not empty$/,
    )
    expect(inspected(new Client({ endpoints: [node.url], ...USER }), { depth: 9 })).not.toContain(
      USER.password,
    )
  })
})
