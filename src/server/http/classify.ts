// What a request asks for, from its method and its raw target. The front decides it once, for both lanes. No later code
// looks at the target again.

import type { Operation } from '../node/metrics.ts'
import { type Target, valueIn } from './target.ts'

export interface Classified {
  readonly operation: Operation
  /**
   * The keys in the target, still percent-encoded. A correct request has one. undefined: the target is not under
   * /v1/kv.
   */
  readonly keys: readonly string[] | undefined
  /** The other parameters of the query, as they were sent. */
  readonly pairs: readonly string[]
}

const KEYS_PATH = '/v1/kv'
const KEY_PATH = '/v1/kv/'
export const CHANGES_PATH = '/v1/changes'

export function classify(method: string, { path, query }: Target): Classified {
  const pairs = query === '' ? NOTHING : query.split('&')
  if (path.startsWith(KEY_PATH))
    return { operation: operationOf(method, 'get'), keys: [path.slice(KEY_PATH.length)], pairs }
  if (path !== KEYS_PATH) {
    const operation = method === 'POST' && path === CHANGES_PATH ? 'batch' : 'other'
    return { operation, keys: undefined, pairs }
  }
  // In a query, `+` means a space.
  const keys = pairs.filter(isKeyPair).map((pair) => valueIn(pair).replaceAll('+', ' '))
  if (keys.length === 0) return { operation: operationOf(method, 'range'), keys, pairs }
  return {
    operation: operationOf(method, 'get'),
    keys,
    pairs: pairs.filter((pair) => !isKeyPair(pair)),
  }
}

const NOTHING: readonly string[] = []

function operationOf(method: string, reading: 'get' | 'range'): Operation {
  if (method === 'GET' || method === 'HEAD') return reading
  if (method === 'PUT') return 'put'
  return method === 'DELETE' ? 'delete' : 'other'
}

/** The name `key`, with or without escapes. */
const isKeyPair = (pair: string): boolean => /^(?:k|%6[Bb])(?:e|%65)(?:y|%79)(?:=|$)/.test(pair)
