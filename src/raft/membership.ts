// The applied configuration, and when the leader changes it (paper §6, thesis §4). `configuration.ts` has the effect of
// a change. src/server/node informs and stops removed replicas (`admit` in peer-events.ts, `endIfRemoved` in
// driver.ts).

import { applyChange, finalConfiguration, isJoint } from './configuration.ts'
import { invariant } from './invariant.ts'
import type { LeaderState } from './leader-state.ts'
import type { ReplicaView } from './replica-view.ts'
import type { Configuration, ConfigurationChange, LogIndex, Refusal, ReplicaId } from './types.ts'

export class Membership {
  /** Changes in the log that are not applied. */
  readonly unapplied = new UnappliedChanges()
  readonly #replica: ReplicaView
  #configuration: Configuration
  /**
   * Index of the newest applied entry that left a joint configuration, or a higher one after a restart or a snapshot.
   * The change is settled once #appliedByMajority reaches it.
   */
  #leftJointAt: LogIndex
  #appliedByMajority = 0 as LogIndex

  /** `index`: the newest applied entry. */
  constructor(replica: ReplicaView, configuration: Configuration, index: LogIndex) {
    this.#replica = replica
    this.#configuration = configuration
    this.#leftJointAt = index
  }

  get configuration(): Configuration {
    return this.#configuration
  }
  /** See `Raft.settled`. */
  get settled(): boolean {
    return this.#appliedByMajority >= this.#leftJointAt
  }
  get leftJointAt(): LogIndex {
    return this.#leftJointAt
  }
  get appliedByMajority(): LogIndex {
    return this.#appliedByMajority
  }

  majorityApplied(index: number): void {
    this.#appliedByMajority = Math.max(this.#appliedByMajority, index) as LogIndex
  }

  /** Puts a change into effect when its entry is applied (RAFT-15). */
  applied(index: LogIndex, change: ConfigurationChange): void {
    const result = applyChange(this.#configuration, change)
    invariant(
      result.ok,
      () => `entry ${index} cannot change the configuration: ${result.ok ? '' : result.detail}`,
    )
    this.#configuration = result.configuration
    if (change.kind === 'leave-joint') this.#leftJointAt = index
  }

  /** Takes the configuration of a snapshot that ends at `index`. */
  restored(configuration: Configuration, index: LogIndex): void {
    this.unapplied.restored(index)
    this.#configuration = configuration
    this.#leftJointAt = index
  }

  /** Reason why the leader must not append this change now; undefined if it may. */
  refusalFor(lead: LeaderState, change: ConfigurationChange): Refusal | undefined {
    return changeRefusal(change, this.#context(lead))
  }

  /** The change that the leader makes by itself: leaving a joint configuration, or the promotion of one learner. */
  ownChange(lead: LeaderState): ConfigurationChange | undefined {
    const configuration = this.#configuration
    if (lead.transfer !== undefined || this.unapplied.oldest !== undefined) return undefined
    if (!lead.committedInTerm(this.#replica.log.commit)) return undefined
    if (isJoint(configuration)) return { kind: 'leave-joint' }
    for (const id of configuration.learners) {
      if (configuration.demoted.includes(id) || !this.#isCaughtUp(lead, id)) continue
      const promote: ConfigurationChange = { kind: 'change', steps: [{ kind: 'promote', id }] }
      return this.refusalFor(lead, promote) === undefined ? promote : undefined
    }
    return undefined
  }

  #context(lead: LeaderState): ChangeContext {
    const { id: self, log, now, timing } = this.#replica
    const activeSince = now - timing.electionMaxMs
    const isActive = (id: ReplicaId): boolean => {
      const follower = lead.progress.get(id)
      if (follower === undefined) return id === self
      return follower.lastContactAt > activeSince
    }
    return {
      configuration: this.#configuration,
      unapplied: this.unapplied.oldest,
      committedInTerm: lead.committedInTerm(log.commit),
      isActive,
      isSilent: () => lead.electedAt > activeSince,
      isCaughtUp: (id) => this.#isCaughtUp(lead, id),
    }
  }

  #isCaughtUp(lead: LeaderState, id: ReplicaId): boolean {
    const { now, timing } = this.#replica
    return lead.progress.get(id)?.isCaughtUp(now, timing.electionMinMs) === true
  }
}

interface ChangeContext {
  readonly configuration: Configuration
  /** Index of the first unapplied configuration entry in the log. */
  readonly unapplied: LogIndex | undefined
  /** Whether an entry of the leader's term is committed. */
  readonly committedInTerm: boolean
  readonly isActive: (id: ReplicaId) => boolean
  /** Whether the leader is so new that this replica may simply not have responded yet. */
  readonly isSilent: (id: ReplicaId) => boolean
  readonly isCaughtUp: (id: ReplicaId) => boolean
}

/** Reason why the change must not be appended now; undefined if it may. */
export function changeRefusal(change: ConfigurationChange, context: ChangeContext): Refusal | undefined {
  const pending = pendingReason(context)
  if (pending !== undefined) return { reason: 'membership-pending', detail: pending }
  const detail = invalidReason(change, context)
  if (detail !== undefined) return { reason: 'membership', detail }
  return quorumLossRefusal(change, context)
}

function pendingReason({ configuration, unapplied, committedInTerm }: ChangeContext): string | undefined {
  // Ongaro, raft-dev 2015: a leader may not know the newest configuration before it has committed an entry of its own
  // term.
  if (!committedInTerm) return 'the leader is new and has not committed an entry of its term yet; try again'
  if (isJoint(configuration)) return 'the previous change of voters is not finished yet; try again'
  if (unapplied !== undefined) return `another change, entry ${unapplied}, is not applied yet; try again`
  return undefined
}

function invalidReason(change: ConfigurationChange, context: ChangeContext): string | undefined {
  const { configuration, isCaughtUp } = context
  if (change.kind === 'leave-joint') return 'the leader ends a change of voters by itself'
  const result = applyChange(configuration, change)
  if (!result.ok) return result.detail
  const behind = change.steps.find((step) => step.kind === 'promote' && !isCaughtUp(step.id))
  return behind?.kind === 'promote'
    ? `learner ${memberName(configuration, behind.id)} has not caught up with the log yet`
    : undefined
}

/** Refuses a change whose new voters could not commit later entries: a majority of them must be reachable. */
function quorumLossRefusal(
  change: ConfigurationChange,
  { configuration, isActive, isSilent }: ChangeContext,
): Refusal | undefined {
  const result = applyChange(configuration, change)
  if (!result.ok || !isJoint(result.configuration)) return undefined
  const { voters } = finalConfiguration(result.configuration)
  const away = voters.filter((id) => !isActive(id))
  const isLost = (missing: number): boolean => voters.length - missing <= voters.length / 2
  if (!isLost(away.length)) return undefined
  const names = away.map((id) => memberName(configuration, id)).join(', ')
  if (!isLost(away.filter((id) => !isSilent(id)).length)) {
    return {
      reason: 'membership-pending',
      detail: `the leader is new and has had no contact with ${names} yet; try again`,
    }
  }
  const detail = `the cluster would lose its quorum: of the ${voters.length} voters then left, ${names} cannot be reached`
  return { reason: 'membership', detail }
}

export function memberName(configuration: Configuration, id: ReplicaId): string {
  return configuration.members.find((member) => member.id === id)?.name ?? id
}

/** Configuration entries of the log that are not applied yet, in order. */
export class UnappliedChanges {
  #entries: { readonly index: LogIndex; readonly change: ConfigurationChange }[] = []

  get size(): number {
    return this.#entries.length
  }

  get oldest(): LogIndex | undefined {
    return this.#entries[0]?.index
  }

  /** The first entry after `index` that leaves a joint configuration. */
  leavesJointAfter(index: LogIndex): LogIndex | undefined {
    return this.#entries.find((entry) => entry.index > index && entry.change.kind === 'leave-joint')?.index
  }

  appended(index: LogIndex, change: ConfigurationChange): void {
    this.#entries.push({ index, change })
  }

  truncatedFrom(index: LogIndex): void {
    this.#entries = this.#entries.filter((entry) => entry.index < index)
  }

  restored(index: LogIndex): void {
    this.#entries = this.#entries.filter((entry) => entry.index > index)
  }

  /** Removes the oldest entry and returns it if it is at or below `index`. */
  takeApplied(
    index: LogIndex,
  ): { readonly index: LogIndex; readonly change: ConfigurationChange } | undefined {
    return (this.#entries[0]?.index ?? Number.POSITIVE_INFINITY) <= index ? this.#entries.shift() : undefined
  }
}
