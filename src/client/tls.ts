// TLS for the connections of a client, over HTTP and multiplexed.

import { isIP } from 'node:net'
import type { ConnectionOptions, SecureContext } from 'node:tls'
import { faultText, findHandshakeFault, type HandshakeFault } from '../certificates/handshake-faults.ts'
import type { ClientTls } from './types.ts'
import { type Check, checkOptions } from './validators.ts'

const pemCheck: Check = (value) => {
  const text = value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value
  return typeof text === 'string' && text.includes('-----BEGIN ')
    ? undefined
    : 'the content of a PEM file, not its name'
}

/** Whether it has a certificate, and not only a key. */
export const hasCertificate = (pem: string | Uint8Array): boolean =>
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/.test(Buffer.from(pem as string).toString('latin1'))

const CLIENT_TLS: { readonly [Name in keyof ClientTls]-?: Check } = {
  ca: (value) => {
    const fault = Array.isArray(value)
      ? value.map(pemCheck).find((each) => each !== undefined)
      : pemCheck(value)
    return fault === undefined ? undefined : 'the content of a PEM file, or a list of such contents'
  },
  cert: pemCheck,
  key: pemCheck,
  servername: (value) => (typeof value === 'string' && value !== '' ? undefined : 'a name'),
}

/** The part of the options of `tls.connect`, and of node:https, that is about TLS. */
export type SecureOptions = Pick<ConnectionOptions, 'secureContext' | 'servername' | 'ALPNProtocols'>

/** Options of a connection to `host`: a name, or an address, also with the brackets that it has in a URL. */
export function secureOptions(tls: ClientTls, host: string): SecureOptions {
  const options = { secureContext: findSecureContext(tls), ALPNProtocols: ['http/1.1'] }
  // An address is no server name (RFC 6066 §3). The certificate must have it all the same.
  const isAddress = isIP(host.replace(/^\[|\]$/g, '')) !== 0
  const servername = tls.servername ?? (isAddress ? undefined : host)
  return servername === undefined ? options : { ...options, servername }
}

const contexts = new WeakMap<ClientTls, SecureContext>()

/** All connections of a client have one context. Throws when a certificate or the key cannot be read. */
function findSecureContext(tls: ClientTls): SecureContext {
  let context = contexts.get(tls)
  if (context === undefined) {
    const { ca, cert, key } = tls
    context = process.getBuiltinModule('node:tls').createSecureContext({
      minVersion: 'TLSv1.2',
      ...(ca === undefined ? {} : { ca: [ca].flat().map(pemContent) }),
      ...(cert === undefined ? {} : { cert: pemContent(cert) }),
      ...(key === undefined ? {} : { key: pemContent(key) }),
    })
    contexts.set(tls, context)
  }
  return context
}

/** Interval at which an application is asked for its certificates again, as nodes read theirs. */
export const RENEW_MS = 10_000

/** The certificates of a client, which the application may renew. */
export class TlsSource {
  readonly #read: (() => ClientTls) | undefined
  readonly #warn: (message: string) => void
  #current: ClientTls
  #readAt = performance.now()

  /** `tls` was checked. */
  constructor(tls: ClientTls | (() => ClientTls) = {}, warn: (message: string) => void = () => {}) {
    this.#read = typeof tls === 'function' ? tls : undefined
    this.#warn = warn
    this.#current = typeof tls === 'function' ? tls() : tls
  }

  /** The newest ones: the same object as long as they have not changed. */
  get current(): ClientTls {
    const now = performance.now()
    if (this.#read === undefined || now - this.#readAt < RENEW_MS) return this.#current
    this.#readAt = now
    try {
      const read = this.#read()
      checkTls(read)
      if (!isSame(read, this.#current)) this.#current = read
    } catch (error) {
      this.#warn(
        `the certificates of before stay in use: ${error instanceof Error ? error.message : String(error)}`,
      )
    }
    return this.#current
  }
}

/** Throws `TypeError`. */
export function checkTls(tls: ClientTls): void {
  checkOptions('Client: tls', tls, CLIENT_TLS)
  const { ca, cert, key } = tls
  // The usual message would show the beginning of the value, which may be a key.
  if (![ca ?? []].flat().every(hasCertificate)) throw new TypeError('Client: tls: ca has no certificate')
  if ((cert === undefined) !== (key === undefined))
    throw new TypeError('Client: tls: cert and key go together')
  try {
    findSecureContext(tls)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH' || code === 'ERR_OSSL_X509_KEY_TYPE_MISMATCH')
      throw new TypeError('Client: tls: cert and key do not belong together')
    throw new TypeError(`Client: tls: ${error instanceof Error ? error.message : String(error)}`)
  }
}

const isSame = (a: ClientTls, b: ClientTls): boolean =>
  a.servername === b.servername &&
  isSamePem(a.cert, b.cert) &&
  isSamePem(a.key, b.key) &&
  [a.ca ?? []].flat().length === [b.ca ?? []].flat().length &&
  [a.ca ?? []].flat().every((each, at) => isSamePem(each, [b.ca ?? []].flat()[at]))

const isSamePem = (a: string | Uint8Array | undefined, b: string | Uint8Array | undefined): boolean =>
  a === undefined || b === undefined ? a === b : Buffer.from(pemContent(a)).equals(Buffer.from(pemContent(b)))

const pemContent = (pem: string | Uint8Array): string | Buffer =>
  typeof pem === 'string' ? pem : Buffer.from(pem)

/** Texts with advice, of faults that this client found. */
const ADVICE: { readonly [fault in HandshakeFault]?: string } = {
  'unknown-ca':
    'its certificate is not signed by a CA that this client knows, or the node does not send an intermediate CA; name the CA with tls.ca, in the command with --cacert',
  expired: 'its certificate has expired; compare the clocks, or replace the certificate of the node',
  'no-tls': 'what answers there does not speak TLS; use http://',
}

/** The reason of a failed handshake, with what to do; undefined if the handshake was not the reason. */
export function tlsFailureText(error: Error): string | undefined {
  const report = findHandshakeFault(error)
  if (report === undefined) return undefined
  const { fault, isReported } = report
  if (fault === 'name') {
    const { host, cert } = error as Error & {
      readonly host?: string
      readonly cert?: { readonly subjectaltname?: string }
    }
    return `its certificate does not name ${host ?? 'that host'}, but ${cert?.subjectaltname ?? 'nothing'}; use one of these names, or set tls.servername`
  }
  if (isReported && fault === 'missing')
    return 'it requires a client certificate; give one with tls.cert and tls.key, in the command with --cert and --key'
  return (isReported ? undefined : ADVICE[fault]) ?? faultText(report)
}
