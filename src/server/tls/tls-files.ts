// The PEM files of one listener: certificate, key, certificates of CAs, revocation lists. They are read together, and
// again when they have changed. Files that do not fit are refused at the start. Later the node continues with the ones
// that it has, and warns: a certificate and its key are rarely replaced in the same instant.

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { open } from 'node:fs/promises'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import type { RevocationLists } from '../../certificates/revocations.ts'
import type { CertificateExpiry, Logger } from '../options.ts'
import { SECURE_OPTIONS } from './secure-options.ts'

/** Interval at which the files are read again. */
export const REREAD_MS = 10_000
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
  readonly authorities: readonly X509Certificate[]
  readonly lists: RevocationLists | undefined
}

export class TlsFiles {
  readonly paths: TlsPaths
  readonly #logger: Logger
  readonly #objection: Rules['objection']
  readonly #now: () => number
  readonly #stop: () => void
  readonly #listeners = new Set<() => void>()
  #material: Material
  #context: SecureContext | undefined
  #rereading: Promise<void> | undefined
  #warned = ''
  #expiryWarnedAt = Number.NEGATIVE_INFINITY

  /** Rejects with `TlsFileError`. */
  static async open(paths: TlsPaths, options: TlsFilesOptions): Promise<TlsFiles> {
    const { now = Date.now, objection = noObjection } = options
    const material = await checked(paths, await contentsOf(paths), { now: now(), objection })
    return new TlsFiles(paths, material, options)
  }

  private constructor(
    paths: TlsPaths,
    material: Material,
    { logger, objection = noObjection, now = Date.now, every = everyUnreferenced }: TlsFilesOptions,
  ) {
    this.#objection = objection
    this.paths = paths
    this.#material = material
    this.#logger = logger
    this.#now = now
    this.#stop = every(REREAD_MS, () => void this.reread())
    this.#warnOfExpiry()
  }

  /** Options of a TLS listener or of a connection that shows this certificate. */
  get secureOptions(): SecureContextOptions {
    const { cert, key, ca, crl } = this.#material
    return {
      ...{ cert, key, minVersion: 'TLSv1.2', secureOptions: SECURE_OPTIONS },
      ...(ca === undefined ? {} : { ca: [ca] }),
      ...(crl === undefined ? {} : { crl: [crl] }),
    }
  }

  /** The context of connections that this node makes. */
  get secureContext(): SecureContext {
    this.#context ??= createSecureContext(this.secureOptions)
    return this.#context
  }

  get authorities(): readonly X509Certificate[] {
    return this.#material.authorities
  }

  isRevoked(certificate: X509Certificate): boolean {
    return this.#material.lists?.revoke(certificate.raw) ?? false
  }

  /** Calls back each time after new files were accepted. The returned function ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Reads the files now. Never rejects: what does not fit is logged, and the files before stay in use. */
  reread(): Promise<void> {
    this.#rereading ??= this.#reread().finally(() => {
      this.#rereading = undefined
    })
    return this.#rereading
  }

  async #reread(): Promise<void> {
    this.#warnOfExpiry()
    try {
      const contents = await contentsOf(this.paths)
      if (areEqual(contents, this.#material)) {
        this.#warned = ''
        return
      }
      this.#material = await checked(this.paths, contents, { now: this.#now(), objection: this.#objection })
      this.#context = undefined
    } catch (error) {
      const { message } = error instanceof Error ? error : new Error(String(error))
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
    const { leaf, authorities, lists } = this.#material
    const { cert, ca, crl } = this.paths
    const ends = [
      { file: cert, ms: leaf.validToDate.getTime() },
      ...(ca === undefined ? [] : [{ file: ca, ms: firstEnd(authorities) }]),
      ...(crl === undefined || lists?.validTo === undefined
        ? []
        : [{ file: crl, ms: lists.validTo.getTime() }]),
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

const firstEnd = (certificates: readonly X509Certificate[]): number =>
  Math.min(...certificates.map(({ validToDate }) => validToDate.getTime()))

async function contentsOf({ cert, key, ca, crl }: TlsPaths): Promise<Contents> {
  const [certBytes, keyBytes, caBytes, crlBytes] = await Promise.all([
    contentOf(cert),
    contentOf(key, true),
    ca === undefined ? undefined : contentOf(ca),
    crl === undefined ? undefined : contentOf(crl),
  ])
  return { cert: certBytes, key: keyBytes, ca: caBytes, crl: crlBytes }
}

async function contentOf(path: string, isSecret = false): Promise<Buffer> {
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
    throw new TlsFileError(`${path} cannot be read: ${messageOf(error)}`)
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
  readonly now: number
  readonly objection: (certificate: X509Certificate) => string | undefined
}

const noObjection: Rules['objection'] = () => undefined

async function checked(paths: TlsPaths, contents: Contents, { now, objection }: Rules): Promise<Material> {
  const [leaf] = certificatesIn(paths.cert, contents.cert)
  const key = keyIn(paths.key, contents.key)
  if (!leaf.checkPrivateKey(key))
    throw new TlsFileError(`the key in ${paths.key} is not that of the certificate in ${paths.cert}`)
  checkDates(paths.cert, leaf, now)
  const fault = objection(leaf)
  if (fault !== undefined) throw new TlsFileError(`${paths.cert} cannot be used: ${fault}`)
  const authorities =
    paths.ca === undefined || contents.ca === undefined ? [] : authoritiesIn(paths.ca, contents.ca, now)
  const lists =
    paths.crl === undefined || contents.crl === undefined
      ? undefined
      : await listsIn(paths.crl, contents.crl, authorities)
  const material = { ...contents, leaf, authorities, lists }
  try {
    const { cert, ca, crl } = contents
    createSecureContext({ cert, key: contents.key, ...(ca && { ca }), ...(crl && { crl }) })
  } catch (error) {
    throw new TlsFileError(`${paths.cert} cannot be used: ${messageOf(error)}`)
  }
  return material
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

function certificatesIn(path: string, bytes: Buffer): [X509Certificate, ...X509Certificate[]] {
  const blocks = bytes.toString('latin1').match(CERTIFICATE) ?? []
  try {
    const [first, ...others] = blocks.map((block) => new X509Certificate(block))
    if (first !== undefined) return [first, ...others]
  } catch (error) {
    throw new TlsFileError(`${path} has a certificate that cannot be read: ${messageOf(error)}`)
  }
  throw new TlsFileError(`${path} has no certificate in PEM (BEGIN CERTIFICATE)`)
}

function keyIn(path: string, bytes: Buffer): KeyObject {
  try {
    return createPrivateKey(bytes)
  } catch (error) {
    const isEncrypted = error instanceof Error && 'code' in error && error.code === 'ERR_MISSING_PASSPHRASE'
    throw new TlsFileError(
      isEncrypted
        ? `${path} needs a passphrase; store the key without one, in a file that only its owner can read`
        : `${path} has no private key in PEM that can be read: ${messageOf(error)}`,
    )
  }
}

function authoritiesIn(path: string, bytes: Buffer, now: number): X509Certificate[] {
  const authorities = certificatesIn(path, bytes)
  const other = authorities.find(({ ca }) => !ca)
  if (other !== undefined)
    throw new TlsFileError(`${path} has a certificate that is not of a CA: ${nameIn(other)}`)
  if (authorities.every(({ validToDate }) => validToDate.getTime() <= now))
    throw new TlsFileError(`${path} has no CA whose certificate is still valid`)
  return authorities
}

/** Without a list of a CA, each of its certificates would be refused. */
async function listsIn(
  path: string,
  bytes: Buffer,
  authorities: readonly X509Certificate[],
): Promise<RevocationLists> {
  const { readRevocationLists } = await import('../../certificates/revocations.ts')
  let lists: RevocationLists
  try {
    lists = readRevocationLists(bytes.toString('latin1'))
  } catch (error) {
    throw new TlsFileError(`${path} cannot be used: ${messageOf(error)}`)
  }
  const uncovered = authorities.find(({ raw }) => !lists.coverAuthority(raw))
  if (uncovered !== undefined)
    throw new TlsFileError(`${path} has no revocation list of the CA ${nameIn(uncovered)}`)
  return lists
}

function checkDates(path: string, { validFromDate, validToDate }: X509Certificate, now: number): void {
  if (validToDate.getTime() <= now)
    throw new TlsFileError(`the certificate in ${path} ended at ${validToDate.toISOString()}; replace it`)
  if (validFromDate.getTime() > now)
    throw new TlsFileError(
      `the certificate in ${path} begins at ${validFromDate.toISOString()}; check the clock of this machine`,
    )
}

const nameIn = ({ subject }: X509Certificate): string => subject.replaceAll('\n', ', ')

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
