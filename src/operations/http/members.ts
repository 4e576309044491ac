// Members of the cluster in JSON.

import {
  decodeBoolean,
  decodeList,
  decodeObject,
  decodeOptionalString,
  decodeString,
  decodeWholeNumber,
  disagree,
  type Fields,
  isWholeNumber,
} from '../forms/decode.ts'
import {
  type ClusterResult,
  type MemberDescription,
  type NewReplica,
  PEER_CHARS_MAX,
  PEER_PATTERN,
  URL_CHARS_MAX,
  URL_PATTERN,
} from '../forms/members.ts'
import { ApiError } from '../forms/problems.ts'
import { anyOfSchema, arraySchema, boolean, integer, nothing, object, string } from './json-schema.ts'

/** The id of a replica in a body. Throws `ApiError`. */
export function decodeReplicaId(text: string): string {
  if (BigInt(text) <= 0xffff_ffff_ffff_ffffn) return text
  throw new ApiError('bad_request', 'replica_id is larger than 64 bits')
}

export const MemberName = {
  ...string,
  pattern: '^[a-z0-9-]{1,63}$',
  description: 'A label, unique in the cluster',
}
const Id = { ...string, pattern: '^[1-9][0-9]{0,19}$', description: '64 bits as a decimal number' }
const Peer = {
  ...string,
  pattern: PEER_PATTERN,
  maxLength: PEER_CHARS_MAX,
  description: 'host:port of its peer listener',
}
const Url = { ...string, pattern: URL_PATTERN, maxLength: URL_CHARS_MAX, description: 'Base URL of its API' }

export const REPLICA_FIELDS = { replica_id: Id, peer: Peer, url: Url }

export const replicaDocument = ({ name, id, peer, url }: NewReplica): object => ({
  name,
  replica_id: id,
  peer,
  url,
})

export const MemberSchema = object(
  {
    name: MemberName,
    replica_id: Id,
    role: { ...string, enum: ['voter', 'learner'] },
    peer: string,
    url: string,
  },
  { match_index: { ...integer, description: 'Known to the leader alone' } },
)

export const ClusterSchema = object({
  cluster_id: Id,
  leader: anyOfSchema(string, nothing),
  term: integer,
  joint: { ...boolean, description: 'A change of voters is in progress' },
  members: arraySchema(MemberSchema),
})

/** JSON omits fields that are undefined. */
export const memberDocument = ({ name, replicaId, role, peer, url, matchIndex }: MemberDescription) => ({
  name,
  replica_id: replicaId,
  role,
  peer,
  url,
  match_index: matchIndex,
})

export const clusterJson = ({ clusterId, leader, term, joint, members }: ClusterResult): string =>
  JSON.stringify({
    cluster_id: clusterId,
    leader: leader ?? null,
    term,
    joint,
    members: members.map(memberDocument),
  })

/** The members in an answer. Throws `DisagreementError`. */
export const decodeCluster = ({ cluster_id, leader, term, joint, members }: Fields): ClusterResult => ({
  clusterId: decodeString(cluster_id, 'cluster_id'),
  leader: decodeOptionalString(leader, '"leader"'),
  term: decodeWholeNumber(term, 'term'),
  joint: decodeBoolean(joint, 'joint'),
  members: decodeMembers(members),
})

/** Throws `DisagreementError`. */
export const decodeMembers = (value: unknown): readonly MemberDescription[] =>
  decodeList(value, 'members').map((each) => decodeMember(decodeObject(each, 'a member')))

function decodeMember({ name, replica_id, role, peer, url, match_index }: Fields): MemberDescription {
  return {
    name: decodeString(name, 'name'),
    replicaId: decodeString(replica_id, 'replica_id'),
    role: role === 'voter' || role === 'learner' ? role : disagree(`unknown role ${role}`),
    peer: decodeString(peer, 'peer'),
    url: decodeString(url, 'url'),
    matchIndex: isWholeNumber(match_index) ? match_index : undefined,
  }
}
