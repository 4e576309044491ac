// Certificates for tests, made once for each file, and their files in a directory of the test.

import { createPrivateKey, sign } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  CertificateList,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_subjectKeyIdentifier,
  RevokedCertificate,
  SubjectKeyIdentifier,
  TBSCertList,
  Time,
  Version,
} from '@peculiar/asn1-x509'
import { issueAuthority, issueClient, issueNode } from '../../../src/certificates/issue.ts'
import { fromPem, type PemPair, toPem } from '../../../src/certificates/pem.ts'

export const DAY_MS = 86_400_000

export interface TestAuthority extends PemPair {
  node(name: string, hosts?: readonly string[], days?: number): PemPair
  client(user: string, days?: number): PemPair
  /** A list of revoked certificates. */
  revoke(...certificates: readonly PemPair[]): string
  /** A list with other fields than those of `revoke`. */
  list(certificates: readonly PemPair[], change: (list: TBSCertList) => unknown): string
  /** A CA below this one, whose certificates have its own behind them. */
  intermediate(name: string): TestAuthority
  /** The certificate with other fields, signed by this CA. */
  reissue(pair: PemPair, change: (fields: Fields) => void): PemPair
}

export type Fields = Certificate['tbsCertificate']

export function authority(name = 'test CA', ca = issueAuthority(name, { days: 3_650 })): TestAuthority {
  // One that has ended began in time.
  const lifetime = (days: number) =>
    days > 0 ? { days } : { days: 1, now: new Date(Date.now() + (days - 1) * DAY_MS) }
  return {
    ...ca,
    node: (node, hosts = ['127.0.0.1', 'localhost'], days = 90) => issueNode(ca, node, hosts, lifetime(days)),
    client: (user, days = 90) => issueClient(ca, user, lifetime(days)),
    revoke: (...certificates) => revocationList(ca, certificates),
    list: (certificates, change) => revocationList(ca, certificates, change),
    reissue: (pair, change) => reissue(ca, pair, change),
    intermediate(below) {
      const self = issueAuthority(below, { days: 3_650 })
      const signed = reissue(ca, self, () => {})
      const made = authority(below, signed)
      const chained = (pair: PemPair): PemPair => ({ ...pair, cert: pair.cert + signed.cert })
      return {
        ...made,
        node: (...args) => chained(made.node(...args)),
        client: (...args) => chained(made.client(...args)),
      }
    },
  }
}

/** Test CAs may sign other CAs, in difference to those of `quorate cert ca`. */
export function rootAuthority(name: string): TestAuthority {
  const self = issueAuthority(name, { days: 3_650 })
  const unlimited = reissue(self, self, ({ extensions = [] }) => {
    const constraints = extensions.find(({ extnID }) => extnID === id_ce_basicConstraints)
    if (constraints !== undefined)
      constraints.extnValue = new OctetString(AsnConvert.serialize(new BasicConstraints({ cA: true })))
  })
  return authority(name, unlimited)
}

function reissue(ca: PemPair, { cert, key }: PemPair, change: (fields: Fields) => void): PemPair {
  const certificate = AsnConvert.parse(fromPem('CERTIFICATE', cert)[0] ?? Buffer.alloc(0), Certificate)
  const fields = certificate.tbsCertificate
  const signer = parsed(ca)
  fields.issuer = signer.subject
  const idOf = ({ extensions = [] }: Fields, id: string) => extensions.find(({ extnID }) => extnID === id)
  const signerKey = idOf(signer, id_ce_subjectKeyIdentifier)
  const authorityKey = idOf(fields, id_ce_authorityKeyIdentifier)
  if (signerKey !== undefined && authorityKey !== undefined)
    authorityKey.extnValue = new OctetString(
      AsnConvert.serialize(
        new AuthorityKeyIdentifier({
          keyIdentifier: AsnConvert.parse(signerKey.extnValue.buffer, SubjectKeyIdentifier),
        }),
      ),
    )
  change(fields)
  const bytes = Buffer.from(AsnConvert.serialize(fields))
  const signed = new Certificate({
    tbsCertificate: fields,
    signatureAlgorithm: certificate.signatureAlgorithm,
    signatureValue: new Uint8Array(sign('sha256', bytes, createPrivateKey(ca.key))).buffer,
  })
  return { cert: toPem('CERTIFICATE', new Uint8Array(AsnConvert.serialize(signed))), key }
}

function revocationList(
  ca: PemPair,
  certificates: readonly PemPair[],
  change: (list: TBSCertList) => unknown = () => {},
): string {
  const signature = new AlgorithmIdentifier({ algorithm: '1.2.840.10045.4.3.2' })
  const now = Math.floor(Date.now() / 1_000) * 1_000
  const revocationDate = new Time(new Date(now))
  const tbsCertList = new TBSCertList({
    version: Version.v2,
    signature,
    issuer: parsed(ca).subject,
    thisUpdate: new Time(new Date(now - 1_000)),
    nextUpdate: new Time(new Date(now + DAY_MS)),
    ...(certificates.length > 0 && {
      revokedCertificates: certificates.map(
        (each) => new RevokedCertificate({ userCertificate: parsed(each).serialNumber, revocationDate }),
      ),
    }),
  })
  change(tbsCertList)
  const signed = sign('sha256', Buffer.from(AsnConvert.serialize(tbsCertList)), createPrivateKey(ca.key))
  const list = new CertificateList({
    tbsCertList,
    signatureAlgorithm: signature,
    signature: new Uint8Array(signed).buffer,
  })
  return toPem('X509 CRL', new Uint8Array(AsnConvert.serialize(list)))
}

const parsed = ({ cert }: PemPair) =>
  AsnConvert.parse(fromPem('CERTIFICATE', cert)[0] ?? Buffer.alloc(0), Certificate).tbsCertificate

export class CertificateDirectory {
  readonly path = mkdtempSync(join(tmpdir(), 'quorate-tls-'))

  file(name: string): string {
    return join(this.path, name)
  }

  write(name: string, content: string, mode = 0o600): string {
    const path = this.file(name)
    writeFileSync(path, content, { mode })
    chmodSync(path, mode)
    return path
  }

  /** NAME.crt and NAME.key. */
  pair(name: string, { cert, key }: PemPair): { cert: string; key: string } {
    return { cert: this.write(`${name}.crt`, cert), key: this.write(`${name}.key`, key) }
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
