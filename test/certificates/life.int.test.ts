// The life of certificates at a running cluster: its CA is replaced, and a user and a node are revoked.

import { readFileSync } from 'node:fs'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import {
  makeAuthority,
  makeClientCertificate,
  makeNodeCertificate,
  nextRotation,
  renewCertificate,
  revocationsPath,
  revokeCertificates,
  rotateAuthority,
} from '../../src/certificates/directory.ts'
import { Client } from '../../src/client/index.ts'
import { startNode } from '../../src/server/start/start-node.ts'
import { CertificateDirectory } from '../server/tls/certificates.ts'

const directory = new CertificateDirectory()
afterAll(() => directory[Symbol.dispose]())
const certs = directory.file('certs')
const at = (name: string): string => `${certs}/${name}`
const LISTEN = { host: '127.0.0.1', port: 0 }
const timing = { heartbeatMs: 50, electionMinMs: 300, electionMaxMs: 600 }
const silent = { debug() {}, info() {}, warn() {}, error() {} }

function makeAll(): void {
  makeAuthority(certs, { name: 'test CA', days: 100 })
  for (const name of ['n1', 'n2', 'n3']) makeNodeCertificate(certs, { name, hosts: ['127.0.0.1'], days: 30 })
  for (const user of ['root', 'mallory']) makeClientCertificate(certs, { user, days: 30 })
  // An empty list: there is nothing to revoke yet.
  revokeCertificates(certs, 'mallory')
  renewCertificate(certs, 'mallory')
}

async function cluster() {
  makeAll()
  const start = async (name: string, url?: string) => {
    const files = { cert: at(`${name}.crt`), key: at(`${name}.key`), ca: at('ca.crt'), crl: at('ca.crl') }
    const node = await startNode({
      ...{ name, dataDir: directory.file(name), listen: LISTEN, peerListen: LISTEN, timing, logger: silent },
      founding: url === undefined ? { kind: 'bootstrap' } : { kind: 'join', urls: [url], replace: false },
      tls: { ...files, clientCert: 'required' },
      peerTls: files,
    })
    onTestFinished(() => node.crash())
    return node
  }
  const first = await start('n1')
  const nodes = [first, await start('n2', first.url), await start('n3', first.url)]
  const read = (name: string) => readFileSync(at(name), 'utf8')
  const tlsOf = (user: string) => ({
    ca: read('ca.crt'),
    cert: read(`${user}.crt`),
    key: read(`${user}.key`),
  })
  const client = (user: string, url = first.url) => {
    const kv = new Client({ endpoints: [url], tls: tlsOf(user), discover: false, timeoutMs: 20_000 })
    onTestFinished(() => kv.close())
    return kv
  }
  const voters = async () =>
    (await client('root').cluster()).members.filter(({ role }) => role === 'voter').length
  await expect.poll(voters).toBe(3)
  return { nodes, client, tlsOf, reread: () => Promise.all(nodes.map((node) => node.rereadCertificates())) }
}

test('a CA is replaced in three steps without a failed request, and what is revoked stays out', async () => {
  const { nodes, client, tlsOf, reread } = await cluster()
  let isOver = false
  let count = 0
  const failures: unknown[] = []
  /** Each put has a connection of its own, at one of the nodes. */
  const load = async (): Promise<void> => {
    for (let n = 0; !isOver; n++) {
      const kv = new Client({
        ...{ endpoints: [nodes[n % 3]?.url ?? ''], tls: tlsOf('root'), discover: false, timeoutMs: 20_000 },
      })
      await kv.put('k', String(n)).catch((error: unknown) => failures.push(error))
      await kv.close()
      count++
    }
  }
  const loads = [load(), load()]
  const settled = async (): Promise<void> => {
    await reread()
    const from = count
    await expect.poll(() => count).toBeGreaterThan(from + 3)
  }
  await settled()
  const issuerOf = (name: string) => readFileSync(at(name), 'utf8').length
  const sizes = [issuerOf('ca.crt')]
  for (const step of [1, 2, 3]) {
    expect(nextRotation(certs)).toBe(step)
    expect(rotateAuthority(certs, { name: 'new CA', days: 100 }).step).toBe(step)
    sizes.push(issuerOf('ca.crt'))
    await settled()
  }
  isOver = true
  await Promise.all(loads)
  expect(failures).toEqual([])
  expect(sizes[1]).toBeGreaterThan(sizes[0] ?? 0)
  expect(nextRotation(certs)).toBe(1)
  // A certificate of the old CA opens nothing any more, and a revoked one of the new CA neither.
  const mallory = client('mallory')
  expect((await mallory.put('a', 'b')).revision).toBeGreaterThan(0)
  expect(revokeCertificates(certs, 'mallory')).toBe(1)
  await reread()
  await expect(client('mallory').put('a', 'b')).rejects.toMatchObject({
    ...{ code: 'unauthenticated', written: 'no' },
    message: expect.stringContaining('its certificate was revoked (CN=new CA)'),
  })
  // A new certificate of the same name is another one.
  renewCertificate(certs, 'mallory')
  expect((await client('mallory').put('a', 'b')).revision).toBeGreaterThan(0)
  expect(readFileSync(revocationsPath(certs), 'utf8')).toContain('BEGIN X509 CRL')
})
