// The PEM files of one listener: certificate, key, certificates of CAs, revocation lists. They are read together, and
// again when they have changed. Files that do not fit are refused at the start. Later the node continues with the ones
// that it has, and warns: a certificate and its key are rarely replaced in the same instant.

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { open } from 'node:fs/promises'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import type { HandshakeFault } from '../../certificates/handshake-faults.ts'
import { nameLine } from '../../certificates/name-line.ts'
import { type RevocationList, readRevocationLists } from '../../certificates/revocations.ts'
import { type SubjectUser, subjectUser } from '../../certificates/subject.ts'
import { asError } from '../../system/errors.ts'
import type { CertificateExpiry, Logger } from '../options.ts'
import { SECURE_OPTIONS } from './secure-options.ts'
import { type CheckedList, isIssuedBy, isSelfIssued, Trust } from './trust.ts'

/** Interval at which the files are read again. */
const REREAD_MS = 10_000
/** A certificate that ends within this time is logged once a day. */
const EXPIRY_WARNING_MS = 14 * 86_400_000
const DAY_MS = 86_400_000

export interface TlsPaths {
  /** The certificate, followed by those of intermediate CAs. */
  readonly cert: string
  readonly key: string
  /** The CAs that sign the certificates of the other side. */
  readonly ca?: string | undefined
  /** Certificates that these CAs have revoked. */
  readonly crl?: string | undefined
}

export interface TlsFilesOptions {
  readonly logger: Logger
  /** Why a certificate cannot be used here; undefined if it can. */
  readonly objection?: ((certificate: X509Certificate) => string | undefined) | undefined
  /** The certificate must be one that these CAs have signed: the other side has the same file. */
  readonly isOwnAuthority?: boolean
  /** Milliseconds since 1970. */
  readonly now?: () => number
  /** Calls back at an interval until the returned function is called. */
  readonly every?: (ms: number, run: () => void) => () => void
}

/** Why the files cannot be used: the file, the reason, and what to do. */
export class TlsFileError extends Error {
  override readonly name = 'TlsFileError'
}

/** The contents of the files at one time. */
interface Contents {
  readonly cert: Buffer
  readonly key: Buffer
  readonly ca: Buffer | undefined
  readonly crl: Buffer | undefined
}

/** The files at one time, checked. */
interface Material extends Contents {
  readonly leaf: X509Certificate
  readonly trust: Trust
}

export class TlsFiles {
  readonly paths: TlsPaths
  readonly #logger: Logger
  readonly #rules: Rules
  readonly #now: () => number
  readonly #stop: () => void
  readonly #listeners = new Set<() => void>()
  #material: Material
  #context: SecureContext | undefined
  /** The read in flight. */
  #rereading: Promise<void> | undefined
  /** The read that begins when it has ended. */
  #nextRead: Promise<void> | undefined
  #warned = ''
  #expiryWarnedAt = Number.NEGATIVE_INFINITY

  /** Rejects with `TlsFileError`. */
  static async open(paths: TlsPaths, options: TlsFilesOptions): Promise<TlsFiles> {
    const { now = Date.now, objection = noObjection, isOwnAuthority = false } = options
    const rules = { now, objection, isOwnAuthority }
    const material = checkMaterial(paths, await readContents(paths), rules)
    return new TlsFiles(paths, material, options, rules)
  }

  private constructor(
    paths: TlsPaths,
    material: Material,
    { logger, now = Date.now, every = everyUnreferenced }: TlsFilesOptions,
    rules: Rules,
  ) {
    this.#rules = rules
    this.paths = paths
    this.#material = material
    this.#logger = logger
    this.#now = now
    this.#stop = every(REREAD_MS, () => void this.reread())
    this.#warnOfExpiry()
  }

  /** Options of a TLS listener or of a connection that shows this certificate. */
  get secureOptions(): SecureContextOptions {
    const { cert, key, ca } = this.#material
    return {
      cert,
      key,
      minVersion: 'TLSv1.2',
      secureOptions: SECURE_OPTIONS,
      ...(ca === undefined ? {} : { ca: [ca] }),
    }
  }

  /** The context of connections that this node makes. */
  get secureContext(): SecureContext {
    this.#context ??= createSecureContext(this.secureOptions)
    return this.#context
  }

  get trust(): Trust {
    return this.#material.trust
  }

  /** Why a certificate that OpenSSL accepts is refused; undefined if it is not. */
  refusal(certificate: X509Certificate): HandshakeFault | undefined {
    return this.#material.trust.refusal(certificate, this.#now())
  }

  /** Why a certificate is refused, if a CA of these files has signed it; otherwise undefined. */
  refusalIfSigned(certificate: X509Certificate): HandshakeFault | undefined {
    return this.#material.trust.refusalIfSigned(certificate, this.#now())
  }

  /** The user that a certificate names. */
  decodeUser(certificate: X509Certificate): SubjectUser {
    return subjectUser(certificate.raw)
  }

  /** Whether a list says that the certificate, or a CA above it, is revoked. */
  isRevoked(certificate: X509Certificate): boolean {
    return this.refusal(certificate) === 'revoked'
  }

  /** Calls back each time after new files were accepted. The returned function ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Reads the files as they are now. Never rejects: what does not fit is logged, and the files before stay in use. A
   * read in flight may have read a list before a certificate was revoked, so another one follows it.
   */
  reread(): Promise<void> {
    if (this.#rereading !== undefined) {
      this.#nextRead ??= this.#rereading.then(() => {
        this.#nextRead = undefined
        return this.reread()
      })
      return this.#nextRead
    }
    this.#rereading = this.#reread().finally(() => {
      this.#rereading = undefined
      this.#warnOfExpiry()
    })
    return this.#rereading
  }

  async #reread(): Promise<void> {
    try {
      const contents = await readContents(this.paths)
      if (areEqual(contents, this.#material)) {
        this.#warned = ''
        return
      }
      this.#material = checkMaterial(this.paths, contents, this.#rules)
      this.#context = undefined
    } catch (error) {
      const { message } = asError(error)
      if (message !== this.#warned)
        this.#logger.warn({ file: this.paths.cert }, `the files read before stay in use for TLS: ${message}`)
      this.#warned = message
      return
    }
    this.#warned = ''
    this.#expiryWarnedAt = Number.NEGATIVE_INFINITY
    const { validTo, serialNumber } = this.#material.leaf
    this.#logger.info({ file: this.paths.cert, serialNumber, validTo }, 'the files for TLS were read again')
    for (const listener of this.#listeners) listener()
  }

  /** When the files end, for metrics. */
  expiries(): readonly CertificateExpiry[] {
    const { leaf, trust } = this.#material
    const { cert, ca, crl } = this.paths
    const listEnds = trust.lists.map(({ validTo }) => validTo)
    const ends = [
      { file: cert, ms: leaf.validToDate.getTime() },
      ...(ca === undefined
        ? []
        : [{ file: ca, ms: firstEnd(trust.authorities.map(({ validToDate }) => validToDate)) }]),
      ...(crl === undefined || listEnds.length === 0 ? [] : [{ file: crl, ms: firstEnd(listEnds) }]),
    ]
    return ends.map(({ file, ms }) => ({ file, seconds: Math.round((ms - this.#now()) / 1_000) }))
  }

  close(): void {
    this.#stop()
    this.#listeners.clear()
  }

  #warnOfExpiry(): void {
    const now = this.#now()
    if (now - this.#expiryWarnedAt < DAY_MS) return
    for (const { file, seconds } of this.expiries()) {
      if (seconds * 1_000 > EXPIRY_WARNING_MS) continue
      this.#expiryWarnedAt = now
      const when = seconds < 0 ? 'has ended' : `ends in ${Math.ceil(seconds / 86_400)} days`
      this.#logger.warn({ file }, `${file} ${when}; replace it: the node reads it again without a restart`)
    }
  }
}

const everyUnreferenced = (ms: number, run: () => void): (() => void) => {
  const timer = setInterval(run, ms).unref()
  return () => clearInterval(timer)
}

const firstEnd = (ends: readonly Date[]): number => Math.min(...ends.map((end) => end.getTime()))

async function readContents({ cert, key, ca, crl }: TlsPaths): Promise<Contents> {
  const [certBytes, keyBytes, caBytes, crlBytes] = await Promise.all([
    readContent(cert),
    readContent(key, true),
    ca === undefined ? undefined : readContent(ca),
    crl === undefined ? undefined : readContent(crl),
  ])
  return { cert: certBytes, key: keyBytes, ca: caBytes, crl: crlBytes }
}

async function readContent(path: string, isSecret = false): Promise<Buffer> {
  try {
    const file = await open(path)
    try {
      // The path may name another file by now: the mode is that of the open one.
      if (isSecret) checkMode(path, await file.stat())
      return await file.readFile()
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof TlsFileError) throw error
    throw new TlsFileError(`${path} cannot be read: ${errorMessage(error)}`)
  }
}

/**
 * A group may read a key of root: orchestrators mount secrets like that for processes of other users. Windows has no
 * such modes.
 */
function checkMode(path: string, { mode, uid }: { readonly mode: number; readonly uid: number }): void {
  const self = process.getuid?.()
  if (self === undefined) return
  const forbidden = uid === 0 && self !== 0 ? 0o037 : 0o077
  if ((mode & forbidden) === 0) return
  throw new TlsFileError(
    `${path} is a private key that other users can open (mode ${(mode & 0o777).toString(8)}); make it private: chmod 600 ${path}`,
  )
}

const areEqual = (a: Contents, b: Contents): boolean =>
  a.cert.equals(b.cert) && a.key.equals(b.key) && isSame(a.ca, b.ca) && isSame(a.crl, b.crl)

const isSame = (a: Buffer | undefined, b: Buffer | undefined): boolean =>
  a === undefined || b === undefined ? a === b : a.equals(b)

interface Rules {
  readonly now: () => number
  readonly objection: (certificate: X509Certificate) => string | undefined
  readonly isOwnAuthority: boolean
}

const noObjection: Rules['objection'] = () => undefined

function checkMaterial(paths: TlsPaths, contents: Contents, rules: Rules): Material {
  const { objection, isOwnAuthority } = rules
  const now = rules.now()
  const [leaf, ...intermediates] = decodeCertificates(paths.cert, contents.cert)
  const key = decodeKey(paths.key, contents.key)
  if (!leaf.checkPrivateKey(key))
    throw new TlsFileError(
      `${paths.cert} and ${paths.key} do not belong together: the key is that of another certificate`,
    )
  checkDates(paths.cert, leaf, now)
  const fault = objection(leaf)
  if (fault !== undefined) throw new TlsFileError(`${paths.cert} cannot be used: ${fault}`)
  const authorities =
    paths.ca === undefined || contents.ca === undefined ? [] : decodeAuthorities(paths.ca, contents.ca, now)
  if (isOwnAuthority && paths.ca !== undefined)
    checkSigner(paths.cert, [leaf, ...intermediates], paths.ca, authorities)
  const lists =
    paths.crl === undefined || contents.crl === undefined
      ? []
      : decodeRevocationLists(paths.crl, contents.crl, authorities, now)
  try {
    const { cert, ca } = contents
    createSecureContext({ cert, key: contents.key, ...(ca && { ca }) })
  } catch (error) {
    throw new TlsFileError(`${paths.cert} cannot be used: ${errorMessage(error)}`)
  }
  return { ...contents, leaf, trust: new Trust(authorities, lists) }
}

/** Follows the chain in the file up to a CA of the other file. */
function checkSigner(
  certFile: string,
  [leaf, ...intermediates]: readonly [X509Certificate, ...X509Certificate[]],
  caFile: string,
  authorities: readonly X509Certificate[],
): void {
  let last: X509Certificate = leaf
  for (let depth = 0; depth <= intermediates.length; depth++) {
    const link = last
    if (authorities.some((ca) => isIssuedBy(link, ca))) return
    const next = intermediates.find((each) => each !== link && each.ca && isIssuedBy(link, each))
    if (next === undefined) break
    last = next
  }
  throw new TlsFileError(
    `${certFile} and ${caFile} do not belong together: the certificate is signed by ${issuerText(last)}, which ${caFile} does not have; if that is an intermediate CA, append its certificate to ${certFile}`,
  )
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

function decodeCertificates(path: string, bytes: Buffer): [X509Certificate, ...X509Certificate[]] {
  const blocks = bytes.toString('latin1').match(CERTIFICATE) ?? []
  try {
    const [first, ...others] = blocks.map((block) => new X509Certificate(block))
    if (first !== undefined) return [first, ...others]
  } catch (error) {
    throw new TlsFileError(`${path} has a certificate that cannot be read: ${errorMessage(error)}`)
  }
  throw new TlsFileError(`${path} has no certificate in PEM (BEGIN CERTIFICATE)`)
}

function decodeKey(path: string, bytes: Buffer): KeyObject {
  try {
    return createPrivateKey(bytes)
  } catch (error) {
    const isEncrypted = error instanceof Error && 'code' in error && error.code === 'ERR_MISSING_PASSPHRASE'
    throw new TlsFileError(
      isEncrypted
        ? `${path} needs a passphrase; store the key without one, in a file that only its owner can read`
        : `${path} has no private key in PEM that can be read: ${errorMessage(error)}`,
    )
  }
}

function decodeAuthorities(path: string, bytes: Buffer, now: number): X509Certificate[] {
  const authorities = decodeCertificates(path, bytes)
  const other = authorities.find(({ ca }) => !ca)
  if (other !== undefined)
    throw new TlsFileError(`${path} has a certificate that is not of a CA: ${subjectText(other)}`)
  if (authorities.every(({ validToDate }) => validToDate.getTime() <= now))
    throw new TlsFileError(`${path} has no CA whose certificate is still valid`)
  // OpenSSL trusts an intermediate CA only through its root.
  const rootless = authorities.find(
    (ca) => !isSelfIssued(ca) && !authorities.some((each) => isIssuedBy(ca, each)),
  )
  if (rootless !== undefined)
    throw new TlsFileError(
      `${path} has the intermediate CA ${subjectText(rootless)} without the CA that signed it, ${issuerText(rootless)}; add that one too`,
    )
  return authorities
}

/** A CA without a list revokes nothing. */
function decodeRevocationLists(
  path: string,
  bytes: Buffer,
  authorities: readonly X509Certificate[],
  now: number,
): CheckedList[] {
  const cannot = (why: string): never => {
    throw new TlsFileError(`${path} cannot be used: ${why}`)
  }
  let lists: readonly RevocationList[]
  try {
    lists = readRevocationLists(bytes)
  } catch (error) {
    return cannot(errorMessage(error))
  }
  return lists.map((list) => {
    const { issuer, validFrom, validTo } = list
    const namesakes = authorities.filter(({ raw }) => list.names(raw))
    if (namesakes.length === 0) cannot(`it has a revocation list of ${issuer}, which is none of the CAs`)
    const signers = namesakes.filter((ca) => list.isSignedBy(ca.publicKey))
    if (signers.length === 0) cannot(`${issuer} has not signed its revocation list`)
    if (validTo.getTime() <= now)
      cannot(`the revocation list of ${issuer} ended at ${validTo.toISOString()}; replace it`)
    if (validFrom.getTime() > now)
      cannot(
        `the revocation list of ${issuer} begins at ${validFrom.toISOString()}; check the clock of this machine`,
      )
    return { ...list, authorities: signers }
  })
}

function checkDates(path: string, { validFromDate, validToDate }: X509Certificate, now: number): void {
  if (validToDate.getTime() <= now)
    throw new TlsFileError(`the certificate in ${path} ended at ${validToDate.toISOString()}; replace it`)
  if (validFromDate.getTime() > now)
    throw new TlsFileError(
      `the certificate in ${path} begins at ${validFromDate.toISOString()}; check the clock of this machine`,
    )
}

const subjectText = ({ subject }: X509Certificate): string => nameLine(subject)
const issuerText = ({ issuer }: X509Certificate): string => nameLine(issuer)

const errorMessage = (error: unknown): string => (error instanceof Error ? error.message : String(error))
