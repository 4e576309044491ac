// The newest code reads what 0.1.0 has left behind: directories, a log, a conversation of nodes, a connection of a
// client, a backup and an audit log (README.md).

import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { Packr } from 'msgpackr'
import { expect, onTestFinished, test } from 'vitest'
import { verifyFile } from '../../src/backup/file.ts'
import { checkRestored, readPages, restoreFile } from '../../src/backup/restore.ts'
import { AuthRows, decodeEvents, decodeState, decodeVersion, decodeVersionKey } from '../../src/kv/index.ts'
import { decodeLease } from '../../src/kv/leases.ts'
import { TABLE_EVENTS, TABLE_LEASES, TABLE_VERSIONS } from '../../src/kv/types.ts'
import { asRevision } from '../../src/operations/forms/index.ts'
import { decodeNotice, decodeWelcome, isNotice } from '../../src/operations/mux/connection.ts'
import { asIndex, asReplicaId, asTerm, frameKind, readHeader } from '../../src/raft/index.ts'
import type { Entry, Write } from '../../src/raft/types.ts'
import { KeyIndex, keyIndexLimits } from '../../src/server/node/key-index/key-index.ts'
import { FrameReader } from '../../src/server/peers/tcp/frames.ts'
import { readFrame, readGreetingFrame } from '../../src/server/peers/tcp/link-codec.ts'
import { startNode } from '../../src/server/start/start-node.ts'
import { formatStorage, openStorage } from '../../src/storage/directory.ts'
import type { Storage, StoredRow } from '../../src/storage/index.ts'
import { FakeNode } from '../server/http/fake-node.ts'
import { serve } from '../server/http/served.ts'
import { MuxClient } from '../server/mux/mux-client.ts'
import { closed, store } from '../storage/samples.ts'
import { modulesOf } from './checkout.ts'
import { SETTINGS_OF_0_1_0 } from './founders.ts'
import { conversation, encodeFrames, ONE, TWO } from './frames.ts'
import { ITEMS } from './items.ts'
import { type Replayed, replay } from './replay.ts'
import { REQUESTS } from './requests.ts'

const ROOT = join(import.meta.dirname, '../..')
const FILES = join(import.meta.dirname, 'testdata/0.1.0')
const HOST = { host: '127.0.0.1', port: 0 }

const fileOf = (name: string): Buffer => readFileSync(join(FILES, name))
const jsonOf = <T>(name: string): T => JSON.parse(fileOf(name).toString())

function scratch(): string {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-versions-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

function copyOf(name: string): string {
  const dir = join(scratch(), 'data')
  cpSync(join(FILES, name), dir, { recursive: true })
  return dir
}

async function opened<T>(dir: string, use: (storage: Storage) => Promise<T>): Promise<T> {
  const storage = await openStorage(dir, { index: KeyIndex.of(keyIndexLimits) })
  try {
    return await use(storage)
  } finally {
    await closed(storage)
  }
}

async function rowsOf(storage: Storage): Promise<StoredRow[]> {
  const rows: StoredRow[] = []
  for await (const page of readPages(storage.scanAll())) rows.push(...page)
  return rows
}

/** The node of the directory, ready. */
async function started(dir: string) {
  const node = await startNode({
    ...{ name: 'n1', dataDir: dir, listen: HOST, peerListen: HOST, diskReserveBytes: 0 },
    founding: { kind: 'existing' },
  })
  onTestFinished(() => node.stop())
  await expect.poll(async () => (await fetch(`${node.url}/readyz`)).status).toBe(200)
  const text = async (path: string, init?: RequestInit) => (await fetch(node.url + path, init)).text()
  return { node, text }
}

/** Tables of rows, and flags of their values. */
const KINDS_OF_ROWS = [
  ...['2', '3', '4', '5', '6', '7', '9', '10'],
  ...['64', '65 deletion', '65 leased', '65 leased, by', '65 plain', '65 by'],
].sort()

function rowKind({ key, value }: StoredRow): string {
  if (key[0] !== TABLE_VERSIONS) return String(key[0])
  const version = decodeVersion(decodeVersionKey(key), value)
  if (version === null) return '65 deletion'
  const parts = [version.lease === undefined ? '' : 'leased', version.by === undefined ? '' : 'by']
  return `65 ${parts.filter((part) => part !== '').join(', ') || 'plain'}`
}

test('a directory of 0.1.0 has every kind of row, and each is read', async () => {
  await opened(copyOf('data'), async (storage) => {
    const rows = await rowsOf(storage)
    expect([...new Set(rows.map(rowKind))].sort()).toEqual(KINDS_OF_ROWS)
    const { state } = jsonOf<Replayed>('log.json')
    expect(decodeState(storage.applied.kv)).toEqual(JSON.parse(state))
    const { users, roles } = new AuthRows((key) => storage.get(key)).state
    expect([[...users.keys()], [...roles.keys()]]).toEqual([
      ['alice', 'root'],
      ['all', 'reader'],
    ])
    const leases = rows.filter(({ key }) => key[0] === TABLE_LEASES).map(({ value }) => decodeLease(value))
    expect(leases.map(({ keys }) => keys).sort()).toEqual([0, 0, 0, 1, 1, 4])
    const events = rows.filter(({ key }) => key[0] === TABLE_EVENTS)
    const firstOf = ({ key }: StoredRow) => asRevision(Number(Buffer.from(key).readBigUInt64BE(1)))
    const all = events.flatMap((row) => decodeEvents(firstOf(row), row.value).events)
    expect(all.length).toBeGreaterThan(30)
    expect(all.some(({ tombstone }) => tombstone !== undefined)).toBe(true)
    expect(all.some(({ before }) => before !== undefined)).toBe(true)
  })
})

test('a node continues on a directory of 0.1.0, at its cluster version, and starts again', async () => {
  const dir = copyOf('data')
  const first = await started(dir)
  expect(await first.text('/v1/kv/b')).toBe('2')
  expect(await first.text('/v1/kv/nul%00key')).toBe('escaped')
  expect(JSON.parse(await first.text('/v1/status'))).toMatchObject({ cluster_version: 1 })
  // An outcome of 0.1.0 is remembered: the change is not made twice.
  const put = (key: string, body: string, headers = {}) =>
    fetch(`${first.node.url}/v1/kv/${key}`, { method: 'PUT', body, headers })
  const again = await put('token', 'v', { 'idempotency-key': 'token-1' })
  expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([200, 'true'])
  expect((await put('later', 'x')).status).toBe(200)
  expect(JSON.parse(await first.text('/v1/kv?revision=10&prefix=a')).kvs).toMatchObject([{ value: '1' }])
  await first.node.stop()
  const second = await started(dir)
  expect(await second.text('/v1/kv/later')).toBe('x')
  expect(await second.text('/v1/kv/b')).toBe('2')
})

test('a restored store of 0.1.0 has the revisions that it skipped', async () => {
  const { text } = await started(copyOf('restored'))
  expect(JSON.parse(await text('/v1/kv?prefix=by/')).kvs).toHaveLength(3)
  await opened(copyOf('restored'), async ({ applied }) => {
    const { history, revision } = decodeState(applied.kv)
    expect(history.skipped).toEqual({ after: revision - 1000, to: revision })
  })
})

test('after a short gap of skipped revisions, rows are those that 0.1.0 writes at its cluster version', async () => {
  const path = join(FILES, 'backup.bin')
  const dir = join(scratch(), 'data')
  await restoreFile(path, { dir, name: 'n1', peer: '', url: '' }, { bump: 3 })
  const { node } = await started(dir)
  for (const key of ['x', 'y'])
    expect((await fetch(`${node.url}/v1/kv/${key}`, { method: 'PUT', body: 'v' })).status).toBe(200)
  await node.stop()
  await opened(dir, async (storage) => {
    const newest = (await rowsOf(storage)).filter(({ key }) => key[0] === TABLE_EVENTS).at(-1)
    // Recorded at 0.1.0, without the cluster time: two puts extend the row of the gap.
    expect(
      Buffer.from(newest?.value ?? [])
        .subarray(8)
        .toString('hex'),
    ).toBe('00050000000000000026000003000178000004000179')
  })
})

/** The entries of a file of frames. */
function entriesOf(bytes: Buffer): Entry[] {
  const entries: Entry[] = []
  for (let at = 0; at < bytes.length; ) {
    const frame = new Uint8Array(bytes.subarray(at, at + bytes.readUInt32BE(at)))
    const { index, term } = readHeader(frame)
    entries.push({ index, term, frame })
    at += frame.length
  }
  return entries
}

test('every kind of entry of 0.1.0 does what it did there', async () => {
  const modules = await modulesOf(ROOT)
  const { FORMAT_VERSION } = modules.storage
  const entries = entriesOf(fileOf('log.bin'))
  const kinds = new Set(entries.map(({ frame }) => frameKind(frame)))
  const requested = REQUESTS.map((request) => modules.kv.requestKind(request).kind)
  expect([...kinds].sort((a, b) => a - b)).toEqual(
    [...new Set([0, 1, 2, ...requested])].sort((a, b) => a - b),
  )
  const dir = join(scratch(), 'data')
  const self = { id: asReplicaId('9'), name: 'n1', peer: '127.0.0.1:1', url: 'http://127.0.0.1:2' }
  const hardState = { term: asTerm(1), vote: undefined, commit: asIndex(1) }
  const identity = { clusterId: '77', replicaId: self.id, name: 'n1', formatVersion: FORMAT_VERSION }
  await formatStorage(dir, identity, {
    hardState,
    applied: {
      ...{ index: asIndex(1), term: asTerm(1) },
      raft: modules.raft.encodeAppliedState({
        configuration: modules.raft.bootstrapConfiguration(self),
        leaderLeases: { on: false, durationMs: 500 },
      }),
      kv: modules.kv.encodeState(modules.kv.initialState(SETTINGS_OF_0_1_0, '77')),
    },
  })
  const replayed = await opened(dir, async (storage) => {
    const term = asTerm(entries.at(-1)?.term ?? 1)
    const write = { number: 1 as Write['number'], truncateFrom: undefined, entries, snapshot: undefined }
    const state = { ...hardState, term }
    await store(storage, {
      writes: [{ ...write, hardState: state }],
      hardState: state,
      compactLogTo: undefined,
    })
    return replay(modules, storage)
  })
  const why = 'the meaning of an entry, or the layout of its rows, has changed: raise CLUSTER_VERSION'
  expect(replayed, why).toEqual(jsonOf('log.json'))
})

test('every frame of a conversation of nodes of 0.1.0 is read, and written alike', async () => {
  const modules = await modulesOf(ROOT)
  const reader = new FrameReader(1 << 20)
  reader.push(fileOf('peers.bin'))
  const sent = conversation(modules, crc32)
  const read = sent.map(({ type }) => {
    const { type: code, body } = reader.next() ?? expect.fail()
    const isGreeting = type === 'hello' || type === 'welcome' || type === 'refusal'
    return isGreeting ? readGreetingFrame(code, body) : readFrame(code, body, { from: ONE, to: TWO })
  })
  expect(reader.next()).toBeUndefined()
  expect(read, 'raise PROTOCOL_VERSION').toEqual(sent)
  expect(Buffer.concat(encodeFrames(modules, sent)), 'raise PROTOCOL_VERSION').toEqual(fileOf('peers.bin'))
})

test('the frames are of every kind', async () => {
  const modules = await modulesOf(ROOT)
  const types = new Set(conversation(modules, crc32).map(({ type }) => type))
  const { CODE } = modules.linkCodec
  const links = Object.keys(CODE).filter((type) => type !== 'ping' && type !== 'pong')
  expect(links.filter((type) => ![...types].some((each) => each === type))).toEqual([])
  // The messages of the core have the codes below 32.
  expect([...types].filter((type) => !(type in CODE))).toHaveLength(16)
})

interface RecordedMessage {
  readonly from: 'node' | 'client'
  readonly hex: string
}

// Only the types within a value are the same each time.
const shapeOf = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(shapeOf)
    : typeof value === 'object' && value !== null && !(value instanceof Uint8Array)
      ? Object.fromEntries(Object.entries(value).map(([name, field]) => [name, shapeOf(field)]))
      : value instanceof Uint8Array
        ? 'bytes'
        : typeof value

test('a connection of a client of 0.1.0 is served as it was there', async () => {
  const packr = new Packr({ useRecords: false, int64AsType: 'number' })
  const messages = jsonOf<readonly RecordedMessage[]>('mux.json')
  const itemsOf = (from: 'node' | 'client'): unknown[][] =>
    messages
      .filter((message) => message.from === from)
      .flatMap(({ hex }) => packr.unpack(Buffer.from(hex, 'hex')))
  expect(itemsOf('client')).toEqual(ITEMS.flat())
  const recorded = itemsOf('node')
  const [welcome = []] = recorded
  expect(decodeWelcome(welcome)).toMatchObject({ cluster: '77', node: 'n1' })
  for (const item of recorded.filter(isNotice).slice(1)) expect(decodeNotice(item).kind).not.toBe('other')
  const { port } = await serve({ node: new FakeNode() })
  const client = await new MuxClient(port).open()
  for (const items of ITEMS) {
    client.send(...items)
    const expected = items.filter(([, kind]) => kind !== 0 && kind !== 11).map(([id]) => Number(id))
    await client.until(() => expected.every((id) => client.answers.has(id)))
  }
  const answers = recorded.filter((item) => !isNotice(item) && Number(item[1]) < 2)
  for (const answer of answers) {
    const now = client.answers.get(Number(answer[0])) ?? []
    expect([now[1], shapeOf(now)], `operation ${answer[0]}`).toEqual([answer[1], shapeOf(answer)])
  }
  expect(answers).toHaveLength(client.answers.size)
})

test('a backup of 0.1.0 is whole, and restored', async () => {
  const path = join(FILES, 'backup.bin')
  const { state, header } = await verifyFile(path)
  expect([state.keys, header.users, header.version]).toEqual([17, 2, '0.1.0'])
  const dir = join(scratch(), 'data')
  const restored = await restoreFile(path, { dir, name: 'n1', peer: '', url: '' }, { bump: 1000 })
  await checkRestored(dir, restored)
  const { text } = await started(dir)
  expect(await text('/v1/kv/b')).toBe('2')
  // The restored store is at the cluster version of the backup: nodes of 0.1.0 may join it.
  expect(JSON.parse(await text('/v1/status'))).toMatchObject({ cluster_version: 1 })
})

test('the audit log of 0.1.0 has the fields that the reference names', () => {
  const known = [
    'time',
    'user',
    'method',
    'address',
    'operation',
    'keys',
    'leases',
    'change',
    'name',
    'revision',
    'code',
  ]
  const lines = fileOf('audit.log').toString().trimEnd().split('\n')
  const records: readonly Record<string, unknown>[] = lines.map((line) => JSON.parse(line))
  expect(records.flatMap(Object.keys).filter((field) => !known.includes(field))).toEqual([])
  expect(records.filter(({ code }) => code === 'unauthenticated')).toHaveLength(2)
  expect(new Set(records.map(({ operation }) => operation))).toContain('change-auth')
})
