// The hint in a message about a mistyped name.

import { nearest } from '../client/nearest.ts'

export const nearestOf = (word: string, candidates: readonly string[]): string | undefined =>
  nearest(word, candidates)

/** A line of its own; empty when no candidate is close. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const near = nearestOf(word, candidates)
  return near === undefined ? '' : `\n(Did you mean ${near}?)`
}
