// Members of the cluster, as operations name them.

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
} from './disagreement.ts'
import { anyOf, arrayOf, boolean, integer, nothing, object, string } from './json-schema.ts'
import { ApiError } from './problems.ts'

const PORT = '([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])'

/** A regular expression: host:port of a peer listener. */
export const PEER_PATTERN = `^[^\\s\\x00-\\x1f\\x7f]+:${PORT}$`
export const PEER_CHARS_MAX = 300

/** A regular expression: the base URL of an API. */
export const URL_PATTERN = '^https?://[^\\s\\x00-\\x1f\\x7f?#]*[^\\s\\x00-\\x1f\\x7f?#/]$'
export const URL_CHARS_MAX = 2000

export interface NewReplica {
  /** The id of the replica: 64 bits as decimal digits, not 0. */
  readonly id: string
  /** `[a-z0-9-]{1,63}`, unique in the cluster. */
  readonly name: string
  /** host:port of its peer listener. */
  readonly peer: string
  /** Base URL of its HTTP API, without a trailing slash. */
  readonly url: string
}

export const isPeerAddress = (text: string): boolean =>
  text.length <= PEER_CHARS_MAX && new RegExp(PEER_PATTERN, 'u').test(text)

export const isBaseUrl = (text: string): boolean =>
  text.length <= URL_CHARS_MAX && new RegExp(URL_PATTERN, 'u').test(text)

/** A member, as a node knows it. */
export interface MemberDescription {
  readonly name: string
  /** 64 bits as decimal digits. */
  readonly replicaId: string
  readonly role: 'voter' | 'learner'
  readonly peer: string
  readonly url: string
  /** The index up to which its log is known to match the leader's. Only the leader knows it. */
  readonly matchIndex: number | undefined
}

/** The members, as the node that answers knows them. */
export interface ClusterResult {
  readonly clusterId: string
  /** The name of the leader, if the node knows one. */
  readonly leader: string | undefined
  readonly term: number
  /** A change of voters is in progress. */
  readonly joint: boolean
  readonly members: readonly MemberDescription[]
}

/** The id of a replica in a body. Throws `ApiError`. */
export function decodeReplicaId(text: string): string {
  if (BigInt(text) <= 0xffff_ffff_ffff_ffffn) return text
  throw new ApiError('bad_request', 'replica_id is larger than 64 bits')
}

// ---------------------------------------------------------------------------------------------------------------------
// JSON

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
  leader: anyOf(string, nothing),
  term: integer,
  joint: { ...boolean, description: 'A change of voters is in progress' },
  members: arrayOf(MemberSchema),
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
