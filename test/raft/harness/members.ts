// Short notation for replicas and configurations.

import { emptyConfiguration } from '../../../src/raft/index.ts'
import {
  asReplicaId,
  type Configuration,
  type LeaderLeaseSetting,
  type RaftMember,
  type ReplicaId,
} from '../../../src/raft/types.ts'

export const id = (number: number): ReplicaId => asReplicaId(`${number}`)

export const LEASES_OFF: LeaderLeaseSetting = { on: false, durationMs: 500 }

export const memberNamed = (name: string, id: ReplicaId): RaftMember => ({
  id,
  name,
  peer: `127.0.0.1:${1000 + Number(id)}`,
  url: `http://127.0.0.1:${2000 + Number(id)}`,
})

/** The id of a node called n7 is 7, unless a test sets another. */
export const idOf = (name: string): ReplicaId => asReplicaId(/^[a-z]+([0-9]+)$/.exec(name)?.[1] ?? '0')

export function configurationOf(
  members: readonly RaftMember[],
  learners: readonly ReplicaId[] = [],
): Configuration {
  const sorted = [...members].sort((a, b) => (BigInt(a.id) < BigInt(b.id) ? -1 : 1))
  const isLearner = (id: ReplicaId) => learners.includes(id)
  return {
    ...emptyConfiguration,
    voters: sorted.map(({ id }) => id).filter((id) => !isLearner(id)),
    learners: sorted.map(({ id }) => id).filter(isLearner),
    members: sorted,
  }
}

/** Voters n1, n2, …, under the ids 1, 2, …. */
export const votersUpTo = (count: number): Configuration =>
  configurationOf(Array.from({ length: count }, (_, at) => memberNamed(`n${at + 1}`, id(at + 1))))
