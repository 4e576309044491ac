// The first start of a cluster, interrupted at any instant: the next start works, and has every acknowledged write.

import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request as sendRequest } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { destroyCluster } from '../../src/local/supervisor/stop-cluster.ts'
import { eventually, outcomeOf, Workspace } from './kv.ts'

/** The instants at which a start is interrupted, in their order: as soon as the file exists. */
const INSTANTS = [
  'supervisor.lock',
  'cluster.json.new',
  'cluster.json',
  'n1.log',
  'n1',
  'n1/FORMATTING',
  'n1/LOCK',
  'n1/CURRENT',
  'n1/IDENTITY',
  'a write is acknowledged',
  'n2/FORMATTING',
  'n2/IDENTITY',
  'n3/IDENTITY',
] as const

/** Files that exist for a moment only, and the ones that follow them. */
const FOLLOWED_BY: Partial<Record<(typeof INSTANTS)[number], string>> = {
  'cluster.json.new': 'cluster.json',
  'n1/FORMATTING': 'n1/IDENTITY',
  'n2/FORMATTING': 'n2/IDENTITY',
}

const ENDINGS = {
  'its supervisor is killed': (child: ChildProcess) => child.kill('SIGKILL'),
  'all of it is killed': (child: ChildProcess) => process.kill(-(child.pid ?? 0), 'SIGKILL'),
  'Ctrl-C': (child: ChildProcess) => process.kill(-(child.pid ?? 0), 'SIGINT'),
} as const
type Ending = keyof typeof ENDINGS
const ALL_ENDINGS = Object.keys(ENDINGS) as Ending[]

// One start after the other in one directory: each continues from the state that the one before has left. The last one
// is not interrupted.
test('a start that is interrupted at any instant is followed by one that works', async () => {
  const space = await Workspace.open()
  const acknowledged: string[] = []
  for (const [at, instant] of INSTANTS.entries()) {
    const ending = ALL_ENDINGS[at % ALL_ENDINGS.length] ?? 'Ctrl-C'
    acknowledged.push(...(await interrupted(space, instant, ending)))
  }
  expect(acknowledged.length).toBeGreaterThan(0)

  const started = await space.start()
  expect(started.nodes.map(({ role }) => role).sort()).toEqual(['follower', 'follower', 'leader'])
  expect(await stored(space.port, 'later')).toBe(true)
  for (const key of acknowledged) expect(await read(space.port, key)).toBe('value')
  await destroyCluster(space.path(), async () => {})
  expect(existsSync(space.path())).toBe(false)
})

test('before a cluster is founded, another number of nodes is accepted', async () => {
  const space = await Workspace.open()
  await interrupted(space, 'cluster.json', 'all of it is killed')
  // The state after an interruption in the middle of formatting, which takes too short to hit each time.
  rmSync(space.path('n1'), { recursive: true, force: true })
  mkdirSync(space.path('n1'))
  for (const file of ['n1/FORMATTING', 'n1/LOCK']) writeFileSync(space.path(file), '')
  expect((await space.start('--nodes', '1')).nodes).toHaveLength(1)
})

test('the rest of an interrupted start can be deleted', async () => {
  for (const instant of ['supervisor.lock', 'cluster.json', 'n1/FORMATTING'] as const) {
    const space = await Workspace.open()
    await interrupted(space, instant, 'all of it is killed')
    await destroyCluster(space.path(), async () => {})
    expect(existsSync(space.path())).toBe(false)
  }
})

test.each(['cluster.json', 'n2/IDENTITY'] as const)(
  'once %s exists: the command that waits for a detached start is killed',
  async (instant) => {
    const space = await Workspace.open()
    const acknowledged = await interrupted(
      space,
      instant,
      'its supervisor is killed',
      '--detach',
      '--nodes',
      '2',
    )
    // The abandoned supervisor ends by itself; the next start does not show it as running.
    await space.start()
    const { leader, nodes } = await space.status()
    expect(nodes.map(({ state }) => state)).toEqual(['running', 'running'])
    expect(leader).not.toBeNull()
    for (const key of acknowledged) expect(await read(space.port, key)).toBe('value')
  },
)

test('a node of a new cluster does not join another one that takes the port of the first node', async () => {
  const space = await Workspace.open()
  const go = join(space.dir, 'go')
  const wait = join(space.dir, 'wait.cjs')
  writeFileSync(
    wait,
    `for (let i = 0; process.argv[2] === 'n1' && i < 1000 && !require('node:fs').existsSync(${JSON.stringify(go)}); i++)
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)`,
  )
  space.env = { NODE_OPTIONS: `--require ${wait}` }
  const methods: (string | undefined)[] = []
  const other = createServer((request, answer) => {
    methods.push(request.method)
    answer.end(JSON.stringify({ cluster_id: '1', members: [] }))
  })
  const started = space.start()
  await eventually(() => existsSync(space.path('n2.log')))
  await new Promise<void>((resolve) => other.listen(space.port, '127.0.0.1', resolve))
  // Both joining nodes have had answers, before n1 starts and while it finds its port taken.
  await eventually(() => methods.length > 3)
  writeFileSync(go, '')
  const before = methods.length
  await eventually(() => methods.length > before + 3)
  other.close().closeAllConnections()
  expect((await started).nodes.map(({ role }) => role).sort()).toEqual(['follower', 'follower', 'leader'])
  expect(new Set(methods)).toEqual(new Set(['GET']))
})

/** Starts a cluster and interrupts it at that instant. Returns the keys of the writes that were acknowledged. */
async function interrupted(
  space: Workspace,
  instant: (typeof INSTANTS)[number],
  ending: Ending,
  ...flags: string[]
): Promise<string[]> {
  const acknowledged: string[] = []
  const child = space.spawnGroup('cluster', 'start', '--port', String(space.port), ...flags)
  const ended = outcomeOf(child)
  const put = async (): Promise<boolean> => {
    const key = `${instant.replaceAll('/', '-')} ${acknowledged.length}`.replaceAll(' ', '-')
    const isStored = await stored(space.port, key)
    if (isStored) acknowledged.push(key)
    return isStored
  }
  await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`ended before ${instant}: ${(await ended).stderr}`)
    return instant === 'a write is acknowledged'
      ? await put()
      : existsSync(space.path(instant)) || existsSync(space.path(FOLLOWED_BY[instant] ?? instant))
  }, 1)
  ENDINGS[ending](child)
  await ended
  return acknowledged
}

async function read(port: number, key: string): Promise<string> {
  return (await fetch(`http://127.0.0.1:${port}/v1/kv/${key}`)).text()
}

function stored(port: number, key: string): Promise<boolean> {
  return new Promise((resolve) => {
    const outgoing = sendRequest(
      { host: '127.0.0.1', port, method: 'PUT', path: `/v1/kv/${key}`, agent: false },
      (answer) => {
        answer.resume()
        answer.on('error', () => resolve(false))
        answer.on('end', () => resolve(answer.statusCode === 200))
      },
    )
    outgoing.on('error', () => resolve(false))
    outgoing.end('value')
  })
}
