// Who the voters of the cluster are, and which of them answer. The configuration says so, not the list of local nodes:
// nodes that were started by hand may have joined. A copy of a cluster has the same ids: when one of our nodes does not
// run at its new URL, the node of the original may answer at the old one. A node belongs to our cluster when it knows
// at least one of the local nodes at its present URL.

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
 * As the leader that the `local` nodes name knows them; as the local nodes know them while there is no leader, or its
 * URL is not known. undefined when no node answers, or the leader does not.
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

/** `knowsLeader`: it takes part. undefined: the replica does not answer there, or it belongs to another copy. */
export async function asked(
  { url, replicaId }: Voter,
  local: readonly Local[],
): Promise<{ readonly knowsLeader: boolean } | undefined> {
  const status = await askNode(url, '/v1/status', ANSWER_LIMIT_MS)
  if (status?.replica_id !== replicaId || !belongs(status, local)) return undefined
  return { knowsLeader: typeof status.leader === 'string' }
}

/** Whether the node that answered knows one of the local nodes at its present URL. */
function belongs({ members }: Readonly<Record<string, unknown>>, local: readonly Local[]): boolean {
  return (
    Array.isArray(members) &&
    members
      .filter(isObject)
      .some((member) => local.some(({ name, url }) => member.name === name && member.url === url))
  )
}

/** Whether another replica than the voter answers at `url`. */
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
  // A node that is joining knows no members yet.
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
