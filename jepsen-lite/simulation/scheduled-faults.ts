// Applies a schedule: each fault begins and ends at its virtual time. A target that several faults of one kind strike
// is whole again when the last of them has ended. One that is killed while it is paused starts again unpaused.

import type { Time } from '../sim/world/time.ts'
import { IO } from '../sim/world/time.ts'
import type { FaultNotes } from './fault-notes.ts'
import type { ClientNetwork } from './network/client-network.ts'
import type { Node, Nodes } from './nodes.ts'
import type { ProcessHandle } from './process-handle.ts'
import { LEADING_NODE, rulesOf } from './schedule/fault.ts'
import type { SimulatedFault, SimulatedFaultKind } from './schedule/types.ts'

/** Nodes and processes that the faults strike. */
export interface Targets {
  readonly time: Time
  readonly nodes: Nodes
  readonly network: ClientNetwork
  readonly process: (name: string) => ProcessHandle | undefined
  readonly notes: FaultNotes
}

/** A fault that has begun. */
interface ActiveFault {
  readonly fault: SimulatedFault
  /** Nodes and processes: not 'leader'. */
  readonly names: readonly string[]
  end(): void
}

/** Active faults of these kinds that strike a target, without one that ends now. */
type ActiveOn = (name: string, kinds: readonly SimulatedFaultKind[]) => readonly SimulatedFault[]

/** Called when a fault has begun; returns what ends it. */
type Begin = (
  fault: SimulatedFault,
  targets: Targets,
  names: readonly string[],
  activeOn: ActiveOn,
) => () => void

export class ScheduledFaults {
  readonly #targets: Targets
  /** Faults that have not begun, and ends of those that have. */
  #left = 0
  #isOver = false
  /** How many faults have begun. */
  begun = 0
  #active: readonly ActiveFault[] = []

  constructor(faults: readonly SimulatedFault[], targets: Targets) {
    this.#targets = targets
    for (const fault of faults) this.#at(fault.at, () => this.#begin(fault))
  }

  /** Whether a fault is to begin or to end. */
  get isActive(): boolean {
    return this.#left > 0
  }

  /** Ends all active faults, and begins no more. */
  endAll(): void {
    this.#isOver = true
    this.#left = 0
    for (const { end } of this.#active) end()
  }

  #at(ms: number, run: () => void): void {
    const { time } = this.#targets
    this.#left++
    time.push(time.now + ms, IO, undefined, () => {
      if (this.#isOver) return
      this.#left--
      run()
    })
  }

  #begin(fault: SimulatedFault): void {
    const { nodes, notes } = this.#targets
    const named = fault.on.flatMap((name) => (name === LEADING_NODE ? (nodes.leader()?.name ?? []) : name))
    const names = [...new Set(named)].filter((name) => this.#exists(name))
    if (names.length === 0) {
      notes.missed(fault.fault, `there is no ${fault.on.join(', no ')}`)
      return
    }
    this.begun++
    const by = fault.by === undefined ? {} : { by: fault.by }
    const words = `${fault.fault} ${names.join(',')}`
    const healed = notes.begin(
      fault.fault,
      names,
      `begin ${words}${fault.by === undefined ? '' : ` by ${fault.by}`}`,
      {
        ...by,
        for: fault.for,
        effect: this.#effectOf(fault, names),
      },
    )
    const active: ActiveFault = {
      fault,
      names,
      end: () => {
        if (!this.#active.includes(active)) return
        this.#active = this.#active.filter((other) => other !== active)
        notes.observe(`end ${words}`)
        notes.scheduled(undo)
        healed()
      },
    }
    this.#active = [...this.#active, active]
    const undo = notes.scheduled(() =>
      BEGIN[fault.fault](fault, this.#targets, names, (name, kinds) => this.#on(name, kinds)),
    )
    this.#at(fault.for, active.end)
  }

  #on(name: string, kinds: readonly SimulatedFaultKind[]): SimulatedFault[] {
    return this.#active
      .filter(({ fault, names }) => kinds.includes(fault.fault) && names.includes(name))
      .map(({ fault }) => fault)
  }

  /** Names of those that it strikes; null: none. What does not run is not paused and does not end. */
  #effectOf({ fault }: SimulatedFault, names: readonly string[]): string | null {
    const { nodes, processes } = struck(this.#targets, names)
    const down = rulesOf(fault).downsNodes
      ? [...nodes, ...processes].filter(({ running }) => !running).map(({ name }) => name)
      : []
    return names.filter((name) => !down.includes(name)).join(' ') || null
  }

  #exists(name: string): boolean {
    const { nodes, process } = this.#targets
    return process(name) !== undefined || nodes.nodes.some((node) => node.name === name)
  }
}

interface Struck {
  readonly nodes: readonly Node[]
  readonly processes: readonly ProcessHandle[]
}

function struck({ nodes, process }: Targets, names: readonly string[]): Struck {
  return {
    nodes: nodes.nodes.filter(({ name }) => names.includes(name)),
    processes: names.flatMap((name) => process(name) ?? []),
  }
}

/** Faults whose targets do not run. */
const DOWN: readonly SimulatedFaultKind[] = ['crash', 'power-loss', 'stop']

function killed(losesUnsynced: boolean): Begin {
  return (_, targets, names, activeOn) => {
    const { nodes, processes } = struck(targets, names)
    for (const node of nodes) if (node.running) node.crash({ losesUnsynced })
    for (const process of processes) {
      // One whose program has ended does not begin anew.
      if (process.running) process.startsAgain = true
      process.crash()
    }
    return () => {
      const isUp = ({ name }: { readonly name: string }): boolean => activeOn(name, DOWN).length === 0
      for (const one of nodes.filter(isUp)) if (!one.running) one.restart()
      for (const one of processes.filter(isUp)) if (one.startsAgain) one.start()
    }
  }
}

/** Undoes all of it. */
const all = (ends: readonly (() => void)[]) => (): void => {
  for (const end of ends) end()
}

const BEGIN: Readonly<Record<SimulatedFaultKind, Begin>> = {
  crash: killed(false),
  'power-loss': killed(true),
  stop: (_, targets, names, activeOn) => {
    const { nodes } = struck(targets, names)
    for (const node of nodes) node.stop()
    return () => {
      for (const node of nodes) if (!node.serves && activeOn(node.name, DOWN).length === 0) node.restart()
    }
  },
  pause: (_, targets, names, activeOn) => {
    const { nodes, processes } = struck(targets, names)
    const both = [...nodes, ...processes]
    for (const one of both) one.pause()
    return () => {
      for (const one of both) if (activeOn(one.name, ['pause']).length === 0) one.resume()
    }
  },
  partition: (_, targets, names) => {
    const { nodes, network } = targets
    const { processes } = struck(targets, names)
    const isInside = (name: string): boolean => names.includes(name)
    const outside = nodes.names.filter((name) => !isInside(name))
    return all([
      nodes.cutLinks((from, to) => isInside(from.name) !== isInside(to.name)),
      ...processes.flatMap(({ name }) => outside.map((other) => network.cut(name, other))),
    ])
  },
  'one-way': (_, { nodes }, names) =>
    nodes.cutLinks((from, to) => names.includes(from.name) && !names.includes(to.name)),
  'slow-link': ({ by = 0 }, targets, names) => {
    const { nodes } = struck(targets, names)
    return all([
      ...nodes.map(({ machine }) => targets.nodes.slowLinks(machine, by)),
      ...names.map((name) => targets.network.slow(name, by)),
    ])
  },
  'slow-disk': (_, targets, names, activeOn) => {
    const { nodes } = struck(targets, names)
    const slow = (): void => {
      for (const node of nodes)
        node.slowDisk(activeOn(node.name, ['slow-disk']).reduce((sum, { by = 0 }) => sum + by, 0))
    }
    slow()
    return slow
  },
  skew: (_, targets, names, activeOn) => {
    const { nodes, processes } = struck(targets, names)
    const skew = (): void => {
      for (const one of [...nodes, ...processes])
        one.skewClock(activeOn(one.name, ['skew']).reduce((rate, { by = 1 }) => rate * by, 1))
    }
    skew()
    return skew
  },
}
