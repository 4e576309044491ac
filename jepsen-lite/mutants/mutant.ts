// A mutant: one bug, planted by replacing a few lines. Its text must be found exactly once, so that it breaks loudly
// when the code moves.

/** Where a bug can be seen; `LAYERS` names them in order of cost. */
export type Layer = 'sim' | 'unit' | 'power'
export const LAYERS: readonly Layer[] = ['sim', 'unit', 'power']

export interface Edit {
  /** From the root of the project. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

export interface Mutant {
  readonly id: string
  readonly title: string
  /** What goes wrong, and which system had it where that is known. */
  readonly why: string
  /** Those that can see it, the cheapest first; it is expected to be caught by the first. */
  readonly layers: readonly Layer[]
  /** Files or folders of tests, where `unit` is one of the layers. */
  readonly tests?: readonly string[]
  readonly edits: readonly Edit[]
}

/** Of the list that this catalogue began with; not planted here because the design has no place for it. */
export interface Impossible {
  readonly id: string
  readonly title: string
  readonly because: string
}

export class StaleMutantError extends Error {
  override readonly name = 'StaleMutantError'
}

/** `text` with the bug in it. */
export function withEdit(text: string, { file, find, replace }: Edit): string {
  const parts = text.split(find)
  if (parts.length === 2) return parts.join(replace)
  throw new StaleMutantError(`${file} holds this ${parts.length - 1} times instead of once: ${find}`)
}
