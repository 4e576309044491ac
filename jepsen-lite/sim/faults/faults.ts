// Injects the faults of a schedule. Each kind is a function in network.ts, machine.ts or operator.ts. A
// fault without an effect is not counted.

import type { SimCluster } from '../world/cluster.ts'
import type { FaultAction, SimFaultKind } from './fault-kinds.ts'
import { type Injection, Injector, type LastingFault } from './injector.ts'
import * as machine from './machine.ts'
import * as network from './network.ts'
import * as operator from './operator.ts'
import type { About } from './triggers.ts'

const INJECTIONS: { readonly [Kind in SimFaultKind]: Injection<Kind> } = {
  partition: network.partition,
  isolate: network.isolate,
  ring: network.ring,
  bridge: network.bridge,
  'one-way': network.oneWay,
  deaf: network.deaf,
  flap: network.flap,
  break: network.breakOnce,
  'break-streams': network.breakStreams,
  'drop-row': network.dropRow,
  lossy: network.lossy,
  message: network.message,
  'slow-link': network.slowLink,
  late: network.late,
  'half-deaf': network.halfDeaf,
  'shifting-majority': network.shiftingMajority,
  crash: machine.crash,
  'crash-many': machine.crashMany,
  storm: machine.storm,
  stop: machine.stop,
  pause: machine.pause,
  'slow-apply': machine.slowApply,
  wipe: machine.wipe,
  'slow-disk': machine.slowDisk,
  'stall-disk': machine.stallDisk,
  'fail-sync': machine.failSync,
  'fail-read': machine.failRead,
  'full-disk': machine.fullDisk,
  'roll-back': machine.rollBack,
  'bit-flip': machine.bitFlip,
  heal: network.heal,
  jump: machine.jump,
  skew: machine.skew,
  join: operator.join,
  remove: operator.remove,
  'remove-many': operator.removeMany,
  replace: operator.replace,
  demote: operator.demote,
  promote: operator.promote,
  'compact-log': machine.compactLog,
  transfer: operator.transfer,
  leases: operator.leases,
  build: machine.build,
  raise: operator.raise,
}

export class Faults {
  readonly #cluster: SimCluster
  readonly #injector: Injector
  #injected = 0

  constructor(cluster: SimCluster) {
    this.#cluster = cluster
    this.#injector = new Injector(cluster)
  }

  /** The faults that last, the oldest first. */
  get lasting(): readonly LastingFault[] {
    return this.#injector.lasting
  }

  /** Ends all active faults now. */
  endAll(): void {
    this.#injector.endAll()
    this.#cluster.crashTriggers.clear()
    this.#cluster.triggers.clear()
  }

  /** Returns whether there was a machine to strike. */
  inject<Kind extends SimFaultKind>(fault: FaultAction & FaultAction<Kind>, about?: About): boolean {
    if (this.#injector.over) return false
    const injection: Injection<Kind> = INJECTIONS[fault.kind]
    const strike = injection(this.#injector, fault, about)
    if (strike === undefined) return false
    const cluster = this.#cluster
    const nodes = strike.machines.map(({ name }) => name)
    const { kind, ...details } = fault
    cluster.coverage.recordFault(kind, strike.machines, about?.faults ?? [])
    about?.faults.push(kind)
    cluster.say(undefined, { kind: 'fault', fault, nodes })
    cluster.recorder.note('inject', { fault: kind, id: this.#injected++, nodes, details })
    this.#injector.striking = { fault, machines: strike.machines }
    strike.begin()
    this.#injector.striking = undefined
    return true
  }
}
