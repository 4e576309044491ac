// Names of the files of a directory with certificates: NAME.crt, NAME.key and NAME.p12, and the CA as `ca`.

import { join } from 'node:path'

export const AUTHORITY = 'ca'

/** How long certificates are valid: that of a CA, and others. */
export const AUTHORITY_DAYS = 3_650
export const CERTIFICATE_DAYS = 90

/** Paths of a certificate and its private key. */
export interface PairPaths {
  readonly cert: string
  readonly key: string
}

/** Path of a certificate with its private key, for browsers. */
export const pkcs12Path = (dir: string, name: string): string => join(dir, `${name}.p12`)

export const pairPaths = (dir: string, name: string): PairPaths => ({
  cert: join(dir, `${name}.crt`),
  key: join(dir, `${name}.key`),
})
