/**
 * Gives as many of `takers` as possible one of `offers` each, no offer twice; the takers that go without. Augmenting paths: who comes late
 * may make those before him move on to another offer, if there is one for them.
 */
export function unmatched<Taker, Offer>(
  takers: readonly Taker[],
  offers: readonly Offer[],
  fits: (taker: Taker, offer: Offer) => boolean,
): Taker[] {
  const owners = new Map<Offer, Taker>()
  const place = (taker: Taker, asked: Set<Offer>): boolean =>
    offers.some((offer) => {
      if (asked.has(offer) || !fits(taker, offer)) return false
      asked.add(offer)
      const owner = owners.get(offer)
      if (owner !== undefined && !place(owner, asked)) return false
      owners.set(offer, taker)
      return true
    })
  return takers.filter((taker) => !place(taker, new Set()))
}
