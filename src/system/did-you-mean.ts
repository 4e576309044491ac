// Suggestions for mistyped words.

/** The hint in a message; undefined when no candidate is close. */
export function didYouMean(word: string, candidates: readonly string[]): string | undefined {
  const near = findNearest(word, candidates)
  return near === undefined ? undefined : `did you mean ${near}?`
}

/** The candidate with the fewest single-character edits; undefined when none is close. */
export function findNearest(word: string, candidates: readonly string[]): string | undefined {
  const byDistance = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word, candidate) }))
    .filter(({ candidate, distance }) => distance <= Math.max(word.length, candidate.length) / 2)
    .sort((a, b) => a.distance - b.distance)
  return byDistance[0]?.candidate
}

/**
 * Levenshtein distance, one row at a time. Swapping two neighbours counts as one edit, because that is the most common
 * mistake.
 */
function editDistance(from: string, to: string): number {
  const typed = [...from]
  const meant = [...to]
  let before: readonly number[] = []
  let row: readonly number[] = [0, ...meant.map((_, at) => at + 1)]
  for (const [i, char] of typed.entries()) {
    const next = [i + 1]
    for (const [j, other] of meant.entries()) {
      const replaced = (row[j] ?? 0) + (char === other ? 0 : 1)
      const isSwap = char === meant[j - 1] && typed[i - 1] === other
      const swapped = isSwap ? (before[j - 1] ?? 0) + 1 : replaced
      next.push(Math.min(replaced, swapped, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    before = row
    row = next
  }
  return row.at(-1) ?? 0
}
