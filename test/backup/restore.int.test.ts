// A backup becomes a node: what stays, what begins anew, and what an interrupted restore leaves.

import { cpSync, existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { verifyFile } from '../../src/backup/file.ts'
import { checkRestored, restoreFile, restoreRows } from '../../src/backup/restore.ts'
import { decodeAuthHead } from '../../src/kv/auth/state.ts'
import { AuthRows, decodeState, decodeUserRow, isReadable, ROOT_KEY } from '../../src/kv/index.ts'
import { decodeLease } from '../../src/kv/leases.ts'
import { TABLE_AUTH, TABLE_LEASES } from '../../src/kv/types.ts'
import { asRevision } from '../../src/operations/forms/index.ts'
import { decodeAppliedState } from '../../src/raft/index.ts'
import { startNode } from '../../src/server/start/start-node.ts'
import { inspectDirectory } from '../../src/storage/directory.ts'
import { runs } from '../runs.ts'
import { FakeNode } from '../server/http/fake-node.ts'
import { serve } from '../server/http/served.ts'
import {
  backupOf,
  fileWith,
  newNode,
  nodeWithEverything,
  opened,
  recordsOf,
  rowsIn,
  storedRows,
  temporaryDirectory,
} from './samples.ts'

const BUMP = 1_000_000

test('records, revisions, history, leases and users stay', async () => {
  const node = await nodeWithEverything(60)
  node.clusterTimeMs = 50_000
  node.put('last', '1')
  const path = fileWith(await backupOf(node))
  const dir = join(temporaryDirectory(), 'd')
  const restored = await restoreFile(path, newNode(dir), { bump: BUMP })
  await checkRestored(dir, restored)
  // Other users of the machine read nothing.
  expect(statSync(dir).mode & 0o777).toBe(0o700)
  await opened(dir, async (storage, state) => {
    const before = node.state
    expect(await recordsOf(storage)).toEqual(await recordsOf(node))
    for (const back of [3, 20, 50]) {
      const revision = asRevision(before.revision - back)
      expect(await recordsOf(storage, revision)).toEqual(await recordsOf(node, revision))
    }
    expect(state.revision).toBe(before.revision + BUMP)
    expect([state.keys, state.storeBytes, state.leases.count]).toEqual([before.keys, before.storeBytes, 1])
    expect(state.auth).toEqual({ enabled: true, revision: before.auth.revision + BUMP })
    const rows = await storedRows(storage)
    const lease = rows.find(({ key }) => key[0] === TABLE_LEASES)
    expect(lease && decodeLease(lease.value)).toMatchObject({ ttlMs: 60_000, keys: 1, deadlineMs: 115_000 })
    const [auth, old] = [rows, await rowsIn(await backupOf(node))].map((all) => {
      const find = (rowKey: Uint8Array) => all.find(({ key }) => Buffer.compare(key, rowKey) === 0)?.value
      const { users, roles, keys } = new AuthRows(find).state
      return {
        users: [...users.keys()].map((name) => users.get(name)),
        roles: [...roles.keys()].map((name) => roles.get(name)),
        keys,
      }
    })
    expect(auth?.users).toHaveLength(2)
    expect({ ...auth, keys: {} }).toEqual({ ...old, keys: {} })
    // The tokens of the lost cluster are void.
    expect(auth?.keys.tokenKey).not.toEqual(old?.keys.tokenKey)
    // Nobody who has the backup can predict ids of leases.
    expect(auth?.keys.leaseIdKey).not.toEqual(old?.keys.leaseIdKey)
    expect(storage.identity).toMatchObject({ name: 'n9', clusterId: restored.clusterId })
    expect(restored.clusterId).not.toBe(node.clusterId)
  })
})

test('a new password of root counts as much as one that root has set, and root gets the role root', async () => {
  const users = (node: FakeNode, change: object) =>
    node.apply({ kind: 'auth', ifRevision: undefined, change } as Parameters<typeof node.apply>[0])
  const hash = `scrypt$${'x'.repeat(150)}`
  const [before, after] = [new FakeNode(), new FakeNode()]
  for (const node of [before, after]) {
    users(node, { kind: 'put-role', name: 'app', permissions: [{ access: 'admin' }] })
    users(node, { kind: 'put-user', name: 'root', passwordHash: null, roles: ['app'] })
    users(node, { kind: 'put-user', name: 'bob', passwordHash: 'y', roles: ['app'] })
  }
  users(after, { kind: 'put-user', name: 'root', passwordHash: hash, roles: ['app', 'root'] })
  const rowsOf = async (node: FakeNode, rootPasswordHash?: string) => {
    const dir = join(temporaryDirectory(), 'd')
    const path = fileWith(await backupOf(node))
    const { hasRootPassword } = await restoreFile(path, newNode(dir), { bump: BUMP, rootPasswordHash })
    expect(hasRootPassword).toBe(true)
    return opened(dir, async (storage) => {
      const rows = await storedRows(storage)
      const [head] = rows.filter(({ key }) => key[0] === TABLE_AUTH && key.length === 1)
      const root = storage.get(ROOT_KEY)
      return {
        head: head && decodeAuthHead(head.value),
        root: root && decodeUserRow({ name: 'root', madeAt: 0 }, root),
      }
    })
  }
  const [reset, set] = [await rowsOf(before, hash), await rowsOf(after)]
  expect(reset.head?.bytes).toBe(set.head?.bytes)
  expect(reset.root).toMatchObject({ passwordHash: hash, roles: ['app', 'root'] })
})

test('leader leases, and the cluster version, are those of the store that is lost', async () => {
  const node = new FakeNode({ clusterVersion: 1 })
  node.put('a', '1')
  node.leaderLeases = { on: true, durationMs: 700 }
  const dir = join(temporaryDirectory(), 'd')
  await restoreFile(fileWith(await backupOf(node)), newNode(dir), { bump: BUMP })
  await opened(dir, async ({ applied }, { settings }) => {
    expect(decodeAppliedState(applied.raft).leaderLeases).toEqual({ on: true, durationMs: 700 })
    // A node of the version that wrote the backup can join.
    expect(settings.clusterVersion).toBe(1)
  })
})

test('outcomes of tokens and sessions are in no backup, and their late copies are refused', async () => {
  const node = new FakeNode()
  const { ask } = await serve({ node })
  const headers = { 'Idempotency-Key': 'abc;since=1' }
  await ask('PUT', '/v1/kv/a', { body: '1', headers })
  await ask('POST', '/v1/sessions', { body: '{}', headers: { 'Content-Type': 'application/json' } })
  const dir = join(temporaryDirectory(), 'd')
  const { state } = await restoreFile(fileWith((await ask('GET', '/v1/backup')).bytes), newNode(dir), {
    bump: BUMP,
  })
  expect(state.idempotencyTokens).toMatchObject({
    count: 0,
    bytes: 0,
    oldest: 1,
    next: 1,
    horizon: state.revision,
  })
  expect(state.clientSessions).toMatchObject({ next: 2 + BUMP, horizon: 2 + BUMP, bytes: 0, toSweep: 0 })
  await opened(dir, async (storage) => {
    expect((await storedRows(storage)).filter(({ key }) => (key[0] ?? 0) <= 5)).toEqual([])
  })
})

const change = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.tuple(fc.constant('put' as const), fc.nat(12), fc.uint8Array({ maxLength: 60 })),
  },
  fc.tuple(fc.constant('delete' as const), fc.nat(12)),
  fc.tuple(fc.constant('leased' as const), fc.nat(12)),
  fc.tuple(fc.constant('settings' as const), fc.nat(12)),
)

test.each([
  ['with its history', true],
  ['without it', false],
])('whatever the store, a restored one has the same records at each revision: %s', async (_, history) => {
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 60 }), async (changes) => {
      const node = new FakeNode()
      for (const [kind, number, value] of changes) {
        const key = Buffer.from([0, number, 0, 255].slice(0, 1 + (number % 4)))
        const at = { condition: undefined, prev: false }
        if (kind === 'put') node.put(key, value)
        else if (kind === 'delete') node.apply({ kind, key, ...at })
        else if (kind === 'settings') node.apply({ kind, settings: { leasesMax: 1000 + number } })
        else node.apply({ kind: 'put', key, value: key, lease: { ttlMs: 5000 }, ...at })
      }
      const dir = join(temporaryDirectory(), 'd')
      const path = fileWith(await backupOf(node, `?history=${history}`))
      await verifyFile(path)
      await checkRestored(dir, await restoreFile(path, newNode(dir), { bump: BUMP }))
      await opened(dir, async (storage, state) => {
        expect(await recordsOf(storage)).toEqual(await recordsOf(node))
        const first = history ? state.history.compacted : node.state.revision
        // Their rows are not in the file.
        for (let revision = 1; revision < first; revision++)
          expect(isReadable(asRevision(revision), state)).toBe(false)
        for (let revision = first; revision <= node.state.revision; revision++)
          expect(await recordsOf(storage, asRevision(revision))).toEqual(
            await recordsOf(node, asRevision(revision)),
          )
      })
    }),
    { numRuns: runs(20) },
  )
})

test('a restored node serves, compacts what it has restored, and tells a watcher of the lost cluster that its revisions are gone', async () => {
  const node = new FakeNode({ historyRevisionsMax: 10 })
  for (let at = 0; at < 40; at++) node.put(`k${at % 4}`, String(at))
  const { revision } = node.state
  const dir = join(temporaryDirectory(), 'd')
  await restoreFile(fileWith(await backupOf(node)), newNode(dir), { bump: 1000 })
  const HOST = { host: '127.0.0.1', port: 0 }
  const start = () =>
    startNode({
      ...{ name: 'n9', dataDir: dir, listen: HOST, peerListen: HOST, diskReserveBytes: 0 },
      founding: { kind: 'existing' },
    })
  const running = await start()
  try {
    const get = async (path: string): Promise<readonly [number, unknown]> => {
      const answer = await fetch(`${running.url}${path}`, { headers: { Accept: 'application/json' } })
      const json = (await answer.json()) as {
        code?: string
        compact_revision?: number
        mod_revision?: number
      }
      return [answer.status, json.code ?? json.mod_revision]
    }
    expect(await get('/v1/kv/k3')).toEqual([200, revision])
    // A watcher that has seen the end of the backup, and one that has seen more.
    for (const from of [revision, revision + 1, revision + 7, revision + 1000])
      expect(await get(`/v1/watch?key=k3&from=${from}`), `from ${from}`).toEqual([410, 'compacted'])
    for (const at of [revision + 1, revision + 999])
      expect(await get(`/v1/kv/k3?revision=${at}`), `at ${at}`).toEqual([410, 'compacted'])
    expect(await get(`/v1/kv/k3?revision=${revision + 1000}`)).toEqual([200, revision])
    for (let at = 0; at < 30; at++) await fetch(`${running.url}/v1/kv/k0`, { method: 'PUT', body: `${at}` })
    expect(await get('/v1/kv/k0')).toEqual([200, revision + 1030])
    await expect.poll(() => running.api.history.first).toBeGreaterThan(revision + 1000)
    expect(running.api.history.compacted).toBeGreaterThan(revision + 1000)
    expect(await get('/v1/kv/k3')).toEqual([200, revision])
  } finally {
    await running.stop()
  }
})

test('a directory in use, or with any content, is refused and not changed', async () => {
  const path = fileWith(await backupOf(await nodeWithEverything(5)))
  const dir = temporaryDirectory()
  const node = newNode(join(dir, 'd'))
  await restoreFile(path, node, { bump: BUMP })
  await expect(restoreFile(path, node, { bump: BUMP })).rejects.toThrow('holds node n9')
  await opened(node.dir, async () => {
    await expect(restoreFile(path, node, { bump: BUMP })).rejects.toThrow('is in use')
  })
  const other = dirname(fileWith(Buffer.of(1)))
  await expect(restoreFile(path, newNode(other), { bump: BUMP })).rejects.toThrow('not empty')
  expect(readdirSync(other)).toEqual(['store.backup'])
})

test('a damaged file leaves nothing behind', async () => {
  const file = await backupOf(await nodeWithEverything(5))
  file.writeUInt8(file.readUInt8(file.length - 40) ^ 1, file.length - 40)
  const dir = join(temporaryDirectory(), 'd')
  await expect(restoreFile(fileWith(file), newNode(dir), { bump: BUMP })).rejects.toThrow('damaged')
  expect(existsSync(dir)).toBe(false)
})

test('a restore that is killed at any step leaves no node, and a second one in its place works', async () => {
  const file = await backupOf(await nodeWithEverything(200))
  const rows = await rowsIn(file)
  const { kv, raft } = await headerOf(file)
  const top = temporaryDirectory()
  const copies: string[] = []
  const dir = join(top, 'd')
  // After each page the directory is as a killed process leaves it.
  const pages = async function* () {
    for (let at = 0; at < rows.length; at += 100) {
      yield rows.slice(at, at + 100).map((row) => ({ ...row, value: row.value }))
      const copy = join(top, `copy ${copies.length}`)
      copies.push(copy)
      cpSync(dir, copy, { recursive: true })
    }
  }
  await restoreRows({ kv, raft, root: undefined, pages }, newNode(dir), { bump: BUMP })
  expect(copies.length).toBeGreaterThan(3)
  const path = fileWith(file)
  for (const copy of copies) {
    expect(inspectDirectory(copy)).toEqual({ kind: 'empty' })
    await expect(startAt(copy)).rejects.toThrow('holds no node')
    const restored = await restoreFile(path, newNode(copy), { bump: BUMP })
    await checkRestored(copy, restored)
  }
  // The rows end with an error, at each page.
  for (let count = 0; count < 3; count++) {
    const broken = async function* () {
      for (let at = 0; at < count; at++) yield rows.slice(at * 100, at * 100 + 100)
      throw new Error('the disk is full')
    }
    const failed = join(top, `failed ${count}`)
    await expect(
      restoreRows({ kv, raft, root: undefined, pages: broken }, newNode(failed), { bump: BUMP }),
    ).rejects.toThrow('disk is full')
    await expect(startAt(failed)).rejects.toThrow('holds no node')
    await checkRestored(failed, await restoreFile(path, newNode(failed), { bump: BUMP }))
  }
})

const startAt = (dataDir: string) => {
  const HOST = { host: '127.0.0.1', port: 0 }
  return startNode({ name: 'n9', dataDir, listen: HOST, peerListen: HOST, founding: { kind: 'existing' } })
}

async function headerOf(file: Uint8Array) {
  return (await verifyFile(fileWith(file))).header
}

test('a restored store can be backed up and restored again; only its newest gap is remembered', async () => {
  const node = new FakeNode()
  for (let at = 0; at < 20; at++) node.put(`k${at % 4}`, String(at))
  const dir = join(temporaryDirectory(), 'd')
  const first = await restoreFile(fileWith(await backupOf(node)), newNode(dir), { bump: 1000 })
  const again = join(temporaryDirectory(), 'd')
  const second = await opened(dir, async (storage, state) => {
    const rows = await storedRows(storage)
    const pages = async function* () {
      yield rows
    }
    const { kv, raft } = storage.applied
    expect(decodeState(kv)).toEqual(state)
    return restoreRows({ kv, raft, root: undefined, pages }, newNode(again), { bump: 1000 })
  })
  await checkRestored(again, second)
  const { history, revision } = second.state
  expect(history.skipped).toEqual({ after: first.state.revision, to: revision })
  expect(history.compacted).toBe(first.state.revision)
  await opened(again, async (storage) => {
    expect(await recordsOf(storage)).toEqual(await recordsOf(node))
  })
})

test('the lease of a lost cluster is no lease of the restored one', async () => {
  const node = new FakeNode()
  node.apply({ kind: 'grant', id: undefined, ttlMs: 5000 })
  const dir = join(temporaryDirectory(), 'd')
  const { state } = await restoreFile(fileWith(await backupOf(node)), newNode(dir), { bump: BUMP })
  expect(state.leases.count).toBe(1)
  expect(state.leases.chosen).not.toBe(node.state.leases.chosen)
})
