// Operations reduced to the few that differ. A lock is a key: to take it is to put the owner if the key is absent, to
// give it back is to delete it if its revision is the fencing token. So both models get locks, and the rule that
// fencing tokens rise, for nothing.

import type { KeyOperation } from './model.ts'

export type PlainOperation = Exclude<KeyOperation, { readonly f: 'acquire' } | { readonly f: 'release' }>

export function plain(op: KeyOperation): PlainOperation {
  switch (op.f) {
    case 'acquire':
      return { f: 'put', key: op.key, value: op.owner, ifAbsent: true }
    case 'release':
      return { f: 'del', key: op.key, ifRevision: op.token }
    default:
      return op
  }
}

export function assertNever(value: never): never {
  throw new Error(`an unknown operation: ${JSON.stringify(value)}`)
}
