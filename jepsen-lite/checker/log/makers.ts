// Which request has made each revision that no answer tells: a revision is made by one request, and a request makes one
// revision at most. Several may be able to have made the same, so a choice may have to be taken back for another
// revision (augmenting paths): if there is any assignment that explains all revisions, it is found.

import type { LoggedEvent } from '../watch/index.ts'
import type { LogRequest } from './requests.ts'

export interface Unexplained {
  readonly revision: number
  /** The first position in the history at which it, or a later one, was known. */
  readonly known: number
  readonly events: readonly LoggedEvent[]
  /** The end of a lease explains it as well, so it needs no request. */
  readonly mayBeLeaseEnd: boolean
  /** The requests that may have made it. */
  readonly able: readonly LogRequest[]
}

/**
 * By revision. `made`: requests that were answered as made, so each of them has made a revision. What has a partner
 * keeps one, so those that need one most come first.
 */
export function findMakers(
  unexplained: readonly Unexplained[],
  made: readonly LogRequest[],
): ReadonlyMap<number, LogRequest> {
  const makers = new Map<Unexplained, LogRequest>()
  const results = new Map<LogRequest, Unexplained>()
  for (const request of made)
    match(request, (one) => unexplained.filter(({ able }) => able.includes(one)), results, makers)
  for (const one of unexplained)
    if (!one.mayBeLeaseEnd)
      match(
        one,
        ({ able }) => able,
        makers,
        results,
        ({ mayBeLeaseEnd }) => mayBeLeaseEnd,
      )
  return new Map([...makers].map(([{ revision }, maker]) => [revision, maker]))
}

/** Finds a partner for one that has none, if the others can be moved so that one is free, or can do without. */
function match<One, Other>(
  one: One,
  findPossible: (path: One) => readonly Other[],
  partners: Map<One, Other>,
  owners: Map<Other, One>,
  needsNone: (owner: One) => boolean = () => false,
): void {
  if (partners.has(one)) return
  const askedBy = new Map<Other, One>()
  const path = [one]
  // The list grows.
  for (const now of path) {
    for (const partner of findPossible(now)) {
      if (askedBy.has(partner)) continue
      askedBy.set(partner, now)
      const owner = owners.get(partner)
      if (owner !== undefined && !needsNone(owner)) {
        path.push(owner)
        continue
      }
      if (owner !== undefined) partners.delete(owner)
      move(partner, askedBy, partners, owners)
      return
    }
  }
}

/** Along the path that leads from a free partner back to the one that has none. */
function move<One, Other>(
  free: Other,
  askedBy: ReadonlyMap<Other, One>,
  partners: Map<One, Other>,
  owners: Map<Other, One>,
): void {
  for (let next: Other | undefined = free; next !== undefined; ) {
    const by = askedBy.get(next)
    if (by === undefined) return
    const before = partners.get(by)
    partners.set(by, next)
    owners.set(next, by)
    next = before
  }
}
