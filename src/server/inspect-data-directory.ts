// Checks of a directory before a node is started. They open no database, and do not load the database library.

import { StorageRefusedError } from '../storage/errors.ts'
import { inspectDirectory } from '../storage/replica-identity.ts'
import { WATERMARK_FILE } from '../storage/watermark.ts'

/** A file in the directory of a node. The node has it open while it runs, and changes it with every write. */
export const OPEN_FILE = WATERMARK_FILE

/**
 * The cluster of the node whose data is in `dir`; undefined when there is no node, or when only the node itself can
 * judge. Changes nothing.
 */
export function clusterIdOf(dir: string): string | undefined {
  try {
    const content = inspectDirectory(dir)
    return content.kind === 'formatted' ? content.identity.clusterId : undefined
  } catch (error) {
    if (error instanceof StorageRefusedError) return undefined
    throw error
  }
}

/**
 * Whether `dir` holds the data of a node, or something that only the node itself can judge (damage, other files). A
 * missing or empty directory, or one whose formatting was interrupted, holds no node: nothing was ever acknowledged
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
