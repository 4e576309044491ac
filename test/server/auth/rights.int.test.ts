// Rights over HTTP and multiplexed connections: what root, a user with one prefix, and nobody may do.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Client } from '../../../src/client/index.ts'
import type { AuthChange } from '../../../src/kv/index.ts'
import type { LeaseId, Permission } from '../../../src/operations/forms/index.ts'
import { Audit } from '../../../src/server/api/audit.ts'
import { apiLimits } from '../../../src/server/api/limits.ts'
import { newAuthKeys } from '../../../src/server/auth/auth-keys.ts'
import { quickPasswords } from '../../quick-passwords.ts'
import { record, spans, stopRecording } from '../../tracing/recorded-spans.ts'
import { FakeNode } from '../http/fake-node.ts'
import { type Answered, JSON_TYPE, type Served, serve } from '../http/served.ts'
import { CANCEL, DELETE, GET, MuxClient, PUT, soon, WATCH } from '../mux/mux-client.ts'
import {
  AS_BOB,
  AS_ROOT,
  BOB_HASH,
  BOB_PASSWORD,
  basic,
  nodeWithUsers,
  permit,
  ROOT_HASH,
  ROOT_PASSWORD,
  TOKEN_MS,
} from './users.ts'

quickPasswords()

const OWN_CHANGE = { password: 'another password', old_password: BOB_PASSWORD }

const serveUsers = (): Promise<Served> => serve({ node: nodeWithUsers() })

const askJson = (
  { ask }: Served,
  method: string,
  path: string,
  body: unknown,
  headers = {},
): Promise<Answered> =>
  ask(method, path, { headers: { ...JSON_TYPE, ...headers }, body: JSON.stringify(body) })

/** A request for each route. `{key}` is replaced by a key of bob, or by another one. */
const REQUESTS: readonly (readonly [method: string, path: string, body?: unknown])[] = [
  ['GET', '/'],
  ['GET', '/livez'],
  ['GET', '/metrics'],
  ['GET', '/openapi.json'],
  ['GET', '/readyz'],
  ['GET', '/v1/auth'],
  ['POST', '/v1/auth/disable', {}],
  ['POST', '/v1/auth/enable', {}],
  ['POST', '/v1/auth/login', { user: 'bob', password: BOB_PASSWORD }],
  ['GET', '/v1/auth/roles'],
  ['GET', '/v1/auth/roles/app'],
  ['PUT', '/v1/auth/roles/app', { permissions: [] }],
  ['DELETE', '/v1/auth/roles/app'],
  ['GET', '/v1/auth/self'],
  ['GET', '/v1/auth/users'],
  ['GET', '/v1/auth/users/bob'],
  ['PUT', '/v1/auth/users/bob', { password: 'another password', old_password: BOB_PASSWORD }],
  ['DELETE', '/v1/auth/users/bob'],
  ['GET', '/v1/backup'],
  ['POST', '/v1/changes', { changes: [{ put: { key: '{key}', value: '' } }] }],
  ['GET', '/v1/cluster'],
  ['POST', '/v1/cluster/leader', {}],
  [
    'POST',
    '/v1/cluster/members',
    { name: 'n4', replica_id: '4', peer: '127.0.0.1:1', url: 'http://127.0.0.1:2' },
  ],
  ['DELETE', '/v1/cluster/members/n3'],
  [
    ...(['POST', '/v1/cluster/members/n3/replace'] as const),
    { replica_id: '4', peer: '127.0.0.1:1', url: 'http://127.0.0.1:2' },
  ],
  ['GET', '/v1/cluster/settings'],
  ['POST', '/v1/cluster/settings', { key_bytes_max: 100 }],
  ['POST', '/v1/compact', { revision: 1 }],
  ['GET', '/v1/kv?prefix={key}'],
  ['DELETE', '/v1/kv?prefix={key}'],
  ['GET', '/v1/kv/{key}'],
  ['PUT', '/v1/kv?key={key}'],
  ['PUT', '/v1/kv/{key}'],
  ['DELETE', '/v1/kv/{key}'],
  ['GET', '/v1/leases'],
  ['POST', '/v1/leases', { ttl: '10s' }],
  ['POST', '/v1/leases/keepalive', { ids: ['7'] }],
  ['GET', '/v1/leases/7?keys'],
  ['DELETE', '/v1/leases/7'],
  ['POST', '/v1/leases/7/keepalive', {}],
  ['POST', '/v1/revision', { revision: 10 }],
  ['POST', '/v1/sessions', {}],
  ['GET', '/v1/status'],
  ['POST', '/v1/txn', { success: [{ put: { key: '{key}', value: '' } }] }],
  ['GET', '/v1/watch?prefix={key}'],
]

const WHO = { root: AS_ROOT, bob: AS_BOB, nobody: {} }

/** The answers to root, to bob for an own and another key, and to nobody. `yes`: the route was reached. */
async function shownAnswers([method, path, body]: (typeof REQUESTS)[number]): Promise<readonly string[]> {
  const node = nodeWithUsers()
  for (const key of ['app/1', 'other']) node.put(key, '1')
  node.apply({ kind: 'grant', id: '7' as LeaseId, ttlMs: 5000 })
  const lease = { id: '7' as LeaseId }
  const put = { kind: 'put', value: Buffer.from(''), condition: undefined, prev: false, lease } as const
  node.apply({ ...put, key: Buffer.from('other') })
  const served = await serve({ node })
  const answer = async (who: keyof typeof WHO, key: string): Promise<string> => {
    const target = path.replace('{key}', key)
    if (path.startsWith('/v1/watch')) {
      const authorization = Object.entries(WHO[who]).map(([name, value]) => `${name}: ${value}\r\n`)
      const head = `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${authorization.join('')}\r\n`
      return shown(Number((await served.raw(head, (bytes) => bytes.includes('\r\n\r\n'))).split(' ')[1]))
    }
    const text =
      body === undefined ? (method === 'PUT' ? 'x' : undefined) : JSON.stringify(body).replace('{key}', key)
    const headers = { ...(body === undefined ? {} : JSON_TYPE), ...WHO[who] }
    const sent = text === undefined ? { headers } : { headers, body: text }
    return shown((await served.ask(method, target, sent)).status)
  }
  // A refused request changes nothing for those after it.
  const nobody = await answer('nobody', 'app/1')
  const namesKey = JSON.stringify([path, body]).includes('{key}')
  const other = namesKey ? await answer('bob', 'other') : undefined
  const own = await answer('bob', 'app/1')
  return [await answer('root', 'other'), own, other ?? own, nobody]
}

const shown = (status: number): string => (status === 401 || status === 403 ? `${status}` : 'yes')

test('docs/reference/security.md shows what each route answers to root, to a user with one prefix, and to nobody', async () => {
  const { ask } = await serveUsers()
  const { paths } = (await ask('GET', '/openapi.json')).json
  const routes = Object.entries<object>(paths).flatMap(([path, methods]) =>
    Object.keys(methods).flatMap((method) => (method === 'head' ? [] : [`${method.toUpperCase()} ${path}`])),
  )
  const rows: string[] = []
  const covered = new Set<string>()
  for (const request of REQUESTS) {
    const [method, path] = request
    const names = await shownAnswers(request)
    const route = `${method} ${path.replace(/\?.*/, '')}`
    const fits = (pattern: string): boolean =>
      new RegExp(
        `^${pattern.replaceAll(/\{key\}/g, '\\{key\\}').replaceAll(/\{(?!key)[a-z]+\}/g, '[^/]+')}$`,
      ).test(route)
    const pattern = routes.find((each) => each === route) ?? routes.find(fits)
    expect(pattern, route).toBeDefined()
    covered.add(pattern ?? '')
    rows.push(`| \`${pattern}\` | ${names.join(' | ')} |`)
  }
  expect([...covered].sort()).toEqual(routes.sort())
  const page = readFileSync('docs/reference/security.md', 'utf8')
  const documented = page.split('\n').filter((line) => /^\| `[A-Z]+ \//.test(line))
  expect(rows).toEqual(documented)
})

test('a user reads who he is and what he may do, and the roles that he has', async () => {
  const { node, ask } = await serve({ node: nodeWithUsers() })
  const self = async (headers: Record<string, string>) =>
    (await ask('GET', '/v1/auth/self', { headers })).json
  const app = { access: 'readwrite', prefix: 'app/' }
  const { revision } = node.auth
  const bob = {
    enabled: true,
    revision,
    user: 'bob',
    credential: 'token',
    roles: ['app'],
    permissions: [app],
  }
  expect(await self(AS_BOB)).toEqual(bob)
  expect(await self(basic('bob', BOB_PASSWORD))).toEqual({ ...bob, credential: 'password' })
  const everything = [{ access: 'readwrite', all: true }, { access: 'admin' }]
  expect(await self(AS_ROOT)).toMatchObject({ user: 'root', roles: ['root'], permissions: everything })
  const role = async (name: string) => (await ask('GET', `/v1/auth/roles/${name}`, { headers: AS_BOB })).json
  expect(await role('app')).toEqual({ name: 'app', permissions: [app] })

  // Another role repeats a permission, and has one of its own. A third one is not his.
  const auth = { kind: 'auth', ifRevision: undefined } as const
  const range = { start: Buffer.from('app/'), end: Buffer.from('app0') }
  const permissions = [
    { access: 'readwrite', range },
    { access: 'admin', range: undefined },
    // Each differs from the first one in one part.
    { access: 'read', range },
    { access: 'readwrite', range: { start: range.start, end: Buffer.from('app/\0') } },
    { access: 'readwrite', range: { start: Buffer.from('app/b'), end: range.end } },
  ] as const
  node.apply({ ...auth, change: { kind: 'put-role', name: 'ops', permissions: [permissions[0]] } })
  expect(await role('ops')).toMatchObject({ status: 403, code: 'permission_denied' })
  expect(await role('none')).toMatchObject({ status: 403, code: 'permission_denied' })
  const put = { kind: 'put-user', name: 'bob', passwordHash: undefined, roles: ['app', 'ops'] } as const
  node.apply({ ...auth, change: put })
  expect(await self(AS_BOB)).toMatchObject({ roles: ['app', 'ops'], permissions: [app] })
  node.apply({ ...auth, change: { kind: 'put-role', name: 'ops', permissions } })
  expect((await self(AS_BOB)).permissions).toEqual([
    ...[app, { access: 'admin' }, { access: 'read', prefix: 'app/' }],
    ...[
      { access: 'readwrite', key: 'app/' },
      { access: 'readwrite', start: 'app/b', end: 'app0' },
    ],
  ])
  node.apply({ ...auth, change: { kind: 'put-user', name: 'bob', passwordHash: undefined, roles: [] } })
  expect(await self(AS_BOB)).toMatchObject({ roles: [], permissions: [] })
  expect(await role('app')).toMatchObject({ status: 403 })

  node.apply({ ...auth, change: { kind: 'disable' } })
  expect(await self({})).toMatchObject({
    enabled: false,
    user: null,
    credential: null,
    permissions: everything,
  })
})

test('a request names its user by a password or a token, and otherwise is refused with the ways to log in', async () => {
  const served = await serveUsers()
  const { ask } = served
  const get = (headers: Record<string, string>) => ask('GET', '/v1/kv/app/1', { headers })
  const refused = await get({})
  expect([refused.status, refused.json.code]).toEqual([401, 'unauthenticated'])
  expect(refused.headers['www-authenticate']).toMatch(/^Bearer .*Basic /)
  for (const Authorization of [
    basic('bob', 'a wrong one').Authorization,
    basic('nobody', BOB_PASSWORD).Authorization,
    'Basic !',
    'Digest x',
    'Bearer q1.x.y',
    'Bearer x',
  ])
    expect((await get({ Authorization })).status, Authorization).toBe(401)
  expect((await get(basic('bob', BOB_PASSWORD))).status).toBe(404)
  const { status, json, headers } = await askJson(served, 'POST', '/v1/auth/login', {
    user: 'bob',
    password: BOB_PASSWORD,
  })
  expect([status, json.expires_in_ms, headers['cache-control']]).toEqual([200, 600_000, 'no-store'])
  expect((await get({ Authorization: `Bearer ${json.token}` })).status).toBe(404)
})

test('a token ends with the password, with the user, and with its time', async () => {
  const node = nodeWithUsers()
  const served = await serve({ node })
  const login = async (user: string, password: string): Promise<string> =>
    (await askJson(served, 'POST', '/v1/auth/login', { user, password })).json.token
  const statusWith = async (token: string): Promise<number> =>
    (await served.ask('GET', '/v1/status', { headers: { Authorization: `Bearer ${token}` } })).status
  const first = await login('bob', BOB_PASSWORD)
  expect(await statusWith(first)).toBe(200)
  await askJson(served, 'PUT', '/v1/auth/users/bob', OWN_CHANGE, AS_BOB)
  expect(await statusWith(first)).toBe(401)
  const second = await login('bob', 'another password')
  expect(await statusWith(second)).toBe(200)
  await served.ask('DELETE', '/v1/auth/users/bob', { headers: AS_ROOT })
  expect(await statusWith(second)).toBe(401)
})

test('passwords, tokens and hashes leave the node in no answer, log, audit log or span', async () => {
  record()
  onTestFinished(stopRecording)
  const audited: string[] = []
  const audit = new Audit((line) => void audited.push(line), 'all')
  const served = await serve({ node: nodeWithUsers(), audit })
  const { ask, logged, port } = served
  const get = (path: string) => ask('GET', path, { headers: AS_ROOT })
  const answers = [
    await askJson(served, 'PUT', '/v1/auth/users/carl', { password: 'secret of carl', roles: [] }, AS_ROOT),
    await askJson(served, 'PUT', '/v1/auth/users/carl', { password: 'short' }, AS_ROOT),
    await askJson(served, 'PUT', '/v1/auth/users/carl', { password: 'secret of carl', role: [] }, AS_ROOT),
    await askJson(served, 'POST', '/v1/auth/login', { user: 'carl', password: 'secret of carl.' }),
    await ask('GET', '/v1/kv/a', { headers: basic('carl', 'secret of carl') }),
    await ask('GET', '/v1/kv/a', { headers: { Authorization: `${AS_BOB.Authorization}0` } }),
  ]
  expect(answers.map(({ status }) => status)).toEqual([200, 400, 400, 401, 403, 401])
  const { paths } = (await get('/openapi.json')).json
  for (const [path, methods] of Object.entries<object>(paths)) {
    // A backup has the hashes, and a watch has no end.
    if (!('get' in methods) || path === '/v1/backup' || path === '/v1/watch') continue
    answers.push(await get(path.replace('{name}', 'carl').replace('{key}', 'a').replace('{id}', '7')))
  }
  expect(answers.length).toBeGreaterThan(20)
  for (const probe of ['/livez', '/readyz']) answers.push(await get(`${probe}?verbose`))
  // Where other servers show the memory, the arguments or the environment of the process.
  const debugRoutes = ['/debug', '/debug/pprof/', '/debug/vars', '/v1/debug', '/json/list', '/config', '/env']
  for (const path of debugRoutes) {
    const answer = await get(path)
    expect([answer.status, answer.json.code], path).toEqual([404, 'route_not_found'])
    answers.push(answer)
  }
  const endpoints = [`http://127.0.0.1:${port}`]
  const carl = { endpoints, discover: false, user: 'carl', password: 'secret of carl' }
  await using client = new Client({ ...carl, transport: 'http' })
  await expect(client.get('a')).rejects.toThrow('may not read')
  await using wrong = new Client({ ...carl, transport: 'http', password: 'secret of carl.' })
  const failure = await wrong.get('a').catch(String)
  const bob = await new MuxClient(port, { headers: basic('bob', BOB_PASSWORD) }).open()
  await bob.ask(1, GET, 1000, Buffer.from('app/1'))
  const login = await askJson(served, 'POST', '/v1/auth/login', { user: 'bob', password: BOB_PASSWORD })
  await ask('GET', '/v1/kv/app/1', { headers: { Authorization: `Bearer ${login.json.token}` } })

  const spansSeen = spans().map(({ name, attributes, events, links, status, resource }) =>
    JSON.stringify([name, attributes, events, links, status, resource.attributes]),
  )
  for (const name of ['PUT /v1/auth/users/:name', 'POST /v1/auth/login', 'quorate.auth', 'mux get'])
    expect(spansSeen).toContainEqual(expect.stringContaining(name))
  const told = answers.map(({ text, headers }) => text + JSON.stringify(headers))
  const seen = [...told, ...logged, ...audited, ...spansSeen, failure].join('\n')
  expect(audited.length).toBeGreaterThan(6)
  expect(seen).not.toMatch(/secret of carl|password of bob|short|scrypt/)
  expect(seen).not.toContain(login.json.token)
  for (const { Authorization } of [AS_ROOT, AS_BOB, basic('carl', 'secret of carl')])
    expect(seen).not.toContain(Authorization.split(' ')[1])
})

test('a client without a user fills the audit log no faster with long names and keys', async () => {
  const audited: string[] = []
  const audit = new Audit((line) => void audited.push(line), 'changes')
  const served = await serve({ node: nodeWithUsers(), audit })
  const user = 'x'.repeat(7_000)
  await askJson(served, 'POST', '/v1/auth/login', { user, password: ROOT_PASSWORD })
  const changes = Array.from({ length: 90 }, (_, at) => ({ delete: { key: `${at}${'k'.repeat(1000)}` } }))
  await askJson(served, 'POST', '/v1/changes', { changes })
  expect(audited.map((line) => JSON.parse(line).operation)).toEqual(['log-in', undefined])
  for (const line of audited) expect(line.length).toBeLessThan(400)
})

test('a change that was permitted before rights changed is decided again', async () => {
  const node = nodeWithUsers()
  const { ask } = await serve({ node })
  await ask('GET', '/v1/status', { headers: AS_BOB })
  node.hold = (release) => {
    node.hold = undefined
    permit(node)
    release()
  }
  const refused = await ask('PUT', '/v1/kv/app/1', { headers: AS_BOB, body: '1' })
  expect([refused.status, refused.json.code]).toEqual([403, 'permission_denied'])
  expect((await ask('GET', '/v1/kv/app/1', { headers: AS_ROOT })).status).toBe(404)
  // And one that is still permitted is made.
  permit(node, { access: 'readwrite', range: { start: Buffer.from(''), end: undefined } })
  node.hold = (release) => {
    node.hold = undefined
    permit(node, { access: 'write', range: { start: Buffer.from('app/'), end: undefined } })
    release()
  }
  expect((await ask('PUT', '/v1/kv/app/1', { headers: AS_BOB, body: '1' })).status).toBe(200)
})

test('a read that waits is decided under the rights of its answer', async () => {
  const node = nodeWithUsers()
  node.put('app/1', '1')
  const { ask } = await serve({ node })
  await ask('GET', '/v1/status', { headers: AS_BOB })
  for (const path of ['/v1/kv/app/1', '/v1/kv?prefix=app/', '/v1/kv/app/1?revision=2']) {
    permit(node, { access: 'read', range: { start: Buffer.from('app/'), end: undefined } })
    node.hold = (release) => {
      node.hold = undefined
      permit(node)
      release()
    }
    expect((await ask('GET', path, { headers: AS_BOB })).status, path).toBe(403)
  }
})

test('users are not shown to one who loses the right while they are read', async () => {
  const node = nodeWithUsers()
  const { ask } = await serve({ node })
  for (let at = 0; at < 300; at++) {
    const change = { kind: 'put-user', name: `u${at}`, passwordHash: undefined, roles: [] } as const
    node.apply({ kind: 'auth', ifRevision: undefined, change })
  }
  permit(node, { access: 'admin', range: undefined })
  expect((await ask('GET', '/v1/auth/users', { headers: AS_BOB })).json.users).toHaveLength(302)
  node.hold = (release) => {
    node.hold = undefined
    // After a part of the users.
    setImmediate(() => permit(node))
    release()
  }
  expect((await ask('GET', '/v1/auth/users', { headers: AS_BOB })).status).toBe(403)
})

test('a lease counts with the keys that it has when it is revoked or shown', async () => {
  const node = nodeWithUsers()
  const { ask } = await serve({ node })
  const id = '7' as LeaseId
  const attach = (key: string): void =>
    node.apply({
      ...{ kind: 'put', key: Buffer.from(key), value: Buffer.from('1') },
      ...{ condition: undefined, prev: false, lease: { id } },
    })
  node.apply({ kind: 'grant', id, ttlMs: 5000 })
  attach('app/1')
  for (const [method, path] of [
    ['DELETE', '/v1/leases/7'],
    ['GET', '/v1/leases/7?keys'],
  ] as const) {
    expect((await ask('GET', '/v1/leases/7?keys', { headers: AS_BOB })).json.keys).toEqual(['app/1'])
    node.hold = (release) => {
      node.hold = undefined
      attach('other')
      release()
    }
    const { status, json } = await ask(method, path, { headers: AS_BOB })
    expect([status, json.code], path).toEqual([403, 'permission_denied'])
    expect((await ask('GET', '/v1/kv/other', { headers: AS_ROOT })).status).toBe(200)
    await ask('DELETE', '/v1/kv/other', { headers: AS_ROOT })
  }
  expect((await ask('DELETE', '/v1/leases/7', { headers: AS_BOB })).json.deleted).toBe(1)
})

const X = { start: Buffer.from('x'), end: Buffer.from('y') }

test.each<[string, readonly Permission[], number]>([
  ['no permission', [], 403],
  ['read', [{ access: 'read', range: X }], 403],
  ['write', [{ access: 'write', range: X }], 200],
  ['admin', [{ access: 'admin', range: undefined }], 200],
])('only a user who may change something opens a session: %s', async (_, permissions, expected) => {
  const node = nodeWithUsers()
  permit(node, ...permissions)
  const { ask } = await serve({ node })
  const { status } = await ask('POST', '/v1/sessions', { headers: { ...JSON_TYPE, ...AS_BOB }, body: '{}' })
  expect([status, node.state.clientSessions.next]).toEqual([expected, expected === 200 ? 2 : 1])
})

test('a user opens no more sessions than are free, and none of others is forgotten', async () => {
  const node = nodeWithUsers()
  for (let at = 0; at < 9_990; at++) node.apply({ kind: 'open-session' })
  const { ask } = await serve({ node })
  const open = async (headers: typeof AS_BOB) =>
    (await ask('POST', '/v1/sessions', { headers: { ...JSON_TYPE, ...headers }, body: '{}' })).status
  const all = []
  for (let at = 0; at < 8; at++) all.push(await open(AS_BOB))
  expect(all).toEqual([200, 200, 200, 200, 200, 429, 429, 429])
  expect([await open(AS_ROOT), await open(AS_ROOT)]).toEqual([200, 200])
  expect(node.state.clientSessions).toMatchObject({ horizon: 1, next: 9_998 })
  // The cluster forgets the oldest by their age.
  node.clusterTimeMs += 2 * node.state.settings.idempotencyAgeMsMax
  const sessions = () => node.state.clientSessions
  while (sessions().horizon < 9_998) node.apply({ kind: 'open-session' })
  while (sessions().next - sessions().horizon < 9_997) node.apply({ kind: 'open-session' })
  expect(await open(AS_BOB)).toBe(200)
})

test('while rights are not checked, an address opens no more sessions than are free', async () => {
  const node = new FakeNode()
  for (let at = 0; at < 9_990; at++) node.apply({ kind: 'open-session' })
  const { ask } = await serve({ node })
  // Each request has a connection of its own.
  for (const expected of [200, 200, 200, 200, 200, 429])
    expect(
      (await ask('POST', '/v1/sessions', { headers: { ...JSON_TYPE, connection: 'close' }, body: '{}' }))
        .status,
    ).toBe(expected)
})

test('a user lists the leases that he was granted, however many others there are', async () => {
  const node = nodeWithUsers()
  const served = await serve({ node, limits: { sliceRowsMax: 50 } })
  const own: string[] = []
  for (let at = 0; at < 300; at++) {
    if (at % 100 === 50)
      own.push((await askJson(served, 'POST', '/v1/leases', { ttl: '10s' }, AS_BOB)).json.id)
    node.apply({ kind: 'grant', id: undefined, ttlMs: 5000 })
  }
  own.sort((a, b) => Number(BigInt(a) - BigInt(b)))
  const pages = async (limit: number): Promise<readonly string[][]> => {
    const found: string[][] = []
    for (let after = ''; ; ) {
      const { json } = await served.ask('GET', `/v1/leases?limit=${limit}${after}`, { headers: AS_BOB })
      found.push(json.leases.map(({ id }: { id: string }) => id))
      if (!json.more) return found
      // No other lease is named.
      expect(json.next).toBe(found.at(-1)?.at(-1))
      after = `&after=${json.next}`
    }
  }
  for (const limit of [1, 2, 3]) expect((await pages(limit)).flat()).toEqual(own)
  expect(await pages(10)).toEqual([own])
  const all = await served.ask('GET', '/v1/leases?limit=200', { headers: AS_ROOT })
  expect([all.json.leases.length, all.json.more, all.json.next]).toEqual([
    ...[200, true, all.json.leases.at(-1).id],
  ])
})

test('a user who is made again does not see the leases of the user before', async () => {
  const node = nodeWithUsers()
  const served = await serve({ node })
  const change = (made: AuthChange): void => node.apply({ kind: 'auth', ifRevision: undefined, change: made })
  const listed = async (user: Record<string, string>): Promise<readonly string[]> =>
    (await served.ask('GET', '/v1/leases', { headers: user })).json.leases.map(({ id }: { id: string }) => id)
  const { id } = (await askJson(served, 'POST', '/v1/leases', { ttl: '60s' }, AS_BOB)).json
  expect(await listed(AS_BOB)).toEqual([id])
  change({ kind: 'delete-user', name: 'bob' })
  change({ kind: 'put-user', name: 'bob', passwordHash: BOB_HASH, roles: ['app'] })
  expect(await listed(basic('bob', BOB_PASSWORD))).toEqual([])
  expect(await listed(AS_ROOT)).toEqual([id])
})

test('a change of the cluster that waits is decided again before it is made', async () => {
  const node = nodeWithUsers()
  const served = await serve({ node })
  const member = { name: 'n4', replica_id: '4', peer: '127.0.0.1:1', url: 'http://127.0.0.1:2' }
  const before = JSON.stringify([node.leaderLeases, node.leaderName])
  for (const [method, path, body] of [
    ['POST', '/v1/cluster/members', member],
    ['POST', '/v1/cluster/leader', { to: 'n3' }],
    ['POST', '/v1/cluster/leader', {}],
    ['POST', '/v1/cluster/settings', { leases: { on: true } }],
  ] as const) {
    permit(node, { access: 'admin', range: undefined })
    node.hold = (release) => {
      node.hold = undefined
      permit(node)
      release()
    }
    expect((await askJson(served, method, path, body, AS_BOB)).status, path).toBe(403)
  }
  expect([node.changes, JSON.stringify([node.leaderLeases, node.leaderName])]).toEqual([[], before])
})

test('a right, a user or a password that this node has not learned yet is not refused', async () => {
  const node = nodeWithUsers()
  const served = await serve({ node })
  await served.ask('GET', '/v1/status', { headers: AS_BOB })
  const later = (change: () => void): void => {
    node.hold = (release) => {
      node.hold = undefined
      change()
      release()
    }
  }
  later(() => permit(node, { access: 'read', range: { start: Buffer.from('other'), end: undefined } }))
  expect((await served.ask('GET', '/v1/kv/other', { headers: AS_BOB })).status).toBe(404)
  node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'delete-user', name: 'bob' } })
  const bob = { kind: 'put-user', name: 'bob', passwordHash: BOB_HASH, roles: [] } as const
  later(() => node.apply({ kind: 'auth', ifRevision: undefined, change: bob }))
  const login = await askJson(served, 'POST', '/v1/auth/login', { user: 'bob', password: BOB_PASSWORD })
  expect(login.status).toBe(200)
  node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'delete-user', name: 'bob' } })
  later(() => node.apply({ kind: 'auth', ifRevision: undefined, change: bob }))
  expect((await served.ask('GET', '/v1/status', { headers: basic('bob', BOB_PASSWORD) })).status).toBe(200)
})

test('a login at a node that has not learned yet that rights are checked gets a token', async () => {
  const node = nodeWithUsers()
  node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'disable' } })
  const served = await serve({ node })
  node.hold = (release) => {
    node.hold = undefined
    const change = { kind: 'enable', ...newAuthKeys(), rootHasCertificate: false } as const
    node.apply({ kind: 'auth', ifRevision: undefined, change })
    release()
  }
  const login = await askJson(served, 'POST', '/v1/auth/login', { user: 'bob', password: BOB_PASSWORD })
  expect(login.status).toBe(200)
  const headers = { authorization: `Bearer ${login.json.token}` }
  expect((await served.ask('GET', '/v1/status', { headers })).status).toBe(200)
})

test('a token from before rights were switched off is void when they are checked again', async () => {
  const node = nodeWithUsers()
  const { ask } = await serve({ node })
  const statusOf = async () => (await ask('GET', '/v1/status', { headers: AS_BOB })).status
  expect(await statusOf()).toBe(200)
  node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'disable' } })
  expect(await statusOf()).toBe(200)
  const change = { kind: 'enable', ...newAuthKeys(), rootHasCertificate: false } as const
  node.apply({ kind: 'auth', ifRevision: undefined, change })
  expect(await statusOf()).toBe(401)
})

test('a request that arrives before rights are checked is to be made again when they are, and is then decided', async () => {
  const node = nodeWithUsers()
  const disable = () => node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'disable' } })
  disable()
  const served = await serve({ node })
  const enable = (release: () => void): void => {
    node.hold = undefined
    const change = { kind: 'enable', ...newAuthKeys(), rootHasCertificate: false } as const
    node.apply({ kind: 'auth', ifRevision: undefined, change })
    release()
  }
  const root = basic('root', ROOT_PASSWORD)
  const member = { name: 'n4', replica_id: '4', peer: '127.0.0.1:1', url: 'http://127.0.0.1:2' }
  for (const [method, path, asking] of [
    ['PUT', '/v1/kv/a', { body: '1' }],
    ['GET', '/v1/kv/a', {}],
    // A node that joins would take another answer for a final one.
    ['POST', '/v1/cluster/members', { body: JSON.stringify(member), headers: JSON_TYPE }],
  ] as const) {
    node.hold = enable
    const { status, json } = await served.ask(method, path, {
      ...asking,
      headers: { ...('headers' in asking && asking.headers), ...root },
    })
    expect([status, json.code], path).toEqual([503, 'not_ready'])
    expect((await served.ask(method, path, asking)).status, path).toBe(401)
    disable()
  }
  expect([node.changes, (await served.ask('GET', '/v1/kv/a')).status]).toEqual([[], 404])
})

test('a request whose body arrives after rights began to be checked is to be made again', async () => {
  const node = nodeWithUsers()
  node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'disable' } })
  const { port } = await serve({ node })
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  const { Authorization } = basic('bob', BOB_PASSWORD)
  const head = ['PUT /v1/kv/app/1 HTTP/1.1', 'Host: localhost', `Authorization: ${Authorization}`]
  socket.write(`${[...head, 'Content-Length: 3', 'Expect: 100-continue'].join('\r\n')}\r\n\r\n`)
  expect(String(await once(socket, 'data'))).toMatch(/^HTTP\/1\.1 100 /)
  const change = { kind: 'enable', ...newAuthKeys(), rootHasCertificate: false } as const
  node.apply({ kind: 'auth', ifRevision: undefined, change })
  socket.write('new')
  expect(String(await once(socket, 'data'))).toMatch(/^HTTP\/1\.1 503 .*"not_ready"/s)
})

test('a page of an origin that is named makes requests in the name of a user', async () => {
  const origin = 'https://app.example'
  const { ask } = await serve({ node: nodeWithUsers(), corsOrigins: [origin] })
  // A browser requests first whether it may send the field.
  const preflight = await ask('OPTIONS', '/v1/kv/app/1', {
    headers: {
      ...{ Origin: origin, 'Access-Control-Request-Method': 'PUT' },
      'Access-Control-Request-Headers': 'authorization',
    },
  })
  const allowed = String(preflight.headers['access-control-allow-headers']).toLowerCase().split(', ')
  expect([preflight.status, allowed.includes('authorization')]).toEqual([204, true])
  for (const [user, status] of [
    [AS_BOB, 200],
    [{}, 401],
  ] as const) {
    const answer = await ask('PUT', '/v1/kv/app/1', { headers: { ...user, Origin: origin }, body: '1' })
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([status, origin])
  }
})

test('two changes of a role that knew the same revision: the second one is refused', async () => {
  const served = await serveUsers()
  const { revision } = (await served.ask('GET', '/v1/auth')).json
  const put = () =>
    askJson(
      served,
      'PUT',
      '/v1/auth/roles/app',
      { permissions: [] },
      { ...AS_ROOT, 'If-Match': `"${revision}"` },
    )
  expect((await put()).status).toBe(200)
  expect((await put()).json.code).toBe('precondition_failed')
})

test('a role is shown as it was put, in its shortest form', async () => {
  const served = await serveUsers()
  const permissions = [
    { access: 'read', key: 'a' },
    { access: 'write', prefix: 'a/' },
    { access: 'readwrite', start: 'a', end: 'b' },
    { access: 'read', start: 'c' },
    { access: 'read', key: { base64: '/w==' } },
    { access: 'write', all: true },
    { access: 'admin' },
  ]
  const put = await askJson(served, 'PUT', '/v1/auth/roles/all', { permissions }, AS_ROOT)
  const shortest = permissions.map((each) =>
    'start' in each && 'end' in each ? { access: each.access, prefix: 'a' } : each,
  )
  expect(put.json).toEqual({ name: 'all', permissions: shortest })
  expect((await served.ask('GET', '/v1/auth/roles/all', { headers: AS_ROOT })).json).toEqual(put.json)
  for (const [wrong, fault] of [
    [{ access: 'read' }, 'permissions[0] needs one of key'],
    [{ access: 'read', key: 'a', prefix: 'b' }, 'permissions[0] needs one of key'],
    [{ access: 'read', all: false }, 'permissions[0] needs one of key'],
    [{ access: 'admin', all: true }, 'admin has no range'],
    [{ access: 'see', all: true }, 'permissions[0].access must be one of'],
  ] as const) {
    const answer = await askJson(served, 'PUT', '/v1/auth/roles/x', { permissions: [wrong] }, AS_ROOT)
    expect([answer.status, answer.json.detail]).toEqual([400, expect.stringContaining(fault)])
  }
})

test('a wrong name, an unknown role, or the end of root is refused', async () => {
  const served = await serveUsers()
  for (const [method, path, body, fault] of [
    ['PUT', '/v1/auth/users/a%20b', {}, 'is no name'],
    ['PUT', `/v1/auth/users/${'a'.repeat(65)}`, {}, 'is no name'],
    ['PUT', '/v1/auth/users/*', {}, 'is no name'],
    ['PUT', '/v1/auth/users/a', { roles: ['none'] }, 'make it first'],
    ['PUT', '/v1/auth/roles/root', { permissions: [] }, 'cannot be changed'],
    ['PUT', '/v1/auth/users/root', { roles: [] }, 'the user root'],
    ['PUT', '/v1/auth/users/root', { password: 'short' }, '8 to 1024 bytes'],
  ] as const) {
    const answer = await askJson(served, method, path, body, AS_ROOT)
    expect([answer.status, answer.json.detail], path).toEqual([400, expect.stringContaining(fault)])
  }
  expect((await served.ask('DELETE', '/v1/auth/users/root', { headers: AS_ROOT })).status).toBe(400)
  expect((await served.ask('DELETE', '/v1/auth/users/none', { headers: AS_ROOT })).status).toBe(404)
})

test('a multiplexed connection has the user of the request that opens it', async () => {
  const node = nodeWithUsers()
  const { port } = await serve({ node })
  const bob = await new MuxClient(port, { headers: AS_BOB }).open()
  expect((await bob.ask(1, PUT, 1000, Buffer.from('app/1'), Buffer.from('1')))[1]).toBe(0)
  expect((await bob.ask(2, GET, 1000, Buffer.from('other')))[2]).toMatchObject({ code: 'permission_denied' })
  expect((await new MuxClient(port).end()).code).toBe(1006)
  const wrong = new MuxClient(port, { headers: basic('bob', 'a wrong one') })
  expect((await wrong.end()).code).toBe(1006)
  // The connection ends to be of any use with the password.
  const passwordHash = 'scrypt$15$8$1$AAAA$AAAA'
  node.apply({
    ...{ kind: 'auth', ifRevision: undefined },
    change: { kind: 'put-user', name: 'bob', passwordHash, roles: undefined },
  })
  expect((await bob.ask(3, DELETE, 1000, Buffer.from('app/1')))[2]).toMatchObject({ code: 'unauthenticated' })
})

test('a token alone changes no password of its user', async () => {
  const served = await serveUsers()
  const change = async (json: object, headers: object) => {
    const { status, json: answer } = await askJson(served, 'PUT', '/v1/auth/users/bob', json, headers)
    return [status, answer.code]
  }
  const password = 'another password'
  const denied = [403, 'permission_denied']
  expect(await change({ password }, AS_BOB)).toEqual(denied)
  expect(await change({ password, old_password: 'a wrong one' }, AS_BOB)).toEqual(denied)
  // The refusals have changed nothing.
  expect(await change({ password, old_password: BOB_PASSWORD }, AS_BOB)).toEqual([200, undefined])
  expect(await change({ password: BOB_PASSWORD }, basic('bob', password))).toEqual([200, undefined])
  const root = { password: 'a new one of root', roles: ['root'] }
  expect((await askJson(served, 'PUT', '/v1/auth/users/root', root, AS_ROOT)).status).toBe(403)
  // Others have theirs from an administrator.
  expect(await change({ password }, AS_ROOT)).toEqual([200, undefined])
})

test('a token lives while a watch is open, and ends a life after the last use of its connection', async () => {
  const node = nodeWithUsers()
  const { port } = await serve({ node })
  const clock = vi.spyOn(Date, 'now')
  onTestFinished(() => clock.mockRestore())
  let now = Date.now()
  const later = (ms: number): void => {
    now += ms
    clock.mockImplementation(() => now)
  }
  const bob = await new MuxClient(port, { headers: AS_BOB }).open()
  const get = async (id: number) => (await bob.ask(id, GET, 1000, Buffer.from('app/1')))[2]
  bob.send([1, WATCH, null, { prefix: 'app/' }])
  await soon(() => expect(node.watches.counts().open).toBe(1))
  for (let id = 2; id < 5; id++) {
    later(TOKEN_MS)
    expect(await get(id)).not.toMatchObject({ code: 'unauthenticated' })
  }
  // A change of rights makes the node check all watches.
  permit(node, { access: 'readwrite', range: { start: Buffer.from('app/'), end: undefined } })
  later(TOKEN_MS)
  bob.send([1, CANCEL])
  await soon(() => expect(node.watches.counts().open).toBe(0))
  for (let id = 5; id < 8; id++) {
    later(apiLimits.authTokenMs - 1)
    expect(await get(id)).not.toMatchObject({ code: 'unauthenticated' })
  }
  later(apiLimits.authTokenMs)
  expect(await get(8)).toMatchObject({ code: 'unauthenticated' })
  expect(JSON.stringify(bob.watched)).not.toContain('unauthenticated')
})

test('a client with a password logs in again when its token has ended', async () => {
  const node = nodeWithUsers()
  const { port } = await serve({ node })
  const clock = vi.spyOn(Date, 'now')
  onTestFinished(() => clock.mockRestore())
  const endpoints = [`http://127.0.0.1:${port}`]
  await using client = new Client({ endpoints, discover: false, user: 'bob', password: BOB_PASSWORD })
  await client.put('app/1', '1')
  const now = Date.now()
  clock.mockImplementation(() => now + apiLimits.authTokenMs)
  await client.put('app/2', '2')
  expect(await client.count({ prefix: 'app/' })).toBe(2)
})

test.each([
  ['password', { kind: 'put-user', name: 'bob', passwordHash: ROOT_HASH, roles: undefined }],
  ['user', { kind: 'delete-user', name: 'bob' }],
] as const)('a token that lives by a watch ends with the %s, and so does the watch', async (_, change) => {
  const node = nodeWithUsers()
  const { port, ask } = await serve({ node })
  const bob = await new MuxClient(port, { headers: AS_BOB }).open()
  bob.send([1, WATCH, null, { prefix: 'app/' }])
  await soon(() => expect(node.watches.counts().open).toBe(1))
  node.apply({ kind: 'auth', ifRevision: undefined, change })
  await soon(() => expect(JSON.stringify(bob.watched)).toContain('unauthenticated'))
  expect(await ask('GET', '/v1/kv/app/1', { headers: AS_BOB })).toMatchObject({ status: 401 })
})

test('a watch ends when its right ends, and others go on', async () => {
  const node = nodeWithUsers()
  const { raw } = await serve({ node })
  const watched = (headers: { Authorization: string }, until: (text: string) => boolean): Promise<string> =>
    raw(
      `GET /v1/watch?prefix=app/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${headers.Authorization}\r\n\r\n`,
      until,
    )
  const ofBob = watched(AS_BOB, (text) => text.includes('permission_denied'))
  const ofRoot = watched(AS_ROOT, (text) => text.includes('app/2'))
  await soon(() => expect(node.watches.counts().open).toBe(2))
  node.put('app/1', '1')
  permit(node, { access: 'read', range: { start: Buffer.from('app/1'), end: Buffer.from('app/2') } })
  node.put('app/2', '2')
  const seen = await ofBob
  expect(seen).toContain('app/1')
  expect(seen).not.toContain('app/2')
  expect(await ofRoot).toContain('app/1')
})

test('a watch that began before rights are checked goes on as that of its user', async () => {
  const node = nodeWithUsers()
  node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'disable' } })
  const { port } = await serve({ node })
  const endpoints = [`http://127.0.0.1:${port}`]
  const bob = { endpoints, discover: false, user: 'bob', password: BOB_PASSWORD }
  for (const transport of ['http', 'auto'] as const) {
    await using client = new Client({ ...bob, transport })
    const watch = client.watch({ prefix: 'app/' })
    await watch.ready
    const next = async () => (await watch.next()).value?.events.map(({ key }) => key)
    node.put('app/1', '1')
    expect(await next()).toEqual(['app/1'])
    const change = { kind: 'enable', ...newAuthKeys(), rootHasCertificate: false } as const
    node.apply({ kind: 'auth', ifRevision: undefined, change })
    node.put('app/2', '2')
    expect(await next()).toEqual(['app/2'])
    await watch.return()
    node.apply({ kind: 'auth', ifRevision: undefined, change: { kind: 'disable' } })
  }
})

test('while rights are not checked, nobody needs to log in, and a login says so', async () => {
  const served = await serve({ node: new FakeNode() })
  expect((await served.ask('GET', '/v1/kv/a', { headers: basic('x', 'y') })).status).toBe(404)
  const login = await askJson(served, 'POST', '/v1/auth/login', { user: 'root', password: ROOT_PASSWORD })
  expect([login.status, login.json.detail]).toEqual([400, expect.stringContaining('not checked')])
  const enabled = await askJson(served, 'POST', '/v1/auth/enable', {})
  expect([enabled.status, enabled.json.detail]).toEqual([400, expect.stringContaining('the user root')])
})
