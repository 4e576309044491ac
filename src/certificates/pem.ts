// Certificates and keys as text (RFC 7468).

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { AsnConvert } from '@peculiar/asn1-schema'
import { Certificate } from '@peculiar/asn1-x509'

/** A certificate and its private key, as PEM. */
export interface PemPair {
  readonly cert: string
  readonly key: string
}

export function toPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

/** The content of each block with this label. */
export function fromPem(label: string, text: string): Buffer[] {
  const block = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`, 'g')
  return [...text.matchAll(block)].map(([, base64 = '']) => Buffer.from(base64, 'base64'))
}

export const encodeDer = (structure: object): Uint8Array => new Uint8Array(AsnConvert.serialize(structure))

/** The parts of a CA that signs. Of several certificates, it is the one of the key. */
export function parseAuthority({ cert, key }: PemPair): {
  readonly certificate: Certificate
  readonly key: KeyObject
} {
  const own = createPrivateKey(key)
  const ders = fromPem('CERTIFICATE', cert)
  if (ders.length === 0) throw new TypeError('the file has no certificate in PEM')
  const der = ders.find((each) => new X509Certificate(each).checkPrivateKey(own))
  if (der === undefined) throw new TypeError('the key is that of another certificate')
  return { certificate: AsnConvert.parse(der, Certificate), key: own }
}
