// Revocation lists as CAs of others make them: every algorithm of signatures, and every form of a serial number.

import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  CertificateList,
  Extension,
  IssuingDistributionPoint,
  id_ce_issuingDistributionPoint,
  Name,
  Reason,
  RevokedCertificate,
  TBSCertList,
  Time,
  Version,
} from '@peculiar/asn1-x509'
import { describe, expect, test } from 'vitest'
import { toPem } from '../../src/certificates/pem.ts'
import { formatSerial, readRevocationLists } from '../../src/certificates/revocations.ts'

const bytes = (hex: string): ArrayBuffer => new Uint8Array(Buffer.from(hex, 'hex')).buffer

interface Signer {
  readonly algorithm: string
  readonly hash: string | null
  readonly isPss?: boolean
  readonly parameters?: string
}

/** The PEM of a list with these serial numbers. */
function listOf(
  serials: readonly string[],
  key: KeyObject,
  { algorithm, hash, isPss, parameters }: Signer,
  { hasEnd = true, extensions }: { hasEnd?: boolean; extensions?: readonly Extension[] } = {},
): Buffer {
  const signatureAlgorithm = new AlgorithmIdentifier({
    algorithm,
    ...(parameters !== undefined && { parameters: bytes(parameters) }),
  })
  const now = new Date(1_000 * Math.floor(Date.now() / 1_000))
  const tbsCertList = new TBSCertList({
    version: Version.v2,
    signature: signatureAlgorithm,
    issuer: new Name([]),
    thisUpdate: new Time(now),
    ...(hasEnd && { nextUpdate: new Time(new Date(now.getTime() + 86_400_000)) }),
    revokedCertificates: serials.map(
      (serial) => new RevokedCertificate({ userCertificate: bytes(serial), revocationDate: new Time(now) }),
    ),
  })
  if (extensions !== undefined) tbsCertList.crlExtensions = [...extensions]
  const padding = isPss === true ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {}
  const signed = sign(hash, Buffer.from(AsnConvert.serialize(tbsCertList)), { key, ...padding })
  const signature = new Uint8Array(signed).buffer
  const list = new CertificateList({ tbsCertList, signatureAlgorithm, signature })
  return Buffer.from(toPem('X509 CRL', new Uint8Array(AsnConvert.serialize(list))))
}

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 })
const EC = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const ED25519 = generateKeyPairSync('ed25519')
const ED448 = generateKeyPairSync('ed448')
const ANOTHER_EC = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const BY_ED25519 = { algorithm: '1.3.101.112', hash: null }

const pss = (hash: string, id: string): Signer => ({
  ...{ algorithm: '1.2.840.113549.1.1.10', hash, isPss: true },
  parameters: `3011a00f300d060960864801650304020${id}0500`,
})

test.each<[string, typeof RSA, Signer]>([
  ['RSA, SHA-256', RSA, { algorithm: '1.2.840.113549.1.1.11', hash: 'sha256' }],
  ['RSA, SHA-384', RSA, { algorithm: '1.2.840.113549.1.1.12', hash: 'sha384' }],
  ['RSA, SHA-512', RSA, { algorithm: '1.2.840.113549.1.1.13', hash: 'sha512' }],
  ['RSA-PSS, SHA-256', RSA, pss('sha256', '1')],
  ['RSA-PSS, SHA-384', RSA, pss('sha384', '2')],
  ['RSA-PSS, SHA-512', RSA, pss('sha512', '3')],
  ['ECDSA, SHA-256', EC, { algorithm: '1.2.840.10045.4.3.2', hash: 'sha256' }],
  ['ECDSA, SHA-384', EC, { algorithm: '1.2.840.10045.4.3.3', hash: 'sha384' }],
  ['ECDSA, SHA-512', EC, { algorithm: '1.2.840.10045.4.3.4', hash: 'sha512' }],
  ['Ed25519', ED25519, BY_ED25519],
  ['Ed448', ED448, { algorithm: '1.3.101.113', hash: null }],
])('a list signed with %s', (_, { publicKey, privateKey }, signer) => {
  const [list] = readRevocationLists(listOf(['4001'], privateKey, signer))
  const others = [RSA, EC, ED25519, ED448, ANOTHER_EC].filter((each) => each.publicKey !== publicKey)
  expect([list?.isSignedBy(publicKey), list?.serials]).toEqual([true, new Set(['4001'])])
  expect(others.map((other) => list?.isSignedBy(other.publicKey))).toEqual(others.map(() => false))
})

test('an algorithm that is unknown or too weak signs nothing', () => {
  for (const signer of [
    { algorithm: '1.2.840.113549.1.1.5', hash: 'sha1' },
    { algorithm: '1.2.840.113549.1.1.4', hash: 'md5' },
    { algorithm: '1.2.840.113549.1.1.10', hash: 'sha1', isPss: true },
  ]) {
    const [list] = readRevocationLists(listOf(['4001'], RSA.privateKey, signer))
    expect(list?.isSignedBy(RSA.publicKey)).toBe(false)
  }
})

test('serial numbers are written as certificates write them', () => {
  const written = ['00', '0000', '01', '0001', '00ff', '0a0b', '000000ffee'].map((hex) =>
    formatSerial(bytes(hex)),
  )
  expect(written).toEqual(['00', '00', '01', '01', 'FF', '0A0B', 'FFEE'])
})

test('every list of a file counts, and one that cannot be read makes none count', () => {
  const pems = ['4001', '4002', '4003'].map((serial) => listOf([serial], ED25519.privateKey, BY_ED25519))
  const lists = readRevocationLists(Buffer.from(`# first\n${pems.join('# next\r\n')}`))
  expect(lists.map(({ serials }) => [...serials])).toEqual([['4001'], ['4002'], ['4003']])
  const broken = Buffer.from(toPem('X509 CRL', Buffer.from('3000', 'hex')))
  for (const all of [
    [...pems, broken],
    [broken, ...pems],
  ])
    expect(() => readRevocationLists(Buffer.concat(all))).toThrow('cannot be read')
})

test('a list that does not say when it ends is refused: its entries would be lost', () => {
  const file = listOf(['4001'], ED25519.privateKey, BY_ED25519, { hasEnd: false })
  expect(() => readRevocationLists(file)).toThrow('does not say when it ends (nextUpdate)')
})

const part = (scope: Partial<IssuingDistributionPoint>): [string, ArrayBuffer] => [
  id_ce_issuingDistributionPoint,
  AsnConvert.serialize(new IssuingDistributionPoint(scope)),
]
const NUMBER = bytes('020107')
const PART = 'has only a part of the certificates'

describe.each([true, false])('an extension that is critical: %s', (critical) => {
  test.each<[string, [string, ArrayBuffer], string | undefined]>([
    ['changes of another list', ['2.5.29.27', NUMBER], 'has only changes of another list'],
    ['users only', part({ onlyContainsUserCerts: true }), PART],
    ['CAs only', part({ onlyContainsCACerts: true }), PART],
    ['attributes only', part({ onlyContainsAttributeCerts: true }), PART],
    ['some reasons only', part({ onlySomeReasons: new Reason(2) }), PART],
    ['other CAs too', part({ indirectCRL: true }), PART],
    ['everything', part({}), undefined],
    ['a number', ['2.5.29.20', NUMBER], critical ? 'a critical extension that is unknown' : undefined],
    ['something unknown', ['1.2.3.4', NUMBER], critical ? 'a critical extension that is unknown' : undefined],
  ])('%s', (_, [extnID, value], refusal) => {
    const extensions = [new Extension({ extnID, critical, extnValue: new OctetString(value) })]
    const file = listOf(['4001'], ED25519.privateKey, BY_ED25519, { extensions })
    if (refusal !== undefined) expect(() => readRevocationLists(file)).toThrow(refusal)
    else expect(readRevocationLists(file)[0]?.serials).toEqual(new Set(['4001']))
  })
})
