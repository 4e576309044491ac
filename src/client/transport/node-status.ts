// The status of a node in JSON.

import { disagree, isObject } from '../../operations/forms/disagreement.ts'
import { arrayIn, type Json, memberFromJson, objectOf, stringIn, wholeNumberIn } from '../decode.ts'
import type { NodeStatus } from '../types.ts'

const wholeNumberOrNull = (json: Json, name: string): number | undefined =>
  json[name] === null ? undefined : wholeNumberIn(json, name)

function certificateFromJson(value: unknown): NodeStatus['certificates'][number] {
  const json = objectOf(value, 'a certificate')
  const expiresInMs = json.expires_in_ms
  if (!Number.isSafeInteger(expiresInMs)) disagree('"expires_in_ms" is not a whole number')
  return { file: stringIn(json, 'file'), expiresInMs: Number(expiresInMs) }
}

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
    diskFreeBytes: wholeNumberOrNull(json, 'disk_free_bytes'),
    diskTotalBytes: wholeNumberOrNull(json, 'disk_total_bytes'),
    certificates: arrayIn(json, 'certificates').map(certificateFromJson),
    lastBackupAgeMs: wholeNumberOrNull(json, 'last_backup_age_ms'),
    errors: arrayIn(json, 'errors').map((error) => (isObject(error) ? JSON.stringify(error) : String(error))),
  }
}
