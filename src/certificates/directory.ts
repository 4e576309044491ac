// A directory with a CA and the certificates that it has signed. Whoever can read the key of the CA can make
// certificates of any node and user, so the directory is for its owner alone.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { isIPv6, SocketAddress } from 'node:net'
import { makeDirectories, writeFileAtomically } from '../files/durable.ts'
import { issueAuthority, issueClient, issueNode, issueRevocationList } from './issue.ts'
import {
  type CertificateRecord,
  listCertificateNames,
  readCertificates,
  readIssued,
  writeIssued,
} from './issued.ts'
import { AUTHORITY, type PairPaths, pairPaths, pkcs12Path } from './paths.ts'
import { encodeDer, type PemPair, parseAuthority, toPem } from './pem.ts'
import { encodePkcs12 } from './pkcs12.ts'
import { decodeHosts, subjectUser } from './subject.ts'

const DAY_MS = 86_400_000

/** Why a certificate cannot be made, and what to do. */
class CertificateError extends Error {
  override readonly name = 'CertificateError'

  /** Arguments of the command that solves it; may be empty. */
  readonly command: string

  constructor(message: string, command = '') {
    super(message)
    this.command = command
  }
}

/** A certificate and its key, which are in the directory now. */
export interface DirectoryPair {
  readonly paths: PairPaths
  /** When it ends, if it was there before, is valid, and is what was to be made. undefined: it is new. */
  readonly keptUntil: Date | undefined
}

/** Makes the CA of a directory. Never replaces one: that would end all certificates that it has signed. */
export function makeAuthority(
  dir: string,
  { name, days }: { readonly name: string; readonly days: number },
): DirectoryPair {
  const paths = pairPaths(dir, AUTHORITY)
  if (existsSync(paths.cert)) {
    if (existsSync(paths.key)) return { paths, keptUntil: signerOf(readAuthority(dir), paths).validToDate }
    throw new CertificateError(
      `${paths.cert} exists already, without its key; a new CA would end all certificates of the old one, so choose another directory`,
    )
  }
  makeDirectories(dir, 0o700)
  const pair = withKey(paths, (key) => issueAuthority(name, { days, key }))
  return { paths: write(paths, pair), keptUntil: undefined }
}

interface NodeRequest {
  readonly name: string
  /** Names and addresses under which clients and peers reach it. */
  readonly hosts: readonly string[]
  readonly days: number
}

/** Makes the certificate of a node. One that is there is kept: a new key would not fit the copies of it. */
export function makeNodeCertificate(dir: string, request: NodeRequest): DirectoryPair {
  const { name, hosts } = request
  const certificate = findPair(dir, name, 'node')
  if (certificate === undefined) return { paths: issueNodePair(dir, request), keptUntil: undefined }
  const names = decodeHosts(certificate.raw)
  if (!sameHosts(names, [name, ...hosts]))
    throw new CertificateError(
      `${pairPaths(dir, name).cert} exists already, for other hosts: ${names.join(', ')}; to replace it and its key`,
      `renew ${name} --host ${hosts.join(',')}`,
    )
  return { paths: pairPaths(dir, name), keptUntil: certificate.validToDate }
}

/** Makes the certificate of a user. One that is there is kept: a new key would not fit the copies of it. */
export function makeClientCertificate(dir: string, request: UserRequest): DirectoryPair {
  const certificate = findPair(dir, request.user, 'user')
  return certificate === undefined
    ? { paths: issueClientPair(dir, request), keptUntil: undefined }
    : { paths: pairPaths(dir, request.user), keptUntil: certificate.validToDate }
}

interface UserRequest {
  readonly user: string
  readonly days: number
}

function issueNodePair(dir: string, { name, hosts, days }: NodeRequest): PairPaths {
  const paths = pairPaths(dir, name)
  const authority = readAuthority(dir)
  return issue(
    dir,
    paths,
    withKey(paths, (key) => issueNode(authority, name, hosts, { days, key })),
  )
}

function issueClientPair(dir: string, { user, days }: UserRequest): PairPaths {
  const paths = pairPaths(dir, user)
  const authority = readAuthority(dir)
  return issue(
    dir,
    paths,
    withKey(paths, (key) => issueClient(authority, user, { days, key })),
  )
}

/** A key without a certificate is never replaced: it is what an interruption left, or the owner's. */
function withKey({ cert, key }: PairPaths, make: (key: string | undefined) => PemPair): PemPair {
  if (existsSync(cert) || !existsSync(key)) return make(undefined)
  try {
    return make(readFileSync(key, 'utf8'))
  } catch (error) {
    throw new CertificateError(
      `no certificate can be made for ${key}: ${error instanceof Error ? error.message : String(error)}; move it elsewhere first`,
    )
  }
}

/** The certificate that is there. Throws `CertificateError` if it is of another kind, or of no use any more. */
function findPair(dir: string, name: string, kind: 'node' | 'user'): X509Certificate | undefined {
  readAuthority(dir)
  const paths = pairPaths(dir, name)
  refuseOther(paths, kind)
  const [certificate] = readCertificates(dir, name)
  if (certificate === undefined) return undefined
  const fault = pairFault(dir, certificate, paths)
  if (fault !== undefined)
    throw new CertificateError(`${paths.cert} ${fault}; to replace it and its key`, `renew ${name}`)
  return certificate
}

function pairFault(dir: string, certificate: X509Certificate, { key }: PairPaths): string | undefined {
  if (!existsSync(key)) return `has no key in ${key}`
  if (!isKeyOf(key, certificate)) return `does not fit ${key}`
  const { serialNumber, validToDate } = certificate
  if (validToDate.getTime() < Date.now()) return `ended at ${validToDate.toISOString()}`
  const isMeant = ({ serial, revoked_at }: CertificateRecord): boolean =>
    serial === serialNumber && revoked_at !== undefined
  if (readIssued(dir).some(isMeant)) return 'is revoked'
  const isSigned = readCertificates(dir, AUTHORITY).some(({ publicKey }) => certificate.verify(publicKey))
  return isSigned ? undefined : 'is not signed by the CA of the directory'
}

function isKeyOf(path: string, certificate: X509Certificate): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(readFileSync(path)))
  } catch {
    return false
  }
}

/** Certificates have addresses in another notation than flags. */
function sameHosts(some: readonly string[], others: readonly string[]): boolean {
  const canonical = (host: string): string =>
    isIPv6(host) ? new SocketAddress({ address: host, family: 'ipv6' }).address : host.toLowerCase()
  const sorted = (hosts: readonly string[]): string => [...new Set(hosts.map(canonical))].sort().join()
  return sorted(some) === sorted(others)
}

/** Makes the certificate of a user, and writes it with its key into a file that browsers import. */
export function makeForBrowsers(
  dir: string,
  user: string,
  password: string,
  make: () => DirectoryPair,
): DirectoryPair & { readonly p12: string } {
  refuseOther(pairPaths(dir, user), 'user')
  const made = make()
  const p12 = pkcs12Path(dir, user)
  const pair = { cert: readFileSync(made.paths.cert, 'utf8'), key: readFileSync(made.paths.key, 'utf8') }
  writeFileAtomically(p12, encodePkcs12(pair, `${user} (quorate)`, password), 0o600)
  return { ...made, p12 }
}

/** Makes a certificate with a new key in place of one, with its name. `days` and `hosts`: default as before. */
export function renewCertificate(
  dir: string,
  name: string,
  {
    days,
    hosts,
  }: { readonly days?: number | undefined; readonly hosts?: readonly string[] | undefined } = {},
): DirectoryPair {
  const { cert } = pairPaths(dir, name)
  const [certificate] = readCertificates(dir, name)
  if (certificate === undefined || name === AUTHORITY)
    throw new CertificateError(`${cert} is no certificate of a node or user that can be renewed`)
  const { validFromDate, validToDate, raw, keyUsage } = certificate
  const daysBefore = Math.max(1, Math.round((validToDate.getTime() - validFromDate.getTime()) / DAY_MS))
  const lifetime = days ?? daysBefore
  if ((keyUsage?.length ?? 0) > 1)
    return renewed(issueNodePair(dir, { name, hosts: hosts ?? decodeHosts(raw), days: lifetime }))
  const found = subjectUser(raw)
  if ('fault' in found || found.user !== name)
    throw new CertificateError(`${cert} is not the certificate of the user ${name}`)
  if (hosts !== undefined)
    throw new CertificateError(`${cert} is the certificate of a user, which has no hosts`)
  return renewed(issueClientPair(dir, { user: name, days: lifetime }))
}

const renewed = (paths: PairPaths): DirectoryPair => ({ paths, keptUntil: undefined })

/** Path of the revocation lists of a directory. */
export const revocationsPath = (dir: string): string => pairPaths(dir, AUTHORITY).cert.replace(/crt$/, 'crl')

/** Revokes all certificates with this name that have not ended, and writes the list. Returns the number of new ones. */
export function revokeCertificates(dir: string, name: string): number {
  const authority = readAuthority(dir)
  const now = new Date()
  const issued = readIssued(dir)
  const meant = issued.filter((each) => each.name === name && Date.parse(each.valid_to) > now.getTime())
  if (meant.length === 0)
    throw new CertificateError(`the CA in ${dir} has signed no valid certificate with the name ${name}`)
  const fresh = meant.filter(({ revoked_at }) => revoked_at === undefined)
  // The index first: a list that could not be written is complete the next time.
  const after = issued.map((each) =>
    fresh.includes(each) ? { ...each, revoked_at: now.toISOString() } : each,
  )
  writeIssued(dir, after)
  writeRevocations(dir, authority, after)
  return fresh.length
}

/** One list for each CA that is trusted and whose key is in the directory. */
function writeRevocations(dir: string, authority: PemPair, issued: readonly CertificateRecord[]): void {
  const { key } = pairPaths(dir, OLD_AUTHORITY)
  // The last step of a replacement removes the certificate of the old CA before its key.
  const hasOld = existsSync(key) && readCertificates(dir, AUTHORITY).length > 1
  const pairs = hasOld ? [authority, { cert: authority.cert, key: readFileSync(key, 'utf8') }] : [authority]
  const lists = pairs.map((pair) => {
    const fingerprint = new X509Certificate(Buffer.from(encodeDer(parseAuthority(pair).certificate)))
      .fingerprint256
    const revoked = issued.flatMap(({ ca, serial, revoked_at }) =>
      ca === fingerprint && revoked_at !== undefined ? [{ serial, revokedAt: new Date(revoked_at) }] : [],
    )
    return issueRevocationList(pair, revoked)
  })
  writeFileAtomically(revocationsPath(dir), lists.join(''), 0o644)
}

/** Result of one step of the replacement of a CA. Its files go to all nodes and clients before the next step. */
type Rotation =
  | { readonly step: 1; readonly trust: string }
  | { readonly step: 2; readonly renewed: readonly string[] }
  | { readonly step: 3; readonly trust: string }

/** Keys of CAs that are being replaced. No user has a name that begins with a dot. */
const OLD_AUTHORITY = `.${AUTHORITY}-old`
const NEXT_AUTHORITY = `.${AUTHORITY}-next`

/** The step whose turn it is. */
export function nextRotation(dir: string): Rotation['step'] {
  if (existsSync(pairPaths(dir, NEXT_AUTHORITY).key)) return 2
  return existsSync(pairPaths(dir, OLD_AUTHORITY).key) ? 3 : 1
}

/**
 * Does the next step to replace the CA: trust a new one beside it; sign all certificates with the new one; trust the
 * new one alone. A step that was interrupted is done again.
 */
export function rotateAuthority(
  dir: string,
  lifetime: { readonly name: string; readonly days: number },
): Rotation {
  const own = pairPaths(dir, AUTHORITY)
  const [old, next] = [pairPaths(dir, OLD_AUTHORITY), pairPaths(dir, NEXT_AUTHORITY)]
  const authority = readAuthority(dir)
  switch (nextRotation(dir)) {
    case 1: {
      const made = issueAuthority(lifetime.name, lifetime)
      const current = toPem('CERTIFICATE', encodeDer(parseAuthority(authority).certificate))
      writeFileAtomically(own.cert, current + made.cert, 0o644)
      writeFileAtomically(next.key, made.key, 0o600)
      return { step: 1, trust: own.cert }
    }
    case 2: {
      const nextKey = readFileSync(next.key, 'utf8')
      if (authority.key !== nextKey) {
        writeFileAtomically(old.key, authority.key, 0o600)
        writeFileAtomically(own.key, nextKey, 0o600)
      }
      const issued = readIssued(dir)
      const isRevoked = (name: string): boolean => {
        const serial = readCertificates(dir, name)[0]?.serialNumber
        return issued.some((each) => each.serial === serial && each.revoked_at !== undefined)
      }
      const renewed = listCertificateNames(dir).filter((name) => !isRevoked(name))
      for (const name of renewed) renewCertificate(dir, name)
      if (existsSync(revocationsPath(dir))) writeRevocations(dir, readAuthority(dir), readIssued(dir))
      rmSync(next.key)
      return { step: 2, renewed }
    }
    case 3: {
      const der = encodeDer(parseAuthority(authority).certificate)
      const { fingerprint256 } = new X509Certificate(Buffer.from(der))
      writeIssued(
        dir,
        readIssued(dir).filter(({ ca }) => ca === fingerprint256),
      )
      writeFileAtomically(own.cert, toPem('CERTIFICATE', der), 0o644)
      // Nodes refuse a list of a CA that they do not trust.
      if (existsSync(revocationsPath(dir))) writeRevocations(dir, readAuthority(dir), readIssued(dir))
      rmSync(old.key)
      return { step: 3, trust: own.cert }
    }
  }
}

/** A user and a node of one name would share their files. */
function refuseOther({ cert }: PairPaths, kind: 'node' | 'user'): void {
  if (!existsSync(cert)) return
  const { ca, keyUsage } = new X509Certificate(readFileSync(cert))
  const purposes = keyUsage?.length ?? 0
  if (!ca && (kind === 'node' ? purposes > 1 : purposes === 1)) return
  throw new CertificateError(`${cert} exists already, and is not the certificate of a ${kind}`)
}

function readAuthority(dir: string): PemPair {
  const paths = pairPaths(dir, AUTHORITY)
  const { cert, key } = paths
  if (!existsSync(cert) || !existsSync(key))
    throw new CertificateError(
      `${dir} has no CA (${AUTHORITY}.crt and ${AUTHORITY}.key); make one first`,
      'ca',
    )
  const { mode } = statSync(key)
  if (process.platform !== 'win32' && (mode & 0o077) !== 0)
    throw new CertificateError(
      `${key} is a private key that other users can open (mode ${(mode & 0o777).toString(8)}); make it private: chmod 600 ${key}`,
    )
  const pair = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  const { validToDate } = signerOf(pair, paths)
  if (validToDate.getTime() < Date.now())
    throw new CertificateError(`the CA in ${cert} ended at ${validToDate.toISOString()}; make a new one`)
  return pair
}

function signerOf(pair: PemPair, { cert, key }: PairPaths): X509Certificate {
  try {
    return new X509Certificate(Buffer.from(encodeDer(parseAuthority(pair).certificate)))
  } catch (error) {
    throw new CertificateError(
      `${cert} and ${key} do not belong together: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

/** The index after the files: it takes a certificate that it does not have from its file. */
function issue(dir: string, paths: PairPaths, pair: PemPair): PairPaths {
  // The certificate that is replaced stays valid.
  const before = readIssued(dir)
  writeIssued(dir, before)
  write(paths, pair)
  writeIssued(dir, readIssued(dir))
  return paths
}

/** The key first: nodes read both again when they fit. */
function write(paths: PairPaths, { cert, key }: PemPair): PairPaths {
  writeFileAtomically(paths.key, key, 0o600)
  writeFileAtomically(paths.cert, cert, 0o644)
  return paths
}
