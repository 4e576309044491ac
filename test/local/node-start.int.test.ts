// `kv node start`: which directory becomes which node, which starts are refused, and how a node ends.

import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, constants, existsSync, openSync, readdirSync, writeFileSync, writeSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { encodeState, initialState } from '../../src/kv/index.ts'
import { writeClusterFile } from '../../src/local/directory/cluster-file.ts'
import { CLUSTER_VERSION } from '../../src/operations/forms/settings.ts'
import { emptyConfiguration, encodeAppliedState } from '../../src/raft/index.ts'
import { formatStorage } from '../../src/storage/directory.ts'
import { identity, initial } from '../storage/samples.ts'
import { eventually, KV, outcomeOf, Workspace } from './kv.ts'

// They are for a process that only runs a node. A start that is refused runs in this one.
vi.mock('../../src/server/process/small-heap.ts', () => ({ keepHeapSmall() {} }))
vi.mock('../../src/server/process/jit-threshold.ts', () => ({ lowerJitThreshold() {} }))

test('a directory founds a cluster once, needs no flag afterwards, and is not destroyed while a node runs on it', async () => {
  const space = await Workspace.open()
  // In that of a local cluster.
  const flags = [...flagsOf(space), '--data', space.path('n1')]
  const empty = await space.kv('node', 'start', ...flags)
  expect(empty.code).toBe(2)
  expect(empty.stderr).toContain('--bootstrap')
  expect(existsSync(space.path('n1'))).toBe(false)
  const both = await space.kv('node', 'start', ...flags, '--bootstrap', '--join', 'http://127.0.0.1:1')
  expect(both.code).toBe(2)

  const founded = await serving(space, ...flags, '--bootstrap')
  founded.child.kill('SIGTERM')
  expect((await founded.ended).code).toBe(0)

  const again = await space.kv('node', 'start', ...flags, '--bootstrap')
  expect(again.code).toBe(2)
  expect(again.stderr).toContain('already holds node')

  const known = await serving(space, ...flags)
  expect(known.clusterId).toBe(founded.clusterId)
  // It ends on the signals that stop a process, and on no other.
  known.child.kill('SIGUSR2')
  const second = await space.kv('node', 'start', ...flags)
  expect(second.code).toBe(1)
  // A refused start ends although no process reads its output.
  const unread = fullPipe(space)
  const third = spawnSync(process.execPath, [KV, 'node', 'start', ...flags], {
    cwd: space.dir,
    stdio: ['ignore', 'ignore', unread],
    timeout: 120_000,
  })
  closeSync(unread)
  expect(third.status).toBe(1)

  const url = `http://127.0.0.1:${space.port}`
  const n1 = { name: 'n1', url, pid: null, peer_port: null, stage: 'member' } as const
  writeClusterFile(space.path(), { cluster_id: null, supervisor: null, nodes: [n1] })
  expect(await space.kv('cluster', 'destroy', '--yes')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`kill ${known.child.pid}; nothing was`),
  })
  expect(readdirSync(space.path())).toEqual(['cluster.json', 'n1'])

  // npm repeats a Ctrl-C that the terminal has delivered already.
  known.child.kill('SIGINT')
  known.child.kill('SIGINT')
  const { code, stdout, stderr } = await known.ended
  expect({ code, stdout }).toEqual({ code: 130, stdout: '' })
  const log = stderr.trim().split('\n')
  expect(log.map((line) => JSON.parse(line).node)).toEqual(log.map(() => 'n1'))
  expect(await space.kv('cluster', 'destroy', '--yes')).toMatchObject({ code: 0 })
  expect(existsSync(space.path())).toBe(false)
})

test.each([
  ['--heartbeat', '0ms'],
  ['--heartbeat', '31m'],
  ['--election-timeout', '0.5ms'],
  ['--election-timeout', '1000h'],
])('%s %s is refused in the terms of the flag, and nothing is founded', async (flag, duration) => {
  const space = await Workspace.open()
  const { code, stderr } = await space.kv('node', 'start', ...flagsOf(space), '--bootstrap', flag, duration)
  expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('from 1ms to 30m') })
  expect(stderr).toContain(flag)
  expect(existsSync(join(space.dir, 'n1'))).toBe(false)
})

test('a node that searches for its cluster ends on the first signal', async () => {
  const space = await Workspace.open()
  const child = space.spawn(
    'node',
    'start',
    ...flagsOf(space),
    '--join',
    `http://127.0.0.1:${space.port + 4}`,
  )
  const ended = outcomeOf(child)
  await new Promise((resolve) => child.stderr?.once('data', resolve))
  child.kill('SIGTERM')
  expect((await ended).code).toBe(0)
  expect(existsSync(join(space.dir, 'n1'))).toBe(false)
})

test('an address where a node cannot listen is named with its flag, and nothing is formatted', async () => {
  const space = await Workspace.open()
  const other = createServer().listen(space.port, '127.0.0.1')
  onTestFinished(() => void other.close())
  const taken = `127.0.0.1:${space.port}`
  const start = async (listen: string, peerListen: string): Promise<string> => {
    const flags = ['--name', 'n1', '--data', 'n1', '--listen', listen, '--peer-listen', peerListen]
    const { code, stderr } = await space.kv('node', 'start', ...flags, '--bootstrap', '--insecure')
    expect(code).toBe(1)
    expect(existsSync(join(space.dir, 'n1'))).toBe(false)
    return stderr.trim().split('\n').at(-1) ?? ''
  }
  const inUse = 'address already in use; end the program that listens there, or choose another port'
  expect(await start(taken, '127.0.0.1:0')).toBe(`error: cannot listen on ${taken} (--listen): ${inUse}`)
  expect(await start('127.0.0.1:0', taken)).toBe(`error: cannot listen on ${taken} (--peer-listen): ${inUse}`)
  // An address for documentation (RFC 5737).
  expect(await start('192.0.2.7:7301', '127.0.0.1:0')).toMatch(
    /^error: cannot listen on 192\.0\.2\.7:7301 \(--listen\): address not available; .*--advertise-url/,
  )
})

test('a directory of a newer version is refused with that reason, and stays as it is', async () => {
  const space = await Workspace.open()
  const kv = encodeState(initialState())
  kv[0] = CLUSTER_VERSION + 1
  const raft = encodeAppliedState({
    configuration: emptyConfiguration,
    leaderLeases: { on: false, durationMs: 500 },
  })
  await formatStorage(join(space.dir, 'n1'), identity, {
    ...initial,
    applied: { ...initial.applied, kv, raft },
  })
  const addresses = ['--listen', `127.0.0.1:${space.port}`, '--peer-listen', '127.0.0.1:0']
  const start = () => space.kv('node', 'start', '--name', identity.name, '--data', 'n1', ...addresses)
  for (let times = 0; times < 2; times++) {
    const { code, stderr, stdout } = await start()
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr.trim().split('\n')).toEqual([
      expect.stringMatching(
        new RegExp(
          `^error: .*/n1: cluster version ${CLUSTER_VERSION + 1} of the data is not known to this version of quorate, which knows versions up to ${CLUSTER_VERSION}: a newer version wrote it, so use that version; its data was not changed$`,
        ),
      ),
    ])
  }
})

test('a damaged directory is named, and no command of a local cluster, of which a node knows nothing', async () => {
  const space = await Workspace.open()
  await formatStorage(join(space.dir, 'n1'), identity, initial)
  writeFileSync(join(space.dir, 'n1/IDENTITY'), 'damaged')
  const { stderr } = await space.kv('node', 'start', ...flagsOf(space))
  expect(stderr).toMatch(/IDENTITY is damaged/)
  expect(stderr).not.toMatch(/\b(kv|quorate) (cluster|node)/)
})

test.each([
  [['--tls-cert', 'x'], '--tls-cert and --tls-key go together'],
  [['--tls-ca', 'x'], 'need --tls-cert and --tls-key'],
  [['--tls-cert', 'x', '--tls-key', 'x', '--client-cert', 'required'], '--client-cert needs --tls-ca'],
  [['--tls-cert', 'x', '--tls-key', 'x', '--tls-crl', 'x'], '--tls-crl needs --tls-ca'],
  [['--peer-tls-cert', 'x', '--peer-tls-key', 'x'], '--peer-tls-ca go together'],
  [['--listen', '0.0.0.0:0'], 'add --tls-cert and --tls-key'],
  [['--peer-listen', '0.0.0.0:0'], 'add --peer-tls-cert'],
  [['--tls-cert', 'x', '--tls-key', 'x', '--advertise-url', 'http://a'], 'must begin with https://'],
])('a wrong command line: %s', async (flags, says) => {
  const space = await Workspace.open()
  const { code, stderr } = await space.kv('node', 'start', ...flagsOf(space), '--bootstrap', ...flags)
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(says) })
  expect(existsSync(join(space.dir, 'n1'))).toBe(false)
})

/** A pipe without a reader. */
function fullPipe({ dir }: Workspace): number {
  const path = join(dir, 'pipe')
  execFileSync('mkfifo', [path])
  const pipe = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  try {
    for (;;) writeSync(pipe, 'a line\n')
  } catch {
    return pipe
  }
}

function flagsOf({ port }: Workspace): string[] {
  const addresses = ['--listen', `127.0.0.1:${port}`, '--peer-listen', '127.0.0.1:0']
  return ['--name', 'n1', '--data', 'n1', ...addresses]
}

async function serving(space: Workspace, ...flags: string[]) {
  const child = space.spawn('node', 'start', ...flags)
  const ended = outcomeOf(child)
  const status = await eventually(async () => {
    const answer = await fetch(`http://127.0.0.1:${space.port}/v1/status`).catch(() => undefined)
    return answer && JSON.parse(await answer.text())
  })
  return { child, ended, clusterId: status.cluster_id }
}
