// Cycles in the graph of dependencies, and their names. A cycle proves that no order explains what was read: each of
// its transactions would have to come before itself. The name says which kinds of edges it needs (Adya, "Weak
// Consistency", 1999; Alvaro and Kingsbury, "Elle", 2020):
//
//   G0         only overwrites
//   G1c        overwrites and reads
//   G-single   and exactly one read that was overwritten
//   G2         and several of them
//
// With `-realtime`, the cycle also needs that one transaction ended before another began.

import { findComponents, type Graph, PASS, Paths, REAL_TIME, RW, WR, WW } from './graph.ts'

export type CycleName = `${'G0' | 'G1c' | 'G-single' | 'G2'}${'' | '-realtime'}`

export interface Cycle {
  readonly name: CycleName
  /** Each leads to the transaction with which the next begins, and the last to the first. */
  readonly edges: readonly Edge[]
}

export interface Edge {
  readonly from: number
  readonly to: number
  readonly kind: number
  readonly fact: number
}

/** All searches for short cycles together visit this many edges. After that, cycles are shown as they are found. */
const EDGES_MAX = 20_000_000
/** In one component so many transactions, or overwritten reads, are tried as the beginning of a cycle. */
const BEGINNINGS_MAX = 1_000

/** One cycle for each group of entangled transactions, of the first name of the list above that it has. */
export function findCycles(graph: Graph, transactions: number, edgesMax: number = EDGES_MAX): Cycle[] {
  const paths = new Paths(graph, edgesMax)
  const isExplained = new Uint8Array(graph.nodes)
  const cycles: Cycle[] = []
  for (const time of [0, REAL_TIME]) {
    for (const kinds of [WW | time, WW | WR | time, WW | WR | RW | time]) {
      const component = findComponents(graph, kinds)
      for (const members of groupByComponent(component, transactions)) {
        if (members.some((member) => isExplained[member] === 1)) continue
        const isInside = (node: number): boolean => component[node] === component[members[0] ?? 0]
        const found =
          (kinds & RW) === 0
            ? shortestThrough(graph, paths, members, kinds, isInside)
            : (withOneOverwrittenRead(graph, paths, members, kinds, isInside) ??
              shortestThrough(graph, paths, members, kinds, isInside))
        if (found === undefined) continue
        for (const member of members) isExplained[member] = 1
        cycles.push(named(cycleEdges(graph, found)))
      }
    }
  }
  return cycles
}

/** The transactions of each component of more than one node. */
function groupByComponent(component: Int32Array, transactions: number): number[][] {
  const sizes = new Map<number, number>()
  for (const number of component) sizes.set(number, (sizes.get(number) ?? 0) + 1)
  const groups = new Map<number, number[]>()
  for (let node = 0; node < transactions; node++) {
    const number = component[node] ?? 0
    if ((sizes.get(number) ?? 0) < 2) continue
    const known = groups.get(number)
    if (known === undefined) groups.set(number, [node])
    else known.push(node)
  }
  return [...groups.values()]
}

type IsInside = (node: number) => boolean

function shortestThrough(
  graph: Graph,
  paths: Paths,
  members: readonly number[],
  kinds: number,
  isInside: IsInside,
): number[] | undefined {
  let best: number[] | undefined
  for (const member of members.slice(0, BEGINNINGS_MAX)) {
    if (best !== undefined && paths.isExhausted) break
    best = paths.shortest(member, member, kinds, isInside, pathLength(graph, best)) ?? best
  }
  return best
}

function withOneOverwrittenRead(
  graph: Graph,
  paths: Paths,
  members: readonly number[],
  kinds: number,
  isInside: IsInside,
): number[] | undefined {
  const { first, list } = graph
  let best: number[] | undefined
  let tried = 0
  for (const member of members) {
    for (let place = first[member] ?? 0; place < (first[member + 1] ?? 0); place++) {
      const edge = list[place] ?? 0
      const to = graph.to(edge)
      if (graph.kind(edge) !== RW || !isInside(to)) continue
      tried += 1
      if (tried > BEGINNINGS_MAX || paths.isExhausted) return best
      const back = paths.shortest(to, member, kinds & ~RW, isInside, pathLength(graph, best) - 1)
      if (back !== undefined) best = [edge, ...back]
    }
  }
  return best
}

const pathLength = (graph: Graph, path: readonly number[] | undefined): number =>
  path === undefined ? Number.POSITIVE_INFINITY : path.filter((edge) => graph.kind(edge) !== PASS).length

/** The edges between transactions on a cycle. The path may begin at a transaction, or at a node that is none. */
function cycleEdges(graph: Graph, path: readonly number[]): Edge[] {
  const begin = path.findIndex((edge) => graph.kind(edge) !== PASS)
  const round = [...path.slice(begin), ...path.slice(0, begin)]
  const edges: Edge[] = []
  for (const edge of round) {
    const last = edges.at(-1)
    if (graph.kind(edge) === PASS && last !== undefined)
      edges[edges.length - 1] = { ...last, to: graph.to(edge) }
    else
      edges.push({
        from: graph.from(edge),
        to: graph.to(edge),
        kind: graph.kind(edge),
        fact: graph.fact(edge),
      })
  }
  return edges
}

function named(edges: readonly Edge[]): Cycle {
  const count = (kind: number): number => edges.filter((edge) => edge.kind === kind).length
  const overwritten = count(RW)
  const base = overwritten > 1 ? 'G2' : overwritten === 1 ? 'G-single' : count(WR) > 0 ? 'G1c' : 'G0'
  return { name: count(REAL_TIME) > 0 ? `${base}-realtime` : base, edges }
}
