// A lost quorum: what stopped replicas hold, and a new cluster from one of them.

import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { checkRestored, restoreFile } from '../../src/backup/restore.ts'
import { startCluster } from '../../src/embed/index.ts'
import { requestKind } from '../../src/kv/codec/request.ts'
import type { Condition } from '../../src/operations/forms/index.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  bootstrapConfiguration,
  type Entry,
  encodeAppliedState,
  stampFrame,
} from '../../src/raft/index.ts'
import {
  findBestReplica,
  hasBestLog,
  inspectReplica,
  MemberAnswersError,
  recoverReplica,
} from '../../src/server/replica/stopped-replica.ts'
import { startNode } from '../../src/server/start/start-node.ts'
import { openStorage } from '../../src/storage/directory.ts'
import { backupOf, fileWith, newNode, opened, recordsOf, temporaryDirectory } from '../backup/samples.ts'
import { ask, bodyOf, putOf, rev } from '../kv/store.ts'
import { pastChange, sealed } from '../raft/harness/frames.ts'
import { batch, closed, hardState, store, write } from '../storage/samples.ts'
import { FakeNode } from './http/fake-node.ts'

const BUMP = 1_000_000
const HOST = { host: '127.0.0.1', port: 0 }

const startAt = (dataDir: string, name = 'n9') =>
  startNode({
    ...{ name, dataDir, listen: HOST, peerListen: HOST, diskReserveBytes: 0 },
    founding: { kind: 'existing' },
  })

test('a replica of a lost quorum becomes the only voter of a new cluster, and new members join it', async () => {
  const dataDir = join(temporaryDirectory(), 'cluster')
  const cluster = await startCluster({ nodes: 3, dataDir })
  const client = cluster.client()
  for (let at = 0; at < 20; at++) await client.put(`k${at % 5}`, String(at))
  const { clusterId } = await client.cluster()
  await cluster.close()

  const replicas = await Promise.all(['n1', 'n2', 'n3'].map((name) => inspectReplica(join(dataDir, name))))
  for (const replica of replicas) {
    expect(replica).toMatchObject({ clusterId, keys: 5, members: [{}, {}, {}] })
    expect(replica.commitIndex).toBeLessThanOrEqual(replica.lastIndex)
  }
  const best = findBestReplica(replicas)
  expect(best?.lastIndex).toBe(Math.max(...replicas.map(({ lastIndex }) => lastIndex)))
  const name = best?.name ?? ''
  const dir = join(dataDir, name)
  const recovered = await recoverReplica(dir, { bump: BUMP })
  expect(recovered).toMatchObject({ name, revision: 21 })
  expect(recovered.others.map((other) => other.name).sort()).toEqual(
    ['n1', 'n2', 'n3'].filter((other) => other !== name),
  )
  expect(readdirSync(recovered.oldDir)).toContain('IDENTITY')

  const first = await startAt(dir, name)
  const second = await startNode({
    ...{ name: 'n7', dataDir: join(dataDir, 'n7'), listen: HOST, peerListen: HOST, diskReserveBytes: 0 },
    founding: { kind: 'join', urls: [first.url], replace: false },
  })
  try {
    const get = async (): Promise<unknown> =>
      (await fetch(`${second.url}/v1/kv/k4`, { headers: { Accept: 'application/json' } })).json()
    await expect.poll(get, { timeout: 10_000 }).toMatchObject({ value: '19', mod_revision: 21 })
    expect(first.api.clusterId).toBe(recovered.clusterId)
    expect(first.api.clusterId).not.toBe(clusterId)
    const answer = await fetch(`${first.url}/v1/kv/new`, { method: 'PUT', body: 'x' })
    expect(((await answer.json()) as { revision: number }).revision).toBe(22 + BUMP)
    expect((await fetch(`${first.url}/v1/watch?key=k4&from=23`)).status).toBe(410)
  } finally {
    await second.stop()
    await first.stop()
  }
})

/** The entry of a put, at this index of the log. */
function put(index: number, key: string, value: string, condition: Partial<Condition> = {}): Entry {
  const request = ask(putOf(key, value, condition))
  const frame = sealed(requestKind(request).kind, asReplicaId('9'), 1, index, bodyOf(request))
  stampFrame(frame, asTerm(1), asIndex(index), 0)
  return { index: asIndex(index), term: asTerm(1), frame }
}

test('what the log has and was not applied is kept, and changes of members in it are not', async () => {
  const dir = join(temporaryDirectory(), 'd')
  await restoreFile(fileWith(await backupOf(new FakeNode())), newNode(dir), { bump: BUMP })
  const member = { id: asReplicaId('77'), name: 'n8', peer: '127.0.0.1:1', url: 'http://127.0.0.1:1' }
  const begun = 1 + BUMP
  const entries = [
    put(2, 'a', 'at 2'),
    pastChange(3, 1, { kind: 'change', steps: [{ kind: 'add-learner', member }] }),
    // It depends on the revision that the first one has made.
    put(4, 'a', 'at 4', { ifMatch: [rev(begun + 1)] }),
    put(5, 'b', 'at 5'),
  ]
  const storage = await openStorage(dir)
  await store(storage, batch(hardState(1, 1), [write({ entries })]))
  await closed(storage)
  const recovered = await recoverReplica(dir, { bump: BUMP })
  expect(recovered.revision).toBe(begun + 3)
  await opened(dir, async (made) => {
    const value = (text: string) => Buffer.from(text).toString('hex')
    expect(await recordsOf(made)).toMatchObject([
      { value: value('at 4'), modRevision: begun + 2, version: 2 },
      { value: value('at 5'), modRevision: begun + 3 },
    ])
    const self = { ...newNode(dir), id: made.identity.replicaId }
    const configuration = bootstrapConfiguration({ id: self.id, name: 'n9', peer: self.peer, url: self.url })
    const leaderLeases = { on: false, durationMs: 500 }
    expect(Buffer.from(made.applied.raft)).toEqual(
      Buffer.from(encodeAppliedState({ configuration, leaderLeases })),
    )
  })
})

test('a log that is not applied is kept to its end, however long it is', async () => {
  const dir = join(temporaryDirectory(), 'd')
  await restoreFile(fileWith(await backupOf(new FakeNode())), newNode(dir), { bump: BUMP })
  const value = 'x'.repeat(1 << 20)
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
  const storage = await openStorage(dir)
  for (const [at, key] of keys.entries())
    await store(storage, batch(hardState(1, 1), [write({ entries: [put(2 + at, key, value)] })]))
  await closed(storage)
  expect(await recoverReplica(dir, { bump: BUMP })).toMatchObject({
    revision: 1 + BUMP + keys.length,
    state: { keys: keys.length },
  })
})

test.each(['peer', 'url'])(
  'it is refused while another member accepts connections at its %s, also one that only the log knows',
  async (reached) => {
    const dir = join(temporaryDirectory(), 'd')
    await restoreFile(fileWith(await backupOf(new FakeNode())), newNode(dir), { bump: BUMP })
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : 0
    const [peerPort, urlPort] = reached === 'peer' ? [port, 1] : [1, port]
    const member = {
      ...{ id: asReplicaId('77'), name: 'n8' },
      ...{ peer: `127.0.0.1:${peerPort}`, url: `http://127.0.0.1:${urlPort}` },
    }
    const change = pastChange(2, 1, { kind: 'change', steps: [{ kind: 'add-learner', member }] })
    const storage = await openStorage(dir)
    await store(storage, batch(hardState(1, 1), [write({ entries: [change] })]))
    await closed(storage)
    await expect(recoverReplica(dir, { bump: BUMP })).rejects.toThrow(MemberAnswersError)
    await expect(recoverReplica(dir, { bump: BUMP })).rejects.toThrow(
      `n8 accepts connections at 127.0.0.1:${port}`,
    )
    await new Promise((resolve) => server.close(resolve))
    await expect(recoverReplica(dir, { bump: BUMP })).resolves.toMatchObject({ name: 'n9' })
  },
)

test('a recovery that is killed before, between or after its renames is completed by the next one', async () => {
  const top = temporaryDirectory()
  const dir = join(top, 'd')
  const node = new FakeNode()
  node.put('a', '1')
  await restoreFile(fileWith(await backupOf(node)), newNode(dir), { bump: BUMP })
  const first = await recoverReplica(dir, { bump: BUMP })
  // Between the two renames.
  renameSync(dir, `${dir}.recovered`)
  await expect(startAt(dir)).rejects.toThrow('holds no node')
  expect(await recoverReplica(dir, { bump: BUMP })).toMatchObject({
    ...{ clusterId: first.clusterId, name: 'n9' },
    revision: first.revision,
  })
  await checkRestored(dir, first)
  // The same, and something has made the directory again.
  renameSync(dir, `${dir}.recovered`)
  mkdirSync(join(dir, 'lost+found'), { recursive: true })
  await expect(recoverReplica(dir, { bump: BUMP })).rejects.toThrow('holds no node')
  rmdirSync(join(dir, 'lost+found'))
  expect(await recoverReplica(dir, { bump: BUMP })).toMatchObject({ clusterId: first.clusterId })
  await checkRestored(dir, first)
  // Before them: a new directory of that attempt is there already.
  renameSync(dir, `${dir}.recovered`)
  renameSync(first.oldDir, dir)
  const second = await recoverReplica(dir, { bump: BUMP })
  expect(second.clusterId).not.toBe(first.clusterId)
  expect(existsSync(`${dir}.recovered`)).toBe(false)
  await checkRestored(dir, second)
  await opened(dir, async () => {
    await expect(recoverReplica(dir, { bump: BUMP })).rejects.toThrow('is in use')
  })
  await expect(inspectReplica(join(top, 'missing'))).rejects.toThrow('holds no node')
})

test('a link to the directory, and a mount point, are refused before anything is copied', async () => {
  const top = temporaryDirectory()
  const dir = join(top, 'd')
  await restoreFile(fileWith(await backupOf(new FakeNode())), newNode(dir), { bump: BUMP })
  symlinkSync(dir, join(top, 'link'))
  await expect(recoverReplica(join(top, 'link'), { bump: BUMP })).rejects.toThrow(
    'Give the directory that it points to',
  )
  await expect(recoverReplica('/proc', { bump: BUMP })).rejects.toThrow('/proc is a mount point')
  expect(readdirSync(top).sort()).toEqual(['d', 'link'])
})

test('a look at a replica leaves no copy of it, also where it is damaged', async () => {
  const dir = join(temporaryDirectory(), 'd')
  await restoreFile(fileWith(await backupOf(new FakeNode())), newNode(dir), { bump: BUMP })
  const copies = temporaryDirectory()
  vi.stubEnv('TMPDIR', copies)
  onTestFinished(() => void vi.unstubAllEnvs())
  await inspectReplica(dir)
  rmSync(join(dir, 'WATERMARK'))
  await expect(inspectReplica(dir)).rejects.toThrow(`${join(dir, 'WATERMARK')} is damaged`)
  expect(readdirSync(copies)).toEqual([])
})

test('the best log is the one of the newest term, though others are longer, and then the longest', async () => {
  const dir = join(temporaryDirectory(), 'd')
  await restoreFile(fileWith(await backupOf(new FakeNode())), newNode(dir), { bump: BUMP })
  const replica = await inspectReplica(dir)
  const logs = [
    { ...replica, lastTerm: 3, lastIndex: 90 },
    { ...replica, lastTerm: 4, lastIndex: 20 },
    { ...replica, lastTerm: 4, lastIndex: 21 },
  ]
  for (const order of [logs, logs.toReversed()]) expect(findBestReplica(order)).toBe(logs[2])
  expect(logs.map((log) => hasBestLog(log, logs))).toEqual([false, false, true])
})

test('replicas of different clusters have no best one', async () => {
  const dirs = ['a', 'b'].map((name) => join(temporaryDirectory(), name))
  for (const dir of dirs)
    await restoreFile(fileWith(await backupOf(new FakeNode())), newNode(dir), { bump: BUMP })
  expect(findBestReplica(await Promise.all(dirs.map(inspectReplica)))).toBeUndefined()
})

test('root makes nothing of the replica of another user', async () => {
  const dir = join(temporaryDirectory(), 'd')
  await restoreFile(fileWith(await backupOf(new FakeNode())), newNode(dir), { bump: BUMP })
  if (process.getuid?.() === 0) chownSync(join(dir, 'IDENTITY'), 65_534, 65_534)
  else onTestFinished(vi.spyOn(process, 'geteuid').mockReturnValue(0).mockRestore)
  const before = readdirSync(dir)
  await expect(recoverReplica(dir, { bump: BUMP })).rejects.toThrow('Run the command as that user')
  expect([readdirSync(dir), readdirSync(dirname(dir))]).toEqual([before, ['d']])
})
