// Networks that are cut, in every shape: black holes (bytes stop, sockets stay, nobody is told), sometimes with the connections reset first.

import { setTimeout as sleep } from 'node:timers/promises'
import { type Fault, type Nemesis, oneNode, Traffic, type World } from '../nemesis.ts'
import { CLIENTS, type Link } from '../network.ts'
import { repeatedly } from './processes.ts'

/** Long enough for a heartbeat on every link that a leader uses. */
const LISTEN_MS = 150

interface Shape {
  readonly cut: (from: string, to: string) => boolean
  readonly nodes: readonly string[]
  /** Sides, for the record. */
  readonly groups?: readonly (readonly string[])[]
}

const partition = (
  kind: string,
  says: string,
  shape: (world: World, names: readonly string[]) => Shape | string,
  nodesMin = 2,
): Nemesis => ({
  kind,
  says,
  groups: ['partition'],
  missing: ({ cluster }) =>
    cluster.members.length < nodesMin ? `it takes ${nodesMin} nodes to make this shape` : undefined,
  async inject(world) {
    const { cluster, random } = world
    const drawn = shape(
      world,
      cluster.members.map(({ name }) => name),
    )
    if (typeof drawn === 'string') return drawn
    const { cut, nodes, groups } = drawn
    const links = cluster.network.between(cut)
    const reset = random.chance(0.3)
    return cutOff(links, nodes, { ...(groups === undefined ? {} : { groups }), reset }, reset)
  },
})

/** It took effect if something passed before, and nothing since. */
async function cutOff(
  links: readonly Link[],
  nodes: readonly string[],
  details: Readonly<Record<string, unknown>>,
  reset: boolean,
): Promise<Fault> {
  const before = new Traffic(links)
  await sleep(LISTEN_MS)
  const used = before.busy.length
  const undo = links.map((link) => link.cut(reset))
  const since = new Traffic(links)
  return {
    nodes,
    details: { ...details, links: links.length },
    effect: () =>
      used > 0 && since.bytes === 0
        ? `${used} of ${links.length} links were in use, none has passed a byte since`
        : undefined,
    heal() {
      for (const join of undo) join()
    },
  }
}

const sidesOf = (groups: readonly (readonly string[])[]): Shape['cut'] => {
  const side = new Map(groups.flatMap((group, number) => group.map((name) => [name, number])))
  return (from, to) => side.get(from) !== side.get(to)
}

function isolate(world: World, names: readonly string[]): Shape | string {
  const node = oneNode(world)
  if (node === undefined) return 'nobody runs who could be isolated'
  const groups = [[node.name], names.filter((name) => name !== node.name)]
  return { cut: sidesOf(groups), nodes: [node.name], groups }
}

/** The leader in the minority at first. */
function halves({ cluster, random, round }: World, names: readonly string[]): Shape {
  const leader = cluster.leader?.name
  const others = random.shuffled(names.filter((name) => name !== leader))
  const ordered = leader === undefined ? others : round === 0 ? [leader, ...others] : random.shuffled(names)
  const count = Math.max(1, Math.floor((names.length - 1) / 2))
  const groups = [ordered.slice(0, count), ordered.slice(count)]
  return { cut: sidesOf(groups), nodes: groups[0] ?? [], groups }
}

/** Everyone sees a majority, no two the same one. */
function ring({ random }: World, names: readonly string[]): Shape {
  const order = random.shuffled(names)
  const reach = Math.ceil(Math.floor(order.length / 2) / 2)
  const distance = (a: string, b: string): number => {
    const apart = Math.abs(order.indexOf(a) - order.indexOf(b))
    return Math.min(apart, order.length - apart)
  }
  return { cut: (from, to) => distance(from, to) > reach, nodes: order, groups: [order] }
}

/** Two halves, and one node that sees both; not the leader at first. */
function bridge({ cluster, random, round }: World, names: readonly string[]): Shape {
  const leader = cluster.leader?.name
  const order = random.shuffled(names)
  if (round === 0 && leader !== undefined) order.sort((a, b) => Number(a === leader) - Number(b === leader))
  const [middle = '', ...rest] = order
  const half = Math.ceil(rest.length / 2)
  const groups = [rest.slice(0, half), rest.slice(half)]
  const across = sidesOf(groups)
  const cut: Shape['cut'] = (from, to) => from !== middle && to !== middle && across(from, to)
  return { cut, nodes: rest, groups: [...groups, [middle]] }
}

/** It can send and not hear, or hear and not send: the first disturbs others, the second does not learn that it is deposed. */
function oneWay(world: World): Shape | string {
  const node = oneNode(world)
  if (node === undefined) return 'nobody runs who could be cut off'
  const mute = world.random.chance(0.5)
  const cut: Shape['cut'] = mute ? (from) => from === node.name : (_, to) => to === node.name
  return { cut, nodes: [node.name], groups: [[node.name], [mute ? 'mute' : 'deaf']] }
}

/** Every link on its own, with even odds and in one direction: what nobody would think of. */
function lottery({ random }: World, names: readonly string[]): Shape {
  const lost = new Set(
    names.flatMap((from) => names.map((to) => `${from} ${to}`)).filter(() => random.chance(0.4)),
  )
  return { cut: (from, to) => lost.has(`${from} ${to}`), nodes: names }
}

const flap: Nemesis = {
  kind: 'flap',
  says: 'one node cut off and back in quick turns, some shorter than an election time-out',
  groups: ['partition'],
  async inject(world) {
    const { cluster, random } = world
    const node = oneNode(world)
    if (node === undefined) return 'nobody runs who could be cut off'
    const links = cluster.network.between((from, to) => from === node.name || to === node.name)
    let cuts = 0
    let leaks = 0
    const end = repeatedly(async () => {
      // One link after the other, in an order of its own each time.
      const undo = random.shuffled(links).map((link) => link.cut(false))
      const since = new Traffic(links)
      await sleep(random.between(50, 1_500))
      if (since.bytes === 0) cuts++
      else leaks++
      for (const join of random.shuffled(undo)) join()
      await sleep(random.between(20, 600))
    })
    return {
      nodes: [node.name],
      holdMsMin: 2_000,
      effect: () => (cuts > 0 && leaks === 0 ? `cut ${cuts} times, no byte passed meanwhile` : undefined),
      heal: end,
    }
  },
}

/** Requests and answers hang in the network, and some arrive when it is over: later than their client has given up on them. */
const clients: Nemesis = {
  kind: 'client',
  says: 'clients cut off from one node or several; what they had sent arrives when it is over',
  groups: ['partition'],
  quiet: true,
  async inject({ cluster, random }) {
    const count = 1 + random.below(cluster.members.length)
    const targets = random.shuffled(cluster.members).slice(0, count)
    const names = targets.map(({ name }) => name)
    return cutOff(
      names.map((name) => cluster.network.link(CLIENTS, name)),
      names,
      {},
      false,
    )
  },
}

export const PARTITION_NEMESES: readonly Nemesis[] = [
  partition('isolate', 'one node cut off from all others, the leader at first', isolate),
  partition('halves', 'a minority cut off from a majority, with the leader at first', halves, 3),
  partition('ring', 'everyone sees a majority, no two the same', ring, 4),
  partition('bridge', 'two halves and one node that sees both', bridge, 3),
  partition('one-way', 'one node that hears nobody, or that nobody hears', oneWay),
  partition('lottery', 'each link in each direction cut with a chance of its own', lottery, 3),
  flap,
  clients,
]
