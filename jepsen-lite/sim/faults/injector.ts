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

/** A fault that lasts. */
export interface LastingFault {
  readonly fault: FaultAction
  readonly machines: readonly Machine[]
  /** When it ends by itself. */
  readonly until: number
  readonly end: () => void
}

type Link = readonly [from: number, to: number]

export class Injector {
  readonly cluster: SimCluster
  /** Functions that end the active faults. */
  readonly #active = new Set<() => void>()
  readonly #lasting = new Set<LastingFault>()
  /** The fault that begins now, until the injection has said how it ends. */
  striking: Pick<LastingFault, 'fault' | 'machines'> | undefined
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

  /** The faults that last, the oldest first. */
  get lasting(): LastingFault[] {
    const { now } = this.cluster.time
    return [...this.#lasting].filter(({ until }) => until > now)
  }

  /**
   * Says how long the fault that begins now lasts, and what ends it before. Only the first call counts. Returns a
   * function that says that it has ended.
   */
  lasts(ms: number, end: () => void, striking = this.striking): () => void {
    this.striking = undefined
    if (striking === undefined) return () => {}
    const { time } = this.cluster
    const lasting = {
      ...striking,
      until: time.now + ms,
      end: () => {
        if (this.#ended(lasting)) end()
      },
    }
    for (const other of this.#lasting) if (other.until < time.now) this.#lasting.delete(other)
    this.#lasting.add(lasting)
    return () => void this.#ended(lasting)
  }

  #ended(lasting: LastingFault): boolean {
    if (!this.#lasting.delete(lasting)) return false
    const { fault, machines } = lasting
    const nodes = machines.map(({ name }) => name)
    this.cluster.say(undefined, { kind: 'fault-ended', fault, nodes })
    return true
  }

  /** Ends all active faults now. */
  endAll(): void {
    this.over = true
    for (const end of [...this.#active]) end()
    this.#lasting.clear()
  }

  /** Calls `end` once: after `ms`, when all faults end, or when the returned function is called. */
  until(ms: number, end: () => void): () => void {
    const once = (): void => {
      if (!this.#active.delete(once)) return
      ended()
      end()
    }
    const ended = this.lasts(ms, once)
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
