// `kv cluster rejoin`, ended at any instant.

import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { eventually, stateOf, supervisorPid, Workspace } from './kv.ts'

test.each([
  ['the old data is moved aside', ['n3.old-1']],
  // There for a moment only: who looks too late finds what comes after it.
  ['the new replica is being formatted', ['n3/FORMATTING', 'n3/IDENTITY']],
  ['the new replica is there', ['n3/IDENTITY']],
])('a rejoin whose supervisor is killed once %s goes on with the next start', async (_, paths) => {
  const space = await Workspace.open()
  await space.start()
  expect((await space.kv('put', 'a', '1')).code).toBe(0)
  const supervisor = supervisorPid(space)
  const rejoined = space.kv('cluster', 'rejoin', 'n3', '--yes')
  const isThere = (path: string): boolean => existsSync(space.path(path))
  await eventually(() => isThere('n3.old-1') && paths.some(isThere), 1)
  const noted = readFileSync(space.path('cluster.json'), 'utf8')
  process.kill(supervisor, 'SIGKILL')
  await rejoined
  expect(JSON.parse(noted).nodes[2]).toMatchObject({ name: 'n3', stage: 'replacing' })

  await space.start()
  const { url } = stateOf(await space.peek(), 'n3')
  expect(await space.kv('get', 'a', '--endpoints', url)).toMatchObject({ code: 0, stdout: '1' })
})
