// Why a handshake of TLS, or the certificate in it, was refused: one table for both sides of a connection. OpenSSL and
// Node.js report codes; operators read these words. The module imports nothing, because every client loads it.

export type HandshakeFault =
  | 'expired'
  | 'not-yet-valid'
  | 'revoked'
  | 'list-ended'
  | 'unchecked'
  | 'unknown-ca'
  | 'missing'
  | 'name'
  | 'purpose'
  | 'invalid'
  | 'rejected'
  | 'protocol'
  | 'no-tls'
  | 'application'

/** Texts of faults that this side found: sentences about the other one. */
const FOUND: Readonly<Record<HandshakeFault, string>> = {
  expired: 'its certificate has expired; replace it, or compare the clocks',
  'not-yet-valid': 'its certificate is not valid yet; compare the clocks',
  revoked: 'its certificate was revoked',
  'list-ended': 'the revocation list of the CA of its certificate has ended; replace the list',
  unchecked:
    'its certificate cannot be checked for revocation: its intermediate CA is in no file of this side',
  'unknown-ca':
    'its certificate is not signed by a known CA, or the certificates of intermediate CAs were not sent with it',
  missing: 'it shows no certificate',
  name: 'its certificate has another name',
  purpose: 'the extended key usage of its certificate does not permit this',
  invalid: 'its certificate, or one of a CA above it, is not valid',
  rejected: 'it ended the handshake',
  protocol: 'it speaks no version or cipher of TLS that this side accepts; TLS 1.2 is the oldest',
  'no-tls': 'it does not speak TLS',
  application: 'it speaks another protocol in TLS',
}

/** Texts of faults that the other side reported. */
const REPORTED: Readonly<Record<HandshakeFault, string>> = {
  expired: 'it refuses the certificate of this side: expired',
  'not-yet-valid': 'it refuses the certificate of this side: not valid yet',
  revoked: 'it refuses the certificate of this side: revoked',
  'list-ended': 'it refuses the certificate of this side: its revocation list has ended',
  unchecked: 'it refuses the certificate of this side: it cannot be checked for revocation',
  'unknown-ca': 'it refuses the certificate of this side: it does not know the CA',
  missing: 'it requires a certificate',
  name: 'it refuses the certificate of this side: another name',
  purpose: 'it refuses the certificate of this side: not for this purpose',
  invalid: 'it refuses the certificate of this side',
  rejected: 'it refused the handshake',
  protocol: 'it refuses the versions and ciphers of TLS that this side speaks',
  'no-tls': 'it does not speak TLS',
  application: 'it speaks another protocol in TLS',
}

/** Codes of a check of certificates (OpenSSL's `X509_V_ERR_…`), and of Node.js. */
const CERTIFICATE_FAULTS: Readonly<Record<string, HandshakeFault>> = {
  CERT_HAS_EXPIRED: 'expired',
  CERT_NOT_YET_VALID: 'not-yet-valid',
  CERT_REVOKED: 'revoked',
  CRL_HAS_EXPIRED: 'list-ended',
  CRL_NOT_YET_VALID: 'list-ended',
  UNABLE_TO_GET_CRL: 'unchecked',
  UNABLE_TO_GET_ISSUER_CERT: 'unknown-ca',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unknown-ca',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unknown-ca',
  SELF_SIGNED_CERT_IN_CHAIN: 'unknown-ca',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'unknown-ca',
  CERT_SIGNATURE_FAILURE: 'unknown-ca',
  CERT_UNTRUSTED: 'unknown-ca',
  INVALID_PURPOSE: 'purpose',
  HOSTNAME_MISMATCH: 'name',
  ERR_TLS_CERT_ALTNAME_INVALID: 'name',
  INVALID_CA: 'invalid',
  PATH_LENGTH_EXCEEDED: 'invalid',
  CERT_CHAIN_TOO_LONG: 'invalid',
  CERT_REJECTED: 'invalid',
  ERROR_IN_CERT_NOT_BEFORE_FIELD: 'invalid',
  ERROR_IN_CERT_NOT_AFTER_FIELD: 'invalid',
}

/** Codes of a handshake (OpenSSL's `SSL_R_…`). */
const HANDSHAKE_FAULTS: Readonly<Record<string, HandshakeFault>> = {
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'missing',
  ERR_SSL_CERTIFICATE_VERIFY_FAILED: 'invalid',
  ERR_SSL_CA_MD_TOO_WEAK: 'invalid',
  ERR_SSL_EE_KEY_TOO_SMALL: 'invalid',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'protocol',
  ERR_SSL_VERSION_TOO_LOW: 'protocol',
  ERR_SSL_NO_SHARED_CIPHER: 'protocol',
  ERR_SSL_NO_PROTOCOLS_AVAILABLE: 'protocol',
  ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM: 'protocol',
  ERR_SSL_NO_SHARED_SIGNATURE_ALGORITHMS: 'protocol',
  ERR_SSL_NO_SUITABLE_KEY_SHARE: 'protocol',
  ERR_SSL_WRONG_VERSION_NUMBER: 'no-tls',
  ERR_SSL_HTTP_REQUEST: 'no-tls',
  ERR_SSL_HTTPS_PROXY_REQUEST: 'no-tls',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'no-tls',
  ERR_SSL_UNEXPECTED_MESSAGE: 'no-tls',
  ERR_SSL_BAD_RECORD_TYPE: 'no-tls',
  ERR_SSL_RECORD_LAYER_FAILURE: 'no-tls',
  ERR_SSL_NO_APPLICATION_PROTOCOL: 'application',
  ERR_SSL_TLS_ALERT_NO_APPLICATION_PROTOCOL: 'application',
}

/** Alerts, without the version in their code (`ERR_SSL_TLSV1_ALERT_UNKNOWN_CA`). */
const ALERTS: Readonly<Record<string, HandshakeFault>> = {
  CERTIFICATE_EXPIRED: 'expired',
  CERTIFICATE_REVOKED: 'revoked',
  CERTIFICATE_REQUIRED: 'missing',
  NO_CERTIFICATE: 'missing',
  UNKNOWN_CA: 'unknown-ca',
  BAD_CERTIFICATE: 'invalid',
  CERTIFICATE_UNKNOWN: 'invalid',
  UNSUPPORTED_CERTIFICATE: 'purpose',
  ACCESS_DENIED: 'rejected',
  HANDSHAKE_FAILURE: 'rejected',
  PROTOCOL_VERSION: 'protocol',
  INSUFFICIENT_SECURITY: 'protocol',
  NO_APPLICATION_PROTOCOL: 'application',
}

/** Alerts by which the other side refuses the certificate of this one, or its absence. */
const ABOUT_CERTIFICATE: ReadonlySet<HandshakeFault> = new Set<HandshakeFault>([
  ...(['expired', 'revoked', 'missing', 'unknown-ca', 'invalid', 'purpose', 'rejected'] as const),
])

interface FaultReport {
  readonly fault: HandshakeFault
  /** The other side said so in an alert. Otherwise this side found it. */
  readonly isReported: boolean
}

/** The fault that an error of a connection states; undefined: none of TLS. */
export function findHandshakeFault(error: Error): FaultReport | undefined {
  const code = handshakeErrorCode(error)
  const alert = /^ERR_SSL_(?:TLSV1|TLSV13|SSLV3)_ALERT_(\w+)$/.exec(code)?.[1]
  const reported = alert === undefined ? undefined : ALERTS[alert]
  if (reported !== undefined) return { fault: reported, isReported: true }
  const found = findFaultByCode(code)
  return found && { fault: found, isReported: false }
}

/** The fault that a code of a check of certificates, or of a handshake, stands for. */
export const findFaultByCode = (code: string): HandshakeFault | undefined =>
  CERTIFICATE_FAULTS[code] ?? HANDSHAKE_FAULTS[code]

/** A fatal alert about the certificate of this side: the other side has not accepted the handshake. */
export function isCertificateAlert(error: Error): boolean {
  const report = findHandshakeFault(error)
  return report?.isReported === true && ABOUT_CERTIFICATE.has(report.fault)
}

export const faultText = ({ fault, isReported }: FaultReport): string =>
  isReported ? REPORTED[fault] : FOUND[fault]

/** Returns the text of a fault that this side found. */
export const foundText = (fault: HandshakeFault): string => FOUND[fault]

/** An error of OpenSSL during a write has its code in the message only: `…:SSL routines:…:wrong version number:…`. */
function handshakeErrorCode(error: Error): string {
  const code = 'code' in error ? String(error.code) : ''
  const [, reason] = /:SSL routines:[^:]*:([a-z0-9 ]+):/i.exec(code === 'EPROTO' ? error.message : '') ?? []
  return reason === undefined ? code : `ERR_SSL_${reason.toUpperCase().replaceAll(' ', '_')}`
}
