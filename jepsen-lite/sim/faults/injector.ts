// Shared by all faults: choosing machines, ending faults, cutting links, and whether a fault had an effect.

import type { MachineTarget } from '../schedule/shape.ts'
import type { SimCluster } from '../world/cluster.ts'
import type { Machine } from '../world/process.ts'
import { IO } from '../world/time.ts'
import type { FaultAction, LinkCut, SimFaultKind } from './fault-kinds.ts'
import type { About } from './triggers.ts'

/** A fault that has found machines to strike. */
export interface Strike {
  /** The machines that are cut off, stopped, damaged or asked; for a replay. */
  readonly machines: readonly Machine[]
  readonly begin: () => void
}

/** Effect of a kind of fault; undefined: there is no machine to strike. */
export type Injection<Kind extends SimFaultKind> = (
  injector: Injector,
  fault: FaultAction<Kind>,
  about: About | undefined,
) => Strike | undefined

type Link = readonly [from: number, to: number]

export class Injector {
  readonly cluster: SimCluster
  /** Functions that end the active faults. */
  readonly #active = new Set<() => void>()
  /** The current majority of `shifting-majority`, and the function that ends the fault. */
  majority: ReadonlySet<Machine> = new Set()
  endShiftingMajority = (): void => {}
  /** All faults have ended, and no more begin. */
  over = false

  constructor(cluster: SimCluster) {
    this.cluster = cluster
  }

  /** Strikes one machine. */
  one(
    target: MachineTarget,
    about: About | undefined,
    begin: (machine: Machine) => void,
  ): Strike | undefined {
    const machine = this.cluster.machine(target, about)
    return machine === undefined ? undefined : { machines: [machine], begin: () => begin(machine) }
  }

  tookEffect(kind: SimFaultKind): void {
    this.cluster.probeCoverage.fault(kind)
  }

  /** Ends all active faults now. */
  endAll(): void {
    this.over = true
    for (const end of [...this.#active]) end()
  }

  /** Calls `end` once: after `ms`, when all faults end, or when the returned function is called. */
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

  /** The fault had an effect if `count` has risen when it ends. */
  while(kind: SimFaultKind, ms: number, count: () => number, end: () => void = () => {}): () => void {
    const before = count()
    return this.until(ms, () => {
      end()
      if (count() > before) this.tookEffect(kind)
    })
  }

  // ---- links

  /** Returns a function that ends the cut. `machine`: the trigger that ends it must be about this one. */
  cut(
    kind: SimFaultKind,
    { ms, stalls, refuses, breaks, until }: LinkCut,
    isCut: (from: Machine, to: Machine) => boolean,
    machine?: Machine,
  ): () => void {
    const { network, config, triggers } = this.cluster
    const mode = { stalls: config.harsh === 0 || stalls, refuses }
    const links = this.#links(isCut)
    for (const [from, to] of links) network.cut(from, to, mode)
    if (breaks) for (const [from, to] of links) network.breakBetween(from, to)
    const end = this.while(
      kind,
      ms,
      () => this.#affectedOn(links),
      () => {
        for (const [from, to] of links) network.uncut(from, to, mode)
      },
    )
    if (until !== undefined) triggers.next(until, machine, end)
    return end
  }

  slow(
    kind: SimFaultKind,
    ms: number,
    extraMs: number,
    isSlow: (from: Machine, to: Machine) => boolean,
  ): void {
    const { network } = this.cluster
    const links = this.#links(isSlow)
    for (const [from, to] of links) network.slow(from, to, extraMs)
    this.while(
      kind,
      ms,
      () => this.#affectedOn(links),
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

  #affectedOn(links: readonly Link[]): number {
    const { machines, network } = this.cluster
    return links.reduce((sum, [from, to]) => sum + (network.affected[from * machines.length + to] ?? 0), 0)
  }
}
