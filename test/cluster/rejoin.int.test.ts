// `kv cluster rejoin`, ended at any instant.

import { existsSync, readFileSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { stateOf, supervisorPid, Workspace } from './kv.ts'

test.each([
  ['the old data is moved aside', 'n3.old-1'],
  ['the new replica is being formatted', 'n3/FORMATTING'],
  ['the new replica is there', 'n3/IDENTITY'],
])('a rejoin whose supervisor is killed once %s goes on with the next start', async (_, path) => {
  const space = await Workspace.open()
  await space.start()
  expect((await space.kv('put', 'a', '1')).code).toBe(0)
  const supervisor = supervisorPid(space)
  const rejoined = space.kv('cluster', 'rejoin', 'n3', '--yes')
  while (!(existsSync(space.path('n3.old-1')) && existsSync(space.path(path)))) await turn()
  const noted = readFileSync(space.path('cluster.json'), 'utf8')
  process.kill(supervisor, 'SIGKILL')
  await rejoined
  expect(JSON.parse(noted).nodes[2]).toMatchObject({ name: 'n3', stage: 'replacing' })

  await space.start()
  const { url } = stateOf(await space.peek(), 'n3')
  expect(await space.kv('get', 'a', '--endpoints', url)).toMatchObject({ code: 0, stdout: '1' })
})
