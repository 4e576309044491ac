// Certificate revocation lists (RFC 5280 §5): which certificates a CA has withdrawn.

import { AsnConvert } from '@peculiar/asn1-schema'
import { Certificate, CertificateList } from '@peculiar/asn1-x509'
import { bytesOf, fromPem } from './pem.ts'

export interface RevocationLists {
  /** End of the first list that ends; undefined: none says when. */
  readonly validTo: Date | undefined
  /** Whether the lists have one of the CA that this certificate (DER) is of. */
  coverAuthority(der: Uint8Array): boolean
  /** Whether this certificate (DER) is revoked. */
  revoke(der: Uint8Array): boolean
}

/** Reads all lists of a PEM file. Throws when one of them cannot be read, or when there is none. */
export function readRevocationLists(pem: string): RevocationLists {
  const lists = fromPem('X509 CRL', pem).map((der) => AsnConvert.parse(der, CertificateList).tbsCertList)
  if (lists.length === 0) throw new TypeError('it has no certificate revocation list in PEM')
  const authorities = new Set(lists.map(({ issuer }) => hexOf(bytesOf(issuer))))
  const revoked = new Set(
    lists.flatMap(({ issuer, revokedCertificates = [] }) =>
      revokedCertificates.map(({ userCertificate }) =>
        entryOf(bytesOf(issuer), new Uint8Array(userCertificate)),
      ),
    ),
  )
  const ends = lists.flatMap(({ nextUpdate }) => nextUpdate?.getTime() ?? [])
  return {
    validTo: ends.length === 0 ? undefined : new Date(Math.min(...ends.map(Number))),
    coverAuthority: (der) =>
      authorities.has(hexOf(bytesOf(AsnConvert.parse(der, Certificate).tbsCertificate.subject))),
    revoke(der) {
      const { issuer, serialNumber } = AsnConvert.parse(der, Certificate).tbsCertificate
      return revoked.has(entryOf(bytesOf(issuer), new Uint8Array(serialNumber)))
    },
  }
}

/** A serial number is unique within its CA. */
const entryOf = (issuer: Uint8Array, serial: Uint8Array): string => `${hexOf(issuer)} ${hexOf(serial)}`

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
