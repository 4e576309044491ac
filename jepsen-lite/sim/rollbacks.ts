// Disks that an operator has put back as a whole to an earlier state, as with images of virtual machines, while the
// cluster went on. The replica has forgotten what it promised since, and must not be believed again: the leader that
// heard more from it refuses it as long as it leads, and the replica ends (SPEC, RAFT-19).
//
// No more is promised. Until the replica has met that leader it may vote once more, or help to commit without what it
// had. A schedule in which that happens proves nothing from there on, and is over.

import type { Message, ReplicaId } from '../../src/raft/index.ts'
import type { Machine, Process } from './process.ts'
import { Violation } from './violation.ts'
import type { World } from './world.ts'

interface Rollback {
  /** It heard of more than the disk holds now; it knows that as long as it leads. */
  readonly leader: Process
  readonly term: number
  /** When the two met first, and the process that it met. */
  met: { readonly at: number; readonly process: Process } | undefined
  /** The leader has refused the replica. */
  told: boolean
}

/** What was lost with a connection is said again with the next message. */
const TOLD_MS = 5000

export class Rollbacks {
  readonly #world: World
  readonly #rollbacks = new Map<ReplicaId, Rollback>()
  /** One that nobody could refuse has been believed. */
  isOver = false

  constructor(world: World) {
    this.#world = world
  }

  has({ replica }: Machine): boolean {
    return replica !== undefined && this.#rollbacks.has(replica.id)
  }

  putBack(id: ReplicaId, leader: Process): void {
    this.#rollbacks.set(id, { leader, term: leader.term, met: undefined, told: false })
  }

  connected(leader: Process, peer: Process | undefined): void {
    const rollback = peer === undefined ? undefined : this.#rollbacks.get(peer.id)
    if (peer === undefined || rollback?.leader !== leader || rollback.met?.process === peer) return
    rollback.met = knowsMore(rollback) ? { at: this.#world.time.now, process: peer } : undefined
  }

  /** The leader has met it and said nothing. */
  isBelieved({ id }: Process): boolean {
    const rollback = this.#rollbacks.get(id)
    return rollback?.met !== undefined && !rollback.told
  }

  /** It is about to say something that others may count on; or is refused. */
  leaving(process: Process, message: Message): void {
    const refused = message.type === 'lost-state' ? this.#rollbacks.get(message.to) : undefined
    if (refused?.leader === process) refused.told = true
    const rollback = this.#rollbacks.get(process.id)
    if (rollback === undefined || !binds(message)) return
    const { leader, met } = rollback
    const { time, invariants } = this.#world
    if (leader.live && met?.process === process && time.now > met.at + TOLD_MS) {
      const why = `${process.name} has lost durable state, and ${leader.name}, which knows it, has not refused it: it sends ${message.type} to ${message.to}`
      invariants.violation ??= new Violation('RAFT-19', why)
    }
    const isHeardByLeader = message.to === leader.id && knowsMore(rollback)
    if (!isHeardByLeader && invariants.violation === undefined) this.isOver = true
  }
}

/** What a leader has heard of its followers is forgotten with its process, and with its term. */
const knowsMore = ({ leader, term }: Rollback): boolean =>
  leader.live && leader.role === 'leader' && leader.term === term

const binds = (message: Message): boolean =>
  message.type === 'vote-request' ||
  message.type === 'append-accepted' ||
  (message.type === 'vote-answer' && message.granted)
