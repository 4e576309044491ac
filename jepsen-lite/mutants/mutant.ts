// A mutant: one bug, planted by replacing a few lines. Its text must be found exactly once, so that a change of the
// code is noticed.

/** Where a bug can be seen; `LAYERS` lists them by cost. */
export type Layer = 'sim' | 'unit' | 'power'
export const LAYERS: readonly Layer[] = ['sim', 'unit', 'power']

export interface Edit {
  /** Path from the root of the project. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

export interface Mutant {
  readonly id: string
  readonly title: string
  /** What goes wrong, and which system had this bug, where that is known. */
  readonly why: string
  /** The layers that can see it, the cheapest first. The first one is expected to catch it. */
  readonly layers: readonly Layer[]
  /** Files or folders of tests, if `unit` is one of the layers. */
  readonly tests?: readonly string[]
  readonly edits: readonly Edit[]
}

/** A bug of the list that this catalogue began with. It is not planted, because the design has no place for it. */
export interface Impossible {
  readonly id: string
  readonly title: string
  readonly because: string
}

export class StaleMutantError extends Error {
  override readonly name = 'StaleMutantError'
}

/** Returns `text` with the bug in it. */
export function withEdit(text: string, { file, find, replace }: Edit): string {
  const parts = text.split(find)
  if (parts.length === 2) return parts.join(replace)
  throw new StaleMutantError(`${file} holds this ${parts.length - 1} times instead of once: ${find}`)
}
