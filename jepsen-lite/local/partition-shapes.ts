// The shapes of partitions: which links of a set of nodes are cut.

import type { Random } from '../workload/random.ts'

export interface PartitionPattern {
  readonly cut: (from: string, to: string) => boolean
  /** The nodes that it hits. */
  readonly nodes: readonly string[]
  /** The nodes that still reach each other, for the record. */
  readonly groups?: readonly (readonly string[])[]
}

/** One node is cut off from all others. */
export function isolated(names: readonly string[], node: string): PartitionPattern {
  const groups = [[node], names.filter((name) => name !== node)]
  return { cut: between(groups), nodes: [node], groups }
}

/** The first names, as many as are a minority, are cut off from the rest. */
export function halves(names: readonly string[]): PartitionPattern {
  const count = Math.max(1, Math.floor((names.length - 1) / 2))
  const groups = [names.slice(0, count), names.slice(count)]
  return { cut: between(groups), nodes: groups[0] ?? [], groups }
}

/** Each node reaches a majority, itself and its neighbours on a circle; no two nodes reach the same majority. */
export function ring(names: readonly string[]): PartitionPattern {
  const reach = Math.ceil(Math.floor(names.length / 2) / 2)
  const distance = (a: string, b: string): number => {
    const apart = Math.abs(names.indexOf(a) - names.indexOf(b))
    return Math.min(apart, names.length - apart)
  }
  return { cut: (from, to) => distance(from, to) > reach, nodes: names, groups: [names] }
}

/** Two halves that do not reach each other, and the first name, which reaches both. */
export function bridge([middle = '', ...rest]: readonly string[]): PartitionPattern {
  const half = Math.ceil(rest.length / 2)
  const groups = [rest.slice(0, half), rest.slice(half)]
  const across = between(groups)
  const cut: PartitionPattern['cut'] = (from, to) => from !== middle && to !== middle && across(from, to)
  return { cut, nodes: rest, groups: [...groups, [middle]] }
}

/** `mute`: the node receives but cannot send. Otherwise it sends but cannot receive. */
export function oneWay(node: string, mute: boolean): PartitionPattern {
  return { cut: mute ? (from) => from === node : (_, to) => to === node, nodes: [node] }
}

/** Each link is cut by chance, each direction separately. This makes shapes that are not planned. */
export function randomLinks(names: readonly string[], random: Random): PartitionPattern {
  const links = names.flatMap((from) => names.map((to) => `${from} ${to}`))
  const lost = new Set(links.filter(() => random.chance(0.4)))
  return { cut: (from, to) => lost.has(`${from} ${to}`), nodes: names }
}

function between(groups: readonly (readonly string[])[]): PartitionPattern['cut'] {
  const side = new Map(groups.flatMap((group, number) => group.map((name) => [name, number])))
  return (from, to) => side.get(from) !== side.get(to)
}
