// The identity in a certificate.

import { X509Certificate } from 'node:crypto'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AttributeTypeAndValue,
  AttributeValue,
  GeneralName,
  id_ce_subjectAltName,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
} from '@peculiar/asn1-x509'
import { describe, expect, test } from 'vitest'
import { fromPem, type PemPair } from '../../../src/certificates/pem.ts'
import { subjectUser } from '../../../src/certificates/subject.ts'
import { objectionToPeer } from '../../../src/server/tls/identity.ts'
import { authority } from './certificates.ts'

const ca = authority()
const node = (name: string, ...hosts: string[]) => new X509Certificate(ca.node(name, hosts).cert)
const userIn = ({ cert }: PemPair) => subjectUser(fromPem('CERTIFICATE', cert)[0] ?? expect.fail())

type Text = ConstructorParameters<typeof AttributeValue>[0]
const [CN, UID, O] = ['2.5.4.3', '0.9.2342.19200300.100.1.1', '2.5.4.10']

/** A certificate with these relative distinguished names and URIs. */
const certificateOf = (subject: readonly (readonly [string, Text])[][], uris: readonly string[] = []) =>
  ca.reissue(ca.node('n1'), (fields) => {
    fields.subject = new Name(
      subject.map(
        (attributes) =>
          new RelativeDistinguishedName(
            attributes.map(
              ([type, text]) => new AttributeTypeAndValue({ type, value: new AttributeValue(text) }),
            ),
          ),
      ),
    )
    const names = fields.extensions?.find(({ extnID }) => extnID === id_ce_subjectAltName)
    if (names === undefined) return
    const alternatives = uris.map((uri) => new GeneralName({ uniformResourceIdentifier: uri }))
    names.extnValue = new OctetString(
      AsnConvert.serialize(new SubjectAlternativeName([new GeneralName({ dNSName: 'n1' }), ...alternatives])),
    )
  })

describe('the user', () => {
  test.each(['alice', 'a b', 'a,b="c"', 'Zoë', 'a/b', '100%', 'DNS:x, URI:quorate:user/root'])(
    '%j',
    (name) => {
      expect(userIn(ca.client(name))).toEqual({ user: name })
    },
  )

  test('is the common name of a certificate without a URI', () => {
    expect(userIn(ca.node('n1'))).toEqual({ user: 'n1' })
  })

  test('is not taken from another name in the certificate', () => {
    // The characters of a URI in a DNS name do not make it one.
    expect(userIn(ca.node('n1', ['x, URI:quorate:user/root']))).toEqual({ user: 'n1' })
  })

  const utf8 = (utf8String: string): Text => ({ utf8String })
  test.each<[string, Parameters<typeof certificateOf>, string]>([
    ['a plus', [[[[CN, utf8('a+b')]]]], 'a+b'],
    [
      'a comma, a backslash and a line break in another attribute',
      [[[[O, utf8('x\nCN=root')]], [[CN, utf8('a,\\b')]]]],
      'a,\\b',
    ],
    [
      'a name with two attributes',
      [
        [
          [
            [CN, utf8('alice')],
            [UID, utf8('7')],
          ],
        ],
      ],
      'alice',
    ],
    [
      'the same, in the other order',
      [
        [
          [
            [UID, utf8('7')],
            [CN, utf8('alice')],
          ],
        ],
      ],
      'alice',
    ],
    ['16-bit characters', [[[[CN, { bmpString: 'Zoë' }]]]], 'Zoë'],
    ['a printable string', [[[[CN, { printableString: 'alice' }]]]], 'alice'],
    ['one common name twice', [[[[CN, utf8('alice')]], [[CN, { printableString: 'alice' }]]]], 'alice'],
    ['a URI, which is before the common name', [[[[CN, utf8('n1')]]], ['quorate:user/bob']], 'bob'],
    ['other URIs', [[[[CN, utf8('n1')]]], ['spiffe://x/y']], 'n1'],
  ])('is read from %s', (_, args, user) => {
    expect(userIn(certificateOf(...args))).toEqual({ user })
  })

  test.each<[string, Parameters<typeof certificateOf>, string]>([
    ['two common names', [[[[CN, utf8('alice')]], [[CN, utf8('root')]]]], 'it has several of CN'],
    [
      'two common names in one',
      [
        [
          [
            [CN, utf8('alice')],
            [CN, utf8('root')],
          ],
        ],
      ],
      'it has several of CN',
    ],
    ['two users', [[], ['quorate:user/a', 'quorate:user/b']], 'it has several of URI:quorate:user/'],
    ['no common name', [[[[O, utf8('x')]]]], 'it has no CN'],
    ['a control character', [[[[CN, utf8('root\0.example.org')]]]], 'cannot be read'],
    ['an encoding that nobody agrees on', [[[[CN, { teletexString: 'Zo\xeb' }]]]], 'cannot be read'],
  ])('is nobody with %s', (_, args, fault) => {
    expect(userIn(certificateOf(...args))).toEqual({ fault: expect.stringContaining(fault) })
  })
})

test.each([
  ['of X.400', [0xa3, 0x02, 0x30, 0x00]],
  ['of EDI', [0xa5, 0x08, 0xa1, 0x06, 0x0c, 0x04, 0x61, 0x62, 0x63, 0x64]],
  ['without an end', [0x86, 0x20, 0x61]],
])('a certificate with a name %s is nobody', (_, name) => {
  const odd = ca.reissue(ca.client('alice'), ({ extensions }) => {
    const names = extensions?.find(({ extnID }) => extnID === id_ce_subjectAltName)
    if (names !== undefined) names.extnValue = new OctetString(Uint8Array.of(0x30, name.length, ...name))
  })
  expect(userIn(odd)).toEqual({ fault: 'it has a kind of name that cannot be read' })
})

test.each([
  ['n1', '10.0.0.1:7401', undefined],
  ['n2', '10.0.0.1:7401', undefined],
  ['n2', '[::1]:7401', undefined],
  ['n2', '[::1%eth0]:7401', undefined],
  ['n2', 'a.example.org:7401', undefined],
  ['A.example.ORG', '10.0.0.2:7401', undefined],
  ['n2', 'b.example.org:7401', 'neither n2 nor b.example.org; a wildcard names no member'],
  ['b.example.org', '10.0.0.2:7401', 'neither b.example.org nor 10.0.0.2; a wildcard names no member'],
  ['n2', '10.0.0.2:7401', 'neither n2 nor 10.0.0.2'],
  ['n2', '[fe80::1%eth0]:7401', 'neither n2 nor fe80::1'],
  ['n2', '[::ffff:10.0.0.2%1]:7401', 'neither n2 nor ::ffff:10.0.0.2'],
  ['.example.org', '.example.org:7401', 'neither'],
  ['', ':7401', 'neither'],
  ['n1\0', 'a:1', 'neither'],
  ['*', '*:1', 'neither'],
])('whether a certificate names the peer %j at %s', (name, peer, says) => {
  const objection = objectionToPeer(node('n1', '10.0.0.1', '::1', 'a.example.org', '*.example.org'), {
    name,
    peer,
  })
  if (says === undefined) expect(objection).toBeUndefined()
  else expect(objection).toContain(says)
})
