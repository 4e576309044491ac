// Users and roles through etcd's API.

import { expect, onTestFinished, test } from 'vitest'
import { encodeUtf8 } from '../../../src/bytes/index.ts'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { ETCD_ERRORS, type GrpcError } from '../../../src/etcd/status.ts'
import { GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import { Audit } from '../../../src/server/api/audit.ts'
import { quickPasswords } from '../../quick-passwords.ts'
import { AS_BOB, AS_ROOT, BOB_PASSWORD, basic, nodeWithUsers } from '../auth/users.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'

quickPasswords()

async function open(node = new FakeNode()) {
  const { port } = await serve({ node })
  const client = new GrpcClient({ endpoint: `http://127.0.0.1:${port}` })
  onTestFinished(() => client.close())
  return { client, node }
}

const authorize = ({ Authorization: token }: { readonly Authorization: string }) => ({
  metadata: { authorization: token },
})

const failsAs = (call: Promise<unknown>, { code, message }: GrpcError): Promise<void> =>
  expect(call).rejects.toMatchObject({ code, message })

const key = encodeUtf8('app/1')
const NO_END = new Uint8Array()
const ALL = Uint8Array.of(0)

test('a client makes users and roles, and lets rights be checked, with a password as short as etcd allows', async () => {
  const { client } = await open()
  await failsAs(client.unary(RPC.authEnable, {}), ETCD_ERRORS.rootUserNotExist)
  await failsAs(client.unary(RPC.authenticate, { name: 'root', password: 'p' }), ETCD_ERRORS.authNotEnabled)
  await client.unary(RPC.userAdd, { name: 'root', password: 'p' })
  await failsAs(client.unary(RPC.userAdd, { name: 'root', password: 'p' }), ETCD_ERRORS.userExists)
  await failsAs(client.unary(RPC.userAdd, { name: '', password: 'p' }), ETCD_ERRORS.userEmpty)
  await expect(client.unary(RPC.userAdd, { name: 'empty', password: '' })).rejects.toThrow(/from 1 to 1024/)
  await failsAs(client.unary(RPC.authEnable, {}), ETCD_ERRORS.rootRoleNotExist)
  expect(await client.unary(RPC.roleList, {})).toMatchObject({ roles: [] })
  await client.unary(RPC.roleAdd, { name: 'root' })
  const perm = { permType: 0, key, rangeEnd: NO_END }
  await client.unary(RPC.roleGrantPermission, { name: 'root', perm })
  await failsAs(client.unary(RPC.roleGrantPermission, { name: 'none', perm }), ETCD_ERRORS.roleNotFound)
  await client.unary(RPC.userGrantRole, { user: 'root', role: 'root' })
  await failsAs(client.unary(RPC.roleAdd, { name: 'root' }), ETCD_ERRORS.roleExists)
  expect(await client.unary(RPC.roleList, {})).toMatchObject({ roles: ['root'] })
  await client.unary(RPC.authEnable, {})
  await failsAs(client.unary(RPC.userList, {}), ETCD_ERRORS.userEmpty)
  const { token } = await client.unary(RPC.authenticate, { name: 'root', password: 'p' })
  const asRoot = { metadata: { token } }
  expect(await client.unary(RPC.authStatus, {}, asRoot)).toMatchObject({ enabled: true, authRevision: 4 })
  await failsAs(client.unary(RPC.userDelete, { name: 'root' }, asRoot), ETCD_ERRORS.invalidAuthManagement)
  await failsAs(client.unary(RPC.roleDelete, { role: 'root' }, asRoot), ETCD_ERRORS.invalidAuthManagement)
  await client.unary(RPC.authDisable, {}, asRoot)
  await client.unary(RPC.roleDelete, { role: 'root' })
  expect(await client.unary(RPC.roleList, {})).toMatchObject({ roles: [] })
  await client.unary(RPC.userDelete, { name: 'root' })
  await failsAs(client.unary(RPC.userDelete, { name: 'root' }), ETCD_ERRORS.userNotFound)
})

test('permissions of a role are replaced, kept and removed by their ranges', async () => {
  const { client, node } = await open()
  const admin = { access: 'admin', range: undefined } as const
  node.apply({
    ...{ kind: 'auth', ifRevision: undefined },
    change: { kind: 'put-role', name: 'r', permissions: [admin] },
  })
  const grant = (permType: number, from: Uint8Array, rangeEnd: Uint8Array) =>
    client.unary(RPC.roleGrantPermission, { name: 'r', perm: { permType, key: from, rangeEnd } })
  await grant(0, ALL, ALL)
  await grant(2, key, NO_END)
  await grant(1, key, NO_END)
  await failsAs(grant(1, key, key), ETCD_ERRORS.invalidAuthManagement)
  await failsAs(grant(3, key, NO_END), ETCD_ERRORS.permissionNotGiven)
  await failsAs(client.unary(RPC.roleGet, { role: 'no' }), ETCD_ERRORS.roleNotFound)
  expect((await client.unary(RPC.roleGet, { role: 'r' })).perm).toEqual([
    { permType: 0, key: ALL, rangeEnd: ALL },
    { permType: 1, key, rangeEnd: NO_END },
  ])
  const where = { role: 'r', key: ALL, rangeEnd: ALL }
  await client.unary(RPC.roleRevokePermission, where)
  await failsAs(client.unary(RPC.roleRevokePermission, where), ETCD_ERRORS.permissionNotGranted)
  expect(node.auth.state.roles.get('r')?.permissions).toEqual([
    admin,
    { access: 'write', range: { start: key, end: encodeUtf8('app/1\0') } },
  ])
})

test('a user without rights changes nobody, and a wrong password makes no token', async () => {
  const { client } = await open(nodeWithUsers())
  const asBob = authorize(AS_BOB)
  const refused = [
    client.unary(RPC.userList, {}, asBob),
    client.unary(RPC.userAdd, { name: 'eve', password: 'p' }, asBob),
    client.unary(RPC.userGrantRole, { user: 'bob', role: 'root' }, asBob),
    client.unary(RPC.roleAdd, { name: 'root' }, asBob),
    client.unary(RPC.roleAdd, { name: 'mine' }, asBob),
    client.unary(RPC.authEnable, {}, asBob),
    client.unary(RPC.authDisable, {}, asBob),
  ]
  await Promise.all(refused.map((each) => failsAs(each, ETCD_ERRORS.permissionDenied)))
  expect(await client.unary(RPC.userGet, { name: 'bob' }, asBob)).toMatchObject({ roles: ['app'] })
  await failsAs(client.unary(RPC.authenticate, { name: 'bob', password: 'guess' }), ETCD_ERRORS.authFailed)
  const { token } = await client.unary(RPC.authenticate, { name: 'bob', password: BOB_PASSWORD })
  await client.unary(RPC.put, { key, value: key }, { metadata: { token } })
})

test('a change without the right delays no change with it, and has one line', async () => {
  const lines: string[] = []
  const audit = new Audit((line) => void lines.push(line), 'changes')
  const node = nodeWithUsers()
  const { port } = await serve({ node, audit })
  const client = new GrpcClient({ endpoint: `http://127.0.0.1:${port}` })
  onTestFinished(() => client.close())
  let refuse = (): void => {}
  const held = new Promise<void>((resolve) => {
    node.hold = (go) => {
      node.hold = undefined
      refuse = go
      resolve()
    }
  })
  const refused = client.unary(RPC.userGrantRole, { user: 'bob', role: 'root' }, authorize(AS_BOB))
  await held
  await client.unary(RPC.userAdd, { name: 'carl', password: 'p' }, authorize(AS_ROOT))
  refuse()
  await failsAs(refused, ETCD_ERRORS.permissionDenied)
  const line = { method: expect.any(String), operation: 'change-auth', change: 'put-user' }
  expect(lines.map((each) => JSON.parse(each))).toMatchObject([
    { ...line, user: 'root', name: 'carl', code: 'ok' },
    { ...line, user: 'bob', name: 'bob', code: 'permission_denied' },
  ])
})

test('a user changes the own password with a password, and not with a token', async () => {
  const { client } = await open(nodeWithUsers())
  const change = { name: 'bob', password: 'another of bob' }
  await failsAs(client.unary(RPC.userChangePassword, change, authorize(AS_BOB)), ETCD_ERRORS.permissionDenied)
  await client.unary(RPC.userChangePassword, change, authorize(basic('bob', BOB_PASSWORD)))
  await client.unary(RPC.authenticate, change)
})

test('changes that are made at once are all made', async () => {
  const { client, node } = await open(nodeWithUsers())
  const roles = ['a', 'b', 'c', 'd']
  const asRoot = authorize(AS_ROOT)
  await Promise.all(roles.map((name) => client.unary(RPC.roleAdd, { name }, asRoot)))
  await Promise.all(roles.map((role) => client.unary(RPC.userGrantRole, { user: 'bob', role }, asRoot)))
  expect(node.auth.state.users.get('bob')?.roles).toEqual(['a', 'app', 'b', 'c', 'd'])
})

test('a change of another node meanwhile is not overwritten', async () => {
  const { client, node } = await open(nodeWithUsers())
  const { propose } = node
  let isFirst = true
  node.propose = (request, ...rest) => {
    if (isFirst && request.command.kind === 'auth') {
      isFirst = false
      node.apply({
        ...{ kind: 'auth', ifRevision: undefined },
        change: { kind: 'put-user', name: 'bob', passwordHash: undefined, roles: [] },
      })
    }
    return propose.call(node, request, ...rest)
  }
  await client.unary(RPC.userGrantRole, { user: 'bob', role: 'root' }, authorize(AS_ROOT))
  expect(node.auth.state.users.get('bob')?.roles).toEqual(['root'])
})
