// The reasons for which a node refuses to start, before it opens or creates anything.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
} from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { isOpenToOthers } from '../../src/files/private-directory.ts'
import { versionKey } from '../../src/kv/codec/rows.ts'
import { encodeState, initialState } from '../../src/kv/index.ts'
import { asRevision } from '../../src/operations/forms/index.ts'
import { emptyConfiguration, encodeAppliedState } from '../../src/raft/index.ts'
import type { NodeOptions } from '../../src/server/options.ts'
import { NodeStartError } from '../../src/server/options.ts'
import { startNode } from '../../src/server/start/start-node.ts'
import { formatStorage } from '../../src/storage/directory.ts'
import { identity, initial } from '../storage/samples.ts'
import { authority, CertificateDirectory } from './tls/certificates.ts'

const LOOPBACK = { host: '127.0.0.1', port: 0 }
const parent = mkdtempSync(join(tmpdir(), 'quorate-start-node-'))
const dataDir = join(parent, 'is-never-made')
afterAll(() => rmSync(parent, { recursive: true }))

function newDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-start-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

test.each(['0.0.0.0', '::', '', '10.0.0.1', '127.example.org', '127.0.0.1.example.org', '127.0.0.256'])(
  'without --insecure a node does not listen on %j, for clients or for peers',
  async (host) => {
    for (const listens of [
      { listen: { host, port: 0 }, peerListen: LOOPBACK },
      { listen: LOOPBACK, peerListen: { host, port: 0 } },
    ]) {
      const node = startNode({ name: 'n1', dataDir, founding: { kind: 'bootstrap' }, ...listens })
      await expect(node).rejects.toThrow(`${host} can be reached from other machines`)
      expect(existsSync(dataDir)).toBe(false)
    }
  },
)

test.each([
  { advertisePeer: '' },
  { advertisePeer: '127.0.0.1' },
  { advertisePeer: '127.0.0.1:0' },
  { advertisePeer: '127.0.0.1:65536' },
  { advertisePeer: 'ho\0st:7401' },
  { advertisePeer: `${'h'.repeat(300)}:7401` },
  { advertiseUrl: '' },
  { advertiseUrl: '127.0.0.1:7301' },
  { advertiseUrl: 'ftp://127.0.0.1' },
  { advertiseUrl: 'http://127.0.0.1:7301/' },
  { advertiseUrl: 'http://127.0.0.1:7301?x' },
  { advertiseUrl: 'http://127.0.0.1:7301#x' },
])('an address that no cluster takes is not announced: %j', async (addresses) => {
  const founding = { kind: 'bootstrap' } as const
  const node = startNode({
    name: 'n1',
    dataDir,
    founding,
    listen: LOOPBACK,
    peerListen: LOOPBACK,
    ...addresses,
  })
  await expect(node).rejects.toThrow(JSON.stringify(Object.values(addresses)[0]))
  expect(existsSync(dataDir)).toBe(false)
})

test('a node that cannot begin from what its storage holds gives the directory back', async () => {
  const home = newDirectory()
  // The records of the state have valid checksums, but their content cannot be decoded.
  await formatStorage(join(home, 'node'), identity, initial)
  const start = (): Promise<unknown> =>
    startNode({
      name: identity.name,
      dataDir: join(home, 'node'),
      founding: { kind: 'existing' },
      listen: LOOPBACK,
      peerListen: LOOPBACK,
    }).catch((error: unknown) => error)
  const first = await start()
  expect(first).toBeInstanceOf(Error)
  expect(await start()).toEqual(first)
})

// Rows are read before the state, whose cluster version such a program would have raised.
test('a row of a newer version is refused with the directory, and is no fault of the disk', async () => {
  const dataDir = join(newDirectory(), 'node')
  const row = { key: versionKey(Buffer.from('k'), asRevision(2)), value: Uint8Array.of(0x80) }
  const pages = async function* () {
    yield [row]
  }
  await formatStorage(dataDir, identity, initial, pages())
  for (let times = 0; times < 2; times++) {
    const failure = await failureOf({ dataDir, name: identity.name, founding: { kind: 'existing' } })
    expect([failure.name, failure.message]).toEqual([
      'NodeStartError',
      `${dataDir}: the row of a version with flags 128 is not known to this version of quorate: a newer version wrote it, so use that version; its data was not changed`,
    ])
  }
})

const MINE: NodeOptions = {
  name: 'n1',
  dataDir,
  founding: { kind: 'bootstrap' },
  listen: LOOPBACK,
  peerListen: LOOPBACK,
}

const failureOf = (options: Partial<NodeOptions>): Promise<NodeStartError> =>
  startNode({ ...MINE, ...options }).then(
    () => {
      throw new Error('it has started')
    },
    (error) => error,
  )

test.each<[Partial<NodeOptions>, string]>([
  [{ name: '' }, 'not a node name'],
  [{ name: 'N1' }, 'not a node name: "N1"'],
  [{ name: 'n_1' }, 'not a node name'],
  [{ name: 'n1 ' }, 'not a node name'],
  [{ name: ' n1' }, 'not a node name'],
  [{ name: 'n'.repeat(64) }, 'not a node name'],
  [{ founding: { kind: 'join', urls: [], replace: false } }, '--join needs at least one URL'],
  [{ diskReserveBytes: -1 }, 'the disk reserve is a whole number of bytes, not -1'],
  [{ diskReserveBytes: 1.5 }, 'not 1.5'],
  [{ diskReserveBytes: Number.NaN }, 'not NaN'],
  [{ timing: { heartbeatMs: -1 } }, 'timing: heartbeatMs must be a number from 0 to 3600000, not -1'],
  [{ timing: { heartbeatMs: Number.NaN } }, 'timing: heartbeatMs must be'],
  [{ timing: { electionMaxMs: 3_600_001 } }, 'timing: electionMaxMs must be a number from 0 to 3600000'],
  [{ timing: { driftMax: 1.1 } }, 'timing: driftMax must be a number from 0 to 1, not 1.1'],
  [{ timing: { heartbeatMs: 250 } }, 'the election timeout (500–1000 ms) must be a range'],
  [{ timing: { electionMaxMs: 500 } }, 'the election timeout (500–500 ms) must be a range'],
  [{ timing: { electionMinMs: 1000 } }, 'the election timeout (1000–1000 ms) must be a range'],
  [{ httpLimits: { pageRowsMax: 0 } }, 'pageRowsMax must be'],
  [{ listen: { host: 'example.org', port: 0 } }, 'example.org can be reached from other machines'],
])('%j: the options are refused, and nothing is made', async (options, why) => {
  const failure = await failureOf(options)
  expect(failure).toBeInstanceOf(NodeStartError)
  expect([failure.usage, failure.name]).toEqual([true, 'NodeStartError'])
  expect(failure.message).toContain(why)
  expect(existsSync(dataDir)).toBe(false)
})

test.each<Partial<NodeOptions>>([
  { name: 'n'.repeat(63) },
  { diskReserveBytes: 0 },
  { timing: { heartbeatMs: 0 } },
  { timing: { electionMinMs: 3_599_999, electionMaxMs: 3_600_000, driftMax: 1 } },
  { timing: { heartbeatMs: undefined, driftMax: 0 } },
  { httpLimits: { pageRowsMax: undefined } },
  { listen: { host: '127.255.255.255', port: 0 }, peerListen: { host: 'localhost', port: 0 } },
  { listen: { host: '::1', port: 0 } },
  { listen: { host: '0.0.0.0', port: 0 }, insecure: true },
  { advertisePeer: 'h:1', advertiseUrl: 'https://h/x' },
])('%j: is no fault of the options', async (options) => {
  const failure = await failureOf({ founding: { kind: 'existing' }, ...options })
  expect(failure.message).toBe(
    `${dataDir} holds no node; found a new cluster with --bootstrap (once), or join a running one with --join URL`,
  )
  expect(failure.usage).toBe(true)
  expect(existsSync(dataDir)).toBe(false)
})

test.runIf(process.platform === 'linux')('a start that fails closes its audit log', async () => {
  const file = join(newDirectory(), 'audit.log')
  const auditLog: NodeOptions['auditLog'] = { file, operations: 'changes' }
  expect((await failureOf({ founding: { kind: 'existing' }, auditLog })).message).toContain('holds no node')
  const open = readdirSync('/proc/self/fd').map((fd) => tryReadLink(`/proc/self/fd/${fd}`))
  expect(open.filter((path) => path === file)).toEqual([])
})

function tryReadLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    // The directory of descriptors lists its own.
    return undefined
  }
}

test('a directory in use is not founded again, and belongs to one name', async () => {
  const home = newDirectory()
  const used = join(home, 'node')
  await formatStorage(used, identity, initial)
  const again = await failureOf({ dataDir: used, name: identity.name })
  expect(again.message).toContain(`already holds node ${identity.name} of cluster ${identity.clusterId}`)
  expect(again.usage).toBe(true)
  const other = await failureOf({ dataDir: used, name: 'other', founding: { kind: 'existing' } })
  expect(other.message).toContain(`belongs to node ${identity.name}, not other`)
  expect(other.usage).toBe(false)
})

test('a data directory that other users can open is refused', async () => {
  const home = newDirectory()
  const [made, empty] = [join(home, 'made'), join(home, 'empty')]
  mkdirSync(empty)
  chmodSync(empty, 0o775)
  for (const dataDir of [made, empty]) await formatStorage(dataDir, identity, initial)
  const modeOf = (dir: string): number => statSync(dir).mode & 0o777
  expect([made, empty].map(modeOf)).toEqual([0o700, 0o770])
  chmodSync(made, 0o705)
  const problem = async () =>
    (await failureOf({ dataDir: made, name: identity.name, founding: { kind: 'existing' } })).message
  const refusal = `${made} is open to other users (mode 705); make it private: chmod o= ${made}`
  // Others cannot enter `home`, so the node gets further.
  expect(await problem()).not.toContain(refusal)
  chmodSync(home, 0o711)
  // The directory for temporary files may be private.
  expect((await problem()).includes(refusal)).toBe(isOpenToOthers(tmpdir()))
  expect(modeOf(made)).toBe(0o705)
})

/** Starts nodes and returns what each warned of. */
function warningsOfStarts(): (options: Partial<NodeOptions>) => Promise<string[]> {
  const warned: string[] = []
  const logger = {
    debug() {},
    info() {},
    error() {},
    warn: (_: object, text: string) => void warned.push(text),
  }
  return async (options) => {
    const node = await startNode({ ...MINE, logger, insecure: true, ...options })
    await node.crash()
    return warned.splice(0)
  }
}

test('a revocation list for clients only leaves the peer port open, and the node says so', async () => {
  using files = new CertificateDirectory()
  const ca = authority()
  const started = warningsOfStarts()
  const tls = { ...files.pair('n1', ca.node(MINE.name)), ca: files.write('ca.crt', ca.cert) }
  const revoking = { ...tls, crl: files.write('ca.crl', ca.revoke()) }
  const dataDir = join(newDirectory(), 'founder')
  const founding = { kind: 'existing' } as const
  // The list ends soon, which is another warning.
  const ofPeers = async (options: Partial<NodeOptions>): Promise<string[]> =>
    (await started({ dataDir, ...options })).filter((warning) => warning.includes('as a peer'))
  expect(await ofPeers({ tls: revoking, peerTls: tls })).toEqual([
    expect.stringMatching(/certificate is revoked.*; set --peer-tls-crl$/),
  ])
  for (const options of [
    { tls: revoking, peerTls: revoking },
    { tls, peerTls: revoking },
    { tls: revoking },
    { tls, peerTls: tls },
  ])
    expect(await ofPeers({ founding, ...options })).toEqual([])
})

test('a node that nobody can reach from elsewhere, or that nobody knows, says so', async () => {
  const home = newDirectory()
  const started = warningsOfStarts()
  const everywhere = { host: '0.0.0.0', port: 0 }
  const founder = { dataDir: join(home, 'founder') }
  expect(await started({ ...founder, listen: everywhere, peerListen: everywhere })).toEqual([
    expect.stringMatching(/0\.0\.0\.0:.* --advertise-peer$/),
    expect.stringMatching(/http:\/\/0\.0\.0\.0:.* --advertise-url$/),
  ])
  const advertised = { advertisePeer: '10.0.0.1:7401', advertiseUrl: 'http://10.0.0.1:7301' }
  const existing = { founding: { kind: 'existing' } } as const
  expect(await started({ ...founder, ...existing, listen: everywhere, ...advertised })).toEqual([])
  const everywhereToo = { advertisePeer: '[0::0]:7401', advertiseUrl: 'http://0:7301' }
  expect(await started({ ...founder, ...existing, ...everywhereToo })).toHaveLength(2)

  const unknown = { dataDir: join(home, 'unknown'), name: identity.name, ...existing }
  const configuration = encodeAppliedState({
    configuration: emptyConfiguration,
    leaderLeases: { on: false, durationMs: 500 },
  })
  const nothing = {
    ...initial,
    applied: { ...initial.applied, raft: configuration, kv: encodeState(initialState()) },
  }
  await formatStorage(unknown.dataDir, identity, nothing)
  expect(await started(unknown)).toEqual([expect.stringContaining('start it with --join URL')])
})

// A logger that fails like pino while the disk of its file is full.
test.each([
  () => {
    throw new Error('ENOSPC')
  },
  // No other code handles this rejection, which ends a process.
  () => Promise.reject(new Error('ENOSPC')),
])('a logger that throws does not hold up a node', async (line) => {
  const logger = { debug: line, info: line, warn: line, error: line }
  const home = newDirectory()
  const node = await startNode({ ...MINE, dataDir: home, logger })
  const { status } = await fetch(`${node.url}/v1/kv/a?timeout=3s`, { method: 'PUT', body: '1' })
  await node.crash()
  expect(status).toBe(200)
  expect((await node.ended).kind).toBe('crashed')
})

test('a node answers under the name where clients are told to find it', async () => {
  const port = await freePort()
  const node = await startNode({
    ...{ name: 'n1', dataDir: join(parent, 'named'), founding: { kind: 'bootstrap' } },
    ...{ listen: { ...LOOPBACK, port }, peerListen: LOOPBACK, advertiseUrl: 'http://N1.example:7301' },
  })
  onTestFinished(() => node.crash())
  expect(await statusAs('n1.example:7301', port)).toBe(200)
  expect(await statusAs('n1.example', port)).toBe(200)
  expect(await statusAs('n2.example:7301', port)).toBe(421)
})

// After a restart of the machines, its address may have changed, or belong to another node.
test('a node that listens under names tells others these, and answers under them', async () => {
  const [port, peerPort] = [await freePort(), await freePort()]
  // Node treats it as a name, and it has an address on every machine.
  const name = '127.1'
  const node = await startNode({
    ...{ name: 'n1', dataDir: join(parent, 'by-name'), founding: { kind: 'bootstrap' }, insecure: true },
    ...{ listen: { host: name, port }, peerListen: { host: 'localhost', port: peerPort } },
  })
  onTestFinished(() => node.crash())
  expect([node.url, node.peer]).toEqual([`http://${name}:${port}`, `localhost:${peerPort}`])
  expect(await statusAs(`${name}:${port}`, port)).toBe(200)
  expect(await statusAs(`127.2:${port}`, port)).toBe(421)
})

const statusAs = (host: string, port: number): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const asking = request({ host: LOOPBACK.host, port, path: '/v1/status', headers: { host } }, (answer) => {
      resolve(answer.resume().statusCode)
    })
    asking.on('error', reject).end()
  })

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK.host, resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not bound')
  await new Promise((resolve) => server.close(resolve))
  return address.port
}
