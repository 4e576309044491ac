// Which certificates a node accepts, by chains and revocation lists; and what is said about those that it refuses.

import { connect as connectPlainly } from 'node:net'
import { type ConnectionOptions, connect } from 'node:tls'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  Certificate,
  ExtendedKeyUsage,
  Extension,
  IssuingDistributionPoint,
  id_ce_extKeyUsage,
  id_ce_issuingDistributionPoint,
  id_ce_subjectAltName,
  id_kp_serverAuth,
  Name,
  Time,
} from '@peculiar/asn1-x509'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { fromPem, type PemPair } from '../../../src/certificates/pem.ts'
import { TlsFiles, type TlsPaths } from '../../../src/server/tls/tls-files.ts'
import { FakeNode } from '../http/fake-node.ts'
import { start } from '../http/served.ts'
import { authority, CertificateDirectory, DAY_MS, type Fields, rootAuthority } from './certificates.ts'

const directory = new CertificateDirectory()
afterAll(() => directory[Symbol.dispose]())
const [old, next] = [authority('old CA'), authority('new CA')]
const [alice, bob] = [old.client('alice'), next.client('bob')]
const [gone, lost] = [old.client('gone'), next.client('lost')]
const root = rootAuthority('root CA')
const below = root.intermediate('CA below')
const n1 = old.node('n1')

interface Listening {
  readonly ca: string
  readonly crl?: string | undefined
  /** Contents of the files for peers. */
  readonly peers?: { readonly pair: PemPair; readonly ca: string; readonly crl?: string }
  readonly clientCert?: 'optional' | 'required'
}

let count = 0
/** In whole seconds, as certificates have them. */
const time = (ms: number): Time => new Time(new Date(Math.floor((Date.now() + ms) / 1_000) * 1_000))

const subjectOf = ({ cert }: PemPair): Name =>
  AsnConvert.parse(fromPem('CERTIFICATE', cert)[0] ?? expect.fail(), Certificate).tbsCertificate.subject

function pathsOf(pair: PemPair, { ca, crl }: Pick<Listening, 'ca' | 'crl'>): TlsPaths {
  const name = `files-${++count}`
  return {
    ...directory.pair(name, pair),
    ca: directory.write(`${name}-ca.crt`, ca),
    ...(crl !== undefined && { crl: directory.write(`${name}.crl`, crl) }),
  }
}

async function listening({ peers, clientCert = 'required', ...contents }: Listening) {
  const logger = { debug() {}, info() {}, warn() {}, error() {} }
  let aheadMs = 0
  const options = { logger, now: () => Date.now() + aheadMs, every: () => () => {} }
  const open = async (paths: TlsPaths) => {
    const files = await TlsFiles.open(paths, options)
    onTestFinished(() => files.close())
    return files
  }
  const files = await open(pathsOf(n1, contents))
  const peerFiles = peers && (await open(pathsOf(peers.pair, peers)))
  const server = await start({ node: new FakeNode(), tls: { files, peerFiles, clientCert } })
  onTestFinished(() => server.close())
  /** The status of one request, and what a refusal says. */
  const ask = (tls: ConnectionOptions) =>
    new Promise<string>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: server.port, ca: old.cert, ...tls })
      let text = ''
      socket.on('data', (data) => {
        text += data
      })
      socket.on('error', (error) => resolve('code' in error ? String(error.code) : error.message))
      socket.on('close', () => {
        const detail = /"detail":"([^"]*)"/.exec(text)?.[1]
        resolve(text.slice(9, 12) + (detail === undefined ? '' : ` ${detail}`))
      })
      socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    })
  return {
    ...server,
    ask,
    files,
    pass: (ms: number) => {
      aheadMs += ms
    },
  }
}

const REVOKED = expect.stringMatching(/^401 this node refuses the client: its certificate was revoked/)

test.each([
  ['both, in the order of the CAs', (a: string, b: string) => a + b],
  [
    'both, in the other order, with text between',
    (a: string, b: string) => `# new\n${b}\n# old\n${a}# end\n`,
  ],
])('each of two CAs has its list in one file: %s', async (_, order) => {
  const crl = order(old.revoke(gone), next.revoke(lost))
  const { ask } = await listening({ ca: old.cert + next.cert, crl })
  expect([await ask({ ...alice }), await ask({ ...bob })]).toEqual(['200', '200'])
  expect([await ask({ ...gone }), await ask({ ...lost })]).toEqual([REVOKED, REVOKED])
})

test('two lists of one CA count both, and a CA without one revokes nothing', async () => {
  const [one, two] = [old.client('one'), old.client('two')]
  const { ask } = await listening({ ca: old.cert + next.cert, crl: old.revoke(one) + old.revoke(two) })
  expect([await ask({ ...one }), await ask({ ...two })]).toEqual([REVOKED, REVOKED])
  expect([await ask({ ...alice }), await ask({ ...bob })]).toEqual(['200', '200'])
})

test('with a list for clients only, nodes are let in, of the same CA and of another', async () => {
  const clients = { ca: old.cert, crl: old.revoke(gone) }
  for (const peers of [
    { pair: next.node('n1'), ca: next.cert },
    { pair: old.node('n1'), ca: old.cert },
  ]) {
    const { ask } = await listening({ ...clients, peers })
    const node = peers.ca === old.cert ? old.node('n2') : next.node('n2')
    expect([await ask({ ...node }), await ask({ ...alice }), await ask({ ...gone })]).toEqual([
      '200',
      '200',
      REVOKED,
    ])
  }
})

test('a list for nodes counts at the client port too', async () => {
  const n2 = next.node('n2')
  const peers = { pair: next.node('n1'), ca: next.cert, crl: next.revoke(n2) }
  const { ask } = await listening({ ca: old.cert, peers })
  expect([await ask({ ...n2 }), await ask({ ...next.node('n3') })]).toEqual([REVOKED, '200'])
})

const purpose = expect.stringMatching(
  /^401 this node refuses the client: the extended key usage of its certificate/,
)

test.each([
  ['clients', [gone], []],
  ['nodes', [], [gone]],
  ['both', [gone], [gone]],
])('one CA for clients and nodes: a list for %s is enough', async (_, ofClients, ofNodes) => {
  const peers = { pair: n1, ca: old.cert, crl: old.revoke(...ofNodes) }
  const { ask } = await listening({ ca: old.cert, crl: old.revoke(...ofClients), peers })
  expect([await ask({ ...alice }), await ask({ ...gone })]).toEqual(['200', REVOKED])
})

test('files of CAs of which one has more than the other are two: who is in one only is no user of the other', async () => {
  const more = old.cert + next.cert
  const nodes = await listening({ ca: old.cert, peers: { pair: n1, ca: more } })
  expect([await nodes.ask({ ...alice }), await nodes.ask({ ...bob })]).toEqual(['200', purpose])
  expect(await nodes.ask({ ...next.node('n9') })).toBe('200')
  const clients = await listening({ ca: more, peers: { pair: n1, ca: old.cert } })
  expect([await clients.ask({ ...alice }), await clients.ask({ ...bob })]).toEqual(['200', '200'])
})

test('of two lists of one CA one may end while the other counts', async () => {
  const until = (days: number, ...certificates: PemPair[]): string =>
    old.list(certificates, (list) => {
      list.nextUpdate = time(days * DAY_MS)
    })
  for (const lists of [
    [until(1), until(3, gone)],
    [until(3, gone), until(1)],
  ]) {
    const { ask, pass } = await listening({ ca: old.cert, crl: lists.join('') })
    pass(2 * DAY_MS)
    expect([await ask({ ...alice }), await ask({ ...gone })]).toEqual(['200', REVOKED])
    pass(2 * DAY_MS)
    expect(await ask({ ...alice })).toMatch(/^401 .*list.* ended/)
  }
})

test('a chain is accepted below a root, and a revoked intermediate CA ends it', async () => {
  const user = below.client('alice')
  expect(await (await listening({ ca: root.cert })).ask({ ...user })).toBe('200')
  expect(await (await listening({ ca: root.cert + below.cert })).ask({ ...user })).toBe('200')
  const revoked = { ca: root.cert + below.cert, crl: root.revoke(below) }
  expect(await (await listening(revoked)).ask({ ...user })).toEqual(REVOKED)
  // Node.js does not show an intermediate CA that a client has sent: it cannot be checked.
  const unknown = await listening({ ca: root.cert, crl: root.revoke() })
  expect(await unknown.ask({ ...user })).toMatch(
    /^401 .*cannot be checked for revocation: its intermediate CA/,
  )
  const leaf = { ...user, cert: user.cert.replace(below.cert, '') }
  expect(await (await listening({ ca: root.cert })).ask(leaf)).toMatch(
    /^401 .*the certificates of intermediate CAs were not sent with it \(it names CN=CA below\)/,
  )
})

test('where the CAs of clients and of nodes differ, an unknown intermediate CA is neither', async () => {
  const peers = { pair: next.node('n1'), ca: next.cert }
  const user = below.client('alice')
  expect(await (await listening({ ca: root.cert, peers })).ask({ ...user })).toMatch(
    /^401 .*CN=CA below is in neither file of CAs; add that intermediate CA/,
  )
  expect(await (await listening({ ca: root.cert + below.cert, peers })).ask({ ...user })).toBe('200')
})

const future = (pair: PemPair) =>
  old.reissue(pair, (fields) => {
    fields.validity.notBefore = time(DAY_MS)
  })
const forServers = old.reissue(alice, ({ extensions = [] }) => {
  const purposes = extensions.find(({ extnID }) => extnID === id_ce_extKeyUsage)
  if (purposes !== undefined)
    purposes.extnValue = new OctetString(AsnConvert.serialize(new ExtendedKeyUsage([id_kp_serverAuth])))
})

test.each<[string, ConnectionOptions, string]>([
  ['expired', { ...old.client('a', -1) }, 'its certificate has expired; replace it, or compare the clocks'],
  ['not valid yet', { ...future(alice) }, 'its certificate is not valid yet; compare the clocks'],
  ['revoked', { ...gone }, 'its certificate was revoked (CN=old CA)'],
  ['of an unknown CA', { ...bob }, 'its certificate is not signed by a known CA'],
  ['missing', {}, 'it shows no certificate'],
  ['not for clients', { ...forServers }, 'the extended key usage of its certificate does not permit this'],
])('a certificate that is %s is refused in words, to the client and in the log', async (_, tls, why) => {
  const { ask, logged } = await listening({ ca: old.cert, crl: old.revoke(gone) })
  expect(await ask(tls)).toContain(`401 this node refuses the client: ${why}`)
  expect(logged).toEqual([expect.stringContaining(`a TLS connection was refused: ${why}`)])
})

test('what is no handshake of TLS is refused in words, and each kind is logged once a minute', async () => {
  const { ask, logged, port } = await listening({ ca: old.cert })
  const ancient = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  for (let n = 0; n < 3; n++) await ask({ ...alice, ...ancient })
  await new Promise<void>((resolve) => {
    connectPlainly(port, '127.0.0.1')
      .on('error', () => {})
      .on('close', () => resolve())
      .resume()
      .write('GET /')
  })
  expect(logged.map((line) => line.replace('a TLS connection was refused: ', ''))).toEqual([
    'it speaks no version or cipher of TLS that this side accepts; TLS 1.2 is the oldest',
    'it does not speak TLS',
  ])
})

// A client that is refused keeps its place until the time for handshakes is over, so that it reads why.
test('no handshake leaves anything behind, whichever way it ends without a refusal', async () => {
  const { ask, port, http } = await listening({ ca: old.cert })
  const plainly = (bytes: string | Uint8Array, ends: boolean): Promise<void> =>
    new Promise((resolve) => {
      const socket = connectPlainly(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.on('data', () => {})
      socket.on('close', () => resolve())
      socket.write(bytes, () => ends && socket.destroy())
    })
  const ways: Readonly<Record<string, () => Promise<unknown>>> = {
    'it is done': () => ask({ ...alice }),
    'it is plain HTTP': () =>
      plainly('GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', false),
    'it is nothing that is known': () => plainly(Buffer.from([0x16, 9, 9, 0, 5, 1, 2, 3, 4, 5]), false),
    'the client leaves before it': () => plainly('', true),
    'the client leaves in the middle of it': () => plainly(Buffer.from([0x16, 3, 1, 2, 0, 1]), true),
  }
  for (const [how, way] of Object.entries(ways)) {
    await Promise.all(Array.from({ length: 5 }, way))
    await expect
      .poll(() => [http.inspect().handshakes, http.inspect().connections], { message: how, timeout: 5_000 })
      .toEqual([0, 0])
  }
  expect(await ask({ ...alice })).toBe('200')
})

test('a list that has ended lets nobody of its CA in, and says so', async () => {
  const { ask, pass } = await listening({ ca: old.cert + next.cert, crl: old.revoke() })
  expect(await ask({ ...alice })).toBe('200')
  pass(DAY_MS + 1_000)
  expect(await ask({ ...alice })).toMatch(
    /^401 .*the revocation list of the CA .* has ended; replace the list/,
  )
  expect(await ask({ ...bob })).toBe('200')
})

test('a certificate that names nobody is noted with the reason', async () => {
  const two = old.reissue(alice, (fields) => {
    fields.extensions = (fields.extensions ?? []).filter(({ extnID }) => extnID !== id_ce_subjectAltName)
    fields.subject = new Name([...fields.subject, ...subjectOf(old.client('root'))])
  })
  const { ask, logged } = await listening({ ca: old.cert })
  expect(await ask({ ...two })).toBe('200')
  expect(logged).toEqual(['a certificate names no user: it has several of CN (CN=alice, CN=root)'])
})

test('a certificate without a name of its owner or its CA is one of nobody', async () => {
  const unnamed = (change: (fields: Fields) => void) =>
    old.reissue(alice, (fields) => {
      fields.extensions = (fields.extensions ?? []).filter(({ extnID }) => extnID !== id_ce_subjectAltName)
      fields.subject = new Name()
      change(fields)
    })
  const { ask, logged } = await listening({ ca: old.cert })
  expect(await ask({ ...unnamed(() => {}) })).toBe('200')
  expect(logged).toEqual(['a certificate names no user: it has no CN (an empty subject)'])
  const nameless = unnamed((fields) => {
    fields.issuer = new Name()
  })
  expect(await ask({ ...nameless })).toMatch(/^401 .*is not signed by a known CA.* \(it names nobody\)$/)
  expect(await ask({ ...alice })).toBe('200')
})

test('what cannot work is refused at the start', async () => {
  const logger = { debug() {}, info() {}, warn() {}, error() {} }
  const failure = (contents: Pick<Listening, 'ca' | 'crl'>, pair = n1, isOwnAuthority = false) =>
    TlsFiles.open(pathsOf(pair, contents), { logger, isOwnAuthority, every: () => () => {} }).then(
      (files) => files.close(),
      (error: Error) => error.message,
    )
  const list = (change: Parameters<typeof old.list>[1], ca = old.cert) =>
    failure({ ca, crl: old.list([gone], change) })
  expect(await failure({ ca: old.cert, crl: old.revoke() })).toBeUndefined()
  const der = fromPem('X509 CRL', old.revoke())[0]?.toString('latin1') ?? ''
  expect(await failure({ ca: old.cert, crl: der })).toMatch(/it is in DER, and must be in PEM: openssl crl/)
  expect(await failure({ ca: old.cert, crl: old.revoke() + next.revoke() })).toMatch(
    /a revocation list of CN=new CA, which is none of the CAs/,
  )
  expect(await failure({ ca: old.cert, crl: authority('old CA').revoke() })).toMatch(
    /CN=old CA has not signed its revocation list/,
  )
  expect(await list((each) => Object.assign(each, { nextUpdate: time(-1_000) }))).toMatch(
    /the revocation list of CN=old CA ended at .*; replace it/,
  )
  expect(await list((each) => Object.assign(each, { thisUpdate: time(DAY_MS) }))).toMatch(
    /begins at .*; check the clock/,
  )
  const part = (scope: Partial<IssuingDistributionPoint>) =>
    list((each) => {
      const value = AsnConvert.serialize(new IssuingDistributionPoint(scope))
      each.crlExtensions = [
        new Extension({
          extnID: id_ce_issuingDistributionPoint,
          critical: true,
          extnValue: new OctetString(value),
        }),
      ]
    })
  expect(await part({ onlyContainsCACerts: true })).toMatch(/has only a part of the certificates/)
  expect(await part({})).toBeUndefined()
  expect(await failure({ ca: below.cert })).toMatch(
    /has the intermediate CA CN=CA below without the CA that signed it, CN=root CA; add that one too/,
  )
  const node = below.node('n1')
  expect(await failure({ ca: root.cert }, node, true)).toBeUndefined()
  const leaf = { ...node, cert: node.cert.replace(below.cert, '') }
  expect(await failure({ ca: root.cert }, leaf, true)).toMatch(
    /\.crt and .*-ca\.crt do not belong together: the certificate is signed by CN=CA below, which .* append its certificate/,
  )
  expect(await failure({ ca: root.cert + below.cert }, leaf, true)).toBeUndefined()
})
