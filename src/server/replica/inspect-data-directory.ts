// Checks of a data directory while this process runs no node on it. They open no database and do not load the database
// library.

import { StorageInUseError, StorageRefusedError } from '../../storage/errors.ts'
import { inspectDirectory } from '../../storage/replica-identity.ts'
import type { Identity } from '../../storage/types.ts'

export { lockHolder } from '../../storage/lock-holder.ts'
export { readQuarantine } from '../../storage/quarantine.ts'

/**
 * The id of the cluster whose node has its data in `dir`. Undefined when there is no node, or when only the node
 * itself can read it. Changes nothing.
 */
export const readClusterId = (dir: string): string | undefined => readIdentityIfFormatted(dir)?.clusterId

/** The identity of the replica in `dir`. Undefined as for `readClusterId`. Changes nothing. */
export function readIdentityIfFormatted(dir: string): Identity | undefined {
  try {
    const content = inspectDirectory(dir)
    return content.kind === 'formatted' ? content.identity : undefined
  } catch (error) {
    if (error instanceof StorageRefusedError) return undefined
    throw error
  }
}

/**
 * Whether `dir` holds the data of a node, or content that only the node itself can judge (damage, other files). A
 * missing or empty directory, or one whose formatting was interrupted, holds no node: no write was ever acknowledged
 * there. Changes nothing.
 */
export function holdsNode(dir: string): boolean {
  try {
    return inspectDirectory(dir).kind === 'formatted'
  } catch (error) {
    if (error instanceof StorageRefusedError) return true
    throw error
  }
}

/** Whether the error says why a data directory cannot be used. */
export const isStorageError = (error: unknown): error is Error =>
  error instanceof StorageRefusedError || isInUseError(error)

/** Whether the error says that a node runs on a data directory. */
export const isInUseError = (error: unknown): error is Error => error instanceof StorageInUseError
