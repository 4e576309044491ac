// The index of a directory with a CA: the certificates that the CA has signed, and which of them are revoked. A file of
// a certificate is replaced when it is renewed, but the old certificate stays valid until it ends.

import { X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomically } from '../files/durable.ts'
import { AUTHORITY } from './paths.ts'
import { fromPem } from './pem.ts'

const FILE = 'index.json'

/** One certificate. Times are in RFC 3339. */
export interface CertificateRecord {
  readonly name: string
  readonly serial: string
  /** Fingerprint (SHA-256) of the certificate of the CA that signed it. */
  readonly ca: string
  readonly valid_to: string
  readonly revoked_at?: string
}

/** The certificates of the directory. Those whose files are older than the index are added. */
export function readIssued(dir: string): readonly CertificateRecord[] {
  const path = join(dir, FILE)
  const issued: CertificateRecord[] = existsSync(path)
    ? JSON.parse(readFileSync(path, 'utf8')).certificates
    : []
  const known = new Set(issued.map(({ ca, serial }) => `${ca} ${serial}`))
  const authorities = readCertificates(dir, AUTHORITY)
  for (const name of listCertificateNames(dir)) {
    const [certificate] = readCertificates(dir, name)
    const entry = certificate && certificateRecord(name, certificate, authorities)
    if (entry !== undefined && !known.has(`${entry.ca} ${entry.serial}`)) issued.push(entry)
  }
  return issued
}

/** Certificates that have ended are left out. */
export function writeIssued(dir: string, issued: readonly CertificateRecord[]): void {
  const certificates = issued.filter(({ valid_to }) => Date.parse(valid_to) > Date.now())
  writeFileAtomically(join(dir, FILE), `${JSON.stringify({ certificates }, undefined, 2)}\n`, 0o600)
}

/** The names of the nodes and users that have a certificate in the directory. */
export const listCertificateNames = (dir: string): string[] =>
  readdirSync(dir)
    .filter((file) => file.endsWith('.crt') && file !== `${AUTHORITY}.crt`)
    .map((file) => file.slice(0, -'.crt'.length))

export function readCertificates(dir: string, name: string): X509Certificate[] {
  const path = join(dir, `${name}.crt`)
  if (!existsSync(path)) return []
  return fromPem('CERTIFICATE', readFileSync(path, 'latin1')).map((der) => new X509Certificate(der))
}

function certificateRecord(
  name: string,
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
): CertificateRecord | undefined {
  const ca = authorities.find((each) => certificate.checkIssued(each) && certificate.verify(each.publicKey))
  if (ca === undefined) return undefined
  const { serialNumber: serial, validToDate } = certificate
  return { name, serial, ca: ca.fingerprint256, valid_to: validToDate.toISOString() }
}
