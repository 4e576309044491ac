import { setTimeout as sleep } from 'node:timers/promises'
import { kill, settled } from '../clusters/cluster.ts'
import { keyName } from '../load/load.ts'
import type { Scenario } from './scenario.ts'

const POLL_INTERVAL_MS = 2

const restart: Omit<Scenario, 'name' | 'about' | 'store'> = {
  per: 'system',
  breaksNodes: true,
  async measure({ cluster }) {
    const [, follower] = await settled(cluster)
    if (follower === undefined) throw new Error('a restart is measured on a follower')
    kill(follower)
    const begin = performance.now()
    const restarted = cluster.restart(follower.name)
    const sinceBegin = async (condition: () => Promise<boolean>): Promise<number> => {
      await until(condition)
      return performance.now() - begin
    }
    const { readCopy } = cluster
    const firstRead = readCopy && {
      first_stale_read_ms: await sinceBegin(() => readCopy(follower, keyName(0)).then(() => true)),
    }
    const readyMs = await sinceBegin(() => cluster.isReady(follower))
    await restarted
    return { figures: { ...firstRead, ready_ms: readyMs } }
  },
}

/** Asks again until the answer is yes; an error is a no. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo().catch(() => false))) await sleep(POLL_INTERVAL_MS)
}

export const RESTART: Scenario = {
  name: 'restart',
  about: 'kill -9 and start of a follower: time to its first stale read, and until it is ready',
  store: 'filled',
  ...restart,
}

export const RESTART_10M: Scenario = {
  name: 'restart-10m',
  about: 'the same with ten million keys',
  store: 'ten million',
  ...restart,
}
