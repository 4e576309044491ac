// A directed graph of transactions, in flat arrays: a hundred thousand transactions have millions of edges.
//
// Some facts would need an edge from each of many transactions to each of many others. They go through nodes in
// between, which are no transactions: an edge of their kind leads to the first of these nodes, and edges of kind PASS
// lead on from there.

/** `b` overwrote what `a` wrote. */
export const WW = 1
/** `b` read what `a` wrote. */
export const WR = 2
/** `b` overwrote what `a` read. */
export const RW = 4
/** `a` ended before `b` began. */
export const REAL_TIME = 8
export const PASS = 16

export class Graph {
  #nodes: number
  readonly #from = new Numbers()
  readonly #to = new Numbers()
  readonly #kind = new Numbers()
  readonly #fact = new Numbers()
  #first: Int32Array | undefined
  #outgoing = new Int32Array(0)

  constructor(nodes: number) {
    this.#nodes = nodes
  }

  get nodes(): number {
    return this.#nodes
  }

  /** A node that is no transaction. */
  add(): number {
    this.#nodes += 1
    return this.#nodes - 1
  }

  /** `fact`: what the edge stands for, a number for the caller. */
  link(from: number, to: number, kind: number, fact = -1): void {
    if (from === to) return
    this.#from.push(from)
    this.#to.push(to)
    this.#kind.push(kind)
    this.#fact.push(fact)
    this.#first = undefined
  }

  to = (edge: number): number => this.#to.at(edge)
  from = (edge: number): number => this.#from.at(edge)
  kind = (edge: number): number => this.#kind.at(edge)
  fact = (edge: number): number => this.#fact.at(edge)

  get edges(): number {
    return this.#from.length
  }

  /** The edges of a node are `outgoing(from)` to `outgoing(from + 1) - 1` in this list. */
  get list(): Int32Array {
    this.#index()
    return this.#outgoing
  }

  /** Where the edges of a node begin in `list`. */
  get first(): Int32Array {
    return this.#index()
  }

  #index(): Int32Array {
    if (this.#first !== undefined) return this.#first
    const first = new Int32Array(this.#nodes + 1)
    for (let edge = 0; edge < this.edges; edge++)
      first[this.from(edge) + 1] = (first[this.from(edge) + 1] ?? 0) + 1
    for (let node = 0; node < this.#nodes; node++)
      first[node + 1] = (first[node + 1] ?? 0) + (first[node] ?? 0)
    const next = first.slice()
    this.#outgoing = new Int32Array(this.edges)
    for (let edge = 0; edge < this.edges; edge++) {
      const place = next[this.from(edge)] ?? 0
      this.#outgoing[place] = edge
      next[this.from(edge)] = place + 1
    }
    this.#first = first
    return first
  }
}

/**
 * The strongly connected components over the edges of these kinds: for each node a number, equal for nodes that reach
 * each other (Tarjan's algorithm, without recursion).
 */
export function findComponents(graph: Graph, kinds: number): Int32Array {
  const { nodes, first, list } = graph
  const allowed = kinds | PASS
  const index = new Int32Array(nodes).fill(-1)
  const low = new Int32Array(nodes)
  const component = new Int32Array(nodes).fill(-1)
  const next = first.slice()
  const stack: number[] = []
  const path: number[] = []
  let [indexes, components] = [0, 0]
  for (let root = 0; root < nodes; root++) {
    if (index[root] !== -1) continue
    path.push(root)
    for (let node = path.at(-1); node !== undefined; node = path.at(-1)) {
      if (index[node] === -1) {
        index[node] = indexes
        low[node] = indexes
        indexes += 1
        stack.push(node)
      }
      const place = next[node] ?? 0
      if (place < (first[node + 1] ?? 0)) {
        next[node] = place + 1
        const edge = list[place] ?? 0
        if ((graph.kind(edge) & allowed) === 0) continue
        const to = graph.to(edge)
        if (index[to] === -1) path.push(to)
        else if (component[to] === -1) low[node] = Math.min(low[node] ?? 0, index[to] ?? 0)
        continue
      }
      path.pop()
      const above = path.at(-1)
      if (above !== undefined) low[above] = Math.min(low[above] ?? 0, low[node] ?? 0)
      if (low[node] !== index[node]) continue
      for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
        component[top] = components
        if (top === node) break
      }
      components += 1
    }
  }
  return component
}

/** Finds shortest paths inside components, with a limit on the work of all searches together. */
export class Paths {
  readonly #graph: Graph
  readonly #cameBy: Int32Array
  readonly #isSeen: Uint8Array
  /** Edges that may still be visited. */
  #left: number

  constructor(graph: Graph, edgesMax: number) {
    this.#graph = graph
    this.#left = edgesMax
    this.#cameBy = new Int32Array(graph.nodes)
    this.#isSeen = new Uint8Array(graph.nodes)
  }

  get isExhausted(): boolean {
    return this.#left <= 0
  }

  /**
   * The edges from one node to another, if they are fewer than `below`, edges of kind PASS not counted. For `from ===
   * to`: a cycle.
   */
  shortest(
    from: number,
    to: number,
    kinds: number,
    isInside: (node: number) => boolean,
    below: number,
  ): number[] | undefined {
    const graph = this.#graph
    const { first, list } = graph
    const seen: number[] = []
    let level = [from]
    let found = false
    const visit = (edge: number, into: number[]): void => {
      const next = graph.to(edge)
      if (found || !isInside(next) || this.#isSeen[next] === 1) return
      this.#isSeen[next] = 1
      this.#cameBy[next] = edge
      seen.push(next)
      into.push(next)
      found = next === to
    }
    for (let length = 0; level.length > 0 && !found && length < below; length++) {
      const further: number[] = []
      for (const kind of length + 1 < below ? [PASS, kinds] : [PASS]) {
        // The list grows while edges of kind PASS are followed.
        for (const node of level) {
          for (let place = first[node] ?? 0; place < (first[node + 1] ?? 0); place++) {
            const edge = list[place] ?? 0
            this.#left -= 1
            if ((graph.kind(edge) & kind) !== 0) visit(edge, kind === PASS ? level : further)
          }
        }
      }
      level = further
    }
    const path: number[] = []
    if (found) {
      let node = to
      do {
        const edge = this.#cameBy[node] ?? 0
        path.push(edge)
        node = graph.from(edge)
      } while (node !== from)
    }
    for (const node of seen) this.#isSeen[node] = 0
    return found ? path.reverse() : undefined
  }
}

/** A list of numbers that grows. */
class Numbers {
  #values = new Int32Array(1024)
  length = 0

  push(value: number): void {
    if (this.length === this.#values.length) {
      const larger = new Int32Array(2 * this.length)
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values[this.length] = value
    this.length += 1
  }

  at(place: number): number {
    return this.#values[place] ?? 0
  }
}
