// Who the voters of the cluster are, and who of them answers. The configuration says so, not the list of local nodes: a
// cluster may have been grown by nodes that were started by hand. A copy of a cluster has the same ids: where one of
// our nodes does not run at its new place, that of the original may answer at its old one. Whoever belongs to us knows
// at least one of the local nodes where it is.

import { askNode } from './ask-node.ts'
import { isObject } from './is-object.ts'

const ANSWER_LIMIT_MS = 1_000

export interface Voter {
  readonly name: string
  readonly replicaId: string
  readonly url: string
}

/** A local node that runs, and where. */
export interface Local {
  readonly name: string
  readonly url: string
}

/**
 * As the leader knows them, whom the `local` nodes name; as they do while there is none, or it is not known where.
 * undefined when nobody answers, or the leader does not.
 */
export async function knownVoters(local: readonly Local[]): Promise<readonly Voter[] | undefined> {
  const answers = await Promise.all(local.map(({ url }) => askNode(url, '/v1/cluster', ANSWER_LIMIT_MS)))
  const known = answers.flatMap((answer) => configurationOf(answer) ?? []).sort((a, b) => a.term - b.term)
  const newest = known.at(-1)
  const leader = newest?.voters.find(({ name }) => name === newest.leader)
  if (leader === undefined) return newest?.voters
  const own = local.find(({ name }) => name === leader.name)
  const answer = await askNode(own?.url ?? leader.url, '/v1/cluster', ANSWER_LIMIT_MS)
  return answer === undefined || belongs(answer, local) ? configurationOf(answer)?.voters : newest?.voters
}

/** `knowsLeader`: it takes part. undefined: the replica does not answer there, or only that of another copy. */
export async function asked(
  { url, replicaId }: Voter,
  local: readonly Local[],
): Promise<{ readonly knowsLeader: boolean } | undefined> {
  const status = await askNode(url, '/v1/status', ANSWER_LIMIT_MS)
  if (status?.replica_id !== replicaId || !belongs(status, local)) return undefined
  return { knowsLeader: typeof status.leader === 'string' }
}

/** Whether it knows one of the local nodes where that is. */
function belongs({ members }: Readonly<Record<string, unknown>>, local: readonly Local[]): boolean {
  return (
    Array.isArray(members) &&
    members
      .filter(isObject)
      .some((member) => local.some(({ name, url }) => member.name === name && member.url === url))
  )
}

/** At `url`, instead of the voter. */
export async function anotherAnswers({ replicaId }: Voter, url: string): Promise<boolean> {
  const status = await askNode(url, '/v1/status', ANSWER_LIMIT_MS)
  return status !== undefined && status.replica_id !== replicaId
}

interface KnownConfiguration {
  readonly term: number
  readonly leader: string | undefined
  readonly voters: readonly Voter[]
}

function configurationOf(
  answer: Readonly<Record<string, unknown>> | undefined,
): KnownConfiguration | undefined {
  if (answer === undefined || !Array.isArray(answer.members)) return undefined
  const { term, leader, members } = answer
  // A node that is joining knows of nobody yet.
  if (members.length === 0) return undefined
  return {
    term: Number(term),
    leader: typeof leader === 'string' ? leader : undefined,
    voters: members
      .filter(isObject)
      .filter(({ role }) => role === 'voter')
      .map(({ name, replica_id, url }) => ({
        name: String(name),
        replicaId: String(replica_id),
        url: String(url),
      })),
  }
}
