// What a nemesis is: it does one kind of harm, says what it did, can show that it took effect, and undoes it. A fault
// that nobody felt proves nothing, so "took effect" is looked at, not assumed: the process is gone, no byte passed the
// cut, the sync did take that long.

import type { LocalCluster, TestedNode } from './cluster.ts'
import type { Link } from './network.ts'
import type { Preload } from './preload/preload.ts'
import type { Random } from './random.ts'

/** Where a nemesis does its harm. */
export interface World {
  readonly cluster: LocalCluster
  readonly random: Random
  /** How often this kind was injected before: the first time it aims at the leader, so that every run has met that. */
  readonly round: number
  /** Gives nodes a failing disk or a wrong clock; or why that cannot be had here. */
  readonly preload: Preload | { readonly missing: string }
  /** Clients check how old stale answers claim to be. */
  readonly checksAges: boolean
  /** What faults must know of each other. */
  readonly conditions: Conditions
  /** Something that must not happen, seen by the nemesis itself. */
  readonly report: (message: string) => void
}

export interface Conditions {
  wrongClocks: number
  leasesMayBeOn: boolean
}

export interface Nemesis {
  readonly kind: string
  /** One line for people. */
  readonly says: string
  /** The groups under which it can be chosen as well. */
  readonly groups: readonly string[]
  /** Does not make anybody campaign. */
  readonly quiet?: true
  /** Why it cannot be done with this cluster, on this machine. */
  missing?(world: World): string | undefined
  /** Does it. A sentence: there was nothing to do it to just now. */
  inject(world: World): Promise<Fault | string>
}

export interface Fault {
  /** Whom it hits. */
  readonly nodes: readonly string[]
  /** How it was set, for the record. */
  readonly details?: Readonly<Record<string, unknown>>
  /** How long it shall stand at least; the schedule decides otherwise. */
  readonly holdMsMin?: number
  /** Asked when it has stood for a while: what shows that it took effect. undefined: nothing does. */
  effect(): Promise<string | undefined> | string | undefined
  heal(): Promise<void> | void
}

/** The leader at first, later anyone who runs. */
export function oneNode({ cluster, random, round }: World): TestedNode | undefined {
  const { running, leader } = cluster
  if (leader !== undefined && (round === 0 || random.chance(0.3))) return leader
  return running.length === 0 ? undefined : random.pick(running)
}

/** A random majority of all members; with the leader at first. */
export function majority({ cluster, random, round }: World): TestedNode[] {
  const { members, leader } = cluster
  const others = random.shuffled(members.filter((node) => node !== leader))
  const ordered = leader === undefined ? others : round === 0 ? [leader, ...others] : random.shuffled(members)
  return ordered.slice(0, Math.floor(members.length / 2) + 1)
}

/** What links have handed on; to be compared with later. */
export class Traffic {
  readonly #links: readonly Link[]
  #bytes: readonly number[]

  constructor(links: readonly Link[]) {
    this.#links = links
    this.#bytes = links.map(({ passedBytes }) => passedBytes)
  }

  /** Links on which something has passed since. */
  get busy(): Link[] {
    return this.#links.filter(({ passedBytes }, at) => passedBytes > (this.#bytes[at] ?? 0))
  }

  get bytes(): number {
    return this.#links.reduce((sum, { passedBytes }, at) => sum + passedBytes - (this.#bytes[at] ?? 0), 0)
  }
}
