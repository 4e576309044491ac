// For those who start nodes and must know beforehand what a directory is. Opens no database, and loads none.

import { StorageRefusedError } from '../storage/errors.ts'
import { inspectDirectory } from '../storage/identity.ts'
import { WATERMARK_FILE } from '../storage/watermark.ts'

/** In the directory of a node: it has this file open while it runs, and changes it with all that it writes. */
export const OPEN_FILE = WATERMARK_FILE

/** Of the node whose data `dir` holds; undefined when it holds none, or only the node can judge. Changes nothing. */
export function clusterIn(dir: string): string | undefined {
  try {
    const content = inspectDirectory(dir)
    return content.kind === 'formatted' ? content.identity.clusterId : undefined
  } catch (error) {
    if (error instanceof StorageRefusedError) return undefined
    throw error
  }
}

/**
 * Whether `dir` holds the data of a node, or something that only the node can judge (damage, files of others). A
 * directory that is absent or empty, or whose formatting was interrupted, holds none: nothing was ever promised there.
 * Changes nothing.
 */
export function holdsNode(dir: string): boolean {
  try {
    return inspectDirectory(dir).kind === 'formatted'
  } catch (error) {
    if (error instanceof StorageRefusedError) return true
    throw error
  }
}
