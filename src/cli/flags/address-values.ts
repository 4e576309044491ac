// Parsers of names, addresses and counts of nodes. Each throws what the command line says behind "is invalid".

import { InvalidArgumentError } from '@commander-js/extra-typings'
import { isPeerAddress } from '../../operations/forms/members.ts'
import type { ListenAddress } from '../../server/options.ts'

export function parseNodeNumber(text: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new InvalidArgumentError('it must be a whole number from 1 on')
  return Number(text)
}

export function nodeName(text: string): string {
  if (/^[a-z0-9-]{1,63}$/.test(text)) return text
  throw new InvalidArgumentError('it must be 1 to 63 of a-z, 0-9 and -')
}

export function listenAddress(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+)):([0-9]{1,5})$/i.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port > 65_535)
    throw new InvalidArgumentError('it must be HOST:PORT, as in 127.0.0.1:7301')
  return { host, port }
}

export function portNumber(text: string): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0
  if (port >= 1 && port <= 65_535) return port
  throw new InvalidArgumentError('a port is a number from 1 to 65535')
}

export function peerAddress(text: string): string {
  if (!isPeerAddress(text)) throw new InvalidArgumentError('it must be HOST:PORT, as in 127.0.0.1:7401')
  return text
}

export function url(text: string): string {
  const parsed = URL.canParse(text) ? new URL(text) : undefined
  if (parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:') {
    throw new InvalidArgumentError('it must be a URL, as in http://127.0.0.1:7301')
  }
  return text.replace(/\/+$/, '')
}

export function urls(text: string): string[] {
  return text
    .split(',')
    .filter((part) => part !== '')
    .map(url)
}
