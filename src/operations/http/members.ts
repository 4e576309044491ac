// Members of the cluster in JSON.

import {
  type NewReplica,
  PEER_CHARS_MAX,
  PEER_PATTERN,
  URL_CHARS_MAX,
  URL_PATTERN,
} from '../forms/members.ts'
import { ApiError } from '../forms/problems.ts'
import { string } from './json-schema.ts'

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
export const Id = { ...string, pattern: '^[1-9][0-9]{0,19}$', description: '64 bits as a decimal number' }
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
