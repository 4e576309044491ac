// Changes of users and roles. They are made against the revision that was read.

import { setTimeout as sleep } from 'node:timers/promises'
import { QuorateError } from '../client/index.ts'
import type { CommandContext } from './command-context.ts'

const PAUSE_MS_MAX = 50

/**
 * Repeats `attempt`, which reads, changes and writes, while its condition on the auth revision fails: somebody has
 * changed a user or a role in between. Ends at the timeout.
 */
export async function retryAuthChange(
  { timeoutMs, signal }: Pick<CommandContext, 'timeoutMs' | 'signal'>,
  attempt: () => Promise<void>,
): Promise<void> {
  const until = performance.now() + timeoutMs
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      const isOvertaken = error instanceof QuorateError && error.code === 'precondition_failed'
      if (!isOvertaken || performance.now() >= until || signal.aborted) throw error
    }
    await sleep(Math.random() * PAUSE_MS_MAX)
  }
}
