// What a request asks for, by its method and its raw target. The front says it once, for both lanes; nobody behind it
// looks at the target again.

import type { Operation } from '../metrics.ts'
import { type Target, valueIn } from './target.ts'

export interface Classified {
  readonly operation: Operation
  /**
   * The keys that the target names, still percent-encoded: one, unless the client is wrong. undefined: the target is
   * not under /v1/kv.
   */
  readonly keys: readonly string[] | undefined
  /** The rest of the query: names with values, as they were sent. */
  readonly pairs: readonly string[]
}

const KEYS_PATH = '/v1/kv'
const KEY_PATH = '/v1/kv/'

export function classify(method: string, { path, query }: Target): Classified {
  const pairs = query === '' ? NOTHING : query.split('&')
  if (path.startsWith(KEY_PATH))
    return { operation: operationOf(method, 'get'), keys: [path.slice(KEY_PATH.length)], pairs }
  if (path !== KEYS_PATH) return { operation: 'other', keys: undefined, pairs }
  // In a query `+` is a space.
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

/** `key`, however it is escaped. */
const isKeyPair = (pair: string): boolean => /^(?:k|%6[Bb])(?:e|%65)(?:y|%79)(?:=|$)/.test(pair)
