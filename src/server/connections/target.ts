// Reads the raw request target, once for each request. A key is bytes, so the target must not be normalised: slashes
// are never merged, dot segments are literal, and `+` is a plus in a path but a space in a query.

import { CHANGES_PATH } from '../../operations/batch.ts'
import { parameterValue } from '../../operations/http/percent.ts'
import type { OperationLabel } from '../../operations/index.ts'

export interface Target {
  /** host[:port] of an absolute-form target (RFC 9112 §3.2.2). */
  readonly authority: string | undefined
  /** Still percent-encoded. */
  readonly path: string
  /** Still encoded, without the question mark. */
  readonly query: string
  /** Name of the operation in metrics. */
  readonly operation: OperationLabel
  /**
   * Keys in the target, still percent-encoded; a correct request has one. undefined: the target is not under /v1/kv.
   */
  readonly keys: readonly string[] | undefined
  /** The other parameters of the query, as they were sent. */
  readonly pairs: readonly string[]
}

/** The path of the console, without its final slash. */
export const CONSOLE_PATH = '/ui'

/** Whether a path, as it was sent, is one of etcd's JSON gateway. Clients of etcd 3.3 have the prefix /v3beta. */
export const isGatewayPath = (path: string): boolean =>
  path.startsWith('/v3/') || path.startsWith('/v3beta/') || path === '/version' || path === '/health'

const KEYS_PATH = '/v1/kv'
const KEY_PATH = '/v1/kv/'

export function parseTarget(method: string, url: string): Target {
  const absolute = url.startsWith('/') ? null : /^https?:\/\/([^/?]*)(.*)/is.exec(url)
  const authority = absolute?.[1]
  const rest = absolute?.[2] ?? url
  const mark = rest.indexOf('?')
  const path = mark < 0 ? rest : rest.slice(0, mark)
  const query = mark < 0 ? '' : rest.slice(mark + 1)
  const pairs = query === '' ? NO_PAIRS : query.split('&')
  if (path.startsWith(KEY_PATH)) {
    const keys = [path.slice(KEY_PATH.length)]
    return { authority, path, query, operation: findOperationLabel(method, 'get'), keys, pairs }
  }
  if (path !== KEYS_PATH) {
    const operation = method === 'POST' && path === CHANGES_PATH ? 'batch' : 'other'
    return { authority, path, query, operation, keys: undefined, pairs }
  }
  // In a query, `+` means a space.
  const keys = pairs.filter(isKeyPair).map((pair) => parameterValue(pair).replaceAll('+', ' '))
  const others = keys.length === 0 ? pairs : pairs.filter((pair) => !isKeyPair(pair))
  const operation = findOperationLabel(method, keys.length === 0 ? 'range' : 'get')
  return { authority, path, query, operation, keys, pairs: others }
}

const NO_PAIRS: readonly string[] = []

function findOperationLabel(method: string, read: 'get' | 'range'): OperationLabel {
  if (method === 'GET' || method === 'HEAD') return read
  if (method === 'PUT') return 'put'
  return method === 'DELETE' ? 'delete' : 'other'
}

/** Whether a pair has the name `key`, with or without escapes. */
const isKeyPair = (pair: string): boolean => /^(?:k|%6[Bb])(?:e|%65)(?:y|%79)(?:=|$)/.test(pair)
