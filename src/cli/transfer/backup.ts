// Backups as the command prints them, and their errors.

import type { BackupSummary } from '../../backup/file.ts'
import { type BackupHeader, DamagedBackupError } from '../../backup/format.ts'
import { decodeState, UnknownKindError } from '../../kv/index.ts'
import { Failure, failureMessage, isSystemError, unwritable } from '../../local/failure.ts'
import { decodeAppliedState } from '../../raft/index.ts'
import { isStorageError } from '../../server/replica/inspect-data-directory.ts'
import { EXIT } from '../exit-codes.ts'
import { type Format, printJson } from '../terminal/output.ts'
import { printTable } from '../terminal/table.ts'

export function headerJson(header: BackupHeader): Readonly<Record<string, unknown>> {
  const state = decodeState(header.kv)
  const { configuration } = decodeAppliedState(header.raft)
  return {
    cluster_id: header.clusterId,
    node: header.node,
    version: header.version,
    created: new Date(header.createdAtMs).toISOString(),
    revision: state.revision,
    index: header.index,
    term: header.term,
    keys: state.keys,
    bytes: state.storeBytes,
    leases: state.leases.count,
    users: header.users,
    auth_enabled: state.auth.enabled,
    auth_revision: state.auth.revision,
    history: header.hasHistory,
    compact_revision: state.history.compacted,
    members: configuration.members.map(({ name }) => name).join(','),
  }
}

export const summaryJson = ({ header, end, bytes }: BackupSummary): Readonly<Record<string, unknown>> => ({
  ...headerJson(header),
  rows: end.rows,
  state_hash: end.stateHash.toString(16).padStart(16, '0'),
  file_bytes: bytes,
})

/** Prints the fields of one object, one a line. */
export async function printFields(format: Format, fields: Readonly<Record<string, unknown>>): Promise<void> {
  if (await printJson(format, fields)) return
  await printTable<readonly [string, unknown]>(
    [
      { title: 'NAME', cell: ([name]) => name },
      { title: 'VALUE', cell: ([, value]) => (value === null ? undefined : String(value)) },
    ],
    format,
    Object.entries(fields),
  )
}

/** Runs an operation on files and directories. What goes wrong there is no defect of the program. */
export async function onFiles<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof DamagedBackupError || error instanceof UnknownKindError)
      throw new Failure(EXIT.failed, `${path}: ${error.message}`)
    if (isStorageError(error)) throw new Failure(EXIT.failed, error.message)
    if (!isSystemError(error)) throw error
    const isRead = error.syscall === 'read' || error.code === 'ENOENT' || error.code === 'EISDIR'
    throw isRead ? new Failure(EXIT.failed, failureMessage(error)) : unwritable(path, error)
  }
}
