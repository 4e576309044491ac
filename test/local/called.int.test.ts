// What is called as `kv` names itself so, in the background too. A node is a quorate node all the same.

import { once } from 'node:events'
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { eventually, KV, stateOf, Workspace } from './kv.ts'

async function calledAsKv(): Promise<Workspace> {
  const space = await Workspace.open()
  space.program = join(space.dir, 'kv')
  symlinkSync(KV, space.program)
  return space
}

test('the supervisor and the nodes of a cluster that was started as kv name kv', async () => {
  const space = await calledAsKv()
  const started = await space.start('--nodes', '1')
  const stopped = () => eventually(async () => stateOf(await space.peek(), 'n1').state === 'stopped')

  process.kill(started.nodes[0]?.pid ?? 0, 'SIGABRT')
  await stopped()
  expect((await space.kv('cluster', 'resume', 'n1')).stderr).toBe(
    'error: n1 does not run; kv cluster restart n1 starts it.\n',
  )
  const wayBack = '\nIf its data is damaged or lost: kv cluster rejoin n1\n'
  expect((await space.kv('cluster', 'status')).stderr).toContain(wayBack)
  expect(readFileSync(space.path('supervisor.log'), 'utf8')).toContain(wayBack)

  await space.tell({ command: 'stop' })
  expect((await space.kv('cluster', 'start', '--detach', '--nodes', '3')).stderr).toContain(
    'delete this one with kv cluster destroy.',
  )

  // What the node says itself names no command: it may belong to a local cluster, or have been started by hand.
  writeFileSync(space.path('n1', 'IDENTITY'), 'damaged')
  const byHand = 'move the data directory of the node aside, and start it with --join URL --replace.\n'
  const damaged = await space.kv('cluster', 'start', '--detach')
  expect(damaged.stderr).toContain(`${byHand}${wayBack.trimStart()}`)
  expect(damaged.stderr).not.toContain('quorate cluster')
  const listen = ['--listen', '127.0.0.1:0', '--peer-listen', '127.0.0.1:0']
  const alone = await space.kv('node', 'start', '--name', 'n1', '--data', space.path('n1'), ...listen)
  expect(alone.stderr).toMatch(new RegExp(`IDENTITY is damaged: .* ${byHand}$`))
  expect(alone.stderr).not.toMatch(/\b(kv|quorate) (cluster|node)/)
})

test('a node is a quorate node, whatever the command is called', async () => {
  const server = createServer((_, response) => response.end('no node')).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const space = await calledAsKv()
  expect((await space.kv('get', 'a', '--endpoints', `127.0.0.1:${port}`)).stderr).toContain(
    'answered, but not like a quorate node: ',
  )
})
