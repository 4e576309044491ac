// Locks and elections that Go's package concurrency, the recipes, and etcd's services Lock and Election share:
// processes of all of them contend, on quorate while its leaders are killed, and on etcd through the driver. Go must be
// installed.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Client } from '../../src/client/index.ts'
import { EtcdClient } from '../../src/etcd-client/index.ts'
import { campaign, leaderOf, lock } from '../../src/recipes/index.ts'
import { Workspace } from '../local/kv.ts'
import { startEtcd } from './etcd.ts'
import { buildWithEtcdClient } from './etcd-programs.ts'

const SECTIONS = 40
const KINDS = ['lock', 'election'] as const
type Kind = (typeof KINDS)[number]

const directory = mkdtempSync(join(tmpdir(), 'concurrency-'))
const CONTENDER = join(directory, 'contender')
beforeAll(() => buildWithEtcdClient(CONTENDER, [join(import.meta.dirname, 'concurrency/contender.go')]))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

interface Contender {
  readonly child: ChildProcess
  readonly lines: readonly string[]
  readonly done: Promise<void>
}

function run(command: string, args: readonly string[]): Contender {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  createInterface(child.stdout).on('line', (line) => lines.push(line))
  const done = once(child, 'exit').then(([code]) => expect([code, ...args]).toEqual([0, ...args]))
  return { child, lines, done }
}

const byGo = (endpoints: readonly string[], kind: Kind, name: string, contender: string, sections: number) =>
  run(CONTENDER, [endpoints.join(), kind, `${kind}/${name}`, contender, String(sections)])

const byNode = (
  library: 'quorate' | 'etcd' | 'service',
  endpoints: readonly string[],
  kind: Kind,
  name: string,
  contender: string,
) => {
  const program = join(import.meta.dirname, 'concurrency/contender.ts')
  return run(process.execPath, [
    ...[program, library, endpoints.join(), kind, name, contender, String(SECTIONS)],
  ])
}

/** Each section found what the one before has left, and the tokens rise. */
async function checkSections(kv: Client, contenders: readonly Contender[]): Promise<void> {
  const total = contenders.length * SECTIONS
  expect((await kv.get('guarded/count'))?.text()).toBe(String(total))
  const printed = contenders.flatMap(({ lines }) => lines)
  expect(printed.filter((line) => !line.startsWith('inside '))).toEqual([])
  const inside = printed.map((line) => line.split(' ').slice(1).map(Number) as [number, number])
  const ordered = inside.toSorted(([a], [b]) => a - b)
  expect(ordered.map(([count]) => count)).toEqual(Array.from({ length: total }, (_, at) => at))
  const tokens = ordered.map(([, token]) => token)
  expect(tokens).toEqual(tokens.toSorted((a, b) => a - b))
  expect(new Set(tokens).size).toBe(total)
  for (let at = 0; at < total; at += 13) {
    const [, token] = (await kv.get(`guarded/section/${at}`))?.text().split(' ') ?? []
    expect(Number(token)).toBe(tokens[at])
  }
}

/** How often a contender follows another one, that is not itself. */
function countHandOvers(contenders: readonly Contender[]): number {
  const owners = contenders
    .flatMap(({ lines }, owner) => lines.map((line) => ({ owner, count: Number(line.split(' ')[1]) })))
    .toSorted((a, b) => a.count - b.count)
  return owners.filter(({ owner }, at) => at > 0 && owner !== owners[at - 1]?.owner).length
}

describe.each(KINDS)('%s', (kind) => {
  test('on quorate, while its leaders are killed', async () => {
    const space = await Workspace.open()
    const { nodes } = await space.start()
    const endpoints = nodes.map(({ url }) => url)
    const kv = new Client({ endpoints, timeoutMs: 20_000 })
    onTestFinished(() => kv.close())
    const contenders = [
      ...['go1', 'go2'].map((name) => byGo(endpoints, kind, 'shared', name, SECTIONS)),
      ...['recipe1', 'recipe2'].map((name) => byNode('quorate', endpoints, kind, 'shared', name)),
      ...['service1'].map((name) => byNode('service', endpoints, kind, 'shared', name)),
    ]
    let isOver = false
    const done = Promise.all(contenders.map((each) => each.done)).finally(() => {
      isOver = true
    })
    let kills = 0
    while (!isOver) {
      await Promise.race([done, sleep(3_000)])
      const { leader } = await space.status()
      if (isOver || leader === undefined || leader === null) continue
      await space.execute({ command: 'kill', node: leader })
      kills++
      await Promise.race([done, sleep(1_500)])
      await space.execute({ command: 'restart', node: leader })
    }
    await done
    await checkSections(kv, contenders)
    const handOvers = countHandOvers(contenders)
    console.log(
      `${kind} on quorate: ${contenders.length * SECTIONS} sections, ${handOvers} hand-overs, ${kills} kills`,
    )
    expect(kills).toBeGreaterThan(0)
    expect(handOvers).toBeGreaterThan(SECTIONS / 2)
  })

  test('on etcd, through the driver', async () => {
    await using etcd = await startEtcd()
    const { endpoints } = etcd
    await using kv = new EtcdClient({ endpoints, timeoutMs: 20_000 })
    await kv.status()
    const contenders = [
      ...['go1', 'go2'].map((name) => byGo(endpoints, kind, 'shared', name, SECTIONS)),
      ...['recipe1', 'recipe2'].map((name) => byNode('etcd', endpoints, kind, 'shared', name)),
    ]
    await Promise.all(contenders.map(({ done }) => done))
    await checkSections(kv, contenders)
    const handOvers = countHandOvers(contenders)
    console.log(`${kind} on etcd: ${contenders.length * SECTIONS} sections, ${handOvers} hand-overs`)
    expect(handOvers).toBeGreaterThan(SECTIONS / 2)
  })
})

test('a holder that dies is followed by one of the other kind', async () => {
  const space = await Workspace.open()
  const { nodes } = await space.start()
  const endpoints = nodes.map(({ url }) => url)
  const kv = new Client({ endpoints })
  onTestFinished(() => kv.close())
  // A recipe that dies while it holds the lock, then Go, which is killed while others wait.
  const dying = new Client({ endpoints })
  await lock(dying, 'dies', { ttlMs: 2_000 })
  const go = byGo(endpoints, 'lock', 'dies', 'go', -1)
  await dying.close()
  await expect.poll(() => go.lines.length, { timeout: 20_000 }).toBeGreaterThan(0)
  go.child.kill('SIGKILL')
  go.done.catch(() => {})
  // The lease of Go lasts 20 s.
  const held = await lock(kv, 'dies', { waitMs: 60_000 })
  expect(held.token).toBeGreaterThan(Number(go.lines[0]?.split(' ')[2]))
  await held.release()
})

test('a leader by one is seen by the other', async () => {
  const space = await Workspace.open()
  const { nodes } = await space.start()
  const endpoints = nodes.map(({ url }) => url)
  const kv = new Client({ endpoints })
  onTestFinished(() => kv.close())
  const lead = await campaign(kv, 'seen', { value: 'recipe' })
  const go = byGo(endpoints, 'election', 'seen', 'go', 1)
  await expect.poll(() => kv.count({ prefix: 'election/seen/' })).toBe(2)
  expect((await leaderOf(kv, 'seen'))?.text()).toBe('recipe')
  await lead.release()
  await go.done
  expect(go.lines).toEqual([expect.stringMatching(/^inside 0 \d+$/)])
})
