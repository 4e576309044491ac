// Pages of the names of a recipe.

import { encodeUtf8 } from '../../../../src/bytes/index.ts'
import { readChildren } from '../keys/children.ts'
import { type RecipeName, unescapeName } from './names.ts'

export interface NamesPage {
  readonly names: readonly RecipeName[]
  /** Keys, and prefixes of keys, which no recipe has written. */
  readonly foreign: readonly Uint8Array[]
  /** Where the next page begins; undefined: there is none. */
  readonly next: Uint8Array | undefined
}

/** A page of the names of some recipes, one recipe after the other, from the key `from` on. `max`: of each recipe. */
export async function readNames(
  recipes: readonly string[],
  from: Uint8Array | undefined,
  signal: AbortSignal,
  max?: number,
): Promise<NamesPage> {
  const names: RecipeName[] = []
  const foreign: Uint8Array[] = []
  let isBefore = from !== undefined
  for (const recipe of recipes) {
    const root = encodeUtf8(`${recipe}/`)
    const isHere = isBefore && from !== undefined && startsWith(from, root)
    if (isBefore && !isHere) continue
    isBefore = false
    const page = await readChildren(root, isHere ? from : root, signal, { max })
    for (const child of page.children) {
      const name = child.kind === 'folder' ? unescapeName(child.name.subarray(0, -1)) : undefined
      if (child.kind === 'folder' && name !== undefined) names.push({ recipe, name, prefix: child.prefix })
      else foreign.push(child.kind === 'folder' ? child.prefix : child.key)
    }
    if (page.next !== undefined) return { names, foreign, next: page.next }
  }
  return { names, foreign, next: undefined }
}

const startsWith = (bytes: Uint8Array, start: Uint8Array): boolean =>
  start.every((byte, at) => bytes[at] === byte)
