// For those who start nodes and must know beforehand what a directory is. Opens no database, and loads none.

import { StorageRefusedError } from '../storage/errors.ts'
import { inspectDirectory } from '../storage/identity.ts'

/**
 * Whether `dir` holds the data of a node, or something that only the node can judge (damage, files of others). A directory that is absent or
 * empty, or whose formatting was interrupted, holds none: nothing was ever promised there. Changes nothing.
 */
export function holdsNode(dir: string): boolean {
  try {
    return inspectDirectory(dir).kind === 'formatted'
  } catch (error) {
    if (error instanceof StorageRefusedError) return true
    throw error
  }
}
