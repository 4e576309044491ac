// Results as JSON, in the shapes of the HTTP API.

import { escapeControls } from '../../bytes/json-text.ts'
import type { DeleteResult, KvRecord, Member, NodeStatus, PutResult, RecordMeta } from '../../client/index.ts'
import { bytesDocument } from '../../operations/forms/bytes.ts'

/** JSON of one line. */
export const toJsonLine = (value: unknown): string => escapeControls(JSON.stringify(value))

export const toJson = (value: unknown): string => escapeControls(JSON.stringify(value, null, 2))

export function resultJson(result: PutResult | DeleteResult): object {
  if ('deleted' in result) return { deleted: result.deleted, revision: result.revision }
  return {
    revision: result.revision,
    create_revision: result.createRevision,
    mod_revision: result.modRevision,
    version: result.version,
  }
}

export function printedMetaJson(meta: RecordMeta): object {
  return { key: bytesDocument(meta.keyBytes), ...revisions(meta) }
}

export function printedRecordJson(record: KvRecord): object {
  return {
    key: bytesDocument(record.keyBytes),
    value: bytesDocument(record.value),
    ...revisions(record),
    ...(record.lease === undefined ? {} : { lease: record.lease }),
    ...printedOrigin(record),
  }
}

/** The user of a change, and its time, as far as they are known. */
export const printedOrigin = ({ by, time }: Pick<KvRecord, 'by' | 'time'>): object => ({
  ...(by === undefined ? {} : { by }),
  ...(time === undefined ? {} : { time: time.toISOString() }),
})

const revisions = (meta: RecordMeta) => ({
  create_revision: meta.createRevision,
  mod_revision: meta.modRevision,
  version: meta.version,
})

export function memberJson(member: Member): object {
  return {
    name: member.name,
    replica_id: member.replicaId,
    role: member.role,
    peer: member.peer,
    url: member.url,
    ...(member.matchIndex === undefined ? {} : { match_index: member.matchIndex }),
  }
}

export function statusJson(status: NodeStatus): object {
  return {
    name: status.name,
    version: status.version,
    cluster_id: status.clusterId,
    replica_id: status.replicaId,
    role: status.role,
    leader: status.leader ?? null,
    term: status.term,
    commit_index: status.commitIndex,
    applied_index: status.appliedIndex,
    log_first_index: status.logFirstIndex,
    revision: status.revision,
    cluster_version: status.clusterVersion,
    state_hash: status.stateHash,
    members: status.members.map(memberJson),
    disk_free_bytes: status.diskFreeBytes ?? null,
    disk_total_bytes: status.diskTotalBytes ?? null,
    certificates: status.certificates.map(({ file, expiresInMs }) => ({ file, expires_in_ms: expiresInMs })),
    last_backup_age_ms: status.lastBackupAgeMs ?? null,
    errors: status.errors,
  }
}
