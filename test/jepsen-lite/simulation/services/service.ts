// A service under simulation: one that is right, and one that differs from it by a planted bug.

import { setTimeout as sleep } from 'node:timers/promises'
import type { World } from '../../../../jepsen-lite/testing/index.ts'
import { QuorateError } from '../../../../src/client/index.ts'

export interface Service {
  /** The names of its processes, which faults of a schedule may hit. */
  readonly processes: readonly string[]
  readonly right: (world: World) => Promise<void>
  readonly wrong: (world: World) => Promise<void>
}

/** Runs `work` again, a moment later, when a call to the cluster has failed, as a supervisor of processes does. */
export async function supervised<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T | undefined> {
  while (!signal.aborted) {
    try {
      return await work()
    } catch (error) {
      if (signal.aborted) return undefined
      if (!(error instanceof QuorateError)) throw error
      await sleep(100)
    }
  }
  return undefined
}
