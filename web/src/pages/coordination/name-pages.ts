// Pages of the names of a recipe.

import { encodeUtf8 } from '../../../../src/bytes/index.ts'
import { prefixRange } from '../../../../src/operations/forms/places.ts'
import { RefusedError } from '../../cluster/connection.ts'
import { readableParts } from '../../cluster/self.ts'
import { type Children, readChildren } from '../keys/children.ts'
import { rangeText } from '../keys/range-text.ts'
import { type RecipeName, unescapeName } from './names.ts'

export interface NamesPage {
  readonly names: readonly RecipeName[]
  /** Keys, and prefixes of keys, which no recipe has written. */
  readonly foreign: readonly Uint8Array[]
  /** Why the names of a recipe are not among them, a sentence for each. */
  readonly refusals: readonly string[]
  /** Where the next page begins; undefined: there is none. */
  readonly next: Uint8Array | undefined
}

/** Parts that are named one by one. */
const PARTS_NAMED = 3

/**
 * A page of the names of some recipes, one recipe after the other, from the key `from` on. `max`: of each recipe. A
 * user who may not read one recipe gets the names of the others; whoever may read none is refused.
 */
export async function readNames(
  recipes: readonly string[],
  from: Uint8Array | undefined,
  signal: AbortSignal,
  max?: number,
): Promise<NamesPage> {
  const names: RecipeName[] = []
  const foreign: Uint8Array[] = []
  const refusals: string[] = []
  const limits: string[] = []
  let isBefore = from !== undefined
  for (const recipe of recipes) {
    const root = encodeUtf8(`${recipe}/`)
    const isHere = isBefore && from !== undefined && startsWith(from, root)
    if (isBefore && !isHere) continue
    isBefore = false
    const all = prefixRange(root)
    const parts = readableParts(all)
    if (parts.length === 0) {
      refusals.push(`you may read no key that begins with ${recipe}/`)
      if (refusals.length === recipes.length) throw new Error(capitalize(refusals.join('; ')))
      continue
    }
    if (parts[0] !== all)
      limits.push(`of ${recipe}/, you may read only ${parts.slice(0, PARTS_NAMED).map(rangeText).join(', ')}`)
    let page: Children
    try {
      page = await readChildren(root, isHere ? from : root, signal, { max })
    } catch (error) {
      if (!isForbidden(error) || recipes.length === 1) throw error
      refusals.push(error.problem.detail)
      if (refusals.length === recipes.length) throw error
      continue
    }
    for (const child of page.children) {
      const name = child.kind === 'folder' ? unescapeName(child.name.subarray(0, -1)) : undefined
      if (child.kind === 'folder' && name !== undefined) names.push({ recipe, name, prefix: child.prefix })
      else foreign.push(child.kind === 'folder' ? child.prefix : child.key)
    }
    if (page.next !== undefined)
      return { names, foreign, refusals: [...refusals, ...limits], next: page.next }
  }
  return { names, foreign, refusals: [...refusals, ...limits], next: undefined }
}

const capitalize = (sentence: string): string => sentence.charAt(0).toUpperCase() + sentence.slice(1)

const startsWith = (bytes: Uint8Array, start: Uint8Array): boolean =>
  start.every((byte, at) => bytes[at] === byte)

const isForbidden = (error: unknown): error is RefusedError =>
  error instanceof RefusedError && error.problem.code === 'permission_denied'
