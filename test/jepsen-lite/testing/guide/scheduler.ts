import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '../../../../src/index.ts'
import { runAsLeader } from '../../../../src/recipes/index.ts'

type Tick = (token: number) => void

/** Calls `tick` once a second in the process that leads. */
export const tickAsLeader = (kv: Client, tick: Tick): Promise<void> =>
  runAsLeader(kv, 'scheduler', async ({ token }) => {
    for (;;) {
      tick(token)
      await sleep(1_000)
    }
  })

/** The same, until the signal fires. */
export const tickUntilAborted = (kv: Client, tick: Tick): Promise<void> =>
  runAsLeader(kv, 'scheduler', async ({ token, signal }) => {
    while (!signal.aborted) {
      tick(token)
      await sleep(1_000)
    }
  })

/** The same, and after each pause it reads the clock. */
export const tickWhileLeading = (kv: Client, tick: Tick): Promise<void> =>
  runAsLeader(kv, 'scheduler', async ({ token, throwIfLost }) => {
    for (;;) {
      throwIfLost()
      tick(token)
      await sleep(1_000)
    }
  })
