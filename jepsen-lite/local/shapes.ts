// The shapes of partitions: which links of a set of nodes are cut. Names and a random stream in, a predicate out.

import type { Random } from './random.ts'

export interface Shape {
  readonly cut: (from: string, to: string) => boolean
  /** Whom it hits. */
  readonly nodes: readonly string[]
  /** Who still sees whom, for the record. */
  readonly groups?: readonly (readonly string[])[]
}

/** One against all others. */
export function isolated(names: readonly string[], node: string): Shape {
  const groups = [[node], names.filter((name) => name !== node)]
  return { cut: between(groups), nodes: [node], groups }
}

/** The largest minority, of the first names, against the rest. */
export function halves(names: readonly string[]): Shape {
  const count = Math.max(1, Math.floor((names.length - 1) / 2))
  const groups = [names.slice(0, count), names.slice(count)]
  return { cut: between(groups), nodes: groups[0] ?? [], groups }
}

/** Everyone sees a majority, its neighbours on a circle; no two see the same one. */
export function ring(names: readonly string[]): Shape {
  const reach = Math.ceil(Math.floor(names.length / 2) / 2)
  const distance = (a: string, b: string): number => {
    const apart = Math.abs(names.indexOf(a) - names.indexOf(b))
    return Math.min(apart, names.length - apart)
  }
  return { cut: (from, to) => distance(from, to) > reach, nodes: names, groups: [names] }
}

/** Two halves, and the first name, which sees both. */
export function bridge([middle = '', ...rest]: readonly string[]): Shape {
  const half = Math.ceil(rest.length / 2)
  const groups = [rest.slice(0, half), rest.slice(half)]
  const across = between(groups)
  const cut: Shape['cut'] = (from, to) => from !== middle && to !== middle && across(from, to)
  return { cut, nodes: rest, groups: [...groups, [middle]] }
}

/** `mute`: it hears and is not heard. Otherwise it is heard and hears nobody. */
export function oneWay(node: string, mute: boolean): Shape {
  return { cut: mute ? (from) => from === node : (_, to) => to === node, nodes: [node] }
}

/** Each link in each direction with a chance of its own: what nobody would think of. */
export function lottery(names: readonly string[], random: Random): Shape {
  const links = names.flatMap((from) => names.map((to) => `${from} ${to}`))
  const lost = new Set(links.filter(() => random.chance(0.4)))
  return { cut: (from, to) => lost.has(`${from} ${to}`), nodes: names }
}

function between(groups: readonly (readonly string[])[]): Shape['cut'] {
  const side = new Map(groups.flatMap((group, number) => group.map((name) => [name, number])))
  return (from, to) => side.get(from) !== side.get(to)
}
