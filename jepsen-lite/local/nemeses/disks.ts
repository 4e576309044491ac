// Disks that fail, are slow or are full. A node must end itself after its disk has refused an operation, with a message
// that says what to do. This is checked here, and then the message is followed: the node is started again, or comes
// back as a fresh replica if its message says so.

import { setTimeout as sleep } from 'node:timers/promises'
import { allowEnd, type LocalCluster, type TestedNode } from '../cluster.ts'
import { type Nemesis, oneNode } from '../nemesis.ts'
import type { PreloadFaults, PreloadHits } from '../preload/preload.ts'

/** When a fault is healed: the time in which the process must have ended. Also the time for a node to come back. */
const END_LIMIT_MS = 5_000
const POLL_MS = 25

const failing = (
  kind: string,
  says: string,
  on: PreloadFaults,
  off: PreloadFaults,
  count: (hits: PreloadHits) => number,
): Nemesis => ({
  kind,
  says,
  groups: ['disk'],
  missing: ({ preload }) => ('missing' in preload ? preload.missing : undefined),
  async inject(world) {
    const { cluster, preload } = world
    const node = oneNode(world)
    if (node === undefined || 'missing' in preload) return 'no node runs'
    if (node.endAllowedBy > 0) return `${node.name} already has another fault`
    const { name } = node
    const before = count(preload.hits(name))
    const { pid } = node
    const forbidEnd = allowEnd(node)
    preload.set(name, on)
    const hits = (): number => count(preload.hits(name)) - before
    const hasEnded = (): boolean => node.pid !== pid
    /** A node that another fault has paused ends when it runs again. */
    const forbidEndLater = async (): Promise<void> => {
      while (node.paused && !hasEnded()) await sleep(POLL_MS)
      const deadline = performance.now() + END_LIMIT_MS
      while (!hasEnded() && performance.now() < deadline) await sleep(POLL_MS)
      forbidEnd()
    }
    return {
      nodes: [name],
      effect: () =>
        hits() > 0 && hasEnded()
          ? `${hits()} operations refused; ${node.lastExit?.reason ?? 'it was killed'}`
          : undefined,
      async heal() {
        const isDue = (): boolean => hits() > 0 && !hasEnded()
        const deadline = performance.now() + END_LIMIT_MS
        while (isDue() && !node.paused && performance.now() < deadline) await sleep(POLL_MS)
        if (isDue() && !node.paused)
          world.report(`${name} still runs although its disk has refused ${hits()} operations (${kind})`)
        preload.set(name, off)
        await comeBack(cluster, node)
        if (isDue() && node.paused) void forbidEndLater()
        else forbidEnd()
      },
    }
  },
})

const slow: Nemesis = {
  kind: 'fsync-slow',
  says: 'each fsync of one node is slower, by less than a heartbeat up to more than an election timeout',
  groups: ['disk'],
  missing: ({ preload }) => ('missing' in preload ? preload.missing : undefined),
  async inject(world) {
    const { preload, random, round } = world
    const node = oneNode(world)
    if (node === undefined || 'missing' in preload) return 'no node runs'
    const { name } = node
    const syncDelayMs = round === 0 ? 2_000 : random.pick([20, 100, 400, 1_200, 2_500])
    const before = preload.hits(name).syncsDelayed
    preload.set(name, { syncDelayMs })
    return {
      nodes: [name],
      details: { syncDelayMs },
      holdMsMin: syncDelayMs * 1.5,
      effect() {
        const delayed = preload.hits(name).syncsDelayed - before
        return delayed > 0 ? `${delayed} syncs took ${syncDelayMs} ms longer` : undefined
      },
      heal: () => preload.set(name, { syncDelayMs: 0 }),
    }
  },
}

/**
 * Starts the node. If it refuses its own directory, it comes back as a fresh replica, as its message says, but only if
 * a majority is ready without it.
 */
export async function comeBack(cluster: LocalCluster, node: TestedNode): Promise<void> {
  const deadline = performance.now() + END_LIMIT_MS
  const forbidEnd = allowEnd(node)
  cluster.start(node)
  while (performance.now() < deadline && node.view === undefined) {
    if (node.pid === undefined) {
      if (!/rejoin|--replace/.test(node.lastExit?.reason ?? '')) break
      if (cluster.isDispensable(node)) {
        cluster.wipe(node)
        cluster.start(node)
      }
    }
    await sleep(POLL_MS)
  }
  forbidEnd()
}

export const DISK_NEMESES: readonly Nemesis[] = [
  failing(
    'fsync-fails',
    'every fsync of one node fails with EIO; the node must end itself, and is started again',
    { syncFails: true },
    { syncFails: false },
    ({ syncsFailed }) => syncsFailed,
  ),
  failing(
    'disk-full',
    'every write of one node to its data fails with ENOSPC; the node must end itself, and is started again',
    { diskFull: true },
    { diskFull: false },
    ({ writesRefused }) => writesRefused,
  ),
  slow,
]
