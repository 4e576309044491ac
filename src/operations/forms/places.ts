// Keys and ranges of keys, and as clients may name them in any cluster. The settings of a cluster may allow less. Keys
// are ordered by their bytes.

import { readUint8 } from '../../bytes/index.ts'
import { ApiError } from './problems.ts'
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from './store.ts'

/** A range of keys, the end exclusive. */
export interface KeyRange {
  readonly start: Uint8Array
  /** undefined: no end. */
  readonly end: Uint8Array | undefined
  /** Its client has named it by a prefix, which is `start`: wires carry the prefix in place of the bounds. */
  readonly isPrefix?: true
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

// ---------------------------------------------------------------------------------------------------------------------
// As clients name them

/** `prefix` stands before the sentence of an error. */
export function checkedKey(key: Uint8Array, prefix = ''): Uint8Array {
  if (key.length === 0) throw new ApiError('key_empty', `${prefix}the key is empty`)
  if (key.length > KEY_BYTES_MAX)
    throw new ApiError('key_too_long', `${prefix}key of ${key.length} bytes, at most ${KEY_BYTES_MAX}`)
  return key
}

export function checkedValue(value: Uint8Array, prefix = ''): Uint8Array {
  if (value.length <= VALUE_BYTES_MAX) return value
  const detail = `${prefix}value of ${value.length} bytes, at most ${VALUE_BYTES_MAX}`
  throw new ApiError('value_too_large', detail)
}

/** The first key after the longest one has one byte more, so a longer bound has no use. */
export const BOUND_BYTES_MAX = KEY_BYTES_MAX + 1

export function checkedBound(bound: Uint8Array, name: string): Uint8Array {
  if (bound.length <= BOUND_BYTES_MAX) return bound
  throw new ApiError('key_too_long', `${name} of ${bound.length} bytes, at most ${BOUND_BYTES_MAX}`)
}

/** The keys of a range as a client names them. */
export interface RangeBounds {
  readonly prefix?: Uint8Array | undefined
  readonly start?: Uint8Array | undefined
  readonly end?: Uint8Array | undefined
}

/** All keys if no bound is given. */
export function keyRange({ prefix, start, end }: RangeBounds): KeyRange {
  if (prefix === undefined) return { start: start ?? NO_BYTES, end }
  if (start !== undefined || end !== undefined)
    throw new ApiError('bad_request', 'prefix cannot be combined with start or end')
  return { start: prefix, end: prefixEnd(prefix) }
}

const NO_BYTES = new Uint8Array()

/** The keys that begin with a prefix, as a client names them. */
export const prefixRange = (prefix: Uint8Array): KeyRange => ({
  start: prefix,
  end: prefixEnd(prefix),
  isPrefix: true,
})

/** The names of a range, as a client gives them. None for all keys, unless they are named by a prefix. */
export function rangeBounds({ start, end, isPrefix }: KeyRange): RangeBounds {
  return isPrefix === true ? { prefix: start } : { start: start.length === 0 ? undefined : start, end }
}

/** A range of keys by the names that people give it. */
type NamedRange =
  | { readonly key: Uint8Array }
  | { readonly prefix: Uint8Array }
  | { readonly start: Uint8Array; readonly end: Uint8Array | undefined }
  | { readonly all: true }

/** As one key, or by a prefix, if it can be named so. */
export function nameRange({ start, end, isPrefix }: KeyRange): NamedRange {
  if (isPrefix === true) return { prefix: start }
  if (start.length === 0 && end === undefined) return { all: true }
  if (end !== undefined && compareKeys(keyAfter(start), end) === 0) return { key: start }
  const prefixed = start.length === 0 ? undefined : prefixEnd(start)
  if (prefixed !== undefined && end !== undefined && compareKeys(prefixed, end) === 0)
    return { prefix: start }
  return { start, end }
}

function checkedRange(bounds: RangeBounds): KeyRange {
  const { prefix, start, end } = bounds
  if (prefix !== undefined) checkedBound(prefix, 'prefix')
  if (start !== undefined) checkedBound(start, 'start')
  if (end !== undefined) checkedBound(end, 'end')
  return keyRange(bounds)
}

/** A range to delete. `all` confirms a range without bounds. */
export function rangeToDelete(bounds: RangeBounds, all = false): KeyRange {
  if (bounds.prefix === undefined && bounds.start === undefined && bounds.end === undefined)
    throw new ApiError('key_empty', 'name a key, or a range by prefix, or by start and end')
  const range = checkedRange(bounds)
  if (range.start.length === 0 && range.end === undefined && !all)
    throw new ApiError('bad_request', 'this would delete all keys: add all=true if that is meant')
  return range
}

/** A key or a range to watch; all keys if none is named. */
export function whereToWatch(bounds: RangeBounds & { readonly key?: Uint8Array | undefined }): Where {
  const { key, prefix, start, end } = bounds
  if (key !== undefined) {
    if (prefix !== undefined || start !== undefined || end !== undefined)
      throw new ApiError('bad_request', 'key cannot be combined with prefix, start or end')
    return { key: checkedKey(key) }
  }
  const range = checkedRange(bounds)
  if (range.end !== undefined && compareKeys(range.start, range.end) >= 0)
    throw new ApiError('bad_request', 'no key is in this range: its start is not before its end')
  return range
}
