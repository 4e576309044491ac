// A local cluster whose nodes dial each other without the proxy.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { Workspace } from './kv.ts'

test('with --direct no other process is dialled at the earlier address of a node', async () => {
  const space = await Workspace.open()
  await space.start('--nodes', '2', '--direct')
  expect(await space.send({ command: 'partition', groups: [['n1']], reset: false })).toMatchObject({
    exitCode: 1,
  })
  await space.execute({ command: 'stop' })
  const { nodes } = JSON.parse(readFileSync(space.path('cluster.json'), 'utf8'))
  let connections = 0
  for (const { peer_port } of nodes) {
    const server = createServer((socket) => {
      connections++
      socket.destroy()
    })
    await new Promise<void>((resolve) => server.listen(peer_port, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
  }
  await space.start('--direct')
  expect(connections).toBe(0)
})
