// A small certificate authority for those who have none: one CA that signs the certificates of nodes and clients. Keys
// are on the curve P-256. node:crypto makes keys and signatures; @peculiar/asn1-x509 writes the structures of RFC 5280.

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { isIP } from 'node:net'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  CertificateList,
  CRLNumber,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_cRLNumber,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  RevokedCertificate,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  TBSCertList,
  Time,
  Validity,
  Version,
} from '@peculiar/asn1-x509'
import { encodeDer, type PemPair, parseAuthority, toPem } from './pem.ts'
import { userUri } from './user-uri.ts'

const DAY_MS = 86_400_000
/** Clocks of other machines may be behind this one. */
const BACKDATED_MS = 300_000

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'
const COMMON_NAME = '2.5.4.3'

interface IssueOptions {
  readonly days: number
  /** Private key (PEM) of the certificate. Default: a new one. */
  readonly key?: string | undefined
  /** Start of the lifetime. */
  readonly now?: Date | undefined
}

/** Makes the key and the certificate of a new CA. */
export function issueAuthority(commonName: string, options: IssueOptions): PemPair {
  const keys = keysFor(options)
  const subject = commonNameOnly(commonName)
  return certificate(keys, {
    subject,
    issuer: { name: subject, key: keys.privateKey, keyId: computeKeyId(publicKeyInfo(keys.publicKey)) },
    options,
    extensions: [
      critical(id_ce_basicConstraints, new BasicConstraints({ cA: true, pathLenConstraint: 0 })),
      critical(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign)),
    ],
  })
}

/** Makes the key and the certificate of a node, for its client port and for its peers. `hosts`: names and addresses. */
export function issueNode(
  authority: PemPair,
  name: string,
  hosts: readonly string[],
  options: IssueOptions,
): PemPair {
  const names = [...new Set([name, ...hosts])].map((host) =>
    isIP(host) === 0 ? new GeneralName({ dNSName: host }) : new GeneralName({ iPAddress: host }),
  )
  return leaf(authority, name, names, [id_kp_serverAuth, id_kp_clientAuth], options)
}

/** Makes the key and the certificate of a user. */
export function issueClient(authority: PemPair, user: string, options: IssueOptions): PemPair {
  const names = [new GeneralName({ uniformResourceIdentifier: userUri(user) })]
  return leaf(authority, user, names, [id_kp_clientAuth], options)
}

interface RevokedSerial {
  /** Serial number in the form of `X509Certificate.serialNumber`. */
  readonly serial: string
  readonly revokedAt: Date
}

/** Makes the revocation list of a CA. It is valid as long as the CA: the next revocation replaces it. */
export function issueRevocationList(authority: PemPair, revoked: readonly RevokedSerial[]): string {
  const { certificate: signer, key } = parseAuthority(authority)
  const { subject, subjectPublicKeyInfo, validity } = signer.tbsCertificate
  const algorithm = new AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 })
  const now = Date.now()
  const tbsCertList = new TBSCertList({
    version: Version.v2,
    signature: algorithm,
    issuer: subject,
    thisUpdate: new Time(floorToSecond(now - BACKDATED_MS)),
    nextUpdate: validity.notAfter,
    ...(revoked.length > 0 && {
      revokedCertificates: revoked.map(
        ({ serial, revokedAt }) =>
          new RevokedCertificate({
            userCertificate: new Uint8Array(Buffer.from(serial, 'hex')).buffer,
            revocationDate: new Time(floorToSecond(revokedAt.getTime())),
          }),
      ),
    }),
    crlExtensions: [
      extension(
        id_ce_authorityKeyIdentifier,
        new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(computeKeyId(subjectPublicKeyInfo)) }),
      ),
      extension(id_ce_cRLNumber, new CRLNumber(now)),
    ],
  })
  const signature = new Uint8Array(sign('sha256', encodeDer(tbsCertList), key)).buffer
  return toPem(
    'X509 CRL',
    encodeDer(new CertificateList({ tbsCertList, signatureAlgorithm: algorithm, signature })),
  )
}

function leaf(
  authority: PemPair,
  commonName: string,
  names: readonly GeneralName[],
  purposes: readonly string[],
  options: IssueOptions,
): PemPair {
  const { certificate: signer, key } = parseAuthority(authority)
  const info = signer.tbsCertificate.subjectPublicKeyInfo
  return certificate(keysFor(options), {
    subject: commonNameOnly(commonName),
    issuer: { name: signer.tbsCertificate.subject, key, keyId: computeKeyId(info) },
    options,
    extensions: [
      critical(id_ce_basicConstraints, new BasicConstraints({ cA: false })),
      critical(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.digitalSignature)),
      extension(id_ce_extKeyUsage, new ExtendedKeyUsage([...purposes])),
      extension(id_ce_subjectAltName, new SubjectAlternativeName([...names])),
    ],
  })
}

interface Keys {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

interface CertificateFields {
  readonly subject: Name
  readonly issuer: { readonly name: Name; readonly key: KeyObject; readonly keyId: Uint8Array }
  readonly options: IssueOptions
  readonly extensions: readonly Extension[]
}

function certificate(keys: Keys, { subject, issuer, options, extensions }: CertificateFields): PemPair {
  const info = publicKeyInfo(keys.publicKey)
  const from = options.now?.getTime() ?? Date.now()
  const signatureAlgorithm = new AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 })
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: serialNumber(),
    signature: signatureAlgorithm,
    issuer: issuer.name,
    validity: new Validity({
      notBefore: floorToSecond(from - BACKDATED_MS),
      notAfter: floorToSecond(from + options.days * DAY_MS),
    }),
    subject,
    subjectPublicKeyInfo: info,
    extensions: new Extensions([
      ...extensions,
      extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(computeKeyId(info))),
      extension(
        id_ce_authorityKeyIdentifier,
        new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(issuer.keyId) }),
      ),
    ]),
  })
  const signatureValue = sign('sha256', encodeDer(tbsCertificate), issuer.key)
  const signed = new Certificate({
    tbsCertificate,
    signatureAlgorithm,
    signatureValue: new Uint8Array(signatureValue).buffer,
  })
  return {
    cert: toPem('CERTIFICATE', encodeDer(signed)),
    key: String(keys.privateKey.export({ type: 'pkcs8', format: 'pem' })),
  }
}

function keysFor({ key }: IssueOptions): Keys {
  if (key === undefined) return generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const privateKey = createPrivateKey(key)
  if (privateKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new TypeError('the key is not one of the curve P-256')
  return { privateKey, publicKey: createPublicKey(privateKey) }
}

const publicKeyInfo = (key: KeyObject): SubjectPublicKeyInfo =>
  AsnConvert.parse(key.export({ type: 'spki', format: 'der' }), SubjectPublicKeyInfo)

const computeKeyId = ({ subjectPublicKey }: SubjectPublicKeyInfo): Uint8Array =>
  createHash('sha1').update(new Uint8Array(subjectPublicKey)).digest()

/** 127 random bits: a positive number without a leading zero byte. */
function serialNumber(): ArrayBuffer {
  const bytes = new Uint8Array(randomBytes(16))
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.buffer
}

/** Whole seconds: the encoding has no fractions. */
const floorToSecond = (ms: number): Date => new Date(Math.floor(ms / 1_000) * 1_000)

const commonNameOnly = (commonName: string): Name =>
  new Name([
    new RelativeDistinguishedName([
      new AttributeTypeAndValue({
        type: COMMON_NAME,
        value: new AttributeValue({ utf8String: commonName }),
      }),
    ]),
  ])

const extension = (extnID: string, value: object): Extension =>
  new Extension({ extnID, critical: false, extnValue: new OctetString(AsnConvert.serialize(value)) })

const critical = (extnID: string, value: object): Extension =>
  Object.assign(extension(extnID, value), { critical: true })
