// What a nemesis is: it does one kind of harm, says what it did, can show that it took effect, and undoes it. A fault that nobody felt proves
// nothing, so "took effect" is looked at, not assumed: the process is gone, no byte passed the cut, the sync did take that long.

import type { LocalCluster, LocalNode } from './cluster.ts'
import type { CLIENTS, Link } from './network.ts'
import type { Random } from './random.ts'

/** Where a nemesis does its harm. */
export interface World {
  readonly cluster: LocalCluster
  readonly random: Random
  /** How often this kind was injected before: the first time it aims at the leader, so that every run has met that. */
  readonly round: number
  /** Where a machine keeps the library under which nodes can be given a failing disk or a skewed clock; or why there is none. */
  readonly preload: Preload | { readonly missing: string }
  note(what: string, details: Readonly<Record<string, unknown>>): void
}

/** Faults inside the process of one node: what is written here it does, from the next system call on. */
export interface Preload {
  set(node: string, faults: PreloadFaults): void
  /** What it has done since it was last set. */
  hits(node: string): PreloadHits
}

export interface PreloadFaults {
  readonly syncDelayMs?: number
  readonly syncFails?: boolean
  readonly diskFull?: boolean
  /** Speed of the clocks; 1 is right. */
  readonly clockRate?: number
  /** Adds to the clocks, once. */
  readonly clockJumpMs?: number
}

export interface PreloadHits {
  readonly syncsDelayed: number
  readonly syncsFailed: number
  readonly writesRefused: number
  readonly clockReads: number
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
export function oneNode({ cluster, random, round }: World): LocalNode | undefined {
  const { running, leader } = cluster
  if (leader !== undefined && (round === 0 || random.chance(0.3))) return leader
  return running.length === 0 ? undefined : random.pick(running)
}

/** A random majority of all members; with the leader at first. */
export function majority({ cluster, random, round }: World): LocalNode[] {
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
    this.#bytes = links.map(({ relay }) => relay.passedBytes)
  }

  /** Links on which something has passed since. */
  get busy(): Link[] {
    return this.#links.filter(({ relay }, at) => relay.passedBytes > (this.#bytes[at] ?? 0))
  }

  get bytes(): number {
    return this.#links.reduce((sum, { relay }, at) => sum + relay.passedBytes - (this.#bytes[at] ?? 0), 0)
  }
}

export type LinkEnd = string | typeof CLIENTS
