// Binary search.

/** The number of leading items that meet the condition. All of them come before those that do not. */
export function countWhile<T>(sorted: readonly T[], holds: (item: T) => boolean): number {
  let from = 0
  let to = sorted.length
  while (from < to) {
    const middle = (from + to) >> 1
    if (holds(sorted[middle] as T)) from = middle + 1
    else to = middle
  }
  return from
}
