// Majorities. A joint configuration (paper §6) has two, and both must agree.
//
// An empty half always agrees, so that the outgoing half has no effect outside a joint configuration.

import type { Configuration, ReplicaId } from './types.ts'

export type VoteResult = 'won' | 'lost' | 'pending'

/**
 * Highest value that a quorum has reached, for any value that only rises: match indexes, rounds, contact times.
 * Infinity in a configuration without voters.
 */
export function quorumValue(configuration: Configuration, reached: (id: ReplicaId) => number): number {
  const incoming = majorityCommitted(configuration.voters, reached)
  if (configuration.votersOutgoing.length === 0) return incoming
  return Math.min(incoming, majorityCommitted(configuration.votersOutgoing, reached))
}

export function voteResult(configuration: Configuration, votes: ReadonlyMap<ReplicaId, boolean>): VoteResult {
  const incoming = majorityVote(configuration.voters, votes)
  const outgoing = majorityVote(configuration.votersOutgoing, votes)
  if (incoming === 'lost' || outgoing === 'lost') return 'lost'
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending'
}

/** Highest value that more than half of `ids` have reached. */
export function majorityCommitted(ids: readonly ReplicaId[], reached: (id: ReplicaId) => number): number {
  if (ids.length === 0) return Number.POSITIVE_INFINITY
  const descending: number[] = []
  for (const id of ids) {
    const value = reached(id)
    let at = descending.push(value) - 1
    for (; at > 0 && (descending[at - 1] ?? 0) < value; at--) descending[at] = descending[at - 1] ?? 0
    descending[at] = value
  }
  return descending[ids.length >> 1] ?? 0
}

export function majorityVote(ids: readonly ReplicaId[], votes: ReadonlyMap<ReplicaId, boolean>): VoteResult {
  if (ids.length === 0) return 'won'
  let granted = 0
  let refused = 0
  for (const id of ids) {
    const vote = votes.get(id)
    if (vote === true) granted++
    else if (vote === false) refused++
  }
  const majority = (ids.length >> 1) + 1
  if (granted >= majority) return 'won'
  return ids.length - refused < majority ? 'lost' : 'pending'
}
