// Syntax of the addresses of a member, for every place where they enter: all nodes dial the address that one node
// announces.

import { isIPv4, isIPv6 } from 'node:net'
import { PEER_CHARS_MAX, PEER_PATTERN, URL_CHARS_MAX, URL_PATTERN } from '../operations/forms/members.ts'

export const hostPort = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`

export const isPeerAddress = (text: string): boolean =>
  text.length <= PEER_CHARS_MAX && new RegExp(PEER_PATTERN, 'u').test(text)

export const isBaseUrl = (text: string): boolean =>
  text.length <= URL_CHARS_MAX && new RegExp(URL_PATTERN, 'u').test(text)

/**
 * The network that one party usually has: an IPv4 address, or a /64 of IPv6. An IPv4 address may be mapped, as a
 * listener for both families reports it.
 */
export function networkOf(address: string): string {
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
