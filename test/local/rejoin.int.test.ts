// `kv cluster rejoin`, ended at any instant.

import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { eventually, stateOf, supervisorPid, Workspace } from './kv.ts'

/** What comes to be, in its order: when the supervisor is killed. */
const INSTANTS: readonly (readonly [when: string, paths: readonly string[]])[] = [
  ['the old data is moved aside', []],
  // There for a moment only: who looks too late finds what comes after it.
  ['the new replica is being formatted', ['n3/FORMATTING', 'n3/IDENTITY']],
  ['the new replica is there', ['n3/IDENTITY']],
]

// In one cluster, one after the other: each start goes on with what the kill before it has left.
test('a rejoin whose supervisor is killed at any instant goes on with the next start', async () => {
  const space = await Workspace.open()
  await space.start()
  expect((await space.kv('put', 'a', '1')).code).toBe(0)
  for (const [at, [when, paths]] of INSTANTS.entries()) {
    const supervisor = supervisorPid(space)
    const rejoined = space.kv('cluster', 'rejoin', 'n3', '--yes')
    const isThere = (path: string): boolean => existsSync(space.path(path))
    const isAside = (): boolean => isThere(`n3.old-${at + 1}`)
    await eventually(() => isAside() && (paths.length === 0 || paths.some(isThere)), 1)
    const noted = readFileSync(space.path('cluster.json'), 'utf8')
    process.kill(supervisor, 'SIGKILL')
    await rejoined
    expect(JSON.parse(noted).nodes[2], when).toMatchObject({ name: 'n3', stage: 'replacing' })

    await space.start()
    const { url } = stateOf(await space.peek(), 'n3')
    const read = await space.kv('get', 'a', '--endpoints', url)
    expect(read, when).toMatchObject({ code: 0, stdout: '1' })
  }
})
