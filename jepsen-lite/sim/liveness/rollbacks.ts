// Disks that an operator has put back as a whole to an earlier state, as with images of virtual machines, while the
// cluster went on. The replica has forgotten what it promised since, and must not be trusted again. The leader that has
// heard more from it refuses it while it leads, and the replica ends (RAFT-19).
//
// Nothing more is promised. Before the replica has met that leader, it may vote again, help to commit without the
// entries that it had, or elect itself, if it was the only voter then. If that happens, the rest of the schedule proves
// nothing, and it is stopped.

import type { Message, ReplicaId } from '../../../src/raft/index.ts'
import { RuleViolation } from '../oracle/violation.ts'
import type { Environment, Machine, Process } from '../world/process.ts'

interface Rollback {
  /** The leader that has heard of more than the disk holds now. It knows that only while it leads. */
  readonly leader: Process
  readonly term: number
  /** When the two first met, and which process of the replica it was. */
  met: { readonly at: number; readonly process: Process } | undefined
  /** The leader has refused the replica. */
  isNotified: boolean
}

/** Lost messages are repeated with the next one. */
const TOLD_MS = 5000

export class Rollbacks {
  readonly #world: Environment
  readonly #rollbacks = new Map<ReplicaId, Rollback>()
  /** A replica that no leader could refuse has been trusted. */
  isOver = false

  constructor(world: Environment) {
    this.#world = world
  }

  has({ replica }: Machine): boolean {
    return replica !== undefined && this.#rollbacks.has(replica.id)
  }

  putBack(id: ReplicaId, leader: Process): void {
    this.#rollbacks.set(id, { leader, term: leader.term, met: undefined, isNotified: false })
  }

  connected(leader: Process, peer: Process | undefined): void {
    const rollback = peer === undefined ? undefined : this.#rollbacks.get(peer.id)
    if (peer === undefined || rollback?.leader !== leader || rollback.met?.process === peer) return
    rollback.met = knowsMore(rollback) ? { at: this.#world.time.now, process: peer } : undefined
  }

  /** The leader has met the replica without refusing it. */
  isAccepted({ id }: Process): boolean {
    const rollback = this.#rollbacks.get(id)
    return rollback?.met !== undefined && !rollback.isNotified
  }

  /** The replica is about to send a message that others may count on, or it is refused. */
  leaving(process: Process, message: Message): void {
    const refused = message.type === 'lost-state' ? this.#rollbacks.get(message.to) : undefined
    if (refused?.leader === process) refused.isNotified = true
    const rollback = this.#rollbacks.get(process.id)
    if (rollback === undefined || !binds(message)) return
    const { leader, met } = rollback
    const { time, invariants } = this.#world
    if (leader.live && met?.process === process && time.now > met.at + TOLD_MS) {
      const why = `${process.name} has lost durable state, and ${leader.name}, which knows it, has not refused it: it sends ${message.type} to ${message.to}`
      invariants.violation ??= new RuleViolation('RAFT-19', why)
    }
    const isHeardByLeader = message.to === leader.id && knowsMore(rollback)
    if (!isHeardByLeader && invariants.violation === undefined) this.isOver = true
  }

  /** Without a message this happens only to a replica whose old configuration has no other voter. */
  elected({ id }: Process): void {
    if (this.#rollbacks.has(id) && this.#world.invariants.violation === undefined) this.isOver = true
  }
}

/** A leader forgets what it has heard of its followers when its process or its term ends. */
const knowsMore = ({ leader, term }: Rollback): boolean =>
  leader.live && leader.role === 'leader' && leader.term === term

const binds = (message: Message): boolean =>
  message.type === 'vote-request' ||
  message.type === 'append-accepted' ||
  (message.type === 'vote-answer' && message.granted)
