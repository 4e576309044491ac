// Reduces operations to a few basic ones. A lock is a key: acquiring it puts the owner if the key is absent, and
// releasing it deletes the key if its revision is the fencing token. So both models also cover locks, and the rule that
// fencing tokens rise.

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
