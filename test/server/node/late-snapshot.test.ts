// A replica that needs a snapshot while changes are made faster than the log is kept for it.

import { expect, test } from 'vitest'
import { SimulatedCluster } from '../simulated-cluster.ts'

test('each snapshot that came too late keeps more of the log, so that the replica catches up; the status tells it', () => {
  const limits = { chunkRows: 5, logBehindEntries: 100, logTailEntries: 20, compactEntriesMin: 1 }
  const cluster = SimulatedCluster.formed(3, { limits })
  const leader = cluster.leading
  const away = cluster.follower
  away.crash()
  for (let i = 0; i < 300; i++) {
    leader.put(`k${i}`, 'v')
    cluster.advance(4)
  }
  cluster.advance(1000)
  away.start()
  away.slowDisk(10)
  const errors = new Set<string>()
  const behind = (): number => {
    const { applied, progress } = leader.running.status().raft
    return applied - (progress.find(({ id }) => id === away.id)?.applied ?? 0)
  }
  let writes = 0
  do {
    leader.put(`k${writes % 300}`, 'w')
    cluster.advance(5)
    cluster.sent.length = 0
    if (writes % 20 === 0) for (const error of leader.running.status().errors) errors.add(error)
    writes++
  } while (writes < 3000 && (errors.size === 0 || behind() > 20))
  expect(behind()).toBeLessThanOrEqual(20)
  expect([...errors].every((error) => error.startsWith(`${away.name} does not catch up: `))).toBe(true)
  cluster.advance(2000)
  expect(leader.running.status().errors).toEqual([])
})
