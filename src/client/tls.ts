// TLS for the connections of a client, over HTTP and multiplexed.

import { isIP } from 'node:net'
import type { ConnectionOptions, SecureContext } from 'node:tls'
import type { ClientTls } from './types.ts'
import type { Check } from './validators.ts'

const isPem: Check = (value) => {
  const text = value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value
  return typeof text === 'string' && text.includes('-----BEGIN ')
    ? undefined
    : 'the content of a PEM file, not its name'
}

/** Whether it has a certificate, and not only a key. */
export const hasCertificate = (pem: string | Uint8Array): boolean =>
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/.test(Buffer.from(pem as string).toString('latin1'))

export const CLIENT_TLS: { readonly [Name in keyof ClientTls]-?: Check } = {
  ca: (value) => {
    const fault = Array.isArray(value) ? value.map(isPem).find((each) => each !== undefined) : isPem(value)
    return fault === undefined ? undefined : 'the content of a PEM file, or a list of such contents'
  },
  cert: isPem,
  key: isPem,
  servername: (value) => (typeof value === 'string' && value !== '' ? undefined : 'a name'),
}

/** The part of the options of `tls.connect`, and of node:https, that is about TLS. */
export type SecureOptions = Pick<ConnectionOptions, 'secureContext' | 'servername' | 'ALPNProtocols'>

/** Options of a connection to `host`. */
export function secureOptions(tls: ClientTls, host: string): SecureOptions {
  const options = { secureContext: secureContextOf(tls), ALPNProtocols: ['http/1.1'] }
  // An address is no server name (RFC 6066 §3). The certificate must have it all the same.
  const servername = tls.servername ?? (isIP(host) === 0 ? host : undefined)
  return servername === undefined ? options : { ...options, servername }
}

const contexts = new WeakMap<ClientTls, SecureContext>()

/** All connections of a client have one context. Throws when a certificate or the key cannot be read. */
export function secureContextOf(tls: ClientTls): SecureContext {
  let context = contexts.get(tls)
  if (context === undefined) {
    const { ca, cert, key } = tls
    context = process.getBuiltinModule('node:tls').createSecureContext({
      minVersion: 'TLSv1.2',
      ...(ca === undefined ? {} : { ca: [ca].flat().map(bufferOf) }),
      ...(cert === undefined ? {} : { cert: bufferOf(cert) }),
      ...(key === undefined ? {} : { key: bufferOf(key) }),
    })
    contexts.set(tls, context)
  }
  return context
}

const bufferOf = (pem: string | Uint8Array): string | Buffer =>
  typeof pem === 'string' ? pem : Buffer.from(pem)

const UNKNOWN_CA =
  'its certificate is not signed by a CA that this client knows; name that CA with tls.ca, in the command with --cacert'
const EXPIRED =
  'its certificate has expired, or is not valid yet; compare the clocks, or replace the certificate of the node'
const NO_TLS = 'what answers there does not speak TLS; use http://'

const REASONS: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_CA,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_CA,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_CA,
  CERT_SIGNATURE_FAILURE: UNKNOWN_CA,
  CERT_HAS_EXPIRED: EXPIRED,
  CERT_NOT_YET_VALID: EXPIRED,
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NO_TLS,
  ERR_SSL_UNEXPECTED_MESSAGE: NO_TLS,
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it speaks only versions of TLS before 1.2',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'it refuses the versions of TLS that this client speaks',
}

/** Alerts about the certificate of the client. */
const CLIENT_CERTIFICATE =
  /^ERR_SSL_(?:TLSV1|TLSV13|SSLV3)_ALERT_(?:CERTIFICATE_\w+|BAD_CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE|NO_CERTIFICATE)$/

/** The reason of a failed handshake, with what to do; undefined if the handshake was not the reason. */
export function tlsFailureText(error: Error): string | undefined {
  const code = codeOf(error)
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const { host, cert } = error as Error & {
      readonly host?: string
      readonly cert?: { readonly subjectaltname?: string }
    }
    return `its certificate does not name ${host ?? 'that host'}, but ${cert?.subjectaltname ?? 'nothing'}; use one of these names, or set tls.servername`
  }
  if (isClientCertificateAlert(error))
    return 'it requires a client certificate that it accepts; give one with tls.cert and tls.key, in the command with --cert and --key'
  return REASONS[code]
}

/**
 * The node refuses the client's certificate, or wants one. With TLS 1.3 it says so after the client's part of the
 * handshake, so a request may have been sent already; the node has not read it.
 */
export const isClientCertificateAlert = (error: Error): boolean => CLIENT_CERTIFICATE.test(codeOf(error))

/** An error of OpenSSL during a write has its code in the message only: `…:SSL routines:…:wrong version number:…`. */
function codeOf(error: Error): string {
  const code = 'code' in error ? String(error.code) : ''
  const [, reason] = /:SSL routines:[^:]*:([a-z0-9 ]+):/i.exec(code === 'EPROTO' ? error.message : '') ?? []
  return reason === undefined ? code : `ERR_SSL_${reason.toUpperCase().replaceAll(' ', '_')}`
}
