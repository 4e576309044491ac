// Partitions of every shape: no bytes pass, sockets stay open, without a notice; sometimes the connections are also
// reset.

import { setTimeout as sleep } from 'node:timers/promises'
import { type InjectedFault, type Nemesis, type NemesisContext, oneNode, Traffic } from '../nemesis.ts'
import { CLIENTS, type Link } from '../network.ts'
import * as shapes from '../partition-shapes.ts'
import { repeatedly } from './processes.ts'

/** Long enough for a heartbeat on every link between the leader and a follower. */
const LISTEN_MS = 150

type Draw = (world: NemesisContext, names: readonly string[]) => shapes.PartitionPattern | string

const partition = (
  kind: string,
  says: string,
  draw: Draw,
  { nodesMin = 2, quiet }: { readonly nodesMin?: number; readonly quiet?: true } = {},
): Nemesis => ({
  kind,
  says,
  groups: ['partition'],
  ...(quiet === undefined ? {} : { quiet }),
  missing: ({ cluster }) =>
    cluster.members.length < nodesMin ? `this shape needs ${nodesMin} nodes` : undefined,
  async inject(world) {
    const { cluster, random } = world
    const drawn = draw(
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

/** The fault took effect if bytes passed before it, and none since. */
async function cutOff(
  links: readonly Link[],
  nodes: readonly string[],
  details: Readonly<Record<string, unknown>>,
  reset: boolean,
): Promise<InjectedFault> {
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
        ? `${used} of ${links.length} links were in use; no byte passed after the cut`
        : undefined,
    heal() {
      for (const join of undo) join()
    },
  }
}

const isolate: Draw = (world, names) => {
  const node = oneNode(world)
  return node === undefined ? 'no node runs' : shapes.isolated(names, node.name)
}

/**
 * The names in a random order, which decides the part of each node in a shape. In round 0 the leader is the first name,
 * or the last one without `leaderFirst`.
 */
function cast(
  { cluster, random, round }: NemesisContext,
  names: readonly string[],
  leaderFirst: boolean,
): string[] {
  const order = random.shuffled(names)
  const leader = cluster.leader?.name
  if (round > 0 || leader === undefined) return order
  const others = order.filter((name) => name !== leader)
  return leaderFirst ? [leader, ...others] : [...others, leader]
}

const halves: Draw = (world, names) => shapes.halves(cast(world, names, true))
const ring: Draw = (world, names) => shapes.ring(cast(world, names, true))
const bridge: Draw = (world, names) => shapes.bridge(cast(world, names, false))
const randomLinks: Draw = ({ random }, names) => shapes.randomLinks(names, random)

const oneWay: Draw = (world) => {
  const node = oneNode(world)
  if (node === undefined) return 'no node runs'
  return shapes.oneWay(node.name, world.random.chance(0.5))
}

const flap: Nemesis = {
  kind: 'flap',
  says: 'one node cut off and connected again many times, sometimes for less than an election timeout',
  groups: ['partition'],
  async inject(world) {
    const { cluster, random } = world
    const node = oneNode(world)
    if (node === undefined) return 'no node runs'
    const links = cluster.network.between((from, to) => from === node.name || to === node.name)
    let cuts = 0
    let leaks = 0
    const end = repeatedly(async () => {
      // The links are cut one after the other, in another random order each time.
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
      effect: () =>
        cuts > 0 && leaks === 0 ? `cut ${cuts} times, no byte passed during the cuts` : undefined,
      heal: end,
    }
  },
}

/**
 * Requests and answers wait in the network. Some arrive after the fault, when their client has already given up.
 */
const clients: Nemesis = {
  kind: 'client',
  says: 'clients cut off from one node or several; bytes sent during the cut arrive after it',
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
  partition('isolate', 'one node cut off from all others, first the leader', isolate),
  partition('halves', 'a minority cut off from a majority, the first time with the leader', halves, {
    nodesMin: 3,
  }),
  partition('ring', 'each node reaches a majority, no two nodes the same one', ring, {
    nodesMin: 4,
    quiet: true,
  }),
  partition('bridge', 'two halves, and one node that reaches both', bridge, { nodesMin: 3, quiet: true }),
  partition('one-way', 'one node that cannot receive from the others, or cannot send to them', oneWay),
  partition('random-links', 'each direction of each link cut by chance', randomLinks, { nodesMin: 3 }),
  flap,
  clients,
]
