// The fields of an item, as MessagePack has them. A node decodes a map as a `Map`, a client as an object. A fault in a
// field is an error of its operation, and does not affect the others of its message.

import { encodeUtf8, utf8Length } from '../../bytes/index.ts'
import { TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX } from '../forms/durations.ts'
import { BOUND_BYTES_MAX, checkedKey, checkedValue } from '../forms/places.ts'
import { ApiError } from '../forms/problems.ts'
import { asRevision, type Revision } from '../forms/store.ts'
import type { Item } from './form.ts'

export const invalidField = (name: string, expected: string): ApiError =>
  new ApiError('bad_request', `${name} must be ${expected}`)

/** An absent field is nil. */
export const isNil = (field: unknown): field is null | undefined => field === null || field === undefined

export function checkElements(item: Item, elementsMax: number): void {
  if (item.length > elementsMax)
    throw new ApiError(
      'bad_request',
      `this operation has at most ${elementsMax} elements, not ${item.length}`,
    )
}

export function decodeTimeout(field: unknown): number {
  if (isNil(field)) return TIMEOUT_MS_DEFAULT
  if (typeof field === 'number' && field > 0 && field <= TIMEOUT_MS_MAX) return field
  throw invalidField('timeout_ms', `a number above 0 and up to ${TIMEOUT_MS_MAX}`)
}

/** The bytes of a field; a string means its UTF-8. */
export function decodeBytes(field: unknown, name: string): Uint8Array {
  if (field instanceof Uint8Array) return field
  if (typeof field === 'string') return encodeUtf8(field)
  throw invalidField(name, 'bytes or a string')
}

export const decodeKeyField = (field: unknown): Uint8Array => checkedKey(decodeBytes(field, 'key'))
export const decodeValueField = (field: unknown): Uint8Array => checkedValue(decodeBytes(field, 'value'))

/**
 * A bound of a range to read. No key is longer than the longest one, so the rest of a longer bound decides nothing: it
 * is dropped, and not kept while the read waits.
 */
export function decodeBound(field: unknown, name: string): Uint8Array {
  const bound = decodeBytes(field, name)
  // Not slice(): the slice() of a Buffer shares its bytes.
  return bound.length <= BOUND_BYTES_MAX ? bound : new Uint8Array(bound.subarray(0, BOUND_BYTES_MAX))
}

/** Number of bytes of a field; 0 if it is neither bytes nor a string. */
export function fieldBytes(field: unknown): number {
  if (field instanceof Uint8Array) return field.length
  return typeof field === 'string' ? utf8Length(field) : 0
}

/** The bytes of all strings and byte strings in a field; names do not count. */
export function nestedBytes(field: unknown): number {
  if (Array.isArray(field)) return field.reduce<number>((sum, each) => sum + nestedBytes(each), 0)
  if (!(field instanceof Map)) return fieldBytes(field)
  let bytes = 0
  for (const value of field.values()) bytes += nestedBytes(value)
  return bytes
}

export function decodeRevisionField(field: unknown, name: string): Revision {
  if (typeof field === 'number' && Number.isSafeInteger(field) && field >= 1) return asRevision(field)
  throw invalidField(name, 'a revision')
}

/** The revision at which the store is read; undefined: as it is now. */
export const decodeAsOfRevision = (field: unknown): Revision | undefined =>
  isNil(field) ? undefined : decodeRevisionField(field, 'revision')

/** A map of named fields. */
export interface NamedFields<N extends string> {
  get(name: N): unknown
}

/** Throws `ApiError` for a name that is not one of these. */
export function decodeMap<N extends string>(
  field: unknown,
  name: string,
  names: readonly N[],
): ReadonlyMap<N, unknown> {
  if (!(field instanceof Map)) throw invalidField(name, 'a map')
  for (const key of field.keys())
    if (!names.includes(key))
      throw new ApiError('unknown_parameter', `${JSON.stringify(key)} is not known in ${name}`)
  return field
}

/** Decodes a map that may be nil, which stands for a map without fields. Throws `ApiError`. */
export const decodeOptionalMap = <N extends string>(
  field: unknown,
  name: string,
  names: readonly N[],
): NamedFields<N> => (isNil(field) ? NO_FIELDS : decodeMap(field, name, names))

const NO_FIELDS: ReadonlyMap<string, unknown> = new Map()

export function decodeFlag(field: unknown, name: string): boolean | undefined {
  if (isNil(field)) return undefined
  if (typeof field === 'boolean') return field
  throw invalidField(name, 'true or false')
}

export function decodeChoice<T extends string>(
  field: unknown,
  name: string,
  options: readonly T[],
): T | undefined {
  if (isNil(field)) return undefined
  const found = options.find((option) => option === field)
  if (found === undefined) throw invalidField(name, `one of ${options.join(', ')}`)
  return found
}

export const decodeOptionalNumber = (
  field: unknown,
  name: string,
  min: number,
  max: number,
): number | undefined => (isNil(field) ? undefined : decodeNumber(field, name, min, max))

/** A whole number. */
export function decodeNumber(field: unknown, name: string, min: number, max: number): number {
  if (typeof field === 'number' && Number.isInteger(field) && field >= min && field <= max) return field
  throw invalidField(name, `a whole number from ${min} to ${max}`)
}

export function decodeText(field: unknown, name: string): string | undefined {
  if (isNil(field) || typeof field === 'string') return field ?? undefined
  throw invalidField(name, 'a string')
}

// ---------------------------------------------------------------------------------------------------------------------
// Bounds

/** The bytes of named fields; a field that is nil is absent. */
export function decodeBounds<N extends string>(
  options: NamedFields<N>,
  decode: typeof decodeBound,
  ...names: readonly N[]
): { readonly [Name in N]?: Uint8Array } {
  const bounds: { [Name in N]?: Uint8Array } = {}
  for (const name of names) {
    const field = options.get(name)
    if (!isNil(field)) bounds[name] = decode(field, name)
  }
  return bounds
}
