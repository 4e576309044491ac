// A client with one method replaced: a test stops a recipe at a certain call, or acts just before it.

import type { Client } from '../../src/client/index.ts'

type Replaceable = 'count' | 'get' | 'list' | 'session' | 'txn' | 'watch'

export const withCall = <Name extends Replaceable>(
  kv: Client,
  name: Name,
  by: (...args: Parameters<Client[Name]>) => ReturnType<Client[Name]>,
): Client =>
  new Proxy(kv, {
    get(_, member) {
      if (member === name) return by
      const own: unknown = Reflect.get(kv, member, kv)
      return typeof own === 'function' ? own.bind(kv) : own
    },
  })
