// Who made what somebody saw? Each revision that was seen and that no acknowledged change made needs a request of its
// own that may have made it.
//
// Deletes do not count: they leave nothing to see a revision of. Most requests leave one value only, whatever was there
// before. Among those, earliest deadlines first and for each the latest request that had begun by then: that leaves the
// rest the most, and is as good as any other way, in n log n. Where an append may have made a value too, what is left
// over tries to make others move (augmenting paths), which has a budget.

/** Something that was seen: by the end of `deadline`, and with which value; undefined: that was not told. */
export interface Taker {
  readonly deadline: number
  readonly value: string | undefined
}

/** Something that may have made it. */
export interface Offer {
  readonly start: number
  /** The one value that it leaves, or what it puts behind any. */
  readonly leaves: { readonly value: string } | { readonly suffix: string }
}

/** Pairs that are looked at beyond the first round. */
export const PAIRS_MAX = 5_000_000

/** The takers that go without; undefined: that would take too long to find out. */
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

  /** Those whose value is known first: the others take anything. */
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

  /** Both in their order. The offers that have begun by a deadline are a stack: the latest is on top. */
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
      // Breadth first: who has asked whom, so that the path can be walked back.
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
