// Admission of proposals on the leader, and forwarding from a follower to its leader. `pending-proposals.ts` determines
// the outcomes.

import { UnknownKindError } from '../bytes/index.ts'
import { decodeChange, decodeLeaderLeases } from './configuration.ts'
import {
  BODY_AT,
  ENTRY_CONFIGURATION,
  ENTRY_KINDS_OF_CORE,
  ENTRY_LEADER_LEASES,
  frameBody,
  frameKind,
} from './entry.ts'
import { FORWARDED_MAX, ForwardedSeqs } from './forwarded-seqs.ts'
import { invariant } from './invariant.ts'
import type { LeaderState } from './leader-state.ts'
import type { Membership } from './membership.ts'
import { PendingProposals } from './pending-proposals.ts'
import type { ReplicaView } from './replica-view.ts'
import { DISK_QUEUE_MAX } from './slow-disk.ts'
import type {
  Entry,
  ForwardMessage,
  ForwardRefusedMessage,
  Proposal,
  ProposalOutcome,
  RaftOptions,
  Refusal,
  ReplicaId,
  Term,
} from './types.ts'

/** Callbacks into the rest of the state machine. */
interface AdmissionActions {
  /** Stamps a frame with the term, the next index and the cluster time, and appends it to the log. */
  append(frame: Uint8Array, clusterTimeMs: number): void
  /** Sends the appended entries to all followers. */
  replicate(lead: LeaderState): void
}

export class Admission {
  readonly #replica: ReplicaView
  readonly #membership: Membership
  readonly #commandRefusal: RaftOptions['commandRefusal']
  readonly #actions: AdmissionActions
  readonly #pending: PendingProposals
  /** Seqs received in the newest term that this process has led. */
  #forwardedSeqs = new ForwardedSeqs(0 as Term)
  #outcomes: ProposalOutcome[] = []

  /** `appliedTerm`: the term of the newest applied entry. */
  constructor(
    replica: ReplicaView,
    membership: Membership,
    commandRefusal: RaftOptions['commandRefusal'],
    appliedTerm: Term,
    actions: AdmissionActions,
  ) {
    this.#replica = replica
    this.#membership = membership
    this.#commandRefusal = commandRefusal
    this.#actions = actions
    this.#pending = new PendingProposals(replica.id, replica.boot, appliedTerm)
  }

  /** Number of proposals of this process without an outcome. */
  get size(): number {
    return this.#pending.size
  }
  /** Bytes of their frames. */
  get bytes(): number {
    return this.#pending.bytes
  }
  get forwardedBytes(): number {
    return this.#pending.forwardedBytes
  }

  /** The outcomes for the output of this step. */
  takeOutcomes(): readonly ProposalOutcome[] {
    const outcomes = this.#outcomes
    this.#outcomes = []
    return outcomes
  }

  /** Starts a term as leader, in which no seq was forwarded yet. */
  elected(): void {
    this.#forwardedSeqs = new ForwardedSeqs(this.#replica.term)
  }

  /** Derives outcomes from committed entries. */
  committed(entries: readonly Entry[]): void {
    this.#pending.committed(entries, this.#outcomes)
  }

  /** Derives outcomes from a snapshot that replaced entries and ends in `term`. */
  hidden(term: Term): void {
    this.#pending.hidden(term, this.#outcomes)
  }

  propose(proposals: readonly Proposal[]): void {
    const { lead, now, term } = this.#replica
    if (lead !== undefined) {
      const clusterTimeMs = lead.clusterTimeMs(now)
      for (const proposal of proposals) {
        const refusal = this.#appendRefusal(lead, proposal.frame)
        if (refusal !== undefined) {
          this.#refuse(proposal.seq, refusal)
          continue
        }
        invariant(!this.#pending.has(proposal.seq), () => `proposal ${proposal.seq} is made twice`)
        this.#pending.appended(proposal, term)
        this.#actions.append(proposal.frame, clusterTimeMs)
      }
      this.#actions.replicate(lead)
      return
    }
    const leader = this.#replica.reachableLeader
    if (leader !== undefined) this.#forward(proposals, leader)
    // Over a broken connection a forwarded proposal may overtake earlier ones that were lost with the connection. The
    // leader accepts no earlier seq after a later one.
    else for (const { seq } of proposals) this.#refuse(seq, { reason: 'no-leader' })
  }

  /**
   * Resends the proposals forwarded in this term, which may have been lost with the connection. The leader accepts none
   * twice.
   */
  resendForwarded(leader: ReplicaId): void {
    this.#sendForward(this.#pending.forwardedInTerm(this.#replica.term), leader)
  }

  onForward({ from, term, boot, proposals }: ForwardMessage): void {
    const seqs = this.#forwardedSeqs
    // An earlier process of this replica may have led that term. The origin learns the outcome from the log.
    if (term !== seqs.term) return
    const { lead, log, now } = this.#replica
    const clusterTimeMs = lead === undefined ? 0 : lead.clusterTimeMs(now)
    const refused: { readonly seq: number; readonly refusal: Refusal }[] = []
    for (const { seq, frame } of proposals) {
      if (!seqs.isNew(from, boot, seq)) {
        // The first response may have been lost.
        const before = seqs.refusal(from, boot, seq)
        if (before !== undefined) refused.push({ seq, refusal: before })
        continue
      }
      const refusal: Refusal | undefined =
        lead === undefined ? { reason: 'not-leader' } : this.#appendRefusal(lead, frame)
      seqs.record(from, boot, seq, refusal)
      if (refusal === undefined) this.#actions.append(frame, clusterTimeMs)
      else refused.push({ seq, refusal })
    }
    if (refused.length > 0) {
      this.#replica.send(from, { type: 'forward-refused', meantFor: term, refused })
    }
    if (lead === undefined) return
    const origin = lead.progress.get(from)
    if (origin !== undefined) origin.awaitedIndex = log.last
    this.#actions.replicate(lead)
  }

  onForwardRefused({ meantFor, refused }: ForwardRefusedMessage): void {
    for (const { seq, refusal } of refused) {
      if (this.#pending.refused(seq, meantFor)) this.#refuse(seq, refusal)
    }
  }

  #refuse(seq: number, refusal: Refusal): void {
    this.#outcomes.push({ seq, outcome: 'refused', refusal })
  }

  #appendRefusal(lead: LeaderState, frame: Uint8Array): Refusal | undefined {
    const { entryBytesMax } = this.#replica.limits
    invariant(frame.length >= BODY_AT, () => `a frame of ${frame.length} bytes has no header`)
    if (frame.length > entryBytesMax) {
      return {
        reason: 'too-large',
        detail: `an entry may have ${entryBytesMax} bytes, this one has ${frame.length}`,
      }
    }
    const kind = frameKind(frame)
    if (lead.transfer !== undefined) return { reason: 'transferring' }
    if (lead.retirement !== undefined && kind === ENTRY_CONFIGURATION) return { reason: 'transferring' }
    if (kind < ENTRY_KINDS_OF_CORE) {
      const refusal = this.#coreEntryRefusal(lead, kind, frame)
      return refusal ?? (kind === ENTRY_LEADER_LEASES ? this.#overload(frame) : undefined)
    }
    return this.#commandRefusal(frame) ?? this.#overload(frame)
  }

  /**
   * Refuses what would make the leader's memory grow without bound, while the disks of a majority or its own disk are
   * slower than clients, or while it applies more slowly.
   */
  #overload(frame: Uint8Array): Refusal | undefined {
    const { limits, log } = this.#replica
    const { uncommittedBytesMax, uncommittedEntriesMax } = limits
    const entries = log.last - Math.min(log.evictable, log.applied)
    if (entries === 0) return undefined
    const bytes = log.unfinishedBytes
    const fits = bytes === 0 || bytes + frame.length <= uncommittedBytesMax
    if (entries < uncommittedEntriesMax && fits) return this.#diskOverload(frame)
    return {
      reason: 'overloaded',
      detail: `the leader has ${entries} entries (${bytes} bytes) to commit, store and apply; limits: ${uncommittedEntriesMax} and ${uncommittedBytesMax} bytes`,
    }
  }

  /** Refuses what the own disk would not store in time. One entry is always accepted. */
  #diskOverload(frame: Uint8Array): Refusal | undefined {
    const { diskRoom, log, now, timing } = this.#replica
    const { bytes, items } = log.undurable
    if (items === 0) return undefined
    const room = diskRoom(now)
    if (bytes + frame.length <= room.bytes && items < room.items) return undefined
    const seconds = (DISK_QUEUE_MAX * timing.electionMaxMs) / 1000
    return {
      reason: 'overloaded',
      detail: `the disk of the leader needs more than ${seconds} s for the ${items} entries (${bytes} bytes) that it has not stored`,
    }
  }

  #coreEntryRefusal(lead: LeaderState, kind: number, frame: Uint8Array): Refusal | undefined {
    try {
      if (kind === ENTRY_CONFIGURATION)
        return this.#membership.refusalFor(lead, decodeChange(frameBody(frame)))
      if (kind === ENTRY_LEADER_LEASES) {
        const { on, durationMs } = decodeLeaderLeases(frameBody(frame))
        if (!on || durationMs > 0) return undefined
        return { reason: 'membership', detail: 'a lease must have a duration' }
      }
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof UnknownKindError)) throw error
      return { reason: 'membership', detail: error.message }
    }
    return { reason: 'membership', detail: `the leader does not take entries of kind ${kind}` }
  }

  #forward(proposals: readonly Proposal[], leader: ReplicaId): void {
    const { limits, term } = this.#replica
    const { entryBytesMax, uncommittedBytesMax, uncommittedEntriesMax } = limits
    const accepted: Proposal[] = []
    for (const proposal of proposals) {
      const { seq, frame } = proposal
      const refusal = frameKind(frame) < ENTRY_KINDS_OF_CORE ? undefined : this.#commandRefusal(frame)
      const bytes = this.#pending.forwardedBytes
      if (frame.length > entryBytesMax) {
        const detail = `an entry may have ${entryBytesMax} bytes, this one has ${frame.length}`
        this.#refuse(seq, { reason: 'too-large', detail })
      } else if (
        this.#pending.size >= Math.min(uncommittedEntriesMax, FORWARDED_MAX) ||
        (bytes > 0 && bytes + frame.length > uncommittedBytesMax)
      ) {
        const detail = `${this.#pending.size} proposals (${bytes} bytes) wait for the leader`
        this.#refuse(seq, { reason: 'overloaded', detail })
      } else if (refusal !== undefined) {
        this.#refuse(seq, refusal)
      } else if (!this.#pending.mayForward(seq, term)) {
        // The leader of this term may have received this seq already, and accepts none twice.
        this.#refuse(seq, { reason: 'not-leader' })
      } else {
        this.#pending.forwarded(proposal, term)
        accepted.push(proposal)
      }
    }
    this.#sendForward(accepted, leader)
  }

  /** Splits proposals into messages no larger than an append. */
  #sendForward(proposals: readonly Proposal[], to: ReplicaId): void {
    const { boot, limits } = this.#replica
    let bytes = 0
    let begin = 0
    for (let end = 1; end <= proposals.length; end++) {
      bytes += proposals[end - 1]?.frame.length ?? 0
      const next = proposals[end]?.frame.length
      if (next !== undefined && bytes + next <= limits.appendBytesMax) continue
      const part = proposals.slice(begin, end)
      this.#replica.send(to, { type: 'forward', boot, proposals: part })
      begin = end
      bytes = 0
    }
  }
}
