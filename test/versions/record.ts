// The recorder of a version: node test/versions/record.ts CHECKOUT DIRECTORY. CHECKOUT is a working copy of the commit
// with its packages. DIRECTORY gets the files that README.md describes. The newest copy records any version.

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { crc32 } from 'node:zlib'
import { Packr } from 'msgpackr'
import { WebSocket } from 'ws'
import { asIndex, asReplicaId, asTerm, type Entry, type Write } from '../../src/raft/types.ts'
import type { Storage } from '../../src/storage/index.ts'
import type { SnapshotSink } from '../../src/storage/types.ts'
import { type Modules, modulesOf } from './checkout.ts'
import { SETTINGS_OF_0_1_0 } from './founders.ts'
import { conversation, encodeFrames } from './frames.ts'
import { ITEMS } from './items.ts'
import { layoutsOf } from './layouts.ts'
import { replay } from './replay.ts'
import { REQUESTS } from './requests.ts'

const [root = '', out = ''] = process.argv.slice(2)
if (root === '' || out === '') throw new Error('usage: node test/versions/record.ts CHECKOUT DIRECTORY')

const SELF = { id: asReplicaId('9'), name: 'n1', peer: '127.0.0.1:1', url: 'http://127.0.0.1:2' }
const HOST = { host: '127.0.0.1', port: 0 }
const TIMEOUT_MS = 60_000

async function record(from: Modules): Promise<void> {
  write('layouts.json', JSON.stringify(layoutsOf(from), undefined, 1))
  write('peers.bin', Buffer.concat(encodeFrames(from, conversation(from, crc32))))
  const dir = join(work, 'data')
  await format(from, dir)
  const node = await start(from, dir)
  for (const request of REQUESTS) await propose(node, request)
  await change(node)
  const backup = await fetch(`${node.url}/v1/backup`)
  const file = new Uint8Array(await backup.arrayBuffer())
  if (backup.status !== 200) throw new Error(`the backup is answered with ${backup.status}`)
  write('backup.bin', file)
  await node.stop()
  await recordLog(from, dir)
  await stage(from, dir)
  copy(dir, 'data')
  // A restored store has a row of revisions that it skipped.
  const restored = join(work, 'restored')
  const path = join(out, 'backup.bin')
  await from.restore.restoreFile(path, { dir: restored, name: 'n1', peer: '', url: '' }, { bump: 1000 })
  copy(restored, 'restored')
  await recordClients(from)
}

function write(name: string, content: string | Uint8Array): void {
  writeFileSync(join(out, name), content)
  console.log(`${name}: ${content.length} bytes`)
}

function copy(dir: string, name: string): void {
  const skips = /\/(LOCK|LOG|LOG\.old|RESERVE)$/
  cpSync(dir, join(out, name), { recursive: true, filter: (path) => !skips.test(path) })
}

async function format({ kv, raft, storage, opening }: Modules, dir: string): Promise<void> {
  const identity = {
    ...{ clusterId: '77', replicaId: SELF.id, name: SELF.name },
    formatVersion: storage.FORMAT_VERSION,
  }
  const configuration = raft.bootstrapConfiguration(SELF)
  await opening.formatStorage(dir, identity, {
    hardState: { term: asTerm(1), vote: undefined, commit: asIndex(1) },
    applied: {
      ...{ index: asIndex(1), term: asTerm(1) },
      raft: raft.encodeAppliedState({ configuration, leaderLeases: { on: false, durationMs: 500 } }),
      kv: kv.encodeState(kv.initialState(SETTINGS_OF_0_1_0, '77')),
    },
  })
}

type Node = Awaited<ReturnType<Modules['start']['startNode']>>

async function start(from: Modules, dir: string, auditLog?: string): Promise<Node> {
  const node = await from.start.startNode({
    ...{ name: 'n1', dataDir: dir, listen: HOST, peerListen: HOST, diskReserveBytes: 0 },
    founding: { kind: 'existing' },
    ...(auditLog !== undefined && { auditLog: { file: auditLog, operations: 'all' as const } }),
  })
  while ((await fetch(`${node.url}/readyz`)).status !== 200) await new Promise((done) => setTimeout(done, 20))
  return node
}

/** A refusal by the state machine is an outcome too. */
const propose = ({ api }: Node, request: (typeof REQUESTS)[number]): Promise<void> =>
  new Promise((done, reject) =>
    api.propose(request, TIMEOUT_MS, (result) =>
      result.ok ? done() : reject(new Error(`${request.command.kind}: ${result.problem.detail}`)),
    ),
  )

/** Entries of the core. The learner never answers. */
async function change({ api }: Node): Promise<void> {
  const other = { id: asReplicaId('12'), name: 'n2', peer: '127.0.0.1:3', url: 'http://127.0.0.1:4' }
  for (const step of [
    { kind: 'add-learner', member: other },
    { kind: 'update', member: { ...other, url: 'http://127.0.0.1:5' } },
    { kind: 'remove', id: other.id },
  ] as const)
    await new Promise<void>((done, reject) =>
      api.change({ kind: 'change', steps: [step] }, TIMEOUT_MS, (result) =>
        result.ok ? done() : reject(new Error(result.problem.detail)),
      ),
    )
  for (const on of [true, false])
    await new Promise<void>((done, reject) =>
      api.setLeaderLeases({ on, durationMs: 500 }, TIMEOUT_MS, (result) =>
        result.ok ? done() : reject(new Error(result.problem.detail)),
      ),
    )
}

const open = ({ keyIndex, opening }: Modules, dir: string): Promise<Storage> =>
  opening.openStorage(dir, { index: keyIndex.KeyIndex.of(keyIndex.keyIndexLimits) })

const close = (storage: Storage): Promise<void> => new Promise((done) => storage.close(() => done()))

/** The frames of the log, the state from which they begin, and the one to which they lead. */
async function recordLog(from: Modules, dir: string): Promise<void> {
  const storage = await open(from, dir)
  const { log } = storage
  const entries = log.entries(log.firstIndex(), asIndex(log.lastIndex() + 1), 2 ** 30)
  write('log.bin', Buffer.concat(entries.map(({ frame }) => frame)))
  const stored = storage.stateHash.toString(16)
  await close(storage)
  const replica = join(work, 'replayed')
  await format(from, replica)
  const empty = await open(from, replica)
  await append(empty, entries)
  const replayed = await replay(from, empty)
  await close(empty)
  if (replayed.stateHash !== stored) throw new Error(`replayed ${replayed.stateHash}, and stored ${stored}`)
  write('log.json', JSON.stringify(replayed, undefined, 1))
}

function append(storage: Storage, entries: readonly Entry[]): Promise<void> {
  const { promise, resolve: done, reject } = Promise.withResolvers<void>()
  const hardState = { ...storage.hardState, term: asTerm(entries.at(-1)?.term ?? 1) }
  const write = {
    number: 1 as Write['number'],
    hardState,
    truncateFrom: undefined,
    entries,
    snapshot: undefined,
  }
  storage.write({ writes: [write], hardState, compactLogTo: undefined }, (error) =>
    error === undefined ? done() : reject(error),
  )
  return promise
}

/** Leaves a snapshot that is being received. */
async function stage(from: Modules, dir: string): Promise<void> {
  const storage = await open(from, dir)
  const meta = {
    ...{ index: asIndex(storage.log.lastIndex() + 100), term: asTerm(storage.hardState.term), stateHash: 5n },
    applied: { ...storage.applied, index: asIndex(storage.log.lastIndex() + 100) },
  }
  const sink = await new Promise<SnapshotSink>((done, reject) =>
    storage.snapshotSink('12-1-1', asReplicaId('12'), meta, (error, sink) =>
      sink === undefined ? reject(error) : done(sink),
    ),
  )
  const row = { key: Uint8Array.of(65, 97, 0, 0, 0, 0, 0, 0, 0, 0, 1), value: Uint8Array.of(1) }
  const chunk = from.chunks.encodeChunk('12-1-1', 0, [row])
  await new Promise<void>((done, reject) =>
    sink.write(0, chunk, (error) => (error === undefined ? done() : reject(error))),
  )
  await close(storage)
}

/** A multiplexed connection, and the audit log of its node. */
async function recordClients(from: Modules): Promise<void> {
  const dir = join(work, 'clients')
  await format(from, dir)
  const audit = join(work, 'audit.log')
  const node = await start(from, dir, audit)
  const packr = new Packr({ useRecords: false })
  const messages: object[] = []
  const ws = new WebSocket(`${node.url.replace('http', 'ws')}/v1/connect`, 'quorate.v1')
  const ends = new Map<number, () => void>()
  const welcome = Promise.withResolvers<void>()
  ws.on('message', (data: Buffer) => {
    messages.push({ from: 'node', hex: data.toString('hex') })
    for (const item of packr.unpack(data) as unknown[][]) {
      if (item[0] === 0) welcome.resolve()
      ends.get(Number(item[0]))?.()
    }
  })
  await welcome.promise
  for (const items of ITEMS) {
    const data = packr.pack(items)
    messages.push({ from: 'client', hex: data.toString('hex') })
    const answered = items
      .filter(([, kind]) => kind !== 0 && kind !== 11)
      .map(([id]) => new Promise<void>((done) => ends.set(Number(id), done)))
    ws.send(data)
    await Promise.all(answered)
  }
  ws.close()
  const token = { 'content-type': 'application/json' }
  const send = (method: string, path: string, body: object, headers: object = {}) =>
    fetch(node.url + path, { method, headers: { ...token, ...headers }, body: JSON.stringify(body) })
  const put = (path: string, body: object) => send('PUT', `/v1/auth/${path}`, body)
  await put('roles/r1', { permissions: [{ access: 'read', prefix: 'a' }] })
  await put('users/root', { password: 'password-1', roles: ['root'] })
  await send('POST', '/v1/auth/enable', {})
  await send('PUT', '/v1/kv/a', {})
  await send('PUT', '/v1/kv/a', {}, { authorization: `Basic ${btoa('root:wrong')}` })
  await send('PUT', '/v1/kv/a?ttl=1h', {}, { authorization: `Basic ${btoa('root:password-1')}` })
  await node.stop()
  write('mux.json', JSON.stringify(messages, undefined, 1))
  write('audit.log', readFileSync(audit))
}

const modules = await modulesOf(resolve(root))
const work = mkdtempSync(join(tmpdir(), 'quorate-record-'))
try {
  mkdirSync(out, { recursive: true })
  await record(modules)
} finally {
  rmSync(work, { recursive: true, force: true })
}
process.exit(0)
