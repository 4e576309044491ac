// What all faults share: whom they strike, when they end, the links that they cut, and whether anybody has felt them.

import type { Cluster } from './cluster.ts'
import type { Cut, FaultAction, FaultKind } from './fault-kinds.ts'
import type { Machine } from './process.ts'
import type { Target } from './shape.ts'
import { IO } from './time.ts'
import type { About } from './triggers.ts'

/** A fault that has found whom it strikes. */
export interface Strike {
  /** Those that are cut off, stopped, damaged or asked: for whoever draws it. */
  readonly struck: readonly Machine[]
  readonly begin: () => void
}

/** What a kind of fault does; undefined: there is nobody to strike. */
export type Injection<Kind extends FaultKind> = (
  injector: Injector,
  fault: FaultAction<Kind>,
  about: About | undefined,
) => Strike | undefined

type Link = readonly [from: number, to: number]

export class Injector {
  readonly cluster: Cluster
  /** What ends each fault that is still on. */
  readonly #active = new Set<() => void>()
  /** Of `shifting-majority`: who goes on now, and what ends that. */
  majority: ReadonlySet<Machine> = new Set()
  endShiftingMajority = (): void => {}
  /** All faults have ended, and none begins any more. */
  over = false

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  /** Strikes one machine. */
  one(target: Target, about: About | undefined, begin: (machine: Machine) => void): Strike | undefined {
    const machine = this.cluster.machine(target, about)
    return machine === undefined ? undefined : { struck: [machine], begin: () => begin(machine) }
  }

  felt(kind: FaultKind): void {
    this.cluster.probeCoverage.fault(kind)
  }

  /** Everything that is on ends now. */
  endAll(): void {
    this.over = true
    for (const end of [...this.#active]) end()
  }

  /** Runs `end` after `ms`, or when all faults end, or when what is returned is called; once. */
  until(ms: number, end: () => void): () => void {
    const once = (): void => {
      if (this.#active.delete(once)) end()
    }
    this.#active.add(once)
    this.later(ms, once)
    return once
  }

  later(ms: number, run: () => void): void {
    const { time } = this.cluster
    time.push(time.now + ms, IO, undefined, run)
  }

  /** It counts as felt if `count` has risen when it ends. */
  while(kind: FaultKind, ms: number, count: () => number, end: () => void = () => {}): () => void {
    const before = count()
    return this.until(ms, () => {
      end()
      if (count() > before) this.felt(kind)
    })
  }

  // ---- links

  /** Returns what ends it; `struck`: about whom a trigger that ends it must be. */
  cut(
    kind: FaultKind,
    { ms, stalls, refuses, breaks, until }: Cut,
    isCut: (from: Machine, to: Machine) => boolean,
    struck?: Machine,
  ): () => void {
    const { network, config, triggers } = this.cluster
    const mode = { stalls: config.harsh === 0 || stalls, refuses }
    const links = this.#links(isCut)
    for (const [from, to] of links) network.cut(from, to, mode)
    if (breaks) for (const [from, to] of links) network.breakBetween(from, to)
    const end = this.while(
      kind,
      ms,
      () => this.#feltOn(links),
      () => {
        for (const [from, to] of links) network.uncut(from, to, mode)
      },
    )
    if (until !== undefined) triggers.next(until, struck, end)
    return end
  }

  slow(kind: FaultKind, ms: number, extraMs: number, isSlow: (from: Machine, to: Machine) => boolean): void {
    const { network } = this.cluster
    const links = this.#links(isSlow)
    for (const [from, to] of links) network.slow(from, to, extraMs)
    this.while(
      kind,
      ms,
      () => this.#feltOn(links),
      () => {
        for (const [from, to] of links) network.slow(from, to, -extraMs)
      },
    )
  }

  #links(isMeant: (from: Machine, to: Machine) => boolean): Link[] {
    const { machines } = this.cluster
    return machines.flatMap((from) =>
      machines.flatMap((to) => (from !== to && isMeant(from, to) ? [[from.place, to.place] as const] : [])),
    )
  }

  #feltOn(links: readonly Link[]): number {
    const { machines, network } = this.cluster
    return links.reduce((sum, [from, to]) => sum + (network.felt[from * machines.length + to] ?? 0), 0)
  }
}
