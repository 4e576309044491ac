// Names in certificates, read from their DER: a text of them is ambiguous, because names may have any characters.

import { AsnConvert } from '@peculiar/asn1-schema'
import {
  type AttributeValue,
  Certificate,
  id_ce_subjectAltName,
  type Name,
  SubjectAlternativeName,
} from '@peculiar/asn1-x509'
import { parseUserUri } from './user-uri.ts'

const COMMON_NAME = '2.5.4.3'

export type SubjectUser =
  | { readonly user: string }
  /** The certificate names no user, or it is open which one. */
  | { readonly fault: string }

/**
 * The user in a certificate (DER): `URI:quorate:user/NAME` of its subject alternative name, else its common name. A
 * certificate with two different users is that of nobody, and so is one with a kind of name that is unknown here:
 * OpenSSL accepts more of them.
 */
export function subjectUser(der: Uint8Array): SubjectUser {
  try {
    return decodeUser(AsnConvert.parse(der, Certificate))
  } catch {
    return { fault: 'it has a kind of name that cannot be read' }
  }
}

function decodeUser({ tbsCertificate: { subject, extensions = [] } }: Certificate): SubjectUser {
  const alternatives = extensions.find(({ extnID }) => extnID === id_ce_subjectAltName)
  const names =
    alternatives === undefined ? [] : AsnConvert.parse(alternatives.extnValue.buffer, SubjectAlternativeName)
  const uris = [...names].flatMap(({ uniformResourceIdentifier }) => uniformResourceIdentifier ?? [])
  const ofUris = new Set(uris.map(parseUserUri).filter((user) => user !== undefined))
  return only(ofUris, 'URI:quorate:user/') ?? only(commonNames(subject), 'CN') ?? { fault: 'it has no CN' }
}

/** The hosts in a certificate (DER): names and addresses. */
export function decodeHosts(der: Uint8Array): string[] {
  const { extensions = [] } = AsnConvert.parse(der, Certificate).tbsCertificate
  const alternatives = extensions.find(({ extnID }) => extnID === id_ce_subjectAltName)
  if (alternatives === undefined) return []
  return [...AsnConvert.parse(alternatives.extnValue.buffer, SubjectAlternativeName)].flatMap(
    ({ dNSName, iPAddress }) => dNSName ?? iPAddress ?? [],
  )
}

function only(users: ReadonlySet<string>, what: string): SubjectUser | undefined {
  const [user, another] = users
  if (user === undefined) return undefined
  if (another !== undefined) return { fault: `it has several of ${what}` }
  return UNREADABLE.test(user) ? { fault: `it has characters in ${what} that cannot be read` } : { user }
}

/** Control characters, and what stands for bytes that are no character. */
const UNREADABLE = /[\p{Cc}\ufffd]/u

/** All of them: a relative distinguished name may have several attributes, as in `CN=a+UID=7`. */
function commonNames(subject: Name): Set<string> {
  const names = [...subject].flatMap((attributes) =>
    [...attributes].flatMap(({ type, value }) => (type === COMMON_NAME ? [decodeString(value)] : [])),
  )
  return new Set(names.filter((name) => name !== ''))
}

/** Types of strings without an agreed encoding are read as far as they are ASCII. */
function decodeString(value: AttributeValue): string {
  const { utf8String, printableString, bmpString, universalString, ia5String, teletexString } = value
  const text = utf8String ?? printableString ?? bmpString ?? universalString ?? ia5String
  return text ?? teletexString?.replaceAll(/[^ -~]/g, '\ufffd') ?? '\ufffd'
}

const SHORT: Readonly<Record<string, string>> = {
  [COMMON_NAME]: 'CN',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '2.5.4.6': 'C',
}

/** A name for people. */
export const formatName = (name: Name): string =>
  [...name]
    .flatMap((attributes) => [...attributes])
    .map(({ type, value }) => `${SHORT[type] ?? type}=${value.toString()}`)
    .join(', ')
