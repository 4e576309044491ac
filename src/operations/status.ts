// The status of the node that is asked, or of another member, which that node asks.

import type { HttpForm, OperationFacts } from './definition.ts'
import {
  decodeList,
  decodeObject,
  decodeOptionalString,
  decodeRevision,
  decodeString,
  decodeWholeNumber,
  disagree,
  type Fields,
  isObject,
} from './forms/decode.ts'
import type { MemberDescription } from './forms/members.ts'
import { CALL } from './forms/rights.ts'
import type { Revision } from './forms/store.ts'
import { jsonResponse } from './http/form.ts'
import { anyOfSchema, arraySchema, integer, nothing, object, string } from './http/json-schema.ts'
import { decodeMembers, MemberSchema, memberDocument } from './http/members.ts'
import { text } from './http/parameters.ts'
import { getRequest, withQuery } from './http/requests.ts'
import { route } from './http/route.ts'

export interface StatusRequest {
  readonly kind: 'status'
  /** The name of a member; undefined: the node that receives the request. */
  readonly node?: string | undefined
}

/** A node, as it knows itself. */
export interface StatusResult {
  readonly name: string
  /** Version of the program. */
  readonly version: string
  readonly clusterId: string
  readonly replicaId: string
  readonly role: string
  readonly leader: string | undefined
  readonly term: number
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly logFirstIndex: number
  readonly revision: Revision
  readonly clusterVersion: number
  readonly stateHash: string
  readonly members: readonly MemberDescription[]
  /** undefined: the node does not know the free space. */
  readonly diskFreeBytes: number | undefined
  readonly diskTotalBytes: number | undefined
  readonly certificates: readonly { readonly file: string; readonly expiresInMs: number }[]
  readonly lastBackupAgeMs: number | undefined
  readonly errors: readonly string[]
}

const StatusSchema = object({
  name: string,
  version: string,
  cluster_id: string,
  replica_id: string,
  role: { ...string, description: 'follower, pre-candidate, candidate or leader' },
  leader: anyOfSchema(string, nothing),
  term: integer,
  commit_index: integer,
  applied_index: integer,
  log_first_index: integer,
  revision: integer,
  cluster_version: integer,
  state_hash: {
    ...string,
    description: '64 bits in hexadecimal; equal on replicas with equal applied_index',
  },
  members: arraySchema(MemberSchema),
  disk_free_bytes: {
    ...anyOfSchema(integer, nothing),
    description: 'Of the file system; null when it is unknown',
  },
  disk_total_bytes: anyOfSchema(integer, nothing),
  certificates: {
    ...arraySchema(object({ file: string, expires_in_ms: { type: 'integer' } })),
    description: 'Until the first certificate or revocation list of each file ends; negative after that',
  },
  last_backup_age_ms: {
    ...anyOfSchema(integer, nothing),
    description: 'Of the newest scheduled backup that this node knows',
  },
  errors: { ...arraySchema(string), description: 'What an operator should look at' },
})

export const status = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  demands: () => CALL,
  http: {
    routes: [
      route(
        {
          method: 'GET',
          path: '/v1/status',
          summary: 'This node, or another member',
          parameters: { node: text('The name of a member; this node unless given') },
          answers: StatusSchema,
        },
        ({ values: { node } }) => ({ kind: 'status', node }),
      ),
    ],
    encode: ({ node }) => getRequest(withQuery('/v1/status', { node })),
    encodeResult: (result) => jsonResponse(statusJson(result)),
    decodeResult: decodeStatus,
  },
} satisfies OperationFacts<unknown> & { readonly http: HttpForm<StatusRequest, StatusResult> }

/** Also the form in which a member reports it to another one. */
export function statusJson(result: StatusResult): string {
  return JSON.stringify({
    name: result.name,
    version: result.version,
    cluster_id: result.clusterId,
    replica_id: result.replicaId,
    role: result.role,
    leader: result.leader ?? null,
    term: result.term,
    commit_index: result.commitIndex,
    applied_index: result.appliedIndex,
    log_first_index: result.logFirstIndex,
    revision: result.revision,
    cluster_version: result.clusterVersion,
    state_hash: result.stateHash,
    members: result.members.map(memberDocument),
    disk_free_bytes: result.diskFreeBytes ?? null,
    disk_total_bytes: result.diskTotalBytes ?? null,
    certificates: result.certificates.map(({ file, expiresInMs }) => ({
      file,
      expires_in_ms: expiresInMs,
    })),
    last_backup_age_ms: result.lastBackupAgeMs ?? null,
    errors: result.errors,
  })
}

/** Throws `DisagreementError`. */
export function decodeStatus(body: Fields): StatusResult {
  return {
    name: decodeString(body.name, 'name'),
    version: decodeString(body.version, 'version'),
    clusterId: decodeString(body.cluster_id, 'cluster_id'),
    replicaId: decodeString(body.replica_id, 'replica_id'),
    role: decodeString(body.role, 'role'),
    leader: decodeOptionalString(body.leader, '"leader"'),
    term: decodeWholeNumber(body.term, 'term'),
    commitIndex: decodeWholeNumber(body.commit_index, 'commit_index'),
    appliedIndex: decodeWholeNumber(body.applied_index, 'applied_index'),
    logFirstIndex: decodeWholeNumber(body.log_first_index, 'log_first_index'),
    revision: decodeRevision(body.revision, 'revision'),
    clusterVersion: decodeWholeNumber(body.cluster_version, 'cluster_version'),
    stateHash: decodeString(body.state_hash, 'state_hash'),
    members: decodeMembers(body.members),
    diskFreeBytes: decodeKnown(body.disk_free_bytes, 'disk_free_bytes'),
    diskTotalBytes: decodeKnown(body.disk_total_bytes, 'disk_total_bytes'),
    certificates: decodeList(body.certificates, 'certificates').map(decodeCertificate),
    lastBackupAgeMs: decodeKnown(body.last_backup_age_ms, 'last_backup_age_ms'),
    errors: decodeList(body.errors, 'errors').map((error) =>
      isObject(error) ? JSON.stringify(error) : String(error),
    ),
  }
}

/** Decodes a number that is null if the node does not know it. */
const decodeKnown = (value: unknown, name: string): number | undefined =>
  value === null ? undefined : decodeWholeNumber(value, name)

function decodeCertificate(value: unknown): StatusResult['certificates'][number] {
  const { file, expires_in_ms: expiresInMs } = decodeObject(value, 'a certificate')
  if (typeof expiresInMs !== 'number' || !Number.isSafeInteger(expiresInMs))
    return disagree('"expires_in_ms" is not a whole number')
  return { file: decodeString(file, 'file'), expiresInMs }
}
