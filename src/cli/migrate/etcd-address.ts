// `--from` and `--to`: the members of a cluster of etcd, as in etcd://10.0.0.1:2379,10.0.0.2:2379. With etcds:// the
// connections have TLS.

import { InvalidArgumentError } from '@commander-js/extra-typings'
import { Failure } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'

const DEFAULT_PORT = '2379'
const FORM = 'it must be etcd://HOST:PORT[,HOST:PORT…], or etcds://… with TLS'

export interface EtcdAddress {
  /** As the user has typed it. */
  readonly text: string
  readonly isSecure: boolean
  /** Base URLs of the members. */
  readonly urls: readonly string[]
}

export function parseEtcdAddress(text: string): EtcdAddress {
  const [, scheme, list = ''] = /^(etcds?):\/\/(.+)$/.exec(text) ?? []
  if (scheme === undefined) throw new InvalidArgumentError(FORM)
  const isSecure = scheme === 'etcds'
  const urls = list.split(',').map((member) => memberUrl(member.trim().replace(/^etcds?:\/\//, ''), isSecure))
  return { text, isSecure, urls }
}

/** `text`: with a slash at its end, or without. */
function memberUrl(text: string, isSecure: boolean): string {
  const member = text.replace(/\/$/, '')
  // The error of an argument would repeat the password.
  if (member.includes('@'))
    throw new Failure(EXIT.usage, 'a user is no part of the address of etcd: name him with --etcd-user')
  const url = `${isSecure ? 'https' : 'http'}://${/:\d+$/.test(member) ? member : `${member}:${DEFAULT_PORT}`}`
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || member === '' || parsed.pathname !== '/' || parsed.search !== '')
    throw new InvalidArgumentError(FORM)
  return url
}
