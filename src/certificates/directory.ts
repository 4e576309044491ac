// A directory with a CA and the certificates that it has signed. Whoever can read the key of the CA can make
// certificates of any node and user, so the directory is for its owner alone.

import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { makeDirectories, writeFileAtomically } from '../files/durable.ts'
import { issueAuthority, issueClient, issueNode } from './issue.ts'
import { AUTHORITY, type PairPaths, pairPaths } from './paths.ts'
import type { PemPair } from './pem.ts'

/** Why a certificate cannot be made, and what to do. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError'
}

/** Makes the CA of a directory. Never replaces one: that would end all certificates that it has signed. */
export function makeAuthority(
  dir: string,
  { name, days }: { readonly name: string; readonly days: number },
): PairPaths {
  const paths = pairPaths(dir, AUTHORITY)
  const existing = [paths.key, paths.cert].find((path) => existsSync(path))
  if (existing !== undefined)
    throw new CertificateError(
      `${existing} exists already; a new CA would end all certificates of the old one, so choose another directory`,
    )
  makeDirectories(dir, 0o700)
  return write(paths, issueAuthority(name, { days }))
}

export interface NodeRequest {
  readonly name: string
  /** Names and addresses under which clients and peers reach it. */
  readonly hosts: readonly string[]
  readonly days: number
}

/** Makes the certificate of a node, or a new one in its place. */
export function makeNodeCertificate(dir: string, { name, hosts, days }: NodeRequest): PairPaths {
  const paths = pairPaths(dir, name)
  refuseOther(paths, 'a node', (purposes) => purposes > 1)
  return write(paths, issueNode(authorityIn(dir), name, hosts, { days }))
}

/** Makes the certificate of a user, or a new one in its place. */
export function makeClientCertificate(
  dir: string,
  { user, days }: { readonly user: string; readonly days: number },
): PairPaths {
  const paths = pairPaths(dir, user)
  refuseOther(paths, 'a user', (purposes) => purposes === 1)
  return write(paths, issueClient(authorityIn(dir), user, { days }))
}

/** A user and a node of one name would share their files. */
function refuseOther({ cert }: PairPaths, what: string, isSame: (purposes: number) => boolean): void {
  if (!existsSync(cert)) return
  const { ca, keyUsage } = new X509Certificate(readFileSync(cert))
  if (!ca && isSame(keyUsage?.length ?? 0)) return
  throw new CertificateError(`${cert} exists already, and is not the certificate of ${what}`)
}

function authorityIn(dir: string): PemPair {
  const { cert, key } = pairPaths(dir, AUTHORITY)
  if (!existsSync(cert) || !existsSync(key))
    throw new CertificateError(`${dir} has no CA (${AUTHORITY}.crt and ${AUTHORITY}.key); make one first`)
  const { mode } = statSync(key)
  if (process.platform !== 'win32' && (mode & 0o077) !== 0)
    throw new CertificateError(
      `${key} is a private key that other users can open (mode ${(mode & 0o777).toString(8)}); make it private: chmod 600 ${key}`,
    )
  const pair = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  const { validToDate } = new X509Certificate(pair.cert)
  if (validToDate.getTime() < Date.now())
    throw new CertificateError(`the CA in ${cert} ended at ${validToDate.toISOString()}; make a new one`)
  return pair
}

/** The key first: nodes read both again when they fit. */
function write(paths: PairPaths, { cert, key }: PemPair): PairPaths {
  writeFileAtomically(paths.key, key, 0o600)
  writeFileAtomically(paths.cert, cert, 0o644)
  return paths
}
