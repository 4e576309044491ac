// What runs or is healthy is destroyed only when somebody agrees, also where it begins to run, or becomes healthy,
// while a command is at work.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { writeClusterFile } from '../../src/local/cluster-file.ts'
import { ask } from '../../src/local/control-client.ts'
import { startControlServer } from '../../src/local/control-server.ts'
import { directoryId } from '../../src/local/directory-id.ts'
import { destroyCluster } from '../../src/local/stop.ts'
import { findSupervisor, takeLock } from '../../src/local/supervisor-lock.ts'
import { eventually, Workspace } from './kv.ts'

test('a node that finds its leader again while a rejoin waits for a majority is not made a fresh replica', async () => {
  const space = await Workspace.open()
  await space.start()
  const supervisor = await findSupervisor(space.path())
  if (supervisor === undefined) throw new Error('no supervisor')
  await space.tell({ command: 'partition', groups: [['n1'], ['n2'], ['n3']], reset: false })
  await eventually(async () => (await space.peek()).nodes.every(({ role }) => role !== 'leader'))
  const rejoins = await eventually(async () => {
    const asked = [1, 2].map(() => ask(supervisor, { command: 'rejoin', node: 'n3', evenHealthy: false }))
    const { said } = await Promise.race(asked)
    // The other one waits, so the node was not ready.
    return said === 'n3 is being started by another command.' && asked
  })
  await space.tell({ command: 'heal' })
  const said = (await Promise.all(rejoins)).map((reply) => reply.said)
  expect(said).toContainEqual(expect.stringContaining('n3 is healthy'))
  expect(existsSync(space.path('n3.old-1'))).toBe(false)
})

test('a cluster that is started while destroy looks whether one runs is not ended without a question', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-consent-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const told = Promise.withResolvers<string>()
  const started = await startControlServer('secret', directoryId(dir), async ({ command }) => {
    told.resolve(command)
    return { ok: true, said: '' }
  })
  onTestFinished(() => started.close())
  const self = { pid: process.pid, control: started.url, token: 'secret' }
  // Who has the address of the supervisor before: destroy asks there, and meanwhile the other one takes the directory.
  const stranger = createServer((_, answer) => {
    void takeLock(dir, self).then(() => answer.end('{}'))
  })
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void stranger.close())
  const address = stranger.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const before = { pid: process.pid, control: `http://127.0.0.1:${address.port}`, token: 'old' }
  const url = 'http://127.0.0.1:1'
  writeClusterFile(dir, {
    cluster_id: '7',
    supervisor: before,
    nodes: [{ name: 'n1', url, pid: null, peer_port: null, stage: 'member' }],
  })
  const refuse = async (): Promise<void> => {
    throw new Error('nobody agrees')
  }
  const destroyed = destroyCluster(dir, refuse).catch((error: Error) => error.message)
  expect(await Promise.race([destroyed, told.promise])).toBe('nobody agrees')
  expect(existsSync(join(dir, 'cluster.json'))).toBe(true)
})
