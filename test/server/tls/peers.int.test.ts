// Connections between nodes over TLS: who is let in, and who is not.

import { once } from 'node:events'
import { get } from 'node:https'
import {
  type AddressInfo,
  connect as connectPlainly,
  createServer as createPlainServer,
  type Socket,
} from 'node:net'
import { type ConnectionOptions, connect, createServer, type SecureContextOptions } from 'node:tls'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import { ExtendedKeyUsage, id_ce_extKeyUsage, id_kp_serverAuth, Time } from '@peculiar/asn1-x509'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import type { HandshakeFault } from '../../../src/certificates/handshake-faults.ts'
import type { PemPair } from '../../../src/certificates/pem.ts'
import { Client } from '../../../src/client/index.ts'
import { asReplicaId } from '../../../src/raft/types.ts'
import type { Greeting } from '../../../src/server/node/network.ts'
import type { Founding, NodeOptions } from '../../../src/server/options.ts'
import { startNode } from '../../../src/server/start/start-node.ts'
import { TlsFiles } from '../../../src/server/tls/tls-files.ts'
import {
  greetingOf,
  heard,
  introduce,
  portOf,
  RawPeer,
  silent,
  type TestNode,
  type TestNodeOptions,
  testNode,
} from '../peers/tcp/test-nodes.ts'
import { authority, CertificateDirectory, DAY_MS, rootAuthority } from './certificates.ts'

const directory = new CertificateDirectory()
afterAll(() => directory[Symbol.dispose]())
const ca = authority()
const other = authority('other CA')
const caFile = directory.write('ca.crt', ca.cert)
const LISTEN = { host: '127.0.0.1', port: 0 }

/** A node whose certificate names it, and no address. */
async function node(
  name: string,
  founding: Founding,
  { pair = ca.node(name, []), ...options }: Partial<NodeOptions> & { readonly pair?: PemPair } = {},
) {
  const logged: string[] = []
  const log = (_: object, message: string) => void logged.push(message)
  const files = directory.pair(`${name}-${Math.random()}`, pair)
  const client = directory.pair(`client-port-${name}`, ca.node(name))
  const started = await startNode({
    ...{ name, founding, dataDir: directory.file(`data-${name}-${Math.random()}`), listen: LISTEN },
    ...{ peerListen: LISTEN, logger: { debug: log, info: log, warn: log, error: log } },
    tls: { ...client, ca: caFile, clientCert: 'required' },
    peerTls: { ...files, ca: caFile },
    ...options,
  })
  onTestFinished(() => started.crash())
  return { ...started, url: started.url, peer: started.peer, api: started.api, logged }
}

function clientOf(url: string): Client {
  const { cert, key } = ca.client('root')
  const kv = new Client({ endpoints: [url], tls: { ca: ca.cert, cert, key }, timeoutMs: 20_000 })
  onTestFinished(() => kv.close())
  return kv
}

/** The body of an answer to root. */
async function read(url: string): Promise<string> {
  const { cert, key } = ca.client('root')
  const [response] = await once(get(url, { ca: ca.cert, cert, key, agent: false }), 'response')
  let text = ''
  for await (const part of response) text += part
  return text
}

const voters = async (kv: Client) =>
  (await kv.cluster()).members.map(({ role, url }) => [role, url.slice(0, 6)])

test('nodes join, replicate and send snapshots over TLS', async () => {
  const first = await node('n1', { kind: 'bootstrap' })
  const kv = clientOf(first.url)
  // Larger than what the log of the founder keeps for a node that starts at the beginning: it receives a snapshot.
  for (let n = 0; n < 4; n++) await kv.put(`k${n}`, 'x'.repeat(900_000))
  const joining = { kind: 'join', urls: [first.url], replace: false } as const
  await node('n2', joining)
  await node('n3', joining)
  await expect.poll(() => voters(kv)).toEqual(Array(3).fill(['voter', 'https:']))
  await expect.poll(() => read(`${first.url}/v1/status?node=n3`)).toMatch(/"name":"n3".*"certificates":\[\{/)
  expect(await read(`${first.url}/metrics?node=n3`)).toMatch(/^quorate_tls_certificate_expiry_seconds.*n3/m)
  await kv.put('k', 'v')
  for (const { url } of (await kv.cluster()).members)
    await expect.poll(async () => (await clientOf(url).get('k'))?.text()).toBe('v')
})

test('the CAs of clients and of nodes may be two, also for a node that joins', async () => {
  const tls = { ...directory.pair('two-cas', ca.node('n1')), ca: directory.write('clients.crt', other.cert) }
  const first = await node('n1', { kind: 'bootstrap' }, { tls: { ...tls, clientCert: 'required' } })
  await node('n2', { kind: 'join', urls: [first.url], replace: false })
  const { cert, key } = other.client('root')
  const kv = new Client({ endpoints: [first.url], tls: { ca: ca.cert, cert, key }, discover: false })
  onTestFinished(() => kv.close())
  await expect.poll(() => voters(kv)).toEqual(Array(2).fill(['voter', 'https:']))
})

test('a node with a certificate that its peers would refuse does not start', async () => {
  const failure = (pair: PemPair) =>
    node('n1', { kind: 'bootstrap' }, { pair }).then(String, ({ message }) => message)
  expect(await failure(ca.client('n1'))).toMatch(/\.crt cannot be used: the certificate is not one of a node/)
  expect(await failure(ca.node('n2', ['10.0.0.1']))).toMatch(
    /the certificate names DNS:n2, IP Address:10\.0\.0\.1, neither n1 nor 127\.0\.0\.1$/,
  )
  const wildcard = { pair: ca.node('n2', ['*.example.org']), advertisePeer: 'n1.example.org:7401' }
  await expect(node('n1', { kind: 'bootstrap' }, wildcard)).rejects.toThrow(
    /neither n1 nor n1\.example\.org; a wildcard names no member, so list the name or the host itself$/,
  )
})

interface LinkedOptions extends Pick<TestNodeOptions, 'resolvePeer'> {
  readonly logged?: string[]
  readonly ca?: string
  readonly crl?: string
  /** How far the clock for revocation lists is ahead. */
  readonly aheadMs?: () => number
}

async function linked(
  id: number,
  pair: PemPair,
  { logged = [], ca = caFile, crl, aheadMs, ...options }: LinkedOptions = {},
) {
  const log = (fields: object, message: string) => void logged.push(`${message} ${JSON.stringify(fields)}`)
  const files = await TlsFiles.open(
    { ...directory.pair(`link-${id}-${Math.random()}`, pair), ca, crl },
    { logger: silent, every: () => () => {}, now: () => Date.now() + (aheadMs?.() ?? 0) },
  )
  onTestFinished(() => files.close())
  const limits = { handshakeMs: 3_600_000, silenceMs: 3_600_000 }
  const node = await testNode({
    ...{ id, tls: files, limits, ...options },
    logger: { debug: log, info: log, warn: log, error: log },
  })
  return Object.assign(node, { reread: () => files.reread() })
}

/** A process with the certificate of n2 that closes no connection by itself, in both roles. */
async function stubborn({ address }: TestNode, pair: PemPair) {
  const options = { ...pair, ca: ca.cert, requestCert: true, checkServerIdentity: () => undefined }
  const open = new Set<string>()
  const opened = (name: string, socket: Socket) => {
    open.add(name)
    socket.on('error', () => {}).on('close', () => open.delete(name))
  }
  const server = createServer({ ...options, rejectUnauthorized: true }, (socket) =>
    opened('dialled by the node', socket.resume()),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const dialled = connect({ ...options, host: '127.0.0.1', port: portOf(address) })
  opened('accepted by the node', dialled)
  return { peer: new RawPeer(dialled), open, port: (server.address() as AddressInfo).port }
}

test('a new list for peers ends accepted and dialled connections, and lets no other in', async () => {
  const n2 = ca.node('n2', [])
  const logged: string[] = []
  const crl = directory.write('peers.crl', ca.revoke())
  const node = await linked(1, ca.node('n1', []), { logged, crl })
  const other = await stubborn(node, n2)
  const member = { id: asReplicaId('2'), name: 'n2', peer: `127.0.0.1:${other.port}`, url: '' }
  node.network.setPeers([member])
  other.peer.hello({ greeting: greetingOf() })
  expect(await other.peer.next()).toBeDefined()
  await expect.poll(() => [...other.open]).toHaveLength(2)
  // Lists that revoke others change nothing.
  const n3 = ca.node('n3', [])
  directory.write('peers.crl', ca.revoke(n3))
  await node.reread()
  expect([...other.open]).toHaveLength(2)
  directory.write('peers.crl', ca.revoke(n3, n2))
  await node.reread()
  await expect.poll(() => [...other.open]).toEqual([])
  await expect.poll(() => logged.join('\n')).toContain('its certificate was revoked')
  expect(await greeted(node, n2)).toMatch(/^this node refuses the caller: its certificate was revoked/)
})

test('a peer is called by the name of its host, by which a relay finds it, and never by an IP address', async () => {
  const names: unknown[] = []
  const server = createServer(ca.node('n2'), (socket) => {
    names.push(socket.servername)
    socket.on('error', () => {}).destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const { network } = await linked(1, ca.node('n1', []))
  for (const [host, name] of [
    ['localhost', 'localhost'],
    ['127.0.0.1', false],
  ] as const) {
    network.setPeers([{ id: asReplicaId('2'), name: 'n2', peer: `${host}:${port}`, url: '' }])
    await expect.poll(() => names).toContain(name)
  }
  expect(new Set(names)).toEqual(new Set(['localhost', false]))
})

/** Says hello to a peer port as n2 at 127.0.0.2. The answer of the node, if it gives one. */
async function greeted(
  { address }: TestNode,
  pair: PemPair,
  change: Partial<Greeting> = {},
): Promise<string> {
  const socket = connect({
    host: '127.0.0.1',
    port: portOf(address),
    ca: ca.cert,
    ...pair,
    checkServerIdentity: () => undefined,
  })
  const peer = new RawPeer(socket)
  peer.hello({ greeting: greetingOf({ name: 'n2', peer: '127.0.0.2:7401', ...change }) })
  const answer = await peer.next()
  const frame = answer && heard(answer)
  return frame?.type === 'refusal' ? frame.sentence : (frame?.type ?? 'nothing')
}

test('a caller is let in with a certificate of the member that it states to be, and with no other', async () => {
  const node = await linked(1, ca.node('n1'))
  const n2 = { id: greetingOf({}).replicaId, name: 'n2', peer: '127.0.0.2:7401', url: '' }
  node.network.setPeers([n2])
  expect(await greeted(node, ca.node('n2', []))).toBe('welcome')
  node.events.length = 0
  expect(await greeted(node, ca.node('x', ['127.0.0.2']))).not.toMatch(/certificate/)
  const neither = 'it is not n2: the certificate names DNS:n8, neither n2 nor 127.0.0.2'
  expect(await greeted(node, ca.node('n8', []))).toBe(`the caller says that it is "n2", and ${neither}`)
  // A greeting with the name and the address of the certificate makes it no other member.
  expect(await greeted(node, ca.node('n8', []), { name: 'n8', peer: 'n8:7401' })).toBe(
    `the caller says that it is "n8", and ${neither}`,
  )
  expect(await greeted(node, ca.client('n2'))).toMatch(/it is not n2: the certificate is not one of a node/)
  expect(await greeted(node, ca.node('n8', []), { name: 'n8', replicaId: asReplicaId('8') })).toMatch(
    /this node knows no member with the id 8$/,
  )
})

test('a wildcard speaks for no member of its domain, neither as the caller nor as the one called', async () => {
  const wildcard = ca.node('n8', ['*.example.org'])
  const called = await linked(2, wildcard)
  const logged: string[] = []
  const node = await linked(1, ca.node('n1'), { logged, resolvePeer: () => called.address })
  called.network.setPeers([node.member])
  node.network.setPeers([{ ...called.member, peer: 'n2.example.org:7401' }])
  const reason =
    'it is not n2: the certificate names DNS:n8, DNS:*.example.org, neither n2 nor n2.example.org; a'
  expect(await greeted(node, wildcard)).toContain(reason)
  const dialled = () => logged.filter((line) => !line.includes('the caller says') && line.includes(reason))
  await expect.poll(dialled).not.toEqual([])
  expect([node.seen('connected'), called.seen('connected')]).toEqual([0, 0])
})

test('a node whose certificate does not name it is not accepted by its callers', async () => {
  const [a, b] = [await linked(1, ca.node('n1')), await linked(2, ca.node('n8', []))]
  const logged: string[] = []
  const c = await linked(1, ca.node('n1'), { logged })
  introduce(b, c)
  await expect.poll(() => logged.join('\n')).toMatch(/names DNS:n8/)
  expect([b.seen('connected'), c.seen('connected')]).toEqual([0, 0])
  introduce(a, await linked(2, ca.node('n2', [])))
  await a.next('connected')
})

/** How a connection to a peer port ends: an error, or bytes, after those that were sent. */
function ending(peer: string, options: ConnectionOptions | 'plain', bytes = ''): Promise<string> {
  const [host, port] = [peer.slice(0, peer.lastIndexOf(':')), Number(peer.slice(peer.lastIndexOf(':') + 1))]
  return new Promise((resolve) => {
    const socket =
      options === 'plain'
        ? connectPlainly(port, host)
        : connect({ host, port, checkServerIdentity: () => undefined, ca: ca.cert, ...options })
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
    })
    socket.on('error', (error) => resolve(`error ${'code' in error ? error.code : ''} ${received.length}`))
    socket.on('close', () => resolve(`closed ${received.length}`))
    socket.write(bytes)
  })
}

test('the peer port refuses what shows no certificate of a node', async () => {
  const { peer } = await node('n1', { kind: 'bootstrap' })
  expect(await ending(peer, 'plain', 'QRTE plain peer')).toMatch(/^(closed|error ECONNRESET) [07]$/)
  const junk = 'x'.repeat(64)
  expect(await ending(peer, {}, junk)).toBe('closed 0')
  expect(await ending(peer, { ...other.node('n1') }, junk)).toMatch(/ 0$/)
  expect(await ending(peer, { ...ca.node('n1', [], -1) }, junk)).toMatch(/ 0$/)
  expect(
    await ending(peer, {
      ...ca.node('n1'),
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
      ciphers: 'ALL:@SECLEVEL=0',
    }),
  ).toMatch(/^error/)
})

const gone = ca.node('n2', [])
const root = rootAuthority('root CA')
const ancient = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const
const later = ca.reissue(ca.node('n2', []), ({ validity }) => {
  validity.notBefore = new Time(new Date(Math.floor(Date.now() / 1_000) * 1_000 + DAY_MS))
})
const forServers = ca.reissue(ca.node('n2', []), ({ extensions = [] }) => {
  const purposes = extensions.find(({ extnID }) => extnID === id_ce_extKeyUsage)
  if (purposes !== undefined)
    purposes.extnValue = new OctetString(AsnConvert.serialize(new ExtendedKeyUsage([id_kp_serverAuth])))
})

interface Refusal {
  /** Certificate and options of the other side. */
  readonly shows: SecureContextOptions | 'plain'
  /** Part of the reason. */
  readonly why: string
  /** Difference when this node is the caller; a text says why it cannot be. */
  readonly asCalled?: { readonly shows?: SecureContextOptions; readonly why?: string } | string
  /** The handshake of TLS succeeds, and the greeting is refused. */
  readonly atGreeting?: boolean
  /** The caller can read no reason. */
  readonly isSilent?: boolean
  readonly aheadMs?: number
}

/** Every reason for which a peer may be refused; or why it is none at this port. The compiler says what is missing. */
const REFUSALS: Readonly<Record<HandshakeFault, Refusal | string>> = {
  expired: { shows: { ...ca.node('n2', [], -1) }, why: 'its certificate has expired' },
  'not-yet-valid': { shows: { ...later }, why: 'its certificate is not valid yet' },
  revoked: { shows: { ...gone }, why: 'its certificate was revoked' },
  'list-ended': {
    ...{ shows: { ...ca.node('n2', []) }, aheadMs: 2 * DAY_MS },
    why: 'the revocation list of the CA of its certificate has ended',
  },
  unchecked: {
    shows: { ...root.intermediate('CA below').node('n2', []) },
    why: 'its certificate cannot be checked for revocation',
    asCalled: 'Node.js shows a caller the whole chain',
  },
  'unknown-ca': { shows: { ...other.node('n2', []) }, why: 'its certificate is not signed by a known CA' },
  missing: { shows: {}, asCalled: 'a server of TLS always shows one', why: 'it shows no certificate' },
  name: {
    ...{ shows: { ...ca.node('n8', []) }, atGreeting: true },
    why: 'it is not n2: the certificate names DNS:n8, neither n2 nor 127.0.0.1',
  },
  purpose: {
    ...{ shows: { ...forServers }, asCalled: { shows: { ...ca.client('n2') } } },
    why: 'the extended key usage of its certificate does not permit this',
  },
  invalid: {
    shows: { ...ca.intermediate('CA too deep').node('n2', []) },
    why: 'its certificate, or one of a CA above it, is not valid',
  },
  protocol: {
    ...{ shows: { ...ca.node('n2', []), ...ancient }, isSilent: true },
    why: 'it speaks no version or cipher of TLS that this side accepts',
    asCalled: { why: 'it refuses the versions and ciphers of TLS that this side speaks' },
  },
  'no-tls': { shows: 'plain', isSilent: true, why: 'it does not speak TLS' },
  rejected: 'the other side ended the handshake: it refuses this one',
  application: 'the peer port offers no protocols to choose from (ALPN)',
}
const TABLE = Object.entries(REFUSALS).flatMap(([fault, row]) =>
  typeof row === 'string' ? [] : [[fault, row] as const],
)

async function judge({ aheadMs = 0 }: Refusal) {
  const logged: string[] = []
  const files = {
    ca: directory.write('two-roots.crt', ca.cert + root.cert),
    crl: directory.write('refusals.crl', ca.revoke(gone)),
  }
  let hasPassed = false
  const node = await linked(1, ca.node('n1', []), {
    ...{ ...files, logged, aheadMs: () => (hasPassed ? aheadMs : 0) },
  })
  hasPassed = true
  return { node, logged, failures: () => node.network.counters.tlsHandshakesFailed }
}

test.each(TABLE)('a caller is refused, in words and in the log: %s', async (_, row) => {
  const { node, logged, failures } = await judge(row)
  node.network.setPeers([{ id: greetingOf().replicaId, name: 'n2', peer: '127.0.0.1:1', url: '' }])
  const target = { host: '127.0.0.1', port: portOf(node.address) }
  const peer = new RawPeer(
    row.shows === 'plain'
      ? connectPlainly(target)
      : connect({ ...target, ca: ca.cert, checkServerIdentity: () => undefined, ...row.shows }),
  )
  peer.hello({ greeting: greetingOf() })
  const answer = await peer.next()
  if (row.isSilent) expect(answer).toBeUndefined()
  else
    expect(answer && heard(answer)).toMatchObject({
      type: 'refusal',
      sentence: expect.stringContaining(row.why),
    })
  const line = row.atGreeting ? 'refused a peer' : `a TLS connection was refused: ${row.why}`
  expect(logged.filter((each) => each.startsWith(line) && each.includes(row.why))).toHaveLength(1)
  expect([failures(), node.seen('connected')]).toEqual([row.atGreeting ? 0 : 1, 0])
})

const CALLED = TABLE.flatMap(([fault, { asCalled = {}, ...row }]) =>
  typeof asCalled === 'string' ? [] : [[fault, { ...row, ...asCalled }] as const],
)

test.each(CALLED)('a peer that is called is refused, with the reason in the log: %s', async (_, row) => {
  const { shows } = row
  const { node, logged } = await judge(row)
  const answering = (socket: Socket) => {
    const peer = new RawPeer(socket)
    peer.say({ type: 'welcome', greeting: greetingOf(), incarnation: 99n })
  }
  const server =
    shows === 'plain'
      ? createPlainServer((socket) => socket.on('error', () => {}).end('no TLS here\r\n'))
      : createServer({ ...shows, ca: ca.cert, requestCert: true, rejectUnauthorized: false }, answering)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const peer = `127.0.0.1:${(server.address() as AddressInfo).port}`
  node.network.setPeers([{ id: greetingOf().replicaId, name: 'n2', peer, url: '' }])
  await expect.poll(() => logged.join('\n')).toContain(`a connection to a peer is refused: ${row.why}`)
  expect(node.seen('connected')).toBe(0)
})
