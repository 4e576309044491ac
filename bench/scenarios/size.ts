// The cost of the number of keys: disk, a backup, and a follower that has lost its data.

import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { settled } from '../clusters/cluster.ts'
import { dataIn, kvCluster } from '../clusters/quorate.ts'
import { appliedBy, newPid, watchMemory } from './catch-up.ts'
import type { Scenario } from './scenario.ts'

const LOOK_EVERY_MS = 50

const size: Omit<Scenario, 'name' | 'about' | 'store'> = {
  per: 'system',
  breaksNodes: true,
  async measure({ cluster }, { directory }) {
    const [leader, follower] = await settled(cluster)
    if (follower === undefined) throw new Error('there is no follower that could lose its data')
    const data = dataIn(directory)
    const diskMb = (await bytesIn(join(data, leader.name))) / 1e6

    let begin = performance.now()
    const backupMb = (await bytesOf(`${follower.url}/v1/backup`)) / 1e6
    const backupSeconds = (performance.now() - begin) / 1000

    const { applied, term } = await cluster.view(leader)
    begin = performance.now()
    // The command gives up after a minute; the node does not.
    const rejoined = kvCluster('rejoin', follower.name, '--yes', '--data', data).catch(() => {})
    const memory = watchMemory(await newPid(cluster, follower))
    while ((await appliedBy(cluster, follower)) < applied) await sleep(LOOK_EVERY_MS)
    const caughtUpSeconds = (performance.now() - begin) / 1000
    const peakMb = memory.peakMb()
    await rejoined
    await settled(cluster)
    return {
      figures: {
        leader_disk_mb: diskMb,
        backup_s: backupSeconds,
        backup_mb: backupMb,
        empty_follower_caught_up_s: caughtUpSeconds,
        empty_follower_peak_rss_anon_mb: peakMb,
        elections: (await cluster.view(leader)).term - term,
      },
    }
  },
}

async function bytesIn(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  // A file may be gone: LevelDB deletes its tables after a compaction.
  const sizes = files.map(({ parentPath, name }) =>
    stat(join(parentPath, name)).then(
      (found) => found.size,
      () => 0,
    ),
  )
  return (await Promise.all(sizes)).reduce((sum, bytes) => sum + bytes, 0)
}

async function bytesOf(url: string): Promise<number> {
  const { ok, status, body } = await fetch(url)
  if (!ok || body === null) throw new Error(`${url}: status ${status}`)
  let bytes = 0
  for await (const chunk of body) bytes += chunk.length
  return bytes
}

export const SIZE: Scenario = {
  name: 'size',
  about: 'disk of the leader, a backup over HTTP, and how long a follower without data takes to catch up',
  store: 'filled',
  ...size,
}

export const SIZE_10M: Scenario = {
  name: 'size-10m',
  about: 'the same with ten million keys',
  store: 'ten million',
  ...size,
}
