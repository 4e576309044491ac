// Where a recipe keeps its keys: under `<recipe>/<name>/`. A name may contain whatever a key may, also slashes. So that
// no name reaches into the place of another one, `/` in it is written `%2F`, and `%` is written `%25`.

import { checkValue, isBytes } from '../client/validators.ts'

export interface KeyPlace {
  /** What all keys begin with. */
  readonly prefix: Uint8Array
  /** A key: the prefix, and the parts with slashes between them, as they are. */
  key(...parts: readonly string[]): Uint8Array
  /** What follows the prefix in a key of this place. */
  rest(key: Uint8Array): string
}

/** `where`: the called function, for the message about a bad name. */
export function placeOf(where: string, recipe: string, name: string | Uint8Array): KeyPlace {
  checkValue(where, 'name', name, isBytes)
  if (name.length === 0) throw new TypeError(`${where}: name must not be empty`)
  const prefix = Buffer.concat([Buffer.from(`${recipe}/`), escaped(name), Buffer.from('/')])
  return {
    prefix,
    key: (...parts) => Buffer.concat([prefix, Buffer.from(parts.join('/'))]),
    rest: (key) => Buffer.from(key).toString('utf8', prefix.length),
  }
}

/** One part of a key that holds any text or bytes. */
export const escaped = (name: string | Uint8Array): Buffer =>
  Buffer.from(
    Buffer.from(name)
      .toString('latin1')
      .replace(/[%/]/g, (char) => (char === '/' ? '%2F' : '%25')),
    'latin1',
  )

/** The text that was escaped. */
export const unescaped = (part: string): string =>
  part.replace(/%(2F|25)/g, (_, code) => (code === '2F' ? '/' : '%'))
