// The keys of one recipe with one name: all begin with `<recipe>/<name>/`. A name may contain any byte. `/` is escaped
// as `%2F` and `%` as `%25`, so the keys of two names never mix.

import { bytesCheck, checkValue } from '../client/validators.ts'

export interface KeySpace {
  readonly prefix: Uint8Array
  /** A key: the prefix, then the parts with slashes between them. Parts are not escaped. */
  key(...parts: readonly string[]): Uint8Array
  /** The part of a key of this space after the prefix. */
  suffix(key: Uint8Array): string
}

/** `caller`: the public function, for the message about an invalid name. */
export function keySpace(caller: string, recipe: string, name: string | Uint8Array): KeySpace {
  checkValue(caller, 'name', name, bytesCheck)
  if (name.length === 0) throw new TypeError(`${caller}: name must not be empty`)
  const prefix = Buffer.concat([Buffer.from(`${recipe}/`), escapePart(name), Buffer.from('/')])
  return {
    prefix,
    key: (...parts) => Buffer.concat([prefix, Buffer.from(parts.join('/'))]),
    suffix: (key) => Buffer.from(key).toString('utf8', prefix.length),
  }
}

/** One part of a key for any text or bytes. */
export const escapePart = (name: string | Uint8Array): Buffer =>
  Buffer.from(
    Buffer.from(name)
      .toString('latin1')
      .replace(/[%/]/g, (char) => (char === '/' ? '%2F' : '%25')),
    'latin1',
  )

/** The text that `escapePart` has escaped. */
export const unescapePart = (part: string): string =>
  part.replace(/%(2F|25)/g, (_, code) => (code === '2F' ? '/' : '%'))
