// Certificate revocation lists (RFC 5280 §5): which certificates a CA has withdrawn.

import { constants, type KeyObject, verify } from 'node:crypto'
import { AsnConvert } from '@peculiar/asn1-schema'
import {
  Certificate,
  CertificateList,
  type Extension,
  IssuingDistributionPoint,
  id_ce_issuingDistributionPoint,
  type Name,
} from '@peculiar/asn1-x509'
import { encodeDer, fromPem } from './pem.ts'
import { formatName } from './subject.ts'

/** The list of one CA. */
export interface RevocationList {
  /** The name of the CA. */
  readonly issuer: string
  readonly validFrom: Date
  readonly validTo: Date
  /** Serial numbers of the revoked certificates, as `X509Certificate` writes them. */
  readonly serials: ReadonlySet<string>
  /** Whether the certificate of a CA (DER) has the name of this one. */
  names(authority: Uint8Array): boolean
  isSignedBy(key: KeyObject): boolean
}

/** Reads all lists of a PEM file. Throws when one of them cannot be used, or when there is none. */
export function readRevocationLists(file: Uint8Array): readonly RevocationList[] {
  const text = Buffer.from(file).toString('latin1')
  const lists = fromPem('X509 CRL', text).map(decodeList)
  if (lists.length > 0) return lists
  throw new TypeError(
    file[0] === SEQUENCE
      ? 'it is in DER, and must be in PEM: openssl crl -inform DER -in FILE -out FILE.pem'
      : 'it has no certificate revocation list in PEM (BEGIN X509 CRL)',
  )
}

/** First byte of a structure in DER. */
const SEQUENCE = 0x30

function decodeList(der: Buffer): RevocationList {
  let list: CertificateList
  try {
    list = AsnConvert.parse(der, CertificateList)
  } catch (error) {
    throw new TypeError(
      `a revocation list in it cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  const { tbsCertList, signatureAlgorithm, signature } = list
  const { issuer, thisUpdate, nextUpdate, revokedCertificates = [], crlExtensions = [] } = tbsCertList
  // RFC 5280 requires it. Without it, the parser also loses the revoked certificates behind it.
  if (nextUpdate === undefined) refuseList(issuer, 'does not say when it ends (nextUpdate)')
  const name = Buffer.from(encodeDer(issuer))
  for (const extension of crlExtensions) checkExtension(extension, issuer)
  const signed = Buffer.from(new Uint8Array(list.tbsCertListRaw ?? encodeDer(tbsCertList)))
  const { algorithm, parameters } = signatureAlgorithm
  return {
    issuer: formatName(issuer),
    validFrom: thisUpdate.getTime(),
    validTo: nextUpdate.getTime(),
    serials: new Set(revokedCertificates.map(({ userCertificate }) => formatSerial(userCertificate))),
    names: (authority) =>
      name.equals(encodeDer(AsnConvert.parse(authority, Certificate).tbsCertificate.subject)),
    isSignedBy: (key) => isSigned(signed, Buffer.from(signature), key, { algorithm, parameters }),
  }
}

const DELTA = '2.5.29.27'

/** A list that has only some of the revoked certificates would let the others in. */
function checkExtension({ extnID, critical, extnValue }: Extension, issuer: Name): void {
  if (extnID === DELTA) refuseList(issuer, 'has only changes of another list')
  if (extnID === id_ce_issuingDistributionPoint) {
    const scope = AsnConvert.parse(extnValue.buffer, IssuingDistributionPoint)
    const { onlyContainsUserCerts, onlyContainsCACerts, onlyContainsAttributeCerts, indirectCRL } = scope
    const isPart = onlyContainsUserCerts || onlyContainsCACerts || onlyContainsAttributeCerts
    if (isPart || indirectCRL || scope.onlySomeReasons !== undefined)
      refuseList(issuer, 'has only a part of the certificates')
  } else if (critical) refuseList(issuer, `has a critical extension that is unknown here (${extnID})`)
}

function refuseList(issuer: Name, why: string): never {
  throw new TypeError(`the revocation list of ${formatName(issuer)} ${why}; a full list of the CA is needed`)
}

/** A serial number as `X509Certificate.serialNumber` has it. */
export const formatSerial = (bytes: ArrayBuffer): string =>
  Buffer.from(bytes)
    .toString('hex')
    .toUpperCase()
    .replace(/^(?:00)+(?=..)/, '')

/** Hashes of the signature algorithms of certificates; null: the algorithm has its own. */
const HASHES: Readonly<Record<string, string | null>> = {
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.101.112': null,
  '1.3.101.113': null,
}
const RSA_PSS = '1.2.840.113549.1.1.10'

interface Algorithm {
  readonly algorithm: string
  readonly parameters?: ArrayBuffer | null | undefined
}

function isSigned(
  bytes: Buffer,
  signature: Buffer,
  key: KeyObject,
  { algorithm, parameters }: Algorithm,
): boolean {
  const isPss = algorithm === RSA_PSS
  const hash = isPss ? pssHash(parameters) : HASHES[algorithm]
  if (hash === undefined) return false
  const padding = isPss
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO }
    : {}
  try {
    return verify(hash, bytes, { key, ...padding }, signature)
  } catch {
    // A key of another kind.
    return false
  }
}

/** The last byte of the identifiers of SHA-2 says which one. */
const PSS_HASHES: Readonly<Record<string, string>> = {
  '0609608648016503040201': 'sha256',
  '0609608648016503040202': 'sha384',
  '0609608648016503040203': 'sha512',
}

function pssHash(parameters: ArrayBuffer | null | undefined): string | undefined {
  const hex = Buffer.from(parameters ?? new ArrayBuffer(0)).toString('hex')
  return Object.entries(PSS_HASHES).find(([identifier]) => hex.includes(identifier))?.[1]
}
