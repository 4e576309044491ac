// `kv cluster rejoin`: interrupted at any instant, and several at once.

import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { eventually, followersOf, nodeOf, sameHashes, supervisorPid, Workspace } from './kv.ts'

/** When the supervisor is killed, in the order of the rejoin: as soon as one of the files exists. */
const INSTANTS: readonly (readonly [when: string, files: readonly string[]])[] = [
  ['the old data is moved aside', []],
  // FORMATTING exists for a moment only; IDENTITY follows it.
  ['the new replica is being formatted', ['n3/FORMATTING', 'n3/IDENTITY']],
  ['the new replica is formatted', ['n3/IDENTITY']],
]

// One after the other in one cluster: each start continues with the state that the kill before it has left.
test('a rejoin whose supervisor is killed at any instant continues with the next start', async () => {
  const space = await Workspace.open()
  await space.start()
  expect(await space.kv('put', 'a', '1')).toMatchObject({ code: 0 })
  for (const [at, [when, files]] of INSTANTS.entries()) {
    const supervisor = supervisorPid(space)
    const rejoined = space.kv('cluster', 'rejoin', 'n3', '--yes')
    const isThere = (path: string): boolean => existsSync(space.path(path))
    const isBackedUp = (): boolean => isThere(`n3.old-${at + 1}`)
    await eventually(() => isBackedUp() && (files.length === 0 || files.some(isThere)), 1)
    const noted = readFileSync(space.path('cluster.json'), 'utf8')
    process.kill(supervisor, 'SIGKILL')
    await rejoined
    expect(JSON.parse(noted).nodes[2], when).toMatchObject({ name: 'n3', stage: 'replacing' })

    await space.start()
    const { url } = nodeOf(await space.status(), 'n3')
    const read = await space.kv('get', 'a', '--endpoints', url)
    expect(read, when).toMatchObject({ code: 0, stdout: '1' })
  }
})

test('rejoins run one after the other, also beside a restart', async () => {
  const space = await Workspace.open()
  const started = await space.start()
  const [one, two] = followersOf(started)
  await space.execute({ command: 'kill', node: one })
  const restart = space.execute({ command: 'restart', node: one })
  await eventually(async () => nodeOf(await space.status(), one).state !== 'stopped')
  await Promise.all([
    restart,
    space.execute({ command: 'rejoin', node: two, evenIfHealthy: true, authorization: undefined }),
  ])
  const both = [one, two].map(
    (node) => ({ command: 'rejoin', node, evenIfHealthy: true, authorization: undefined }) as const,
  )
  const messages = await Promise.all(both.map((request) => space.execute(request)))
  for (const message of messages) expect(message).toContain('is a voter again')
  await sameHashes(started)
})
