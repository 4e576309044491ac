// The CAs of one file, and the lists of the certificates that they have revoked. OpenSSL has verified the chain of a
// connection. This finds the CAs above a certificate again, for two questions that OpenSSL does not answer: which file
// it belongs to, where a listener trusts two, and whether a list that was read since then has it.
//
// The lists are not given to OpenSSL. With a list of one CA, it would refuse the certificates of all CAs without one.

import type { X509Certificate } from 'node:crypto'
import type { HandshakeFault } from '../../certificates/handshake-faults.ts'
import type { RevocationList } from '../../certificates/revocations.ts'

/** No chain is longer. */
const DEPTH_MAX = 10

/** A revocation list, and the certificates of its CA. */
export interface CheckedList extends RevocationList {
  readonly authorities: readonly X509Certificate[]
}

export class Trust {
  readonly authorities: readonly X509Certificate[]
  readonly lists: readonly CheckedList[]

  constructor(authorities: readonly X509Certificate[], lists: readonly CheckedList[]) {
    this.authorities = authorities
    this.lists = lists
  }

  /**
   * The certificate and the CAs above it, up to one of the file. Undefined: there is none, or an intermediate CA is
   * unknown. Node.js does not show the ones that a client has sent if it has accepted them.
   */
  findPath(certificate: X509Certificate): readonly X509Certificate[] | undefined {
    const candidates = [...this.authorities, ...sentWith(certificate)]
    const path = [certificate]
    for (let link = certificate; path.length <= DEPTH_MAX; ) {
      if (isSelfIssued(link)) break
      const issuer = candidates.find((each) => each.ca && isIssuedBy(link, each))
      if (issuer === undefined) break
      path.push(issuer)
      link = issuer
    }
    return path.some((link) => this.#has(link)) ? path : undefined
  }

  /** Why a certificate that OpenSSL accepts is refused; undefined if it is not. */
  refusal(certificate: X509Certificate, now: number): HandshakeFault | undefined {
    if (this.lists.length === 0) return undefined
    const path = this.findPath(certificate)
    if (path === undefined) return 'unchecked'
    for (const [at, link] of path.entries()) {
      const issuer = path[at + 1]
      if (issuer === undefined) break
      const lists = this.lists.filter(({ authorities }) => authorities.some((each) => isSameCa(each, issuer)))
      if (lists.some(({ serials }) => serials.has(link.serialNumber))) return 'revoked'
      const isEnded = ({ validTo }: CheckedList): boolean => validTo.getTime() <= now
      if (lists.length > 0 && lists.every(isEnded)) return 'list-ended'
    }
    return undefined
  }

  /** Why a certificate is refused, if a CA of this trust has signed it; otherwise undefined. */
  refusalIfSigned(certificate: X509Certificate, now: number): HandshakeFault | undefined {
    return this.lists.length > 0 && this.findPath(certificate) !== undefined
      ? this.refusal(certificate, now)
      : undefined
  }

  /** Whether the two trust the same CAs. */
  isEqual({ authorities }: Trust): boolean {
    const own = new Set(this.authorities.map(({ fingerprint256 }) => fingerprint256))
    const others = new Set(authorities.map(({ fingerprint256 }) => fingerprint256))
    return own.size === others.size && [...own].every((each) => others.has(each))
  }

  #has({ fingerprint256 }: X509Certificate): boolean {
    return this.authorities.some((ca) => ca.fingerprint256 === fingerprint256)
  }
}

/** The certificates that came with it, as far as Node.js shows them. */
function sentWith(certificate: X509Certificate): X509Certificate[] {
  const sent: X509Certificate[] = []
  let { issuerCertificate } = certificate
  while (issuerCertificate !== undefined && sent.length < DEPTH_MAX) {
    sent.push(issuerCertificate)
    issuerCertificate = issuerCertificate.issuerCertificate
  }
  return sent
}

export const isIssuedBy = (certificate: X509Certificate, ca: X509Certificate): boolean =>
  certificate.checkIssued(ca) && certificate.verify(ca.publicKey)

export const isSelfIssued = (certificate: X509Certificate): boolean => isIssuedBy(certificate, certificate)

/** A CA may have several certificates for one key. */
const isSameCa = (a: X509Certificate, b: X509Certificate): boolean =>
  a.subject === b.subject && a.publicKey.equals(b.publicKey)
