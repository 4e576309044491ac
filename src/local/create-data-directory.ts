import { makeDirectories } from '../files/durable.ts'
import { Failure, isSystemError, reasonOf } from './failure.ts'

/** Creates the directory of a cluster, readable by its owner only. */
export function createDataDirectory(dataDir: string): void {
  try {
    makeDirectories(dataDir, 0o700)
  } catch (error) {
    if (!isSystemError(error)) throw error
    throw new Failure(
      1,
      `cannot create the directory of the cluster, ${dataDir}: ${reasonOf(error)}; choose another one with --data`,
    )
  }
}
