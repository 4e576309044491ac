// Leadership transfer (thesis §3.10): a leader brings one voter up to date, takes no new entries meanwhile, and asks it
// to campaign at once. An operator may ask for it. A leader also does it by itself: when its disk stalls or has less
// room than others, and when it is no longer a voter.

import type { LeaderState, Retirement, Transfer } from './leader-state.ts'
import { nameOf } from './membership.ts'
import { PendingTransfer } from './pending-transfer.ts'
import type { Progress } from './progress.ts'
import type { ReplicaView } from './replica-view.ts'
import { diskStalls } from './slow-disk.ts'
import type { MonotonicMs, Output, ReplicaId, TransferRequestMessage } from './types.ts'

/** What the rest of the state machine does for a transfer. */
export interface TransferActions {
  /** Sends a follower the entries that it lacks, or at least an empty append. */
  replicate(follower: Progress): void
  stepDown(why: string): void
}

export class LeadershipTransfer {
  readonly #replica: ReplicaView
  readonly #actions: TransferActions
  readonly #asked = new PendingTransfer()

  constructor(replica: ReplicaView, actions: TransferActions) {
    this.#replica = replica
    this.#actions = actions
  }

  /** Whether a request for a transfer to this process is open. */
  get isAsked(): boolean {
    return this.#asked.isOpen
  }

  get deadline(): MonotonicMs {
    return this.#asked.deadline
  }

  /** The outcome for the output of this step. */
  takeOutcome(): Output['transfer'] {
    return this.#asked.takeOutcome()
  }

  /** Ends a request whose time is over. */
  expire(): void {
    this.#asked.expire(this.#replica.now)
  }

  /** Called when a leader is known. */
  leaderIs(leader: ReplicaId): void {
    this.#asked.leaderIs(leader, this.#nameOf(leader))
  }

  /** A request to this process. `to`: undefined for any voter. */
  ask(to: ReplicaId | undefined): void {
    const { lead, leader: from } = this.#replica
    if (from === undefined) {
      this.#asked.answer('refused', 'there is no leader')
      return
    }
    if (to === from) {
      this.#asked.answer('done', `${this.#nameOf(to)} leads already`)
      return
    }
    if (lead === undefined) {
      this.#rememberAsked(to, from)
      this.#replica.send(from, { type: 'transfer-request', target: to })
      return
    }
    const target = to ?? lead.transfer?.target ?? this.#bestSuccessor(lead)
    if (target === undefined) {
      this.#asked.answer('refused', 'no other voter can be reached')
      return
    }
    const why = this.#whyNoSuccessor(lead, target)
    if (why !== undefined) {
      this.#asked.answer('refused', why)
      return
    }
    this.#rememberAsked(to, from)
    if (lead.transfer?.target !== target) this.#begin(lead, target)
  }

  /** A follower was asked, and passes the request on to its leader. */
  onRequest({ target: to }: TransferRequestMessage): void {
    const { lead } = this.#replica
    if (lead === undefined) return
    const target = to ?? lead.transfer?.target ?? this.#bestSuccessor(lead)
    if (target === undefined || target === lead.transfer?.target) return
    if (this.#whyNoSuccessor(lead, target) === undefined) this.#begin(lead, target)
  }

  /** Called with each heartbeat of a leader: goes on with a transfer, or begins one for the sake of a disk. */
  tick(lead: LeaderState): void {
    const { transfer } = lead
    if (transfer === undefined) {
      this.#keepUpWithDisk(lead)
    } else if (this.#replica.now < transfer.deadline) this.#push(lead, transfer)
    else this.#abort(lead, `${this.#nameOf(transfer.target)} did not take over in time`)
  }

  /** A follower has acknowledged entries. */
  acknowledged(lead: LeaderState, { id }: Progress): void {
    if (lead.transfer?.target === id) this.#push(lead, lead.transfer)
  }

  /** The applied configuration has changed. */
  membersChanged(lead: LeaderState): void {
    const target = lead.transfer?.target
    if (target !== undefined && !this.#replica.configuration.voters.includes(target)) {
      this.#abort(lead, `${this.#nameOf(target)} is no longer a voter`)
    }
  }

  /**
   * A leader that is no longer a voter goes on until a majority of the new voters has applied the change (`settled`),
   * so that none of them is left with the old configuration. Then it hands over (thesis §4.2.2).
   */
  retire(lead: LeaderState, { deadline }: Retirement, settled: boolean): void {
    if (lead.transfer !== undefined || (!settled && this.#replica.now < deadline)) return
    const target = this.#bestSuccessor(lead)
    if (target !== undefined) this.#begin(lead, target)
    else this.#actions.stepDown('no longer a voter, and nobody can take over')
  }

  /**
   * A leader whose own disk stalls still commits through the other disks, but its own clients wait. So it hands over
   * leadership.
   */
  #keepUpWithDisk(lead: LeaderState): void {
    if (!diskStalls(this.#replica) || lead.retiring !== undefined) return
    const { configuration, id: self } = this.#replica
    const { voters, votersOutgoing } = configuration
    if ([...voters, ...votersOutgoing].every((id) => id === self)) return
    const target = this.#bestSuccessor(lead)
    if (target !== undefined) this.#begin(lead, target)
    else this.#actions.stepDown('own disk stalls and nobody can take over')
  }

  #nameOf(id: ReplicaId): string {
    return nameOf(this.#replica.configuration, id)
  }

  #rememberAsked(to: ReplicaId | undefined, from: ReplicaId): void {
    const { now, timing } = this.#replica
    this.#asked.ask(to, from, now + 2 * timing.electionMaxMs, (id) => this.#nameOf(id))
  }

  #whyNoSuccessor(lead: LeaderState, id: ReplicaId): string | undefined {
    const { configuration, now, timing } = this.#replica
    const name = this.#nameOf(id)
    const follower = lead.progress.get(id)
    if (follower === undefined) return `${name} is no member of the cluster`
    if (!configuration.voters.includes(id)) return `${name} is not a voter`
    // A leader that was just elected has received no answers in its term yet. That does not count as silence.
    const heardAt = Math.max(follower.heardAt, lead.electedAt)
    if (heardAt <= now - timing.electionMaxMs) return `${name} cannot be reached`
    return undefined
  }

  /** The reachable voter with the longest log. */
  #bestSuccessor(lead: LeaderState): ReplicaId | undefined {
    let best: Progress | undefined
    for (const follower of lead.followers) {
      if (this.#whyNoSuccessor(lead, follower.id) !== undefined) continue
      if (best === undefined || follower.match > best.match) best = follower
    }
    return best?.id
  }

  #begin(lead: LeaderState, target: ReplicaId): void {
    const { now, timing } = this.#replica
    lead.transfer = { target, deadline: now + timing.electionMaxMs }
    lead.lease.end()
    this.#push(lead, lead.transfer)
  }

  /** The target needs the whole log before it can win. No new entries are accepted meanwhile. */
  #push(lead: LeaderState, { target }: Transfer): void {
    const follower = lead.progress.get(target)
    if (follower === undefined) return
    if (follower.match < this.#replica.log.last) {
      this.#actions.replicate(follower)
      return
    }
    this.#replica.send(target, { type: 'timeout-now' })
    if (lead.retiring !== undefined) this.#actions.stepDown('no longer a voter: handed over')
  }

  #abort(lead: LeaderState, detail: string): void {
    lead.transfer = undefined
    if (this.#asked.isOpen) this.#asked.end('aborted', detail)
    if (lead.retiring !== undefined || diskStalls(this.#replica)) {
      this.#actions.stepDown(`handing over failed: ${detail}`)
    }
  }
}
