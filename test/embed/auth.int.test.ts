// An embedded cluster that checks rights: its own clients, users and roles, and who wrote a record.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Client,
  type EmbeddedCluster,
  type KvRecord,
  QuorateError,
  startCluster,
} from '../../src/index.ts'

const rootPassword = 'the password of root'
const BOB = { user: 'bob', password: 'the password of bob' }
const dataDir = mkdtempSync(join(tmpdir(), 'quorate-auth-'))

let cluster: EmbeddedCluster
let root: Client

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1, dataDir, auth: { rootPassword } })
  root = cluster.client()
  await root.roles.put('app', [{ access: 'readwrite', prefix: 'app/' }])
  await root.roles.put('seen', [])
  await root.users.put(BOB.user, { password: BOB.password, roles: ['app', 'seen'] })
})
afterAll(async () => {
  await cluster.close()
  rmSync(dataDir, { recursive: true, force: true })
})

async function refusal(running: Promise<unknown>): Promise<QuorateError> {
  const error = await running.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof QuorateError) return error
  throw new Error('it was not refused', { cause: error })
}

/** Makes enough calls for a multiplexed connection. */
async function warm(kv: Client): Promise<Client> {
  for (let n = 0; n < 40; n++) await kv.get('app/warm')
  return kv
}

describe.each(['http', 'auto'] as const)('over %s', (transport) => {
  const bob = () => cluster.client({ ...BOB, transport })

  test('a user may do what his role permits, and nothing else', async () => {
    const kv = await warm(bob())
    await kv.put('app/a', '1')
    expect((await kv.get('app/a'))?.text()).toBe('1')
    const denied = { code: 'permission_denied', written: 'no', status: 403 }
    expect(await refusal(kv.put('other', '1'))).toMatchObject(denied)
    expect(await refusal(kv.get('other'))).toMatchObject(denied)
    expect(await refusal(kv.list().next())).toMatchObject(denied)
    expect(await refusal(kv.users.list())).toMatchObject(denied)
    expect(await refusal(kv.txn({ success: [{ put: { key: 'other', value: '1' } }] }))).toMatchObject(denied)
    expect(await refusal(kv.watch({ all: true }).next())).toMatchObject(denied)
    expect(await root.get('other')).toBeUndefined()
  })

  test('of changes that begin together, those that are permitted are made', async () => {
    const kv = await warm(bob())
    const keys = ['app/x', 'other', 'app/y']
    const results = await Promise.allSettled(keys.map((key) => kv.put(key, '1')))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  })

  test('nobody may do nothing', async () => {
    const kv = cluster.client({ user: undefined, transport })
    for (let n = 0; n < 20; n++)
      expect(await refusal(kv.get('app/a'))).toMatchObject({ code: 'unauthenticated', written: 'no' })
  })

  test('records name the user who wrote them', async () => {
    const kv = await warm(bob())
    const key = `app/by/${transport}`
    const watch = kv.watch({ key, prev: true })
    await watch.ready
    await kv.put(key, '1')
    await root.put(key, '2')
    const found: (KvRecord | undefined)[] = [await kv.get(key)]
    for await (const record of kv.list({ prefix: key })) found.push(record)
    for await (const record of kv.list({ prefix: key, snapshot: true })) found.push(record)
    const read = await kv.txn({ success: [{ get: { key } }] })
    const [result] = read.results
    if (result?.get !== undefined) found.push(...(result.get.kvs ?? []))
    expect(found.map((record) => record?.by)).toEqual(['root', 'root', 'root', 'root'])
    for await (const record of kv.list({ prefix: key, keysOnly: true }))
      expect(record).not.toHaveProperty('by')
    const events = [(await watch.next()).value, (await watch.next()).value].flatMap(
      (batch) => batch?.events ?? [],
    )
    expect(events.map((event) => event.type === 'put' && event.kv.by)).toEqual(['bob', 'root'])
    expect(events[1]?.prev?.by).toBe('bob')
    await watch.close()
    const put = await kv.txn({ success: [{ put: { key, value: '3', prev: true } }] })
    expect(put.results).toMatchObject([{ put: { prev: { by: 'root' } } }])
  })

  test('a watch ends when the right to read is taken away', async () => {
    await root.roles.put('seen', [{ access: 'read', prefix: 'seen/' }])
    const kv = await warm(bob())
    const watch = kv.watch({ prefix: 'seen/' })
    await watch.ready
    await root.put('seen/a', '1')
    expect((await watch.next()).value?.events).toHaveLength(1)
    await root.roles.put('seen', [])
    expect(await refusal(watch.next())).toMatchObject({ code: 'permission_denied' })
  })
})

test('a client goes on after a change of its own token, and not after one of its password', async () => {
  await root.users.put('carol', { password: 'password of carol', roles: ['app'] })
  const kv = await warm(cluster.client({ user: 'carol', password: 'password of carol' }))
  // The same password: the token ends all the same.
  await root.users.put('carol', { password: 'password of carol' })
  await kv.put('app/a', '1')
  await root.users.delete('carol')
  expect(await refusal(kv.put('app/a', '2'))).toMatchObject({ code: 'unauthenticated', written: 'no' })
})

describe('administration', () => {
  test('lists users and roles', async () => {
    const { users, revision } = await root.users.list()
    expect(users).toContainEqual({ name: 'bob', roles: ['app', 'seen'], hasPassword: true })
    expect(users).toContainEqual({ name: 'root', roles: ['root'], hasPassword: true })
    expect(await root.auth.status()).toEqual({ enabled: true, revision })
    const { roles } = await root.roles.list()
    expect(roles).toContainEqual({ name: 'app', permissions: [{ access: 'readwrite', prefix: 'app/' }] })
    expect(await root.users.get('bob')).toEqual({ name: 'bob', roles: ['app', 'seen'], hasPassword: true })
    expect(await root.users.get('nobody')).toBeUndefined()
    expect(await root.roles.get('nothing')).toBeUndefined()
  })

  test('keeps permissions as they were made', async () => {
    const permissions = [
      { access: 'read', key: 'k' },
      { access: 'write', key: Uint8Array.of(255) },
      { access: 'read', start: 'a', end: 'c' },
      { access: 'read', start: 'x' },
      { access: 'readwrite', all: true },
      { access: 'admin' },
    ] as const
    expect(await root.roles.put('many', permissions)).toEqual({ name: 'many', permissions })
    expect(await root.roles.get('many')).toEqual({ name: 'many', permissions })
    await root.roles.delete('many')
    expect(await refusal(root.roles.delete('many'))).toMatchObject({ code: 'not_found', written: 'no' })
  })

  test('changes nothing when users and roles have changed since', async () => {
    const { revision } = await root.users.list()
    await root.users.put('eve', { password: null }, { ifRevision: revision })
    const late = refusal(root.users.put('eve', { roles: ['app'] }, { ifRevision: revision }))
    expect(await late).toMatchObject({ code: 'precondition_failed', written: 'no', status: 412 })
    expect(await root.users.get('eve')).toEqual({ name: 'eve', roles: [], hasPassword: false })
    await root.users.delete('eve')
  })

  test.each<[() => Promise<unknown>, string]>([
    [() => root.users.put('', {}), 'name must be'],
    [() => root.users.put('a', { passwort: 'x' } as object), 'there is no option "passwort"'],
    [() => root.users.put('a', { password: 5 as never }), 'password must be a string that is not empty'],
    [() => root.users.put('a', { roles: 'app' as never }), 'a list of names of roles'],
    [() => root.users.put('a', {}, { ifRevision: undefined as never }), 'ifRevision is undefined'],
    [() => root.roles.put('a', [{ access: 'read' } as never]), 'name either key, or prefix'],
    [() => root.roles.put('a', [{ access: 'read', all: false } as never]), 'name either key, or prefix'],
    [() => root.roles.put('a', [{ access: 'admin', all: true } as never]), 'admin has no range'],
    [
      () => root.roles.put('a', [{ access: 'none', all: true } as never]),
      'one of read, write, readwrite, admin',
    ],
    [() => root.roles.put('a', {} as never), 'a list of permissions'],
    [() => root.auth.enable({ force: true } as object), 'there is no option "force"'],
  ])('refuses wrong arguments (%#)', async (call, message) => {
    const error = await call().catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(TypeError)
    expect((error as Error).message).toContain(message)
  })
})

test('users are there after a start on the same data, and the password of root must be right', async () => {
  await cluster.close()
  await expect(
    startCluster({ nodes: 1, dataDir, auth: { rootPassword: 'a wrong password' } }),
  ).rejects.toMatchObject({
    code: 'unauthenticated',
  })
  cluster = await startCluster({ nodes: 1, dataDir, auth: { rootPassword } })
  expect((await cluster.client().users.list()).users.map(({ name }) => name)).toContain('bob')
})
