// Applies a schedule: each fault begins and ends at its virtual time.

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

/** Called when a fault begins; returns what ends it. */
type Begin = (fault: SimulatedFault, targets: Targets, names: readonly string[]) => () => void

export class ScheduledFaults {
  readonly #targets: Targets
  /** Faults that have not begun, and ends of those that have. */
  #left = 0
  #isOver = false
  readonly #active = new Set<() => void>()

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
    for (const end of [...this.#active]) end()
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
    const undo = notes.scheduled(() => BEGIN[fault.fault](fault, this.#targets, names))
    const end = (): void => {
      if (!this.#active.delete(end)) return
      notes.observe(`end ${words}`)
      notes.scheduled(undo)
      healed()
    }
    this.#active.add(end)
    this.#at(fault.for, end)
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

function killed(losesUnsynced: boolean): Begin {
  return (_, targets, names) => {
    const { nodes, processes } = struck(targets, names)
    for (const node of nodes) if (node.running) node.crash({ losesUnsynced })
    for (const process of processes) process.crash()
    return () => {
      for (const one of nodes) if (!one.running) one.restart()
      for (const one of processes) one.start()
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
  stop: (_, targets, names) => {
    const { nodes } = struck(targets, names)
    for (const node of nodes) node.stop()
    return () => {
      for (const node of nodes) if (!node.serves) node.restart()
    }
  },
  pause: (_, targets, names) => {
    const { nodes, processes } = struck(targets, names)
    const both = [...nodes, ...processes]
    for (const one of both) one.pause()
    return () => {
      for (const one of both) one.resume()
    }
  },
  partition: (_, targets, names) => {
    const { nodes, network } = targets
    const { processes } = struck(targets, names)
    const isInside = (name: string): boolean => names.includes(name)
    const outside = nodes.nodes.map(({ name }) => name).filter((name) => !isInside(name))
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
  'slow-disk': ({ by = 0 }, targets, names) => {
    const { nodes } = struck(targets, names)
    for (const node of nodes) node.slowDisk(by)
    return () => {
      for (const node of nodes) node.slowDisk(0)
    }
  },
  skew: ({ by = 1 }, targets, names) => {
    const { nodes, processes } = struck(targets, names)
    const both = [...nodes, ...processes]
    for (const one of both) one.skewClock(by)
    return () => {
      for (const one of both) one.skewClock(1)
    }
  },
}
