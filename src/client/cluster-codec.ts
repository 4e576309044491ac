// The JSON of members, status and settings.

import {
  arrayIn,
  decoded,
  headerText,
  headerWholeNumber,
  isObject,
  type Json,
  memberFromJson,
  stringIn,
  wholeNumberIn,
} from './decode.ts'
import type { Written } from './errors.ts'
import type { NodeAnswer } from './transport/transport.ts'
import type { ClusterInfo, Member, NewMember, NodeStatus } from './types.ts'

export function clusterInfo(answer: NodeAnswer): ClusterInfo {
  return {
    clusterId: headerText(answer.headers, 'kv-cluster'),
    leader: headerText(answer.headers, 'kv-leader'),
    term: headerWholeNumber(answer.headers, 'kv-term'),
    members: membersIn(answer, 'no'),
  }
}

/** The answer to a change of members contains them. Any other answer does not come from a node. */
export const membersIn = (answer: NodeAnswer, written: Written): readonly Member[] =>
  decoded(answer, written, (json) => arrayIn(json, 'members').map(memberFromJson))

export const memberJson = ({ name, replicaId, peer, url }: NewMember): Json => ({
  ...{ name, replica_id: replicaId, peer, url },
})

export function statusFromJson(json: Json): NodeStatus {
  return {
    name: stringIn(json, 'name'),
    version: stringIn(json, 'version'),
    clusterId: stringIn(json, 'cluster_id'),
    replicaId: stringIn(json, 'replica_id'),
    role: stringIn(json, 'role'),
    leader: typeof json.leader === 'string' ? json.leader : undefined,
    term: wholeNumberIn(json, 'term'),
    commitIndex: wholeNumberIn(json, 'commit_index'),
    appliedIndex: wholeNumberIn(json, 'applied_index'),
    logFirstIndex: wholeNumberIn(json, 'log_first_index'),
    revision: wholeNumberIn(json, 'revision'),
    clusterVersion: wholeNumberIn(json, 'cluster_version'),
    stateHash: stringIn(json, 'state_hash'),
    members: arrayIn(json, 'members').map(memberFromJson),
    errors: arrayIn(json, 'errors').map((error) => (isObject(error) ? JSON.stringify(error) : String(error))),
  }
}
