// A certificate and its private key in one file that browsers import (PKCS #12, RFC 7292). @peculiar/asn1-pfx has the
// structures, and node:crypto encrypts.
//
// The algorithms are those that every store of certificates reads: Triple DES, SHA-1, and the key derivation of PKCS
// #12. The keychain of macOS takes newer ones for a wrong password, up to version 14. The file is as safe as its
// password, so one is drawn at random unless the user has another.

import { createCipheriv, createHash, createHmac, createPrivateKey, randomBytes, randomInt } from 'node:crypto'
import { ContentInfo, id_data } from '@peculiar/asn1-cms'
import {
  AuthenticatedSafe,
  CertBag,
  id_certBag,
  id_pbeWithSHAAnd3_KeyTripleDES_CBC,
  id_pkcs8ShroudedKeyBag,
  id_x509Certificate,
  MacData,
  PFX,
  PKCS8ShroudedKeyBag,
  PKCS12Attribute,
  SafeBag,
  SafeContents,
} from '@peculiar/asn1-pfx'
import { DigestInfo } from '@peculiar/asn1-rsa'
import { AsnConvert, AsnProp, AsnPropTypes, AsnType, AsnTypeTypes, OctetString } from '@peculiar/asn1-schema'
import { AlgorithmIdentifier, AttributeValue } from '@peculiar/asn1-x509'
import { encodeDer, fromPem, type PemPair } from './pem.ts'

const FRIENDLY_NAME = '1.2.840.113549.1.9.20'
const LOCAL_KEY_ID = '1.2.840.113549.1.9.21'
const SHA1 = '1.3.14.3.2.26'

const SALT_BYTES = 16
const ITERATIONS = 10_000

/** Letters and digits that look different from each other. */
const ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789'
const GROUPS = 4
const GROUP_LENGTH = 5

/** A password of 100 random bits that can be typed. */
export const randomPassword = (): string =>
  Array.from({ length: GROUPS }, () =>
    Array.from({ length: GROUP_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join(''),
  ).join('-')

/** Why a file cannot have this password; undefined: it can. */
export const pkcs12PasswordFault = (password: string): string | undefined =>
  /^[ -~]{8,}$/.test(password)
    ? undefined
    : 'the password of a .p12 file has at least 8 letters, digits and signs of ASCII: browsers do not agree on others'

/** `name`: the browser shows it beside the certificate. */
export function encodePkcs12({ cert, key }: PemPair, name: string, password: string): Uint8Array {
  const [certificate] = fromPem('CERTIFICATE', cert)
  if (certificate === undefined) throw new TypeError('the file has no certificate in PEM')
  const privateKey = createPrivateKey(key).export({ type: 'pkcs8', format: 'der' })
  // The bags of a certificate and its key have the same id.
  const keyId = createHash('sha1').update(certificate).digest()
  const bagAttributes = [
    attribute(FRIENDLY_NAME, new AttributeValue({ bmpString: name })),
    attribute(LOCAL_KEY_ID, new OctetString(keyId)),
  ]
  const bags = new SafeContents([
    new SafeBag({
      bagId: id_certBag,
      bagValue: AsnConvert.serialize(
        new CertBag({ certId: id_x509Certificate, certValue: octets(certificate) }),
      ),
      bagAttributes,
    }),
    new SafeBag({
      bagId: id_pkcs8ShroudedKeyBag,
      bagValue: AsnConvert.serialize(encryptKey(privateKey, password)),
      bagAttributes,
    }),
  ])
  const content = encodeDer(new AuthenticatedSafe([dataOf(encodeDer(bags))]))
  return encodeDer(new PFX({ authSafe: dataOf(content), macData: authenticate(content, password) }))
}

const octets = (bytes: Uint8Array): ArrayBuffer => AsnConvert.serialize(new OctetString(bytes))

const dataOf = (bytes: Uint8Array): ContentInfo =>
  new ContentInfo({ contentType: id_data, content: octets(bytes) })

/** Its constructor in version 2.11.1 forgets its arguments. */
const attribute = (attrId: string, value: object): PKCS12Attribute =>
  Object.assign(new PKCS12Attribute(), { attrId, attrValues: [AsnConvert.serialize(value)] })

/** The parameters of an encryption with a password (RFC 7292, appendix C). */
class PbeParameters {
  salt = new OctetString()
  iterations = 0
}
AsnType({ type: AsnTypeTypes.Sequence })(PbeParameters)
AsnProp({ type: OctetString })(PbeParameters.prototype, 'salt')
AsnProp({ type: AsnPropTypes.Integer })(PbeParameters.prototype, 'iterations')

function encryptKey(privateKey: Uint8Array, password: string): PKCS8ShroudedKeyBag {
  const salt = randomBytes(SALT_BYTES)
  const key = deriveBytes(PURPOSE.key, password, salt, 24)
  const cipher = createCipheriv('des-ede3-cbc', key, deriveBytes(PURPOSE.iv, password, salt, 8))
  const parameters = Object.assign(new PbeParameters(), {
    salt: new OctetString(salt),
    iterations: ITERATIONS,
  })
  return new PKCS8ShroudedKeyBag({
    encryptionAlgorithm: new AlgorithmIdentifier({
      algorithm: id_pbeWithSHAAnd3_KeyTripleDES_CBC,
      parameters: AsnConvert.serialize(parameters),
    }),
    encryptedData: new OctetString(Buffer.concat([cipher.update(privateKey), cipher.final()])),
  })
}

function authenticate(content: Uint8Array, password: string): MacData {
  const salt = randomBytes(SALT_BYTES)
  const digest = createHmac('sha1', deriveBytes(PURPOSE.mac, password, salt, 20))
    .update(content)
    .digest()
  return new MacData({
    mac: new DigestInfo({
      digestAlgorithm: new AlgorithmIdentifier({ algorithm: SHA1, parameters: null }),
      digest: new OctetString(digest),
    }),
    macSalt: new OctetString(salt),
    iterations: ITERATIONS,
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// RFC 7292, appendix B.2

const PURPOSE = { key: 1, iv: 2, mac: 3 } as const
const BLOCK_BYTES = 64

function deriveBytes(purpose: number, password: string, salt: Uint8Array, bytes: number): Uint8Array {
  const diversifier = Buffer.alloc(BLOCK_BYTES, purpose)
  // UTF-16 with the high byte first, and a character zero behind it.
  const text = Buffer.from(`${password}\0`, 'utf16le').swap16()
  const input = Buffer.concat([filled(salt), filled(text)])
  const derived: Buffer[] = []
  for (let length = 0; length < bytes; ) {
    let digest = createHash('sha1').update(diversifier).update(input).digest()
    for (let round = 1; round < ITERATIONS; round++) digest = createHash('sha1').update(digest).digest()
    derived.push(digest)
    length += digest.length
    addToBlocks(input, filled(digest).subarray(0, BLOCK_BYTES))
  }
  return Buffer.concat(derived).subarray(0, bytes)
}

/** Copies of the bytes, one behind the other, up to the end of a block. */
const filled = (bytes: Uint8Array): Buffer =>
  Buffer.alloc(Math.ceil(bytes.length / BLOCK_BYTES) * BLOCK_BYTES, bytes)

/** Adds the number, and 1, to each block of the input. Blocks are numbers with the high byte first. */
function addToBlocks(input: Buffer, number: Buffer): void {
  for (let at = 0; at < input.length; at += BLOCK_BYTES) {
    let carry = 1
    for (let byte = BLOCK_BYTES - 1; byte >= 0; byte--) {
      const sum = (input[at + byte] ?? 0) + (number[byte] ?? 0) + carry
      input[at + byte] = sum & 0xff
      carry = sum >> 8
    }
  }
}
