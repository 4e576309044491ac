// Commands that cross each other, and things in the way of one: each ends, with what it was asked for or with a reason.

import { once } from 'node:events'
import { existsSync, mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { stopCluster } from '../../src/cli/cluster/stop.ts'
import { findSupervisor } from '../../src/cli/cluster/supervisor-lock.ts'
import { eventually, isFree, outcomeOf, Workspace } from './kv.ts'

test('a stop finds a start that has just begun', async () => {
  const space = await Workspace.open()
  const started = outcomeOf(space.spawn('cluster', 'start', '--nodes', '1', '--port', String(space.port)))
  while (!existsSync(space.path('supervisor.lock'))) await turn()
  expect(await stopCluster(space.path())).toBe(true)
  expect(await isFree(space.port)).toBe(true)
  expect((await started).stdout).not.toContain('Ctrl-C')
  expect(await stopCluster(space.path())).toBe(false)
})

test('a start waits until a cluster is deleted', async () => {
  const space = await Workspace.open()
  await space.start('--nodes', '1')
  await space.kv('cluster', 'stop')
  // Deleting takes a while.
  for (let at = 0; at < 3000; at++) mkdirSync(space.path(`n1.old-1/${at}`), { recursive: true })
  const deleted = space.kv('cluster', 'destroy')
  while (existsSync(space.path('n1/IDENTITY'))) await turn()
  const { cluster_id } = await space.start('--nodes', '1')
  expect(await deleted).toMatchObject({ code: 0 })
  expect(await space.kv('put', 'a', '1')).toMatchObject({ code: 0 })
  await space.kv('cluster', 'kill', 'n1')
  await space.kv('cluster', 'restart', 'n1')
  expect(await space.kv('get', 'a')).toMatchObject({ code: 0, stdout: '1' })
  expect((await space.status()).cluster_id).toBe(cluster_id)
})

test('whoever connects to the supervisor and says nothing does not hold it up', async () => {
  const space = await Workspace.open()
  await space.start('--nodes', '1')
  const { control = '' } = (await findSupervisor(space.path())) ?? {}
  for (const words of ['', 'GET / HTTP/1.1\r\nHo']) {
    const socket = connect(Number(new URL(control).port), '127.0.0.1').on('error', () => {})
    await once(socket, 'connect')
    socket.write(words)
  }
  expect((await space.kv('cluster', 'stop')).code).toBe(0)
})

test('a start that cannot have the lock ends with the reason', async () => {
  const space = await Workspace.open()
  const noFiles = await space.kv('cluster', 'start', '--data', '/proc/self', '--port', String(space.port))
  expect(noFiles).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error: E[A-Z]+: /) })

  mkdirSync(space.path('supervisor.lock'), { recursive: true })
  const noLock = await space.kv('cluster', 'start', '--port', String(space.port))
  expect(noLock).toMatchObject({ code: 1, stderr: expect.stringContaining('supervisor.lock') })
})

test('one that is being started is there for everybody', async () => {
  const space = await Workspace.open()
  const started = space.start('--nodes', '1')
  await eventually(() => existsSync(space.path('supervisor.lock')))
  expect((await space.status()).nodes).toHaveLength(1)
  await started
})
