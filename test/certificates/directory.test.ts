// A directory with a CA: what its index, its revocation lists and its certificates are after each step, also after a
// step that was interrupted, and for directories that are older than the index.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { copyFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AsnConvert } from '@peculiar/asn1-schema'
import { CertificateList } from '@peculiar/asn1-x509'
import { afterEach, beforeEach, expect, test } from 'vitest'
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
import { fromPem } from '../../src/certificates/pem.ts'
import { formatSerial, readRevocationLists } from '../../src/certificates/revocations.ts'

let parent: string
let dir: string
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'quorate-certificates-'))
  dir = join(parent, 'certs')
  makeAuthority(dir, { name: 'old CA', days: 100 })
})
afterEach(() => rmSync(parent, { recursive: true, force: true }))

const at = (file: string): string => join(dir, file)
const text = (file: string): string => readFileSync(at(file), 'utf8')
const certificate = (name: string): X509Certificate => new X509Certificate(text(`${name}.crt`))
const authorities = (): X509Certificate[] =>
  fromPem('CERTIFICATE', text('ca.crt')).map((der) => new X509Certificate(der))

/** The revoked serial numbers, by the names of the CAs. Each list is that of a CA that is trusted. */
function revoked(): Record<string, string[]> {
  const lists = readRevocationLists(readFileSync(revocationsPath(dir)))
  for (const list of lists) {
    const signers = authorities().filter(
      ({ raw, publicKey }) => list.names(raw) && list.isSignedBy(publicKey),
    )
    expect({ issuer: list.issuer, signers: signers.length }).toEqual({ issuer: list.issuer, signers: 1 })
  }
  return Object.fromEntries(lists.map(({ issuer, serials }) => [issuer, [...serials].sort()]))
}

/** Makes or renews a certificate, and returns its serial number. */
function user(name: string): string {
  if (existsSync(at(`${name}.crt`))) renewCertificate(dir, name)
  else makeClientCertificate(dir, { user: name, days: 30 })
  return certificate(name).serialNumber
}

function node(name: string, hosts: readonly string[] = ['127.0.0.1']): string {
  makeNodeCertificate(dir, { name, hosts, days: 30 })
  return certificate(name).serialNumber
}

const rotate = () => rotateAuthority(dir, { name: 'new CA', days: 200 })
const [OLD, NEW] = ['CN=old CA', 'CN=new CA']

test('a revocation names every certificate of its name that is still valid, and no other', () => {
  const [first, bob] = [user('alice'), user('bob')]
  renewCertificate(dir, 'alice')
  const second = certificate('alice').serialNumber
  const third = user('alice')
  expect(revokeCertificates(dir, 'alice')).toBe(3)
  expect(revoked()).toEqual({ [OLD]: [first, second, third].sort() })
  // The list was not written: the disk was full.
  rmSync(revocationsPath(dir))
  expect(revokeCertificates(dir, 'alice')).toBe(0)
  expect(revoked()).toEqual({ [OLD]: [first, second, third].sort() })
  expect(() => revokeCertificates(dir, 'nobody')).toThrow('no valid certificate with the name nobody')
  // The next one of the name is not revoked, and those before it stay so.
  const fourth = user('alice')
  expect(revoked()).toEqual({ [OLD]: [first, second, third].sort() })
  expect(revokeCertificates(dir, 'bob')).toBe(1)
  expect(revokeCertificates(dir, 'alice')).toBe(1)
  expect(revoked()).toEqual({ [OLD]: [first, second, third, fourth, bob].sort() })
})

test('a revocation keeps its time when a later certificate of the name is revoked', () => {
  const first = user('alice')
  revokeCertificates(dir, 'alice')
  const index = JSON.parse(text('index.json'))
  const long = '2020-02-02T02:02:02.000Z'
  for (const each of index.certificates) each.revoked_at = long
  writeFileSync(at('index.json'), JSON.stringify(index))
  const second = user('alice')
  expect(revokeCertificates(dir, 'alice')).toBe(1)
  const [der = Buffer.alloc(0)] = fromPem('X509 CRL', text('ca.crl'))
  const { revokedCertificates = [] } = AsnConvert.parse(der, CertificateList).tbsCertList
  const times = revokedCertificates.map(
    ({ userCertificate, revocationDate }) =>
      [formatSerial(userCertificate), revocationDate.getTime().toISOString()] as const,
  )
  expect(Object.fromEntries(times)).toEqual({ [first]: long, [second]: expect.not.stringMatching(long) })
})

test('a certificate that was made before there was an index, and was renewed, can be revoked', () => {
  const [alice, n1] = [user('alice'), node('n1')]
  rmSync(at('index.json'))
  renewCertificate(dir, 'alice')
  renewCertificate(dir, 'n1')
  expect([revokeCertificates(dir, 'alice'), revokeCertificates(dir, 'n1')]).toEqual([2, 2])
  expect(revoked()[OLD]).toEqual(expect.arrayContaining([alice, n1]))
})

test('certificates that have ended are neither revoked nor kept in the index', () => {
  const alice = user('alice')
  makeClientCertificate(dir, { user: 'ended', days: -1 })
  expect(JSON.parse(text('index.json')).certificates).toMatchObject([{ name: 'alice', serial: alice }])
  expect(() => revokeCertificates(dir, 'ended')).toThrow('no valid certificate with the name ended')
})

test('a renewal keeps the names, the addresses, the days and the purposes, and no key, each time', () => {
  const hosts = ['127.0.0.1', 'n1.example.com', '::1', '2001:db8::1:0', '10.1.2.3']
  node('n1', hosts)
  const of = (name: string) => {
    const { subjectAltName, keyUsage, validFromDate, validToDate } = certificate(name)
    return { subjectAltName, keyUsage, days: Math.round((+validToDate - +validFromDate) / 86_400_000) }
  }
  const before = [of('n1')]
  expect(before).toMatchObject([{ days: 30, subjectAltName: expect.stringContaining('IP Address:10.1.2.3') }])
  const keys = new Set([text('n1.key')])
  for (let n = 0; n < 3; n++) {
    renewCertificate(dir, 'n1')
    expect([of('n1')]).toEqual(before)
    keys.add(text('n1.key'))
  }
  expect(keys.size).toBe(4)
  renewCertificate(dir, 'n1', { days: 7 })
  expect(of('n1').days).toBe(7)
  renewCertificate(dir, 'n1')
  expect(of('n1').days).toBe(7)
  expect(() => renewCertificate(dir, 'ca')).toThrow('no certificate of a node or user')
})

test('in each step of the replacement of a CA, each CA has its list', () => {
  const [gone, before] = [user('gone'), user('before')]
  node('n1')
  revokeCertificates(dir, 'gone')
  expect(rotate().step).toBe(1)
  // The old CA still signs.
  const between = user('between')
  for (const name of ['before', 'between']) revokeCertificates(dir, name)
  expect(revoked()).toEqual({ [OLD]: [gone, before, between].sort() })
  const kept = user('kept')
  expect(rotate()).toEqual({ step: 2, renewed: ['kept', 'n1'] })
  expect(revoked()).toEqual({ [OLD]: [gone, before, between].sort(), [NEW]: [] })
  // Both certificates of a user are valid now, each of its own CA.
  const renewed = certificate('kept').serialNumber
  expect(makeClientCertificate(dir, { user: 'kept', days: 30 }).keptUntil).toEqual(
    certificate('kept').validToDate,
  )
  expect(revokeCertificates(dir, 'kept')).toBe(2)
  const late = user('late')
  revokeCertificates(dir, 'late')
  expect(revoked()).toEqual({
    [OLD]: [gone, before, between, kept].sort(),
    [NEW]: [renewed, late].sort(),
  })
  expect(rotate().step).toBe(3)
  expect(revoked()).toEqual({ [NEW]: [renewed, late].sort() })
  expect([nextRotation(dir), authorities().map(({ subject }) => subject)]).toEqual([1, [NEW]])
  expect(certificate('n1').issuer).toBe(NEW)
})

/** The files as they are, so that a step can be interrupted behind some of its writes. */
function saved(): (...files: readonly string[]) => void {
  const copy = mkdtempSync(join(parent, 'before-'))
  cpSync(dir, copy, { recursive: true })
  return (...files) => {
    for (const file of files) copyFileSync(join(copy, file), at(file))
  }
}

test('a step that was interrupted is done again', () => {
  const gone = user('gone')
  node('n1')
  revokeCertificates(dir, 'gone')

  // Behind the certificates of the CAs.
  rotate()
  rmSync(at('.ca-next.key'))
  expect([nextRotation(dir), rotate().step]).toEqual([1, 1])
  expect(authorities()[0]?.subject).toBe(OLD)

  // Behind each key, and behind everything but the last removal.
  const restoreFirst = saved()
  copyFileSync(at('ca.key'), at('.ca-old.key'))
  expect(nextRotation(dir)).toBe(2)
  copyFileSync(at('.ca-next.key'), at('ca.key'))
  expect(rotate()).toEqual({ step: 2, renewed: ['n1'] })
  restoreFirst('.ca-next.key')
  expect(rotate()).toEqual({ step: 2, renewed: ['n1'] })
  expect(revoked()).toEqual({ [OLD]: [gone], [NEW]: [] })

  // Behind the certificate of the CA, and behind the list.
  const restoreSecond = saved()
  rotate()
  restoreSecond('.ca-old.key', 'ca.crl')
  expect(nextRotation(dir)).toBe(3)
  revokeCertificates(dir, 'n1')
  const list = revoked()
  // One for each time that the second step was done.
  expect(list).toEqual({ [NEW]: [expect.any(String), expect.any(String)] })
  expect(rotate().step).toBe(3)
  expect([revoked(), existsSync(at('.ca-old.key')), nextRotation(dir)]).toEqual([list, false, 1])
})

test('a pair that is there is kept, and one of no use is named with the command that replaces it', () => {
  const hosts = ['n1.example.org', '2001:DB8::1:0', '10.1.2.3']
  const serials = [user('alice'), node('n1', hosts)]
  const keys = [text('alice.key'), text('n1.key')]
  const [alice, n1] = [
    makeClientCertificate(dir, { user: 'alice', days: 7 }),
    makeNodeCertificate(dir, {
      name: 'n1',
      hosts: ['10.1.2.3', 'N1.example.org', '2001:db8:0::1:0'],
      days: 7,
    }),
  ]
  expect([alice.keptUntil, n1.keptUntil]).toEqual([
    certificate('alice').validToDate,
    certificate('n1').validToDate,
  ])
  expect([certificate('alice').serialNumber, certificate('n1').serialNumber]).toEqual(serials)
  expect([text('alice.key'), text('n1.key')]).toEqual(keys)
  expect(makeAuthority(dir, { name: 'another', days: 1 }).keptUntil).toEqual(authorities()[0]?.validToDate)

  const again =
    (name = 'alice') =>
    () =>
      makeClientCertificate(dir, { user: name, days: 30 })
  const fault = (message: string, command: string) =>
    expect.objectContaining({ message: expect.stringContaining(message), command })
  expect(() => node('n1', ['10.9.9.9'])).toThrow(
    fault('for other hosts: n1, n1.example.org', 'renew n1 --host 10.9.9.9'),
  )
  renewCertificate(dir, 'n1', { hosts: ['10.9.9.9'] })
  expect(certificate('n1').subjectAltName).toBe('DNS:n1, IP Address:10.9.9.9')
  expect(() => renewCertificate(dir, 'alice', { hosts: ['a'] })).toThrow('has no hosts')
  makeClientCertificate(dir, { user: 'ended', days: -1 })
  expect(again('ended')).toThrow(fault('ended at', 'renew ended'))
  copyFileSync(at('n1.key'), at('alice.key'))
  expect(again()).toThrow(fault('alice.crt does not fit', 'renew alice'))
  rmSync(at('alice.key'))
  expect(again()).toThrow(fault('alice.crt has no key', 'renew alice'))
  renewCertificate(dir, 'alice')
  expect(again()().keptUntil).toEqual(certificate('alice').validToDate)
  revokeCertificates(dir, 'alice')
  expect(again()).toThrow(fault('alice.crt is revoked', 'renew alice'))
  user('alice')
  for (const file of ['ca.crt', 'ca.key']) rmSync(at(file))
  makeAuthority(dir, { name: 'another CA', days: 100 })
  expect(again()).toThrow(fault('not signed by the CA', 'renew alice'))
})

test('a key without a certificate, which an interruption leaves, gets one and is never replaced', () => {
  const [alice, ca] = [user('alice'), text('ca.key')]
  const key = text('alice.key')
  rmSync(at('alice.crt'))
  expect([user('alice') === alice, text('alice.key') === key]).toEqual([false, true])
  expect(certificate('alice').checkPrivateKey(createPrivateKey(key))).toBe(true)
  rmSync(at('ca.crt'))
  expect(makeAuthority(dir, { name: 'old CA', days: 100 }).keptUntil).toBeUndefined()
  expect([text('ca.key') === ca, certificate('alice').verify(certificate('ca').publicKey)]).toEqual([
    true,
    true,
  ])
  rmSync(at('ca.key'))
  expect(() => makeAuthority(dir, { name: 'old CA', days: 100 })).toThrow('without its key')
  writeFileSync(at('bob.key'), 'no key')
  writeFileSync(at('ca.key'), ca, { mode: 0o600 })
  expect(() => user('bob')).toThrow(/for .*bob\.key: .*move it elsewhere first/)
  expect(text('bob.key')).toBe('no key')
})

test('half of a pair of files is refused by its name', () => {
  user('alice')
  const other = join(parent, 'other')
  makeAuthority(other, { name: 'another CA', days: 100 })
  const own = saved()
  copyFileSync(join(other, 'ca.key'), at('ca.key'))
  for (const call of [
    () => user('bob'),
    () => renewCertificate(dir, 'alice'),
    () => revokeCertificates(dir, 'alice'),
    rotate,
  ])
    expect(call).toThrow(/ca\.crt and .*ca\.key do not belong together/)
  rmSync(at('ca.key'))
  expect(rotate).toThrow('has no CA')
  // Nothing was begun.
  own('ca.key')
  expect([nextRotation(dir), authorities().length, existsSync(revocationsPath(dir))]).toEqual([1, 1, false])
})
