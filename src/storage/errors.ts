// How storage says that it cannot go on. All of these but one are final: whoever gets one stops the node.

import { types } from 'node:util'

/**
 * The directory cannot be vouched for, or does not belong here; nothing in it was changed. The message names file,
 * fault and remedy.
 */
export class StorageRefusedError extends Error {
  override readonly name = 'StorageRefusedError'
}

/** The directory is in use by a living process. */
export class StorageInUseError extends Error {
  override readonly name = 'StorageInUseError'
}

/** Bytes that were read do not carry their checksum, or contradict each other. */
export class CorruptionError extends Error {
  override readonly name = 'CorruptionError'
}

/** A read, a write or a sync failed. What was being written is in doubt; everything reported done before is not. */
export class StorageFailedError extends Error {
  override readonly name = 'StorageFailedError'
}

/** The caller was about to break a promise of this replica: a program error, and reason enough to stop. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** Of a scan that `Storage.endOldScans` has ended. Nothing is wrong with the storage. */
export class ScanEndedError extends Error {
  override readonly name = 'ScanEndedError'

  constructor() {
    super('the disk of this node is nearly full, and a read that takes long keeps room on it')
  }
}

/** The one remedy for damage: a fresh replica takes the place of this one. */
export function rejoinAdvice(nodeName: string | undefined): string {
  const node = nodeName ?? 'NODE'
  return (
    `What this replica promised can no longer be vouched for. To rejoin as a fresh replica: ` +
    `"kv cluster rejoin ${node}" for a node of a local cluster; for a node on its own move its data directory aside ` +
    `and start it with --join URL --replace.`
  )
}

/**
 * Others know that this replica has lost what it promised, or holds another state than they do. It must not be believed
 * again, not even by who does not know: `Storage.quarantine`.
 */
export class UnfitReplicaError extends Error {
  override readonly name = 'UnfitReplicaError'

  /** `why`: a sentence without its end. */
  constructor(why: string, nodeName: string) {
    super(`${why}. ${rejoinAdvice(nodeName)}`)
  }
}

/**
 * Also one that is no `instanceof Error`: runners of tests give each file a global object of its own (node:vm), and
 * what Node and LevelDB throw comes from another.
 */
export const isError = (thrown: unknown): thrown is Error => types.isNativeError(thrown)

export const hasCode = (thrown: unknown, code: string): boolean =>
  isError(thrown) && 'code' in thrown && thrown.code === code

/** Whether something failed for want of room, at whatever depth LevelDB says so. */
export function isDiskFull(error: unknown): boolean {
  if (!isError(error)) return false
  return /ENOSPC|EDQUOT|No space left|quota exceeded/i.test(error.message) || isDiskFull(error.cause)
}

export const asError = (thrown: unknown): Error => (isError(thrown) ? thrown : new Error(String(thrown)))

/** What lies directly beneath, if anything does: `level` wraps what LevelDB says. */
export const causeOf = (error: unknown): Error =>
  isError(error) && isError(error.cause) ? error.cause : asError(error)
