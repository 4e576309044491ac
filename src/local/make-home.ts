// The directory of a cluster is made.

import { makeDirectories } from '../files/durable.ts'
import { Failure, isSystemError, reasonOf } from './failure.ts'

export function makeHome(dataDir: string): void {
  try {
    makeDirectories(dataDir, 0o700)
  } catch (error) {
    if (!isSystemError(error)) throw error
    throw new Failure(
      1,
      `The directory of the cluster, ${dataDir}, cannot be made: ${reasonOf(error)}. --data DIR names another one.`,
    )
  }
}
