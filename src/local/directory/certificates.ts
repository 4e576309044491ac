// The certificates of a local cluster, in its directory: a CA, one for each node, and one of the user root for the
// command. The key of the CA lies beside them, so they are valid as long as the CA.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SecureContextOptions } from 'node:tls'
import { AUTHORITY, AUTHORITY_DAYS, type PairPaths, pairPaths } from '../../certificates/paths.ts'
import type { NodeOptions } from '../../server/options.ts'

/** The directory of the certificates, in that of the cluster. */
export const CERTIFICATE_DIRECTORY = 'certs'
const USER = 'root'
const HOSTS = ['localhost', '127.0.0.1', '::1']

/** Files of the command, in cluster.json: paths below the directory of the cluster. */
export interface ClusterFileTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

const certificatePaths = (name: string): PairPaths => pairPaths(CERTIFICATE_DIRECTORY, name)

export const COMMAND_TLS: ClusterFileTls = { ca: certificatePaths(AUTHORITY).cert, ...certificatePaths(USER) }

/** Makes the certificates that are missing. */
export async function makeCertificates(clusterDir: string, names: readonly string[]): Promise<void> {
  const { makeAuthority, makeClientCertificate, makeNodeCertificate } = await import(
    '../../certificates/directory.ts'
  )
  const dir = join(clusterDir, CERTIFICATE_DIRECTORY)
  const isMissing = (name: string): boolean => !existsSync(pairPaths(dir, name).cert)
  const days = AUTHORITY_DAYS
  if (isMissing(AUTHORITY)) makeAuthority(dir, { name: 'quorate local cluster', days })
  for (const name of names.filter(isMissing)) makeNodeCertificate(dir, { name, hosts: HOSTS, days })
  if (isMissing(USER)) makeClientCertificate(dir, { user: USER, days })
}

/** Options of a node of the cluster. */
export function nodeTls(clusterDir: string, name: string): Required<Pick<NodeOptions, 'tls' | 'peerTls'>> {
  const dir = join(clusterDir, CERTIFICATE_DIRECTORY)
  const files = { ...pairPaths(dir, name), ca: pairPaths(dir, AUTHORITY).cert }
  return { tls: files, peerTls: files }
}

/** The CA of the nodes, and the certificate and key of the command. */
export function clientTls(
  clusterDir: string,
  { ca, cert, key }: ClusterFileTls = COMMAND_TLS,
): { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer } & SecureContextOptions {
  const read = (path: string): Buffer => readFileSync(join(clusterDir, path))
  return { ca: read(ca), cert: read(cert), key: read(key) }
}
