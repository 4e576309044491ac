// A local cluster with nodes that were started by hand: voters that the supervisor does not run.

import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { eventually, followersOf, nodeOf, outcomeOf, Workspace } from './kv.ts'

test('in a cluster that was grown by hand a majority is one of all voters, and it shrinks again', async () => {
  const space = await Workspace.open()
  const started = await space.start()
  expect(await space.kv('put', 'a', '1')).toMatchObject({ code: 0 })
  const [n1 = ''] = started.nodes.map(({ url }) => url)
  const urlOf = (n: number): string => `http://127.0.0.1:${space.port + n - 1}`
  const flags = (name: string, n: number): string[] => [
    ...['node', 'start', '--name', name, '--data', join(space.dir, name)],
    ...['--listen', `127.0.0.1:${space.port + n - 1}`, '--peer-listen', '127.0.0.1:0'],
    ...['--join', started.nodes.map(({ url }) => url).join(',')],
  ]
  const byHand = [space.spawn(...flags('n4', 4)), space.spawn(...flags('n5', 5))]
  await eventually(async () => (await votersAt(n1)).length === 5)
  for (const n of [4, 5])
    expect(await space.kv('get', 'a', '--endpoints', urlOf(n))).toMatchObject({ code: 0, stdout: '1' })

  // One of them leads, and status reports it.
  expect(await space.kv('leader', 'transfer', 'n4')).toMatchObject({ code: 0 })
  await eventually(async () => (await space.status()).leader === 'n4')

  // Two of five may be missing.
  for (const child of byHand) {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  const before = await eventually(async () => {
    const status = await space.status()
    return status.leader !== 'n4' && status.leader !== null && status
  })
  const [kept, other] = followersOf(before)
  const refused = await space.kv('cluster', 'rejoin', kept, '--yes')
  expect(refused).toMatchObject({ code: 5, stderr: expect.stringContaining('nothing was changed') })
  expect(nodeOf(await space.status(), kept).pid).toBe(nodeOf(before, kept).pid)
  expect(await space.kv('put', 'a', '2', '--timeout', '10s')).toMatchObject({ code: 0 })

  // Two of five are left: no command waits for a majority that cannot run.
  await space.execute({ command: 'kill', node: kept })
  await eventually(async () => (await space.status()).leader === null)
  expect(await space.execute({ command: 'restart', node: other })).toContain('only when a majority')
  await space.execute({ command: 'restart', node: kept })

  const n4 = outcomeOf(space.spawn(...flags('n4', 4)))
  await eventually(async () => (await space.kv('cluster', 'rejoin', kept, '--yes')).code === 0, 100)
  expect(await space.kv('get', 'a')).toMatchObject({ code: 0, stdout: '2' })

  // Another node replaces the fifth.
  expect(await space.kv('member', 'remove', 'n5', '--yes')).toMatchObject({ code: 0 })
  const hasTerminals = existsSync('/usr/bin/script')
  const sixth = hasTerminals ? space.spawnOnTerminal(...flags('n6', 5)) : space.spawn(...flags('n6', 5))
  const n6 = outcomeOf(sixth)
  await eventually(async () => (await votersAt(n1)).includes('n6'))
  const two = followersOf(await space.status())
  for (const node of two) await space.execute({ command: 'kill', node })
  expect(await space.kv('put', 'a', '3', '--timeout', '10s')).toMatchObject({ code: 0 })
  for (const node of two) await space.execute({ command: 'restart', node })

  for (const name of ['n4', 'n6'])
    expect(await space.kv('member', 'remove', name, '--yes')).toMatchObject({ code: 0 })
  expect(await votersAt(n1)).toEqual(['n1', 'n2', 'n3'])
  // A removed node learns of it and ends, with the reason: in the last line for scripts, once for people.
  const [n4Ended, n6Ended] = await Promise.all([n4, n6])
  expect(n4Ended).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/\nerror: n4 .*was removed.*--join URL\n$/),
  })
  if (hasTerminals) {
    const shown = n6Ended.stdout
    expect(shown.match(/n6 \(replica \d+\) was removed/g)).toHaveLength(1)
    expect(shown).toMatch(/n6 is a learner.*n6 is a voter/s)
    expect(shown).not.toMatch(/\d{12}[^)\n]*voter/)
    expect(n6Ended.code).toBe(1)
  }
  expect(await space.kv('get', 'a')).toMatchObject({ code: 0, stdout: '3' })
})

async function votersAt(url: string): Promise<string[]> {
  const { members } = JSON.parse(await (await fetch(`${url}/v1/cluster`)).text())
  return (members as { name: string; role: string }[])
    .filter(({ role }) => role === 'voter')
    .map(({ name }) => name)
    .sort()
}
