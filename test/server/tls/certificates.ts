// Certificates for tests, made once for each file, and their files in a directory of the test.

import { createPrivateKey, sign } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AsnConvert } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  Certificate,
  CertificateList,
  RevokedCertificate,
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
}

export function authority(name = 'test CA'): TestAuthority {
  const ca = issueAuthority(name, { days: 3_650 })
  // One that has ended began in time.
  const lifetime = (days: number) =>
    days > 0 ? { days } : { days: 1, now: new Date(Date.now() + (days - 1) * DAY_MS) }
  return {
    ...ca,
    node: (node, hosts = ['127.0.0.1', 'localhost'], days = 90) => issueNode(ca, node, hosts, lifetime(days)),
    client: (user, days = 90) => issueClient(ca, user, lifetime(days)),
    revoke: (...certificates) => revocationList(ca, certificates),
  }
}

function revocationList(ca: PemPair, certificates: readonly PemPair[]): string {
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
