// Which clients a node serves while nobody has to say who he is.

import type { Socket } from 'node:net'
import { isLoopback } from '../addresses.ts'
import { ApiError } from '../api/errors.ts'
import { isNodeCertificate } from '../tls/identity.ts'

/** `own-machine`: only clients of the machine of the node. */
export type ServedClients = 'all' | 'own-machine'

/**
 * Throws `ApiError` for a request from another machine. Probes of the health of the node are served, and the requests
 * of a node that joins.
 */
export function checkLoopbackOnly(served: ServedClients, socket: Socket, path: string): void {
  if (served === 'all' || PROBES.has(path) || isOfOwnMachine(socket)) return
  if (JOINING.test(path) && isNodeCertificate(socket)) return
  throw new ApiError(
    'loopback_only',
    'without authentication this node serves only clients of its own machine; start it with --client-cert required, which needs --tls-ca, or accept every client with --insecure',
  )
}

const PROBES = new Set(['/livez', '/readyz'])
const JOINING = /^\/v1\/cluster(?:\/members(?:\/[^/]+\/replace)?)?$/

/** A connection within one machine may use any address of it. */
function isOfOwnMachine({ remoteAddress = '', localAddress = '' }: Socket): boolean {
  const remote = withoutMapping(remoteAddress)
  return isLoopback(remote) || (remote !== '' && remote === withoutMapping(localAddress))
}

/** An IPv4 address as a listener for both families reports it. */
const withoutMapping = (address: string): string => address.replace(/^::ffff:(?=[0-9.]+$)/, '')
