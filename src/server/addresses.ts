// Syntax of the addresses of a member, for every place where they enter: all nodes dial the address that one node
// announces.

import { isIPv4 } from 'node:net'

const PORT = '([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])'

/** A regular expression: host:port of a peer listener. */
export const PEER_PATTERN = `^[^\\s\\x00-\\x1f\\x7f]+:${PORT}$`
export const PEER_CHARS_MAX = 300

/** A regular expression: the base URL of an API. */
export const URL_PATTERN = '^https?://[^\\s\\x00-\\x1f\\x7f?#]*[^\\s\\x00-\\x1f\\x7f?#/]$'
export const URL_CHARS_MAX = 2000

export const hostPort = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`

export const isPeerAddress = (text: string): boolean =>
  text.length <= PEER_CHARS_MAX && new RegExp(PEER_PATTERN, 'u').test(text)

export const isBaseUrl = (text: string): boolean =>
  text.length <= URL_CHARS_MAX && new RegExp(URL_PATTERN, 'u').test(text)

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
