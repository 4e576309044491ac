// The identity in a certificate.

import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { issueAuthority, issueClient, issueNode } from '../../../src/certificates/issue.ts'
import type { PemPair } from '../../../src/certificates/pem.ts'
import { objectionToPeer, userIn } from '../../../src/server/tls/identity.ts'

const ca = issueAuthority('test CA', { days: 1 })
const certificate = ({ cert }: PemPair) => new X509Certificate(cert)
const node = (name: string, ...hosts: string[]) => certificate(issueNode(ca, name, hosts, { days: 1 }))

describe('the user', () => {
  test.each(['alice', 'a b', 'a,b="c"', 'Zoë', 'a/b', '100%', 'DNS:x, URI:quorate:user/root'])(
    '%j',
    (name) => {
      expect(userIn(certificate(issueClient(ca, name, { days: 1 })))).toBe(name)
    },
  )

  test('is the common name of a certificate without a URI', () => {
    expect(userIn(node('n1'))).toBe('n1')
  })

  test('is not taken from another name in the certificate', () => {
    // The characters of a URI in a DNS name do not make it one.
    expect(userIn(node('n1', 'x, URI:quorate:user/root'))).toBe('n1')
  })
})

test.each([
  ['n1', '10.0.0.1:7401', undefined],
  ['n2', '10.0.0.1:7401', undefined],
  ['n2', '[::1]:7401', undefined],
  ['n2', 'a.example.org:7401', undefined],
  ['n2', '10.0.0.2:7401', 'neither n2 nor 10.0.0.2'],
  ['.example.org', '.example.org:7401', 'neither'],
  ['', ':7401', 'neither'],
  ['n1\0', 'a:1', 'neither'],
  ['*', '*:1', 'neither'],
])('whether a certificate names the peer %j at %s', (name, peer, says) => {
  const objection = objectionToPeer(node('n1', '10.0.0.1', '::1', '*.example.org'), { name, peer })
  if (says === undefined) expect(objection).toBeUndefined()
  else expect(objection).toContain(says)
})
