// A local cluster with nodes that were started by hand: voters that the supervisor does not run.

import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { eventually, followersOf, outcomeOf, stateOf, votersOf, Workspace } from './kv.ts'

test('a cluster grows to five with nodes started by hand, and shrinks again', async () => {
  const space = await Workspace.open()
  const started = await space.start()
  expect((await space.kv('put', 'a', '1')).code).toBe(0)
  const urls = [4, 5].map((n) => `http://127.0.0.1:${space.port + n - 1}`)
  const flags = (n: number): string[] => [
    ...['node', 'start', '--name', `n${n}`, '--data', join(space.dir, `n${n}`)],
    ...['--listen', `127.0.0.1:${space.port + n - 1}`, '--peer-listen', '127.0.0.1:0'],
    ...['--join', started.nodes.map(({ url }) => url).join(',')],
  ]
  const hasTerminals = existsSync('/usr/bin/script')
  const n5 = hasTerminals ? space.spawnOnTerminal(...flags(5)) : space.spawn(...flags(5))
  const byHand = [space.spawn(...flags(4)), n5]
  const ends = byHand.map(outcomeOf)
  await eventually(async () => (await votersOf(space)).length === 5)
  for (const url of urls) {
    expect(await space.kv('get', 'a', '--endpoints', url)).toMatchObject({ code: 0, stdout: '1' })
  }

  // Two of five may be missing.
  const [first, second] = followersOf(started)
  await space.kv('cluster', 'kill', first)
  await space.kv('cluster', 'kill', second)
  expect((await space.kv('put', 'a', '2', '--timeout', '10s')).code).toBe(0)
  expect((await space.kv('cluster', 'restart', first)).code).toBe(0)
  expect((await space.kv('cluster', 'restart', second)).code).toBe(0)

  for (const name of ['n4', 'n5']) expect((await space.kv('member', 'remove', name)).code).toBe(0)
  expect(await votersOf(space)).toEqual(['n1', 'n2', 'n3'])
  // A removed node learns of it and ends, with the reason: in the last line for scripts, once for people.
  const [n4Ended, n5Ended] = await Promise.all(ends)
  expect(n4Ended).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/\nerror: n4 .*was removed.*--join URL\n$/),
  })
  if (hasTerminals) {
    const shown = n5Ended?.stdout ?? ''
    expect(shown.match(/n5 \(replica \d+\) was removed/g)).toHaveLength(1)
    expect(shown).toMatch(/n5 is a learner.*n5 is a voter/s)
    expect(shown).not.toMatch(/\d{12}[^)\n]*voter/)
    expect(n5Ended?.code).toBe(1)
  }
  expect(await space.kv('get', 'a')).toMatchObject({ code: 0, stdout: '2' })
})

test('in a cluster that was grown by hand a majority is one of all voters', async () => {
  const space = await Workspace.open()
  const started = await space.start()
  expect((await space.kv('put', 'a', '1')).code).toBe(0)
  const grow = (n: number) =>
    space.spawn(
      ...['node', 'start', '--name', `n${n}`, '--data', join(space.dir, `n${n}`)],
      ...['--listen', `127.0.0.1:${space.port + n - 1}`, '--peer-listen', '127.0.0.1:0'],
      ...['--join', started.nodes.map(({ url }) => url).join(',')],
    )
  const byHand = [grow(4), grow(5)]
  await eventually(async () => (await votersOf(space)).length === 5)

  // One of them leads, and status says so.
  expect((await space.kv('leader', 'transfer', 'n4')).code).toBe(0)
  await eventually(async () => (await space.peek()).leader === 'n4')

  for (const child of byHand) {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  const before = await eventually(async () => {
    const status = await space.peek()
    return status.leader !== 'n4' && status.leader !== null && status
  })
  const kept = followersOf(before)[0]
  const refused = await space.kv('cluster', 'rejoin', kept, '--yes')
  expect(refused.code).toBe(5)
  expect(refused.stderr).toContain('Nothing was changed')
  expect(stateOf(await space.peek(), kept).pid).toBe(stateOf(before, kept).pid)
  expect((await space.kv('put', 'a', '2', '--timeout', '10s')).code).toBe(0)

  // Two of five are left: nobody waits for a majority that cannot be there.
  await space.kv('cluster', 'kill', kept)
  await eventually(async () => (await space.peek()).leader === null)
  const other = followersOf(before)[1]
  expect((await space.kv('cluster', 'restart', other)).stderr).toContain('only when a majority')
  expect((await space.kv('cluster', 'restart', kept)).code).toBe(0)

  grow(4)
  expect(await eventually(async () => (await space.kv('cluster', 'rejoin', kept, '--yes')).code === 0)).toBe(
    true,
  )
  expect(await space.kv('get', 'a')).toMatchObject({ code: 0, stdout: '2' })
})
