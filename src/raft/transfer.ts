// Leadership transfer (thesis §3.10): a leader stops accepting proposals, brings one voter up to date, and requests it
// to campaign at once. An operator may request a transfer. A leader also begins one when its disk stalls or lags
// behind, and when it is no longer a voter.

import { isMember } from './configuration.ts'
import type { LeaderState, Retirement, Transfer } from './leader-state.ts'
import { memberName } from './membership.ts'
import { PendingTransfer } from './pending-transfer.ts'
import type { Progress } from './progress.ts'
import type { ReplicaView } from './replica-view.ts'
import { diskStalls } from './slow-disk.ts'
import type { MonotonicMs, Output, ReplicaId, TransferRequestMessage } from './types.ts'

/** Callbacks into the rest of the state machine. */
interface TransferActions {
  /** Sends a follower its missing entries, or at least an empty append. */
  replicate(follower: Progress): void
  stepDown(why: string): void
}

export class LeadershipTransfer {
  readonly #replica: ReplicaView
  readonly #actions: TransferActions
  readonly #pending = new PendingTransfer()

  constructor(replica: ReplicaView, actions: TransferActions) {
    this.#replica = replica
    this.#actions = actions
  }

  /** Whether a request to this process is open. */
  get isPending(): boolean {
    return this.#pending.isOpen
  }

  get deadline(): MonotonicMs {
    return this.#pending.deadline
  }

  /** The outcome for the output of this step. */
  takeOutcome(): Output['transfer'] {
    return this.#pending.takeOutcome()
  }

  /** Ends an expired request. */
  expire(): void {
    this.#pending.expire(this.#replica.now)
  }

  /** Ends a request when another replica leads. */
  onLeader(leader: ReplicaId): void {
    this.#pending.onLeader(leader, this.#memberName(leader))
  }

  /** Handles a request to this process. `to`: undefined for any voter. */
  request(to: ReplicaId | undefined): void {
    const { lead, leader: from } = this.#replica
    if (from === undefined) {
      this.#pending.resolve('refused', 'there is no leader')
      return
    }
    if (to === from) {
      this.#pending.resolve('done', `${this.#memberName(to)} leads already`)
      return
    }
    // The leader would refuse it too, but the requester would not learn why.
    const refusal = to === undefined ? undefined : this.#memberRefusal(to)
    if (refusal !== undefined) {
      this.#pending.resolve('refused', refusal)
      return
    }
    if (lead === undefined) {
      this.#registerRequest(to, from)
      this.#replica.send(from, { type: 'transfer-request', target: to })
      return
    }
    const target = to ?? lead.transfer?.target ?? this.#bestSuccessor(lead)
    if (target === undefined) {
      this.#pending.resolve('refused', 'no other voter can be reached')
      return
    }
    const blocker = this.#successorBlocker(lead, target)
    if (blocker !== undefined) {
      this.#pending.resolve('refused', blocker)
      return
    }
    this.#registerRequest(to, from)
    if (lead.transfer?.target !== target) this.#begin(lead, target)
  }

  /** Handles a request that a follower has forwarded. */
  onRequest({ target: to }: TransferRequestMessage): void {
    const { lead } = this.#replica
    if (lead === undefined) return
    const target = to ?? lead.transfer?.target ?? this.#bestSuccessor(lead)
    if (target === undefined || target === lead.transfer?.target) return
    if (this.#successorBlocker(lead, target) === undefined) this.#begin(lead, target)
  }

  /** Continues a transfer, or begins one if the disk is slow. Called with each heartbeat of a leader. */
  tick(lead: LeaderState): void {
    const { transfer } = lead
    if (transfer === undefined) {
      this.#transferIfDiskIsSlow(lead)
    } else if (this.#replica.now < transfer.deadline) this.#advance(lead, transfer)
    else this.#abort(lead, `${this.#memberName(transfer.target)} did not take over in time`)
  }

  /** Continues a transfer after its target has acknowledged entries. */
  acknowledged(lead: LeaderState, { id }: Progress): void {
    if (lead.transfer?.target === id) this.#advance(lead, lead.transfer)
  }

  /** Aborts a transfer whose target is no longer a voter. */
  membersChanged(lead: LeaderState): void {
    const target = lead.transfer?.target
    if (target !== undefined && !this.#replica.configuration.voters.includes(target)) {
      this.#abort(lead, `${this.#memberName(target)} is no longer a voter`)
    }
  }

  /**
   * Transfers the leadership of a removed leader (thesis §4.2.2). It first leads until a majority of the new voters has
   * applied the change (`settled`), so that their elections do not need the old configuration.
   */
  retire(lead: LeaderState, { deadline }: Retirement, settled: boolean): void {
    if (lead.transfer !== undefined || (!settled && this.#replica.now < deadline)) return
    const target = this.#bestSuccessor(lead)
    if (target !== undefined) this.#begin(lead, target)
    else this.#actions.stepDown('no longer a voter, and nobody can take over')
  }

  /**
   * Transfers leadership away from a slow disk. Entries still commit through the other disks. But clients of this node
   * wait while its disk stalls, and entries that only the others hold count on all of them.
   */
  #transferIfDiskIsSlow(lead: LeaderState): void {
    const lags = lead.diskLag.isTooLong(this.#replica)
    const stalls = diskStalls(this.#replica)
    if (!(lags || stalls) || lead.retirement !== undefined) return
    const { configuration, id: self } = this.#replica
    const { voters, votersOutgoing } = configuration
    if ([...voters, ...votersOutgoing].every((id) => id === self)) return
    const target = this.#bestSuccessor(lead)
    if (target !== undefined) this.#begin(lead, target)
    else if (stalls) this.#actions.stepDown('own disk stalls and nobody can take over')
  }

  #memberName(id: ReplicaId): string {
    return memberName(this.#replica.configuration, id)
  }

  #registerRequest(to: ReplicaId | undefined, from: ReplicaId): void {
    const { now, timing } = this.#replica
    this.#pending.register(to, from, now + 2 * timing.electionMaxMs, (id) => this.#memberName(id))
  }

  /** Reason why a replica cannot lead, in the applied configuration. */
  #memberRefusal(id: ReplicaId): string | undefined {
    const { configuration } = this.#replica
    if (configuration.voters.includes(id)) return undefined
    const what = isMember(configuration, id) ? 'not a voter' : 'no member of the cluster'
    return `${this.#memberName(id)} is ${what}`
  }

  #successorBlocker(lead: LeaderState, id: ReplicaId): string | undefined {
    const { now, timing } = this.#replica
    const follower = lead.progress.get(id)
    if (follower === undefined) return `${this.#memberName(id)} is no member of the cluster`
    const refusal = this.#memberRefusal(id)
    if (refusal !== undefined) return refusal
    // A new leader has received no responses in its term yet, which does not make its followers unreachable.
    const lastContactAt = Math.max(follower.lastContactAt, lead.electedAt)
    if (lastContactAt <= now - timing.electionMaxMs) return `${this.#memberName(id)} cannot be reached`
    return undefined
  }

  /** The reachable voter with the longest log. */
  #bestSuccessor(lead: LeaderState): ReplicaId | undefined {
    let best: Progress | undefined
    for (const follower of lead.followers) {
      if (this.#successorBlocker(lead, follower.id) !== undefined) continue
      if (best === undefined || follower.match > best.match) best = follower
    }
    return best?.id
  }

  #begin(lead: LeaderState, target: ReplicaId): void {
    const { now, timing } = this.#replica
    lead.transfer = { target, deadline: now + timing.electionMaxMs }
    lead.leaderLease.end()
    this.#advance(lead, lead.transfer)
  }

  /** Replicates to the target, which needs the whole log to win, and then sends it TimeoutNow. */
  #advance(lead: LeaderState, { target }: Transfer): void {
    const follower = lead.progress.get(target)
    if (follower === undefined) return
    if (follower.match < this.#replica.log.last) {
      this.#actions.replicate(follower)
      return
    }
    this.#replica.send(target, { type: 'timeout-now' })
    if (lead.retirement !== undefined) this.#actions.stepDown('no longer a voter: handed over')
  }

  #abort(lead: LeaderState, detail: string): void {
    lead.transfer = undefined
    if (this.#pending.isOpen) this.#pending.end('aborted', detail)
    if (lead.retirement !== undefined || diskStalls(this.#replica)) {
      this.#actions.stepDown(`handing over failed: ${detail}`)
    }
  }
}
