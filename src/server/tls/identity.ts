// The identity that a verified certificate of the other side gives.

import type { X509Certificate } from 'node:crypto'
import { isIP, type Socket } from 'node:net'

const SERVER_PURPOSE = '1.3.6.1.5.5.7.3.1'
const CLIENT_PURPOSE = '1.3.6.1.5.5.7.3.2'

interface CertificateIdentity {
  /** Set when a CA of clients has signed the certificate. */
  readonly user: string | undefined
  /** Why a certificate of a CA of clients names no user. */
  readonly nobody?: string | undefined
  /** The certificate, if a CA of peers has signed it, and it is one of a node. */
  readonly node: X509Certificate | undefined
}

const identities = new WeakMap<Socket, CertificateIdentity>()

export const setIdentity = (socket: Socket, identity: CertificateIdentity): void =>
  void identities.set(socket, identity)

/**
 * The user in the certificate of a client: `URI:quorate:user/NAME` of its subject alternative name, else its common
 * name. Undefined without TLS, and without a certificate that a CA in `--tls-ca` has signed.
 */
export const findCertificateUser = (socket: Socket): string | undefined => identities.get(socket)?.user

/** Why the certificate of a client, which a CA in `--tls-ca` has signed, names no user; undefined: it does. */
export const findNobody = (socket: Socket): string | undefined => identities.get(socket)?.nobody

/** The certificate of the other side, if it is one of a node, signed by a CA in `--peer-tls-ca`. */
export const findNodeCertificate = (socket: Socket): X509Certificate | undefined =>
  identities.get(socket)?.node

export const isNodeCertificate = (socket: Socket): boolean => findNodeCertificate(socket) !== undefined

/** A certificate for both sides of a connection: nodes dial each other. Certificates of users are for one side only. */
export function isForNodes({ keyUsage }: X509Certificate): boolean {
  // Node.js names the extended key usage so.
  const purposes: readonly string[] = keyUsage ?? []
  return purposes.includes(SERVER_PURPOSE) && purposes.includes(CLIENT_PURPOSE)
}

/** Why a node with this certificate cannot be the peer with this name at this address; undefined if it can. */
export function objectionToPeer(
  certificate: X509Certificate,
  { name, peer }: { readonly name: string; readonly peer: string },
): string | undefined {
  if (!isForNodes(certificate))
    return 'the certificate is not one of a node: its extended key usage lacks serverAuth or clientAuth'
  const address = peer.slice(0, Math.max(0, peer.lastIndexOf(':'))).replace(/^\[|\]$/g, '')
  // A zone has a meaning on one machine only. Certificates have none, and Node.js throws when it is asked for one.
  const host = isIP(address) === 0 ? address : address.replace(/%.*$/, '')
  if (namesHost(certificate, name) || namesHost(certificate, host)) return undefined
  const names = certificate.subjectAltName ?? 'nothing'
  const wildcards = names.includes('*')
    ? '; a wildcard names no member, so list the name or the host itself'
    : ''
  return `the certificate names ${names}, neither ${name} nor ${host}${wildcards}`
}

/** Whether the subject alternative name has this host itself. A wildcard would let one member speak for the others. */
function namesHost(certificate: X509Certificate, host: string): boolean {
  if (isIP(host) !== 0) return certificate.checkIP(host) !== undefined
  // A name that begins with a dot would mean every name under it.
  return HOST.test(host) && certificate.checkHost(host, { subject: 'never', wildcards: false }) !== undefined
}

const HOST = /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/
