// Which request made what a client saw? Each revision that was seen and that no acknowledged change made needs a
// separate request that may have made it.
//
// Deletes do not count: they leave nothing with a revision. Most requests leave one value only, whatever was there
// before. Among those, the observations are taken by earliest deadline, and each gets the latest request that had begun
// by then. That leaves most for the rest, and no other assignment is better. It takes n log n. If an append may have
// made a value too, the remaining observations try to make others move (augmenting paths), within a budget.

/** Something that was seen before `deadline`, with its value; undefined: the value is not known. */
export interface Observed {
  readonly deadline: number
  readonly value: string | undefined
}

/** A request that may have made it. */
export interface MatchCandidate {
  readonly start: number
  /** The one value that it leaves, or what it appends to any value. */
  readonly leaves: { readonly value: string } | { readonly suffix: string }
}

/** Limit of pairs that are examined after the first round. */
export const PAIRS_MAX = 5_000_000

/** The observations that get no candidate; undefined: finding out would take too long. */
export function unmatched<T extends Observed>(
  observed: readonly T[],
  candidates: readonly MatchCandidate[],
): readonly T[] | undefined {
  const matching = new Matching(observed, candidates)
  const left = matching.greedily()
  return left.length === 0 || !matching.hasAppends ? left : matching.augment(left)
}

class Matching<T extends Observed> {
  readonly hasAppends: boolean
  readonly #observed: readonly T[]
  readonly #candidates: readonly MatchCandidate[]
  readonly #owners = new Map<MatchCandidate, T>()

  constructor(observed: readonly T[], candidates: readonly MatchCandidate[]) {
    this.#observed = [...observed].sort((a, b) => a.deadline - b.deadline)
    this.#candidates = [...candidates].sort((a, b) => a.start - b.start)
    this.hasAppends = candidates.some(({ leaves }) => 'suffix' in leaves)
  }

  /** Observations with a known value are first: for the others any candidate will do. */
  greedily(): T[] {
    const left: (readonly T[])[] = []
    const byValue = new Map<string, T[]>()
    const anything: T[] = []
    for (const one of this.#observed) {
      if (one.value === undefined) anything.push(one)
      else groupOf(byValue, one.value).push(one)
    }
    const byLeftValue = new Map<string, MatchCandidate[]>()
    for (const candidate of this.#candidates)
      if ('value' in candidate.leaves) groupOf(byLeftValue, candidate.leaves.value).push(candidate)
    for (const [value, observed] of byValue) left.push(this.#assign(observed, byLeftValue.get(value) ?? []))
    const free = this.#candidates.filter((candidate) => !this.#owners.has(candidate))
    left.push(this.#assign(anything, free))
    return left.flat()
  }

  /** Both in their order. The candidates that have begun by a deadline form a stack, with the latest on top. */
  #assign(observed: readonly T[], candidates: readonly MatchCandidate[]): T[] {
    const begun: MatchCandidate[] = []
    let next = 0
    return observed.filter((one) => {
      for (
        let candidate = candidates[next];
        candidate !== undefined && candidate.start < one.deadline;
        candidate = candidates[++next]
      )
        begun.push(candidate)
      const taken = begun.pop()
      if (taken === undefined) return true
      this.#owners.set(taken, one)
      return false
    })
  }

  augment(left: readonly T[]): T[] | undefined {
    let pairs = 0
    const without: T[] = []
    for (const one of left) {
      // Breadth first: which observation asked for each candidate, so that the path can be followed back.
      const askedBy = new Map<MatchCandidate, T>()
      const queue: T[] = [one]
      let free: MatchCandidate | undefined
      for (let at = 0; at < queue.length && free === undefined; at++) {
        const asking = queue[at]
        if (asking === undefined) break
        for (const candidate of this.#candidates) {
          if (candidate.start >= asking.deadline) break
          if (++pairs > PAIRS_MAX) return undefined
          if (askedBy.has(candidate) || !mayLeave(candidate, asking.value)) continue
          askedBy.set(candidate, asking)
          const owner = this.#owners.get(candidate)
          if (owner === undefined) {
            free = candidate
            break
          }
          queue.push(owner)
        }
      }
      if (free === undefined) without.push(one)
      else this.#move(free, one, askedBy)
    }
    return without
  }

  #move(free: MatchCandidate, first: T, askedBy: ReadonlyMap<MatchCandidate, T>): void {
    const owned = new Map([...this.#owners].map(([candidate, owner]) => [owner, candidate]))
    for (let candidate: MatchCandidate | undefined = free; candidate !== undefined; ) {
      const one = askedBy.get(candidate)
      if (one === undefined) return
      const before: MatchCandidate | undefined = one === first ? undefined : owned.get(one)
      this.#owners.set(candidate, one)
      candidate = before
    }
  }
}

const mayLeave = ({ leaves }: MatchCandidate, value: string | undefined): boolean =>
  value === undefined || ('value' in leaves ? leaves.value === value : value.endsWith(leaves.suffix))

function groupOf<K, V>(groups: Map<K, V[]>, key: K): V[] {
  const group = groups.get(key) ?? []
  groups.set(key, group)
  return group
}
