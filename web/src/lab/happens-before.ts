// Lamport's relation "happens before": on one line the earlier point is before the later one, the sending of a message
// is before its arrival, and so is everything that follows from these two. Pure functions.

/** A point on the line of a node or a client. */
export interface CausalPoint {
  readonly id: string
  readonly line: string
  readonly at: number
  /** Order of points of one line at one time: what arrives is first, and what is sent is last. */
  readonly rank: number
}

/** A message, from the point where it is sent to the point where it arrives. */
export interface CausalEdge {
  readonly from: string
  readonly to: string
}

interface Neighbours {
  readonly before: string[]
  readonly after: string[]
}

/** Reachability in both directions among the points of one picture. */
export class HappensBefore {
  readonly #neighbours = new Map<string, Neighbours>()

  constructor(points: readonly CausalPoint[], edges: readonly CausalEdge[]) {
    for (const { id } of points) this.#neighbours.set(id, { before: [], after: [] })
    for (const line of Map.groupBy(points, (point) => point.line).values()) {
      const inOrder = line.toSorted((a, b) => a.at - b.at || a.rank - b.rank)
      for (const [at, { id }] of inOrder.entries()) this.#connect(inOrder[at - 1]?.id, id)
    }
    for (const { from, to } of edges) this.#connect(from, to)
  }

  #connect(from: string | undefined, to: string): void {
    const [before, after] = [this.#neighbours.get(from ?? ''), this.#neighbours.get(to)]
    if (from === undefined || before === undefined || after === undefined) return
    before.after.push(to)
    after.before.push(from)
  }

  /** All points that happen before this one. */
  past(id: string): ReadonlySet<string> {
    return this.#reached(id, 'before')
  }

  /** All points that this one happens before. */
  future(id: string): ReadonlySet<string> {
    return this.#reached(id, 'after')
  }

  #reached(id: string, direction: 'before' | 'after'): ReadonlySet<string> {
    const reached = new Set<string>()
    const open = [...(this.#neighbours.get(id)?.[direction] ?? [])]
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (reached.has(next)) continue
      reached.add(next)
      open.push(...(this.#neighbours.get(next)?.[direction] ?? []))
    }
    return reached
  }
}
