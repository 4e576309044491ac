// Maintenance, members, health and long ranges through etcd's API.

import { createHash } from 'node:crypto'
import { expect, onTestFinished, test, vi } from 'vitest'
import { BackupReader } from '../../../src/backup/format.ts'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { ETCD_ERRORS, GRPC, type GrpcError } from '../../../src/etcd/status.ts'
import { GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import { Audit } from '../../../src/server/api/audit.ts'
import { AS_BOB, AS_ROOT, nodeWithUsers } from '../auth/users.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'

async function open(node = new FakeNode(), audit?: Audit) {
  const { port } = await serve({ node, ...(audit && { audit }) })
  const client = new GrpcClient({ endpoint: `http://127.0.0.1:${port}` })
  onTestFinished(() => client.close())
  return { client, node }
}

const failsAs = (call: Promise<unknown>, { code, message }: GrpcError): Promise<void> =>
  expect(call).rejects.toMatchObject({ code, message })

const authorize = ({ Authorization: authorization }: { readonly Authorization: string }) => ({
  metadata: { authorization },
})

const put = (client: GrpcClient, key: string, value: string) =>
  client.unary(RPC.put, { key: Buffer.from(key), value: Buffer.from(value) })

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const each of stream) found.push(each)
  return found
}

test('a snapshot is the file of a backup, in the form that etcdctl expects', async () => {
  const { client } = await open()
  await Promise.all(Array.from({ length: 50 }, (_, at) => put(client, `key ${at}`, 'x'.repeat(2_000))))
  const responses = await all(client.serverStream(RPC.snapshot, {}))
  const blobs = responses.map(({ blob }) => blob)
  expect(blobs.length).toBeGreaterThan(3)
  expect(Math.max(...blobs.map(({ length }) => length))).toBe(32 * 1024)
  expect(responses.slice(0, -2).every(({ remainingBytes }) => remainingBytes > 0)).toBe(true)
  const file = Buffer.concat(blobs)
  expect(file.length % 512).toBe(32)
  expect(createHash('sha256').update(file.subarray(0, -32)).digest()).toEqual(Buffer.from(blobs.at(-1) ?? []))
  const reader = new BackupReader(
    (async function* () {
      yield file
    })(),
  )
  let rows = 0
  for await (const page of reader.pages()) rows += page.length
  expect(rows).toBeGreaterThan(50)
})

test('the hash at a revision does not change with later keys, and differs between revisions', async () => {
  const { client } = await open()
  const { header } = await put(client, 'a', '1')
  const revision = header?.revision ?? 0
  const before = await client.unary(RPC.hashKv, { revision })
  expect(before).toMatchObject({ hashRevision: revision, header: { revision } })
  await put(client, 'a', '2')
  const after = await client.unary(RPC.hashKv, { revision })
  expect(after).toMatchObject({
    hash: before.hash,
    hashRevision: revision,
    header: { revision: revision + 1 },
  })
  const newest = await client.unary(RPC.hashKv, {})
  expect(newest).toMatchObject({ hashRevision: revision + 1 })
  expect(newest.hash).not.toBe(before.hash)
  expect(await client.unary(RPC.hash, {})).toMatchObject({ hash: newest.hash })
  await failsAs(client.unary(RPC.hashKv, { revision: 99 }), ETCD_ERRORS.futureRevision)
})

test('a new store has a hash, and says that it was never compacted', async () => {
  const { client, node } = await open()
  const fresh = await client.unary(RPC.hashKv, {})
  expect(fresh).toMatchObject({ hashRevision: 1, compactRevision: -1 })
  expect(fresh.hash).toBeGreaterThan(0)
  const { header } = await put(client, 'a', '1')
  await client.unary(RPC.compact, { revision: header?.revision ?? 0 })
  expect(await client.unary(RPC.hashKv, {})).toMatchObject({ compactRevision: node.history.compacted })
  expect(node.history.compacted).toBe(header?.revision)
})

test('a node without room has an alarm, which nobody can switch', async () => {
  const { client, node } = await open()
  expect(await client.unary(RPC.alarm, {})).toMatchObject({ alarms: [] })
  const status = node.status()
  vi.spyOn(node, 'status').mockReturnValue({ ...status, diskSpace: 'none' })
  const [id] = (await client.unary(RPC.memberList, {})).members.map((member) => member.id)
  const alarms = [{ memberId: id, alarm: 1 }]
  expect(await client.unary(RPC.alarm, {})).toMatchObject({ alarms })
  expect(await client.unary(RPC.alarm, { action: 2, memberId: id ?? 0n, alarm: 1 })).toMatchObject({ alarms })
  expect(await client.unary(RPC.alarm, { memberId: 99n })).toMatchObject({ alarms: [] })
  await expect(client.unary(RPC.alarm, { action: 1, alarm: 1 })).rejects.toMatchObject({
    code: GRPC.unimplemented,
  })
  const { storeBytesMax } = status.settings
  vi.spyOn(node, 'status').mockReturnValue({ ...status, storeBytes: storeBytesMax - 1 })
  expect(await client.unary(RPC.alarm, {})).toMatchObject({ alarms })
  expect(await client.unary(RPC.status, {})).toMatchObject({
    dbSize: storeBytesMax - 1,
    dbSizeQuota: storeBytesMax,
  })
  vi.spyOn(node, 'status').mockReturnValue({ ...status, storeBytes: 0 })
  expect(await client.unary(RPC.status, {})).toMatchObject({ dbSize: 1, dbSizeInUse: 0 })
})

test('what only an administrator may do is refused to others', async () => {
  const lines: string[] = []
  const audit = new Audit((line) => void lines.push(line), 'changes')
  const { client, node } = await open(nodeWithUsers(), audit)
  const { members } = await client.unary(RPC.memberList, {}, authorize(AS_ROOT))
  node.leaderName = node.name
  const id = members.find(({ name }) => name !== node.name)?.id ?? 0n
  const asBob = authorize(AS_BOB)
  const refused = [
    client.unary(RPC.memberRemove, { id }, asBob),
    client.unary(RPC.moveLeader, { targetId: id }, asBob),
    client.unary(RPC.hashKv, {}, asBob),
    client.unary(RPC.defragment, {}, asBob),
    all(client.serverStream(RPC.snapshot, {}, asBob)),
    all(client.serverStream(RPC.rangeStream, { key: Buffer.from('a'), rangeEnd: Buffer.from('b') }, asBob)),
  ]
  await Promise.all(refused.map((each) => failsAs(each, ETCD_ERRORS.permissionDenied)))
  const refusals = lines.map((line) => JSON.parse(line))
  for (const operation of ['remove-member', 'transfer-leadership'])
    expect(refusals).toContainEqual(
      expect.objectContaining({ user: 'bob', operation, code: 'permission_denied' }),
    )
  expect(await client.unary(RPC.defragment, {}, authorize(AS_ROOT))).toEqual({ header: undefined })
  await failsAs(client.unary(RPC.memberRemove, { id: 99n }, authorize(AS_ROOT)), ETCD_ERRORS.memberNotFound)
  await failsAs(
    client.unary(RPC.moveLeader, { targetId: 99n }, authorize(AS_ROOT)),
    ETCD_ERRORS.badLeaderTransferee,
  )
  node.leaderName = 'another'
  await failsAs(client.unary(RPC.moveLeader, { targetId: id }, authorize(AS_ROOT)), ETCD_ERRORS.notLeader)
})

test('an unauthenticated client may ask whether the node is healthy, and watch it', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  const { client, node } = await open(nodeWithUsers())
  expect(await client.unary(RPC.healthCheck, {})).toEqual({ status: 1 })
  await failsAs(client.unary(RPC.healthCheck, { service: 'x' }), {
    ...ETCD_ERRORS.memberNotFound,
    message: 'unknown service',
  })
  const watched = client.serverStream(RPC.healthWatch, {})[Symbol.asyncIterator]()
  expect((await watched.next()).value).toEqual({ status: 1 })
  node.notReady = ['the node is stopping']
  vi.advanceTimersByTime(1_000)
  expect((await watched.next()).value).toEqual({ status: 2 })
  expect(vi.getTimerCount()).toBeGreaterThan(0)
  await watched.return?.()
})

test('a long range comes in chunks of one revision, the facts in the last one', async () => {
  const { client } = await open()
  await Promise.all(Array.from({ length: 35 }, (_, at) => put(client, `key ${at}`, 'x')))
  const where = { key: Buffer.from('key'), rangeEnd: Buffer.from('kez') }
  const stream = client.serverStream(RPC.rangeStream, where)[Symbol.asyncIterator]()
  const chunks = []
  for (let next = await stream.next(); next.done !== true; next = await stream.next()) {
    if (chunks.length === 0) await put(client, 'key 99', 'later')
    chunks.push(next.value.rangeResponse)
  }
  expect(chunks.map((chunk) => chunk?.kvs.length)).toEqual([10, 20, 5])
  expect(chunks.map((chunk) => chunk?.count)).toEqual([0, 0, 35])
  expect(chunks.map((chunk) => chunk?.header === undefined)).toEqual([true, true, false])
  const [limited] = await all(client.serverStream(RPC.rangeStream, { ...where, limit: 5 }))
  expect(limited?.rangeResponse).toMatchObject({ more: true, count: 36, kvs: { length: 5 } })
  const [counted] = await all(client.serverStream(RPC.rangeStream, { ...where, countOnly: true }))
  expect(counted?.rangeResponse).toMatchObject({ more: false, count: 36, kvs: [] })
  const [single] = await all(client.serverStream(RPC.rangeStream, { key: Buffer.from('key 99') }))
  expect(single?.rangeResponse).toMatchObject({ more: false, count: 1, kvs: { length: 1 } })
  const unordered = all(client.serverStream(RPC.rangeStream, { ...where, sortOrder: 2 }))
  await expect(unordered).rejects.toMatchObject({ code: GRPC.unimplemented })
})
