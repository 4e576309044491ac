// A nemesis injects one kind of fault, records what it did, shows whether the fault took effect, and heals it. A fault
// without an effect proves nothing, so the effect is checked, not assumed: the process is gone, no byte passed the cut,
// a sync took longer.

import type { Random } from '../workload/random.ts'
import type { LocalCluster, TestedNode } from './cluster.ts'
import type { Link } from './network.ts'
import type { Preload } from './preload/preload.ts'

/** The cluster and the state that a nemesis works on. */
export interface NemesisContext {
  readonly cluster: LocalCluster
  readonly random: Random
  /** How often this kind was injected before. In round 0 it hits the leader, so that every run includes this case. */
  readonly round: number
  /** Gives nodes a failing disk or a wrong clock; or the reason why this is not possible here. */
  readonly preload: Preload | { readonly missing: string }
  /** Whether the ages that stale answers claim are checked. */
  readonly checksAges: boolean
  /** Whether it is checked how long leases live. */
  readonly checksLeases: boolean
  /** State that faults share. */
  readonly conditions: NemesisConditions
  /** Called with something that must not happen and that the nemesis itself noticed. */
  readonly report: (message: string) => void
}

interface NemesisConditions {
  wrongClocks: number
  leasesMayBeOn: boolean
}

export interface Nemesis {
  readonly kind: string
  /** A description in one line. */
  readonly says: string
  /** The groups by which it can also be chosen. */
  readonly groups: readonly string[]
  /** The fault does not cause elections. */
  readonly quiet?: true
  /** Returns the reason if this fault is not possible with this cluster or on this machine. */
  missing?(world: NemesisContext): string | undefined
  /** Injects the fault; or returns the reason why this is not possible now. */
  inject(world: NemesisContext): Promise<InjectedFault | string>
}

export interface InjectedFault {
  /** The nodes that it hits. */
  readonly nodes: readonly string[]
  /** Parameters of the fault, for the record. */
  readonly details?: Readonly<Record<string, unknown>>
  /** The minimum time until it is healed; if absent, the schedule decides. */
  readonly holdMsMin?: number
  /** Called before the fault is healed: what shows that it took effect; undefined if nothing does. */
  effect(): Promise<string | undefined> | string | undefined
  heal(): Promise<void> | void
}

/** In round 0 the leader; later sometimes the leader, otherwise any node that runs. */
export function oneNode({ cluster, random, round }: NemesisContext): TestedNode | undefined {
  const { running, leader } = cluster
  if (leader !== undefined && (round === 0 || random.chance(0.3))) return leader
  return running.length === 0 ? undefined : random.pick(running)
}

/** A random majority of all members; in round 0 it includes the leader. */
export function majority({ cluster, random, round }: NemesisContext): TestedNode[] {
  const { members, leader } = cluster
  const others = random.shuffled(members.filter((node) => node !== leader))
  const ordered = leader === undefined ? others : round === 0 ? [leader, ...others] : random.shuffled(members)
  return ordered.slice(0, Math.floor(members.length / 2) + 1)
}

/** Counts the bytes that links forward after this object was made. */
export class Traffic {
  readonly #links: readonly Link[]
  #bytes: readonly number[]

  constructor(links: readonly Link[]) {
    this.#links = links
    this.#bytes = links.map(({ passedBytes }) => passedBytes)
  }

  /** The links that have forwarded bytes since. */
  get busy(): Link[] {
    return this.#links.filter(({ passedBytes }, at) => passedBytes > (this.#bytes[at] ?? 0))
  }

  get bytes(): number {
    return this.#links.reduce((sum, { passedBytes }, at) => sum + passedBytes - (this.#bytes[at] ?? 0), 0)
  }
}
