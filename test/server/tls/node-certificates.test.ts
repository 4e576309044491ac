// The TLS files of one node together: what its requests to other nodes require of them.

import { X509Certificate } from 'node:crypto'
import type { PeerCertificate } from 'node:tls'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { NodeCertificates } from '../../../src/server/tls/node-certificates.ts'
import { authority, CertificateDirectory } from './certificates.ts'

const directory = new CertificateDirectory()
afterAll(() => directory[Symbol.dispose]())
const ca = authority()
const logger = { debug() {}, info() {}, warn() {}, error() {} }

test.each([
  ['clients', true, false],
  ['peers', false, true],
  ['both', true, true],
])('a node that the list for %s revokes gets no request', async (_, ofClients, ofPeers) => {
  const [n2, n3] = [ca.node('n2'), ca.node('n3')]
  const pair = directory.pair('n1', ca.node('n1'))
  const authorities = directory.write('ca.crt', ca.cert)
  const [revoked, none] = [
    directory.write('revoked.crl', ca.revoke(n2)),
    directory.write('none.crl', ca.revoke()),
  ]
  const files = (hasIt: boolean) => ({ ...pair, ca: authorities, crl: hasIt ? revoked : none })
  const certificates = await NodeCertificates.open(
    {
      ...{ name: 'n1', peerListen: { host: '127.0.0.1', port: 7401 } },
      ...{ tls: files(ofClients), peerTls: files(ofPeers) },
    },
    logger,
  )
  onTestFinished(() => certificates.close())
  const { checkServerIdentity: check } = certificates.requests
  const faultOf = (cert: string) =>
    check?.('127.0.0.1', new X509Certificate(cert).toLegacyObject() as PeerCertificate)?.message
  expect([faultOf(n2.cert), faultOf(n3.cert)]).toEqual(['its certificate was revoked', undefined])
})
