// Which request made what a client saw? Each revision that was seen and that no acknowledged change made needs a
// separate request that may have made it.
//
// Deletes do not count: they leave nothing with a revision. Most requests leave one value only, whatever was there
// before. Among those, the observations are taken by earliest deadline, and each gets the latest request that had begun
// by then. That leaves most for the rest, and no other assignment is better. It takes n log n. If an append may have
// made a value too, the remaining observations try to make others move (augmenting paths), within a budget.

/** Something that was seen before `deadline`, with its value; undefined: the value was not told. */
export interface Taker {
  readonly deadline: number
  readonly value: string | undefined
}

/** A request that may have made it. */
export interface Offer {
  readonly start: number
  /** The one value that it leaves, or what it appends to any value. */
  readonly leaves: { readonly value: string } | { readonly suffix: string }
}

/** Limit of pairs that are examined after the first round. */
export const PAIRS_MAX = 5_000_000

/** The takers without an offer; undefined: finding out would take too long. */
export function unmatched<T extends Taker>(
  takers: readonly T[],
  offers: readonly Offer[],
): readonly T[] | undefined {
  const matching = new Matching(takers, offers)
  const left = matching.greedily()
  return left.length === 0 || !matching.hasAppends ? left : matching.augment(left)
}

class Matching<T extends Taker> {
  readonly hasAppends: boolean
  readonly #takers: readonly T[]
  readonly #offers: readonly Offer[]
  readonly #owners = new Map<Offer, T>()

  constructor(takers: readonly T[], offers: readonly Offer[]) {
    this.#takers = [...takers].sort((a, b) => a.deadline - b.deadline)
    this.#offers = [...offers].sort((a, b) => a.start - b.start)
    this.hasAppends = offers.some(({ leaves }) => 'suffix' in leaves)
  }

  /** Takers with a known value go first: the others accept any. */
  greedily(): T[] {
    const left: T[] = []
    const byValue = new Map<string, T[]>()
    const anything: T[] = []
    for (const taker of this.#takers) {
      if (taker.value === undefined) anything.push(taker)
      else groupOf(byValue, taker.value).push(taker)
    }
    const offered = new Map<string, Offer[]>()
    for (const offer of this.#offers)
      if ('value' in offer.leaves) groupOf(offered, offer.leaves.value).push(offer)
    for (const [value, takers] of byValue) left.push(...this.#deal(takers, offered.get(value) ?? []))
    const free = this.#offers.filter((offer) => !this.#owners.has(offer))
    left.push(...this.#deal(anything, free))
    return left
  }

  /** Both in their order. The offers that have begun by a deadline form a stack, with the latest on top. */
  #deal(takers: readonly T[], offers: readonly Offer[]): T[] {
    const begun: Offer[] = []
    let next = 0
    return takers.filter((taker) => {
      for (
        let offer = offers[next];
        offer !== undefined && offer.start < taker.deadline;
        offer = offers[++next]
      )
        begun.push(offer)
      const taken = begun.pop()
      if (taken === undefined) return true
      this.#owners.set(taken, taker)
      return false
    })
  }

  augment(left: readonly T[]): T[] | undefined {
    let pairs = 0
    const without: T[] = []
    for (const taker of left) {
      // Breadth first: which taker has asked for each offer, so that the path can be followed back.
      const askedBy = new Map<Offer, T>()
      const queue: T[] = [taker]
      let free: Offer | undefined
      for (let at = 0; at < queue.length && free === undefined; at++) {
        const asking = queue[at]
        if (asking === undefined) break
        for (const offer of this.#offers) {
          if (offer.start >= asking.deadline) break
          if (++pairs > PAIRS_MAX) return undefined
          if (askedBy.has(offer) || !mayLeave(offer, asking.value)) continue
          askedBy.set(offer, asking)
          const owner = this.#owners.get(offer)
          if (owner === undefined) {
            free = offer
            break
          }
          queue.push(owner)
        }
      }
      if (free === undefined) without.push(taker)
      else this.#move(free, taker, askedBy)
    }
    return without
  }

  #move(free: Offer, first: T, askedBy: ReadonlyMap<Offer, T>): void {
    const owned = new Map([...this.#owners].map(([offer, owner]) => [owner, offer]))
    for (let offer: Offer | undefined = free; offer !== undefined; ) {
      const taker = askedBy.get(offer)
      if (taker === undefined) return
      const before: Offer | undefined = taker === first ? undefined : owned.get(taker)
      this.#owners.set(offer, taker)
      offer = before
    }
  }
}

const mayLeave = ({ leaves }: Offer, value: string | undefined): boolean =>
  value === undefined || ('value' in leaves ? leaves.value === value : value.endsWith(leaves.suffix))

function groupOf<K, V>(groups: Map<K, V[]>, key: K): V[] {
  const group = groups.get(key) ?? []
  groups.set(key, group)
  return group
}
