// Commands of whole clusters that run at the same time: each ends with its result or with a reason.

import { existsSync, mkdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { runClusterStart } from '../../src/cli/cluster/start.ts'
import { destroyCluster } from '../../src/local/supervisor/stop-cluster.ts'
import { findSupervisor } from '../../src/local/supervisor/supervisor-lock.ts'
import type { LocalClusterStatus } from '../../src/operations/documents/supervisor.ts'
import { eventually, isGone, startSupervisor, Workspace } from './kv.ts'

test('a start waits until a cluster is deleted', async () => {
  const space = await Workspace.open()
  await (await startSupervisor(space)).stop()
  // Deleting takes a while.
  for (let at = 0; at < 300; at++) mkdirSync(space.path(`n1.old-1/${at}`), { recursive: true })
  const deleted = destroyCluster(space.path(), async () => {})
  await eventually(() => !existsSync(space.path('n1/IDENTITY')), 1)
  const { clusterId } = await space.start('--nodes', '1')
  expect(await deleted).toBe(true)
  expect((await space.status()).clusterId).toBe(clusterId)
  expect(existsSync(space.path('n1/IDENTITY'))).toBe(true)
})

test('a start beside another one shows the cluster when it is formed, not before', async () => {
  const space = await Workspace.open()
  const first = space.start('--nodes', '2')
  await eventually(() => findSupervisor(space.path()))
  // A command that needs no formed cluster is answered at once.
  expect((await space.status()).nodes).toHaveLength(2)
  const shown: LocalClusterStatus[] = []
  const report = { show: async (status: LocalClusterStatus) => void shown.push(status), say: () => {} }
  await runClusterStart(
    { dataDir: space.path(), nodes: undefined, port: undefined, direct: false },
    true,
    report,
  )
  expect(shown[0]?.nodes.map(({ role }) => role).sort()).toEqual(['follower', 'leader'])
  await first
})

test('a start waits for the end of a cluster that is being stopped, and a restart starts nothing', async () => {
  const space = await Workspace.open()
  await space.start('--nodes', '1')
  const supervisor = await findSupervisor(space.path())
  const restarted = space.send({ command: 'restart', node: 'n1' })
  await eventually(async () => (await space.status()).nodes[0]?.state !== 'running', 1).catch(() => {})
  const stopped = space.kv('cluster', 'stop')
  // The stop, or the node that is ready again, ends the restart. A start in between would show a node that restarts.
  await restarted
  const started = space.start()
  expect((await stopped).code).toBe(0)
  expect((await started).nodes.map(({ state }) => state)).toEqual(['running'])
  expect(isGone(supervisor?.pid ?? 0)).toBe(true)
})
