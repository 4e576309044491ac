// Attacks on the client port: certificates that must not be accepted, and handshakes that never end.

import { once } from 'node:events'
import { renameSync } from 'node:fs'
import { type AddressInfo, connect as connectPlainly, createServer, type Socket } from 'node:net'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { afterAll, expect, onTestFinished, test, vi } from 'vitest'
import { type HttpLimits, httpLimits } from '../../../src/server/listener/limits.ts'
import { TlsFiles } from '../../../src/server/tls/tls-files.ts'
import { FakeNode } from '../http/fake-node.ts'
import { start } from '../http/served.ts'
import { authority, CertificateDirectory, type TestAuthority } from './certificates.ts'

const directory = new CertificateDirectory()
afterAll(() => directory[Symbol.dispose]())
const ca = authority()
const other = authority('other CA')
const [alice, bob, old] = [ca.client('alice'), ca.client('bob'), ca.client('carol', -1)]
const [n1, n2] = [ca.node('n1'), ca.node('n1')]
const logged: string[] = []
const log = (_: object, message: string) => void logged.push(message)
const logger = { debug: log, info: log, warn: log, error: log }

interface Listening {
  readonly clientCert?: 'optional' | 'required'
  readonly revoked?: readonly (typeof alice)[]
  readonly peerCa?: TestAuthority
  readonly limits?: Partial<HttpLimits>
  readonly served?: 'all' | 'own-machine'
}

async function listening({ clientCert = 'required', revoked, peerCa, limits, served }: Listening = {}) {
  const name = `listener-${Math.random()}`
  const paths = {
    ...directory.pair(name, n1),
    ca: directory.write(`${name}-ca.crt`, ca.cert),
    ...(revoked && { crl: directory.write(`${name}.crl`, ca.revoke(...revoked)) }),
  }
  const files = await TlsFiles.open(paths, { logger, every: () => () => {} })
  onTestFinished(() => files.close())
  const peerFiles =
    peerCa &&
    (await TlsFiles.open(
      {
        ...directory.pair(`${name}-peer`, peerCa.node('n1')),
        ca: directory.write(`${name}-peer-ca.crt`, peerCa.cert),
        crl: directory.write(`${name}-peer.crl`, peerCa.revoke()),
      },
      { logger, every: () => () => {} },
    ))
  const server = await start({
    node: new FakeNode(),
    tls: { files, peerFiles, clientCert },
    ...(limits && { limits }),
    ...(served && { served }),
  })
  onTestFinished(() => server.close())
  return { ...server, files, paths, peerFiles }
}

const GET = 'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** A connection that sends one request. `answer`: the status; `ended`: why it ended, without an answer. */
function ask(port: number, options: ConnectionOptions): { socket: TLSSocket; outcome: Promise<string> } {
  const socket = connect({ host: '127.0.0.1', port, ca: ca.cert, ...options })
  const outcome = new Promise<string>((resolve) => {
    socket.on('data', (data) => resolve(data.toString('latin1').slice(9, 12)))
    socket.on('error', (error) => resolve(`${'code' in error ? error.code : ''} ${error.message}`))
    socket.on('close', () => resolve('closed'))
  })
  socket.write(GET)
  onTestFinished(() => void socket.destroy())
  return { socket, outcome }
}

/** The status of one more request, or that the connection was closed before it was answered. */
function askAgain(socket: TLSSocket): Promise<string> {
  const next = new Promise<string>((resolve) => {
    socket.once('data', (data) => resolve(data.toString('latin1').slice(9, 12)))
    socket.once('close', () => resolve('closed'))
  })
  socket.write(GET)
  return next
}

/** The node says why in HTTP: Node.js sends no alert about a certificate. */
const REFUSED = '401'

test.each(['required', 'optional'] as const)('certificates, where they are %s', async (clientCert) => {
  const { port } = await listening({ clientCert, revoked: [bob] })
  const outcome = (options: ConnectionOptions) => ask(port, options).outcome
  expect(await outcome({ ...alice })).toBe('200')
  expect(await outcome({})).toBe(clientCert === 'optional' ? '200' : REFUSED)
  expect(await outcome({ ...bob })).toEqual(REFUSED)
  expect(await outcome({ ...old })).toEqual(REFUSED)
  expect(await outcome({ ...other.client('alice') })).toEqual(REFUSED)
  // Signed by a certificate that is no CA.
  expect(await outcome({ ...authority('alice').client('root') })).toEqual(REFUSED)
})

test('a client with a certificate keeps a connection on which it sends nothing, and one without does not', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  const headMs = 10_000
  const { port, http } = await listening({ clientCert: 'optional', limits: { headMs } })
  const [user, anonymous] = [alice, {}].map((options) => {
    const socket = connect({ host: '127.0.0.1', port, ca: ca.cert, ...options })
    onTestFinished(() => void socket.destroy())
    return socket.on('error', () => {})
  })
  if (user === undefined || anonymous === undefined) expect.fail()
  await expect
    .poll(() => http.inspect(), { timeout: 30_000 })
    .toMatchObject({ connections: 2, handshakes: 0 })
  const ended = once(anonymous.resume(), 'close')
  vi.advanceTimersByTime(2 * headMs)
  await ended
  expect(await askAgain(user)).toBe('200')
})

test('half-sent heads over TLS are few, and a client with a certificate is served', async () => {
  const limits = { unidentifiedHeadBytesMax: 200 * 1024, headMs: 60_000 }
  const { port, http } = await listening({ clientCert: 'optional', limits })
  const half = `GET /livez HTTP/1.1\r\nHost: localhost\r\nA: ${'x'.repeat(40 * 1024)}`
  let most = 0
  for (let n = 0; n < 20; n++) {
    const socket = connect({ host: '127.0.0.1', port, ca: ca.cert })
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => {})
    await new Promise((resolve) => socket.write(half, resolve))
    most = Math.max(most, http.inspect().unidentifiedHeadBytes)
  }
  await expect
    .poll(() => http.inspect().unidentifiedClosedTotal, { timeout: 10_000 })
    .toBeGreaterThanOrEqual(15)
  const { unidentifiedHeadBytes } = http.inspect()
  expect(unidentifiedHeadBytes).toBeGreaterThan(100 * 1024)
  expect(Math.max(most, unidentifiedHeadBytes)).toBeLessThanOrEqual(limits.unidentifiedHeadBytesMax)
  expect(await ask(port, { ...alice }).outcome).toBe('200')
})

test('a CA of nodes makes no clients', async () => {
  const { port } = await listening({ peerCa: other })
  expect(await ask(port, { ...alice }).outcome).toBe('200')
  expect(await ask(port, { ...other.node('n2') }).outcome).toBe('200')
  expect(await ask(port, { ...other.client('root') }).outcome).toEqual(REFUSED)
})

test('versions before 1.2, other protocols, resumption and renegotiation', async () => {
  const { port } = await listening({ clientCert: 'optional' })
  const ancient = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  expect(await ask(port, ancient).outcome).toMatch(/protocol version|unsupported protocol/)
  expect(await ask(port, { ALPNProtocols: ['h3'] }).outcome).toMatch(/no application protocol/)
  expect(await ask(port, { ALPNProtocols: ['h2', 'http/1.1'] }).outcome).toBe('200')
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const first = ask(port, { maxVersion })
    let session: Buffer | undefined
    first.socket.on('session', (made) => {
      session = made
    })
    expect(await first.outcome).toBe('200')
    session ??= first.socket.getSession()
    const second = ask(port, { maxVersion, ...(session && { session }) })
    expect(await second.outcome).toBe('200')
    expect(second.socket.isSessionReused()).toBe(false)
  }
  const { socket, outcome } = ask(port, { maxVersion: 'TLSv1.2' })
  expect(await outcome).toBe('200')
  const renegotiated = new Promise((resolve) => {
    socket.on('error', resolve).on('close', resolve)
    socket.renegotiate({}, (error) => resolve(error ?? 'done'))
  })
  expect(await renegotiated).not.toBe('done')
})

test('half handshakes are bounded: the oldest is closed, and a client that works is served', async () => {
  const { port, http } = await listening({ limits: { tlsHandshakesMax: 20 } })
  const sockets: Socket[] = []
  let closed = 0
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
  })
  for (let n = 0; n < 200; n++) {
    const socket = connectPlainly(port, '127.0.0.1')
    socket.on('error', () => {}).on('close', () => closed++)
    // Half of them send the beginning of a handshake.
    if (n % 2 === 0) socket.write(Buffer.from([0x16, 3, 1, 2, 0]))
    sockets.push(socket)
  }
  await expect.poll(() => closed).toBe(180)
  expect(http.inspect().handshakes).toBe(20)
  expect(await ask(port, { ...alice }).outcome).toBe('200')
  expect(http.inspect().handshakesFailedTotal).toBeGreaterThanOrEqual(180)
})

test('handshakes from one address displace none from another one', async () => {
  const { port, http } = await listening({ limits: { tlsHandshakesMax: 20 } })
  const slow = connectPlainly(port, '127.0.0.1')
  await expect.poll(() => http.inspect().handshakes).toBe(1)
  let closed = 0
  for (let n = 0; n < 60; n++) {
    const socket = connectPlainly({ port, host: '127.0.0.1', localAddress: '127.0.0.2' })
    socket.on('error', () => {}).on('close', () => closed++)
    onTestFinished(() => void socket.destroy())
  }
  await expect.poll(() => closed).toBe(41)
  expect(await ask(port, { ...alice, socket: slow }).outcome).toBe('200')
})

test('a connection whose handshake is done outlives the time for it', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const { port } = await listening()
  onTestFinished(() => void vi.useRealTimers())
  const { socket, outcome } = ask(port, { ...alice })
  expect(await outcome).toBe('200')
  vi.advanceTimersByTime(httpLimits.tlsHandshakeMs)
  expect(await askAgain(socket)).toBe('200')
})

test('a slow handshake is closed, whatever arrives', async () => {
  const { port, http } = await listening({ limits: { tlsHandshakeMs: 60 } })
  const ends = [Buffer.alloc(0), Buffer.from([0x16, 3, 1, 2, 0])].map(
    (bytes) =>
      new Promise((resolve) => {
        const socket = connectPlainly(port, '127.0.0.1')
        socket.on('error', () => {}).on('close', () => resolve('closed'))
        socket.write(bytes)
        const drip = setInterval(() => socket.write(Buffer.from([1])), 10)
        socket.on('close', () => clearInterval(drip))
      }),
  )
  expect(await Promise.all(ends)).toEqual(['closed', 'closed'])
  expect(http.inspect()).toMatchObject({ handshakes: 0, connections: 0 })
})

test('plain HTTP is answered with what to do, also in pieces', async () => {
  const { port } = await listening()
  const socket = connectPlainly(port, '127.0.0.1')
  socket.write('G')
  const text = await new Promise((resolve) => {
    let received = ''
    socket.on('data', (data) => {
      received += data
    })
    socket.on('close', () => resolve(received))
  })
  expect(text).toMatch(/^HTTP\/1\.1 400 .*use https:\/\//s)
})

test('a new revocation list ends the connections of those in it, and no others', async () => {
  const { port, files, paths } = await listening({ revoked: [] })
  const [a, b] = [ask(port, { ...alice }), ask(port, { ...bob })]
  expect([await a.outcome, await b.outcome]).toEqual(['200', '200'])
  const ended = new Promise((resolve) => b.socket.on('close', () => resolve('closed')))
  directory.write(paths.crl?.split('/').at(-1) ?? '', ca.revoke(bob))
  await files.reread()
  expect(await ended).toBe('closed')
  expect(await askAgain(a.socket)).toBe('200')
  expect(await ask(port, { ...bob }).outcome).toEqual(REFUSED)
})

test('a new revocation list for nodes ends their connections to the client port', async () => {
  const { port, peerFiles } = await listening({ peerCa: other })
  const node = other.node('n2')
  const { socket, outcome } = ask(port, { ...node })
  expect(await outcome).toBe('200')
  directory.write(peerFiles?.paths.crl?.split('/').at(-1) ?? '', other.revoke(node))
  await peerFiles?.reread()
  expect(await askAgain(socket)).toBe('closed')
})

test.each(['TLSv1.2', 'TLSv1.3'] as const)(
  'a handshake of %s that began before a new revocation list is checked against that list',
  async (maxVersion) => {
    const { port, files, paths } = await listening({ revoked: [] })
    /** Holds back what the client sends after its hello, and with it the certificate. */
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    let answered = () => {}
    const hasAnswered = new Promise<void>((resolve) => {
      answered = resolve
    })
    const proxy = createServer((client) => {
      const node = connectPlainly(port, '127.0.0.1')
      let isHello = true
      client.on('data', (bytes) => {
        const now = isHello ? Promise.resolve() : released
        isHello = false
        void now.then(() => node.write(bytes))
      })
      node.on('data', (bytes) => {
        client.write(bytes)
        answered()
      })
      for (const [one, two] of [
        [client, node],
        [node, client],
      ] as const)
        one.on('error', () => {}).on('close', () => two.destroy())
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void proxy.close())
    const { outcome } = ask((proxy.address() as AddressInfo).port, { ...bob, maxVersion })
    await hasAnswered
    directory.write(paths.crl?.split('/').at(-1) ?? '', ca.revoke(bob))
    await files.reread()
    release()
    expect(await outcome).toEqual(REFUSED)
  },
)

test('a certificate and a CA are replaced under load, without a failed request', async () => {
  const { port, files, paths } = await listening()
  const both = ca.cert + other.cert
  const newNode = other.node('n1')
  const newUser = other.client('alice')
  let isOver = false
  let count = 0
  const failures: string[] = []
  /** New connections and kept ones, of a client that trusts both CAs. */
  const load = async (options: () => ConnectionOptions): Promise<void> => {
    while (!isOver) {
      const { socket, outcome } = ask(port, { ca: both, ...options() })
      const status = await outcome
      if (status !== '200') failures.push(status)
      count++
      socket.destroy()
    }
  }
  let user = alice
  const loads = Array.from({ length: 4 }, () => load(() => ({ ...user })))
  const progress = async () => {
    const from = count
    await expect.poll(() => count).toBeGreaterThan(from + 8)
  }
  /** As an operator does it: one file after the other, each at once. */
  const replace = async (file: string, content: string) => {
    directory.write('next', content)
    renameSync(directory.file('next'), file)
    await files.reread()
    await progress()
  }
  await progress()
  await replace(paths.ca, both)
  await replace(paths.key, newNode.key)
  expect(logged.at(-1)).toMatch(/stay in use.*\.crt and .*\.key do not belong together/)
  await replace(paths.cert, newNode.cert)
  user = newUser
  await progress()
  await replace(paths.ca, other.cert)
  await progress()
  isOver = true
  await Promise.all(loads)
  expect(failures).toEqual([])
  expect(await ask(port, { ca: both, ...alice }).outcome).toEqual(REFUSED)
  expect(await ask(port, { ca: ca.cert, ...newUser }).outcome).toMatch(/^(UNABLE_TO_|SELF_SIGNED)/)
})

test('files that do not fit are refused at the start', async () => {
  const paths = directory.pair('faulty', n1)
  const caFile = directory.write('faulty-ca.crt', ca.cert)
  const failure = (change: Partial<TlsFiles['paths']>) =>
    TlsFiles.open({ ...paths, ...change }, { logger }).then(
      () => 'opened',
      (error: Error) => error.message,
    )
  expect(await failure({ key: directory.write('open.key', n1.key, 0o644) })).toMatch(
    /open\.key is a private key that other users can open \(mode 644\); make it private: chmod 600/,
  )
  expect(await failure({ key: directory.write('group.key', n1.key, 0o640) })).toMatch(/mode 640/)
  expect(await failure({ key: directory.write('n2.key', n2.key) })).toMatch(
    /faulty\.crt and .*n2\.key do not belong together/,
  )
  expect(await failure({ cert: directory.file('none.crt') })).toMatch(/none\.crt cannot be read: ENOENT/)
  expect(await failure({ cert: paths.key })).toMatch(/has no certificate in PEM/)
  expect(await failure({ key: paths.cert })).toMatch(/has no private key in PEM/)
  expect(await failure(directory.pair('ended', ca.node('n1', [], -1)))).toMatch(/ended at .*; replace it/)
  expect(await failure({ ca: paths.cert })).toMatch(/a certificate that is not of a CA: CN=n1/)
  expect(await failure({ ca: caFile, crl: directory.write('other.crl', other.revoke(alice)) })).toMatch(
    /it has a revocation list of CN=other CA, which is none of the CAs/,
  )
  expect(await failure({ ca: caFile, crl: caFile })).toMatch(/no certificate revocation list/)
  expect(await failure({ ca: caFile, crl: directory.write('good.crl', ca.revoke()) })).toBe('opened')
})
