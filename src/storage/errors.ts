// The errors of storage. All except two (`ScanEndedError`, `StorageClosedError`) are final: the node stops.

import { asError, isError } from '../system/errors.ts'

/**
 * The directory may be damaged, or does not belong to this node. Nothing in it was changed. The message names the file,
 * the fault and the remedy.
 */
export class StorageRefusedError extends Error {
  override readonly name = 'StorageRefusedError'
}

/** A living process has the directory open. */
export class StorageInUseError extends Error {
  override readonly name = 'StorageInUseError'
}

/** Bytes that were read do not match their checksum, or contradict each other. */
export class CorruptionError extends Error {
  override readonly name = 'CorruptionError'
}

/** A read, a write or a sync failed. The data of that write may be lost; everything reported done before is safe. */
export class StorageFailedError extends Error {
  override readonly name = 'StorageFailedError'
}

/** The caller was about to break a guarantee of this replica. That is a bug, and the node must stop. */
export class StorageInvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** The storage was closed: the node ends. Nothing is wrong with the storage. */
export class StorageClosedError extends Error {
  override readonly name = 'StorageClosedError'

  constructor() {
    super('the storage is closed, because this node ends')
  }
}

/** The error of a scan that `Storage.endOldScans` ended. Nothing is wrong with the storage. */
export class ScanEndedError extends Error {
  override readonly name = 'ScanEndedError'

  constructor() {
    super('the disk of this node is nearly full, and a read that takes long keeps room on it')
  }
}

/** The only remedy for damage: replace this replica by a new one. */
export const REJOIN_ADVICE =
  'What this replica promised can no longer be vouched for. To rejoin as a fresh replica: move the data directory of the ' +
  'node aside, and start it with --join URL --replace. Without a majority of other replicas, restore a backup.'

/** `what`: a sentence without its full stop. `dir`: of the replica. */
export const damageError = (what: string, dir: string | undefined, options?: ErrorOptions): CorruptionError =>
  new CorruptionError(
    `Damaged data${dir === undefined ? '' : ` in ${dir}`}: ${what}. ${REJOIN_ADVICE}`,
    options,
  )

/**
 * Other replicas know that this one has lost durable state, or has a different state. It must not take part again, not
 * even with replicas that do not know this: `Storage.quarantine`.
 */
export class UnfitReplicaError extends Error {
  override readonly name = 'UnfitReplicaError'

  /** `why`: a sentence without its full stop. */
  constructor(why: string) {
    super(`${why}. ${REJOIN_ADVICE}`)
  }
}

/** Whether something failed for lack of disk space, at any depth of LevelDB's causes. */
export function isDiskFull(error: unknown): boolean {
  if (!isError(error)) return false
  return /ENOSPC|EDQUOT|No space left|quota exceeded/i.test(error.message) || isDiskFull(error.cause)
}

/** The direct cause, if there is one: `level` wraps LevelDB's errors. */
export const unwrapCause = (error: unknown): Error =>
  isError(error) && isError(error.cause) ? error.cause : asError(error)
