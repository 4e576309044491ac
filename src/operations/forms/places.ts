// Keys and ranges of keys. Keys are ordered by their bytes.

import { readUint8 } from '../../bytes/index.ts'

/** A range of keys, the end exclusive. */
export interface KeyRange {
  readonly start: Uint8Array
  /** undefined: no end. */
  readonly end: Uint8Array | undefined
}

/** One key, or all that exist in a range. */
export type Where = { readonly key: Uint8Array } | KeyRange

export const rangeAt = (where: Where): KeyRange =>
  'key' in where ? { start: where.key, end: keyAfter(where.key) } : where

/** Below 0: `a` is before `b`. */
export function compareKeys(a: Uint8Array, b: Uint8Array): number {
  const common = Math.min(a.length, b.length)
  for (let i = 0; i < common; i++) {
    const order = (a[i] ?? 0) - (b[i] ?? 0)
    if (order !== 0) return order
  }
  return a.length - b.length
}

/** The first key after all that begin with `prefix`; undefined: there is none. */
export function prefixEnd(prefix: Uint8Array): Uint8Array | undefined {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length--
  if (length === 0) return undefined
  // Not slice(): the slice() of a Buffer shares the caller's bytes.
  const end = new Uint8Array(length)
  end.set(prefix.subarray(0, length))
  end[length - 1] = readUint8(end, length - 1) + 1
  return end
}

/** The first key after `key`. */
export function keyAfter(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}
