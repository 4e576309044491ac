// Addresses of clients and listeners.

import { createServer, isIPv4, isIPv6 } from 'node:net'

export const hostPort = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`

/**
 * The network that one party usually has: an IPv4 address, or a /64 of IPv6. An IPv4 address may be mapped, as a
 * listener for both families reports it.
 */
export function networkPrefix(address: string): string {
  const plain = address.replace(/^::ffff:(?=[0-9.]+$)/i, '')
  if (!isIPv6(plain)) return plain
  const [head = '', tail] = plain.replace(/%.*$/, '').split('::')
  const groups = head === '' ? [] : head.split(':')
  const rest = tail === undefined || tail === '' ? [] : tail.split(':')
  const missing = tail === undefined ? 0 : Math.max(0, 8 - groups.length - rest.length)
  const all = [...groups, ...Array<string>(missing).fill('0'), ...rest]
  return `${all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))

/** Rejects with the error of the system when no server can listen at the address now. */
export function checkListenAddress({
  host,
  port,
}: {
  readonly host: string
  readonly port: number
}): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    // Workers of node:cluster would share the port otherwise.
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()))
  })
}
