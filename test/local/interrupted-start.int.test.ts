// The first start of a cluster, ended at any instant: the next start works, and what was acknowledged before is there.

import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startCluster } from '../../src/cli/cluster/start.ts'
import type { ClusterStatus } from '../../src/local/cluster-status.ts'
import { ask } from '../../src/local/control-client.ts'
import { destroyCluster } from '../../src/local/stop.ts'
import { findSupervisor } from '../../src/local/supervisor-lock.ts'
import { eventually, outcomeOf, Workspace } from './kv.ts'

/** What comes to be, in its order: the instants at which a start is ended. */
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

/** What is there for a moment only, and what comes after it: who looks too late finds that one. */
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

// One start after the other in one directory: each finds what the one before has left, gets further, and is ended in
// its turn. The last one is not.
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

test('nothing was founded: another number of nodes is as good as the first', async () => {
  const space = await Workspace.open()
  await interrupted(space, 'cluster.json', 'all of it is killed')
  // As an end in the middle of formatting leaves it, which is over too soon to be met each time.
  rmSync(space.path('n1'), { recursive: true, force: true })
  mkdirSync(space.path('n1'))
  for (const file of ['n1/FORMATTING', 'n1/LOCK']) writeFileSync(space.path(file), '')
  expect((await space.start('--nodes', '1')).nodes).toHaveLength(1)
})

test('what is left of a start can be deleted at any instant', async () => {
  for (const instant of ['supervisor.lock', 'cluster.json', 'n1/FORMATTING'] as const) {
    const space = await Workspace.open()
    await interrupted(space, instant, 'all of it is killed')
    await destroyCluster(space.path(), async () => {})
    expect(existsSync(space.path())).toBe(false)
  }
})

test.each(['cluster.json', 'n2/IDENTITY'] as const)(
  'once there is %s: the process that waited for a detached start is killed',
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
    // The supervisor that nobody wants any more ends by itself; the next start does not take it for one that runs.
    await space.start()
    const { leader, nodes } = await space.peek()
    expect(nodes.map(({ state }) => state)).toEqual(['running', 'running'])
    expect(leader).not.toBeNull()
    for (const key of acknowledged) expect(await read(space.port, key)).toBe('value')
  },
)

// Its ports were free when it looked.
test('a node of a new cluster does not enter another one that takes the port of the first node meanwhile', async () => {
  const space = await Workspace.open()
  const go = join(space.dir, 'go')
  const wait = join(space.dir, 'wait.cjs')
  writeFileSync(
    wait,
    `for (let i = 0; process.argv[2] === 'n1' && i < 1000 && !require('node:fs').existsSync(${JSON.stringify(go)}); i++)
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)`,
  )
  space.env = { NODE_OPTIONS: `--require ${wait}` }
  const asked: (string | undefined)[] = []
  const other = createServer((question, answer) => {
    asked.push(question.method)
    answer.end(JSON.stringify({ cluster_id: '1', members: [] }))
  })
  const started = space.start()
  await eventually(() => existsSync(space.path('n2.log')))
  await new Promise<void>((resolve) => other.listen(space.port, '127.0.0.1', resolve))
  // Each has had its answer.
  await eventually(() => asked.length > 3)
  // n1 has founded the cluster, finds its port taken, and tries again.
  writeFileSync(go, '')
  const opened = new Set<string>()
  const current = space.path('n1/CURRENT')
  const isBackAgain = (): boolean => existsSync(current) && opened.add(readFileSync(current, 'utf8')).size > 3
  await Promise.race([started, eventually(isBackAgain)])
  other.close().closeAllConnections()
  expect((await started).nodes.map(({ role }) => role).sort()).toEqual(['follower', 'follower', 'leader'])
  expect(new Set(asked)).toEqual(new Set(['GET']))
})

test('a start beside another one shows the cluster when it is formed, not before', async () => {
  const space = await Workspace.open()
  const first = space.start('--nodes', '2')
  await eventually(() => findSupervisor(space.path()))
  const shown: ClusterStatus[] = []
  const options = { dataDir: space.path(), nodes: undefined, port: undefined, direct: false }
  await startCluster(options, true, {
    show: async (status) => {
      shown.push(status)
    },
    say: () => {},
  })
  expect(shown[0]?.nodes.map(({ role }) => role).sort()).toEqual(['follower', 'leader'])
  await first
})

test('a start waits for the end of one that is being stopped', async () => {
  const space = await Workspace.open()
  await space.start('--nodes', '1')
  const supervisor = await findSupervisor(space.path())
  if (supervisor === undefined) throw new Error('no supervisor')
  const stopped = space.kv('cluster', 'stop')
  await eventually(async () => !(await ask(supervisor, { command: 'heal' })).ok)
  const status = await ask(supervisor, { command: 'status' })
  expect(status.ok || status.ended).toBe(true)
  await space.start()
  expect((await stopped).code).toBe(0)
  expect((await space.kv('put', 'a', '1')).code).toBe(0)
})

/** Starts a cluster, ends it at that instant, and not before. The keys whose writes were acknowledged until then. */
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
    if (child.exitCode !== null) throw new Error(`before there is ${instant}: ${(await ended).stderr}`)
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
    const outgoing = request(
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
