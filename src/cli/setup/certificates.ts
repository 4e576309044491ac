// The certificates of a node, from one text in PEM: its certificate and key, and those of the CAs.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'

export interface NodeCertificateFiles {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
const KEYS = /-----BEGIN (?:EC |RSA )?PRIVATE KEY-----[^-]+-----END (?:EC |RSA )?PRIVATE KEY-----/g

/** Why the certificates cannot be used. */
export class CertificateFault extends Error {
  override readonly name = 'CertificateFault'
}

/** The files for certificates in any order. Throws `CertificateFault`. */
export function sortedCertificates(pem: string): NodeCertificateFiles {
  const [key, another] = pem.match(KEYS) ?? []
  if (key === undefined) throw new CertificateFault('there is no private key in PEM')
  if (another !== undefined) throw new CertificateFault('there is more than one private key')
  const privateKey = parsed('the private key', () => createPrivateKey(key))
  const all = (pem.match(CERTIFICATES) ?? []).map((text) => ({
    text,
    certificate: parsed('a certificate', () => new X509Certificate(text)),
  }))
  const leaves = all.filter(({ certificate }) => certificate.checkPrivateKey(privateKey))
  if (leaves.length !== 1)
    throw new CertificateFault(
      leaves.length === 0
        ? 'no certificate belongs to the private key'
        : 'more than one certificate belongs to the private key',
    )
  const others = all.filter(({ certificate }) => !certificate.checkPrivateKey(privateKey))
  if (others.some(({ certificate }) => !certificate.ca))
    throw new CertificateFault('there is a certificate that is neither that of the key nor that of a CA')
  const isRoot = ({ certificate }: (typeof all)[number]) => certificate.subject === certificate.issuer
  const roots = others.filter(isRoot)
  if (roots.length === 0) throw new CertificateFault('there is no certificate of a CA (ca.crt)')
  const intermediates = others.filter((each) => !isRoot(each))
  return {
    ca: joinTexts(roots),
    cert: joinTexts([...leaves, ...intermediates]),
    key: `${key}\n`,
  }
}

const joinTexts = (all: readonly { readonly text: string }[]): string =>
  all.map(({ text }) => `${text}\n`).join('')

function parsed<T>(what: string, parse: () => T): T {
  try {
    return parse()
  } catch {
    throw new CertificateFault(`${what} cannot be read`)
  }
}

const [SERVER, CLIENT] = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']

/** Throws `CertificateFault` unless a node with this host can use them now. */
export function checkCertificates({ ca, cert, key }: NodeCertificateFiles, host: string): void {
  const [leaf, ...intermediates] = (cert.match(CERTIFICATES) ?? []).map((text) => new X509Certificate(text))
  const authorities = (ca.match(CERTIFICATES) ?? []).map((text) => new X509Certificate(text))
  if (leaf === undefined) throw new CertificateFault('there is no certificate')
  if (!leaf.checkPrivateKey(parsed('the private key', () => createPrivateKey(key))))
    throw new CertificateFault('the certificate and the private key do not belong together')
  const name = host.replace(/^\[(.*)\]$/, '$1')
  const isNamed = isIP(name) === 0 ? leaf.checkHost(name) : leaf.checkIP(name)
  if (isNamed === undefined)
    throw new CertificateFault(`the certificate is for ${leaf.subjectAltName ?? 'no host'}, not for ${host}`)
  if (leaf.validToDate.getTime() < Date.now())
    throw new CertificateFault(`the certificate has ended at ${leaf.validToDate.toISOString()}`)
  const purposes = leaf.keyUsage
  if (purposes !== undefined && ![SERVER, CLIENT].every((purpose) => purposes.includes(purpose)))
    throw new CertificateFault('the certificate must be for servers and for clients')
  if (!isSigned(leaf, intermediates, authorities))
    throw new CertificateFault('none of the CAs has signed the certificate')
}

function isSigned(
  certificate: X509Certificate,
  intermediates: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
): boolean {
  const hasSigned = (issuer: X509Certificate): boolean =>
    certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
  if (authorities.some(hasSigned)) return true
  return intermediates.some(
    (issuer) =>
      hasSigned(issuer) &&
      isSigned(
        issuer,
        intermediates.filter((other) => other !== issuer),
        authorities,
      ),
  )
}
