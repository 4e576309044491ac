// The way back in when the password of root is lost: recover, restore and cluster restore with --reset-root.

import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openBackup } from '../../src/backup/file.ts'
import { startCluster } from '../../src/index.ts'
import { DEFAULT_DATA, writeClusterFile } from '../../src/local/directory/cluster-file.ts'
import { backupFile } from '../../src/server/api/backup.ts'
import { newAuthKeys } from '../../src/server/auth/auth-keys.ts'
import { startNode } from '../../src/server/start/start-node.ts'
import { backupOf, fileWith, nodeWithEverything, temporaryDirectory } from '../backup/samples.ts'
import { BOB_PASSWORD, basic } from '../server/auth/users.ts'
import { FakeNode } from '../server/http/fake-node.ts'
import { kv } from './run-kv.ts'

const OLD = 'the old password'
const NEW = 'the new password'
const HOST = { host: '127.0.0.1', port: 0 }
let project: string
/** A token of root, from before. */
let token: string
beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), 'quorate-reset-root-'))
  const dataDir = join(project, DEFAULT_DATA)
  mkdirSync(dataDir, { recursive: true })
  const cluster = await startCluster({ nodes: 3, dataDir, auth: { rootPassword: OLD } })
  const root = cluster.client({ user: 'root', password: OLD })
  const call = async (method: string, path: string, body: object) => {
    const headers = { 'Content-Type': 'application/json', ...basic('root', OLD) }
    const url = `${cluster.endpoints[0]}/v1/auth/${path}`
    return Object(await (await fetch(url, { method, headers, body: JSON.stringify(body) })).json())
  }
  await call('PUT', 'roles/app', { permissions: [{ access: 'readwrite', prefix: 'app/' }] })
  await call('PUT', 'users/bob', { password: BOB_PASSWORD, roles: ['app'] })
  token = (await call('POST', 'login', { user: 'root', password: OLD })).token
  const { clusterId = '' } = await root.cluster()
  const behind = ['n1', 'n2', 'n3'].find((name) => name !== cluster.leader()?.name) ?? ''
  await cluster.node(behind).stop()
  await root.put('app/last', '1')
  await root.close()
  await cluster.close()
  const nodes = ['n1', 'n2', 'n3'].map((name) => ({
    ...{ name, url: 'http://127.0.0.1:1', pid: null, peer_port: null, stage: 'member' as const },
  }))
  writeClusterFile(dataDir, { cluster_id: clusterId, supervisor: null, nodes })
  writeFileSync(join(project, 'password'), `${NEW}\n`)
})

afterAll(() => rmSync(project, { recursive: true, force: true }))

const run = (args: readonly string[], stdin = '') => kv(args, { cwd: project, stdin })

/** The statuses of requests with these headers, to a node on the directory. */
async function statusesOf(dataDir: string, name: string, all: readonly Record<string, string>[]) {
  const node = await startNode({
    ...{ name, dataDir, listen: HOST, peerListen: HOST, diskReserveBytes: 0 },
    founding: { kind: 'existing' },
  })
  try {
    const statusOf = async (headers: Record<string, string>) =>
      (await fetch(`${node.url}/v1/kv/app/last`, { headers })).status
    await expect.poll(async () => (await fetch(`${node.url}/readyz`)).status, { timeout: 10_000 }).toBe(200)
    return await Promise.all(all.map(statusOf))
  } finally {
    await node.stop()
  }
}

test('three healthy stopped replicas: the most complete one gets a new password of root, and keeps all else', async () => {
  const { name: behind, others } = await replicas()
  const recover = (name: string, ...more: string[]) =>
    run(['recover', '--data', `${DEFAULT_DATA}/${name}`, '--yes-lose-data', ...more])
  const short = await recover(behind, '--reset-root', '--password-file', 'password')
  expect(short).toMatchObject({ code: 1, out: '' })
  expect(short.err).toMatch(new RegExp(`^error: n[123] has a more complete log than ${behind}: give --data `))
  const [best = ''] = others
  // Without --reset-root a majority needs no recovery.
  expect((await recover(best)).code).toBe(1)
  const done = await recover(best, '--reset-root', '--password-file', 'password', '-o', 'json')
  expect(done).toMatchObject({
    code: 0,
    err: expect.stringContaining('root has the new password and the role root'),
  })
  expect(JSON.parse(done.out)).toMatchObject({ name: best, root_reset: true })
  const statuses = await statusesOf(join(project, DEFAULT_DATA, best), best, [
    basic('root', NEW),
    basic('root', OLD),
    basic('bob', BOB_PASSWORD),
    { Authorization: `Bearer ${token}` },
    {},
  ])
  expect(statuses).toEqual([200, 401, 200, 401, 401])
  // The password is lost again. The longer logs beside it are of the cluster that is no more.
  const again = await recover(best, '--reset-root', '--password-file', 'password')
  expect([again.code, again.err]).toEqual([0, expect.stringContaining('root has the new password')])
})

async function replicas() {
  const listed = await run([
    'inspect',
    ...['n1', 'n2', 'n3'].map((name) => `${DEFAULT_DATA}/${name}`),
    '-o',
    'json',
  ])
  const found = JSON.parse(listed.out) as { readonly name: string; readonly last_index: number }[]
  const sorted = found.sort((a, b) => a.last_index - b.last_index).map(({ name }) => name)
  return { name: sorted[0] ?? '', others: sorted.slice(1) }
}

/** A backup. Root has a certificate only; bob has a password. */
async function withCertificateOnly(): Promise<string> {
  const node = await nodeWithEverything(3)
  const auth = (change: object) =>
    node.apply({ kind: 'auth', ifRevision: undefined, change } as Parameters<typeof node.apply>[0])
  auth({ kind: 'disable' })
  auth({ kind: 'put-user', name: 'root', passwordHash: null, roles: undefined })
  auth({ kind: 'enable', ...newAuthKeys(), rootHasCertificate: true })
  node.put('app/last', '1')
  return fileWith(await buffer(backupFile(node, true)))
}

test('a restore of a root with a certificate only names the ways in, and gives it a password', async () => {
  const file = await withCertificateOnly()
  const local = await run(['cluster', 'restore', file, '--data', 'local'])
  expect(local).toMatchObject({
    code: 0,
    err: expect.stringMatching(/root has no password: start it with --tls, .*or restore with --reset-root/),
  })
  const where = ['--listen', '127.0.0.1:1', '--peer-listen', '127.0.0.1:2', '--name', 'n1']
  const plain = await run(['restore', file, ...where, '--data', 'plain'])
  expect(plain.err).toContain('root needs its certificate, or --reset-root here')
  const reset = await run(
    ['restore', file, ...where, '--data', 'reset', '--reset-root', '--password-file', '-'],
    NEW,
  )
  expect([reset.code, reset.err]).toEqual([0, expect.not.stringContaining('certificate')])
  const all = [basic('root', NEW), basic('bob', BOB_PASSWORD), {}]
  expect(await statusesOf(join(project, 'reset'), 'n1', all)).toEqual([200, 200, 401])
  const other = await run(
    ['cluster', 'restore', file, '--data', 'other', '--reset-root', '--password-file', '-'],
    NEW,
  )
  expect([other.code, other.err]).toEqual([0, expect.not.stringContaining('--tls')])
  expect(await statusesOf(join(project, 'other', 'n1'), 'n1', all)).toEqual([200, 200, 401])
})

test('wrong flags, a short password, and a store without users change nothing', async () => {
  const dir = temporaryDirectory()
  const file = fileWith(await backupOf(new FakeNode()))
  expect(await openBackup(file).header()).toMatchObject({ users: 0 })
  const restore = (flags: readonly string[], stdin = NEW) =>
    run(
      [
        ...['restore', file, '--data', join(dir, 'd'), '--name', 'n1'],
        ...['--listen', '127.0.0.1:1', '--peer-listen', '127.0.0.1:2', ...flags],
      ],
      stdin,
    )
  expect(await restore(['--password-file', '-'])).toMatchObject({
    code: 2,
    err: expect.stringContaining('--password-file needs --reset-root'),
  })
  const reset = ['--reset-root', '--password-file', '-']
  expect(await restore(reset, 'short')).toMatchObject({ code: 2, err: expect.stringContaining('8 to 1024') })
  expect(await restore(['--reset-root'])).toMatchObject({
    code: 2,
    err: expect.stringContaining('a password is missing'),
  })
  expect(await restore(reset)).toMatchObject({
    code: 1,
    err: expect.stringContaining('There is no user root'),
  })
  expect(existsSync(join(dir, 'd'))).toBe(false)
  expect((await restore([])).code).toBe(0)
  const recover = ['recover', '--data', join(dir, 'd'), '--yes-lose-data', ...reset]
  expect(await run(recover, NEW)).toMatchObject({
    code: 1,
    err: expect.stringContaining('There is no user root'),
  })
})

test('a recovery that completes an interrupted one does not claim to have set the password', async () => {
  const file = await withCertificateOnly()
  const dir = join(temporaryDirectory(), 'd')
  const where = ['--listen', '127.0.0.1:1', '--peer-listen', '127.0.0.1:2', '--name', 'n1']
  await run(['restore', file, '--data', dir, ...where])
  await run(['recover', '--data', dir, '--yes-lose-data', '--reset-root', '--password-file', '-'], OLD)
  // Between its two renames.
  renameSync(dir, `${dir}.recovered`)
  const recover = () =>
    run(
      [
        ...['recover', '--data', dir, '--yes-lose-data', '-o', 'json'],
        ...['--reset-root', '--password-file', '-'],
      ],
      NEW,
    )
  const resumed = await recover()
  expect(JSON.parse(resumed.out)).toMatchObject({ root_reset: false })
  expect(resumed.err).toContain('give this command again')
  expect(JSON.parse((await recover()).out)).toMatchObject({ root_reset: true })
  expect(await statusesOf(dir, 'n1', [basic('root', NEW)])).toEqual([200])
})
