// Names of a recipe: its keys begin with `RECIPE/NAME/`, and `/` and `%` of the name are escaped, as
// docs/reference/recipes.md says.

import { encodeUtf8 } from '../../../../src/bytes/index.ts'

/** All keys of one name of one recipe. */
export interface RecipeName {
  readonly recipe: string
  readonly name: Uint8Array
  /** It ends with a slash. */
  readonly prefix: Uint8Array
}

const SLASH = 0x2f
const PERCENT = 0x25

/** A name as a part of a key. */
export function escapeName(name: Uint8Array): Uint8Array {
  const escaped: number[] = []
  for (const byte of name) {
    if (byte === SLASH) escaped.push(PERCENT, 0x32, 0x46)
    else if (byte === PERCENT) escaped.push(PERCENT, 0x32, 0x35)
    else escaped.push(byte)
  }
  return Uint8Array.from(escaped)
}

/** The name of which this is the escaped form; undefined: of none. */
export function unescapeName(part: Uint8Array): Uint8Array | undefined {
  const name: number[] = []
  for (let at = 0; at < part.length; at++) {
    const byte = part[at] ?? 0
    if (byte === SLASH) return undefined
    if (byte !== PERCENT) {
      name.push(byte)
      continue
    }
    const [first, second] = part.subarray(at + 1, at + 3)
    if (first !== 0x32 || (second !== 0x46 && second !== 0x35)) return undefined
    name.push(second === 0x46 ? SLASH : PERCENT)
    at += 2
  }
  return name.length === 0 ? undefined : Uint8Array.from(name)
}

export const joinBytes = (...parts: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]))

/** The prefix of all keys of a name. */
export const namePrefix = (recipe: string, name: Uint8Array): Uint8Array =>
  joinBytes(encodeUtf8(`${recipe}/`), escapeName(name), Uint8Array.of(SLASH))
