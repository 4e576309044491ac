// The life of one local cluster: real processes, and the real command where its output or exit code matters. Each test
// continues with the cluster that the one before has left, and first brings its nodes into the state that it needs. At
// the end the cluster has TLS.

import { once } from 'node:events'
import {
  appendFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isFree, parsePort } from '../../src/local/addresses.ts'
import { clientTls } from '../../src/local/directory/certificates.ts'
import { stopCluster } from '../../src/local/supervisor/stop-cluster.ts'
import { findSupervisor } from '../../src/local/supervisor/supervisor-lock.ts'
import { LocalClusterDocument, type LocalClusterStatus } from '../../src/operations/documents/supervisor.ts'
import { inspectDirectory, openStorage } from '../../src/storage/directory.ts'
import { writeIdentity } from '../../src/storage/replica-identity.ts'
import { requestHttp } from '../../src/system/http-request.ts'
import { kv as run } from '../cli/run-kv.ts'
import {
  allNodes,
  eventually,
  followersOf,
  isGone,
  leaderOf,
  nodeOf,
  sameHashes,
  settled,
  supervisorPid,
  Workspace,
} from './kv.ts'

const NAMES = ['n1', 'n2', 'n3']
let space: Workspace
let started: LocalClusterStatus
beforeAll(async () => {
  space = await Workspace.openForFile()
  started = await space.start()
  expect(await space.kv('put', 'a', '1')).toMatchObject({ code: 0 })
  for (const [user = '', ...role] of [['root', '--role', 'root'], ['shop']])
    expect(await runAs(user, 'user', 'add', user, ...role, '--password-file', '-')).toMatchObject({ code: 0 })
})
afterAll(() => space.close())

const urlOf = (name: string): string => nodeOf(started, name).url
const expectAllRunning = async (): Promise<void> =>
  expect((await space.status()).nodes.map(({ pid }) => pid)).toEqual(started.nodes.map(({ pid }) => pid))

/** A node without a process: the one that an earlier test has left so, or else a follower that is killed here. */
async function deadNode(): Promise<string> {
  const left = (await space.status()).nodes.filter(({ state }) => state === 'stopped')
  if (left.length === 0) {
    const [follower] = followersOf(await allNodes(space))
    await space.execute({ command: 'kill', node: follower })
    return follower
  }
  const [dead, ...others] = left.map(({ name }) => name)
  for (const node of others) await space.execute({ command: 'restart', node })
  await settled(space, NAMES.length - 1)
  return dead ?? ''
}

/** Runs a command as a user. A password takes a tenth of a second, and seconds on a busy machine. */
function runAs(user: string, ...args: string[]) {
  const password = `password of ${user}`
  const env = { KV_TIMEOUT: '60s', KV_USER: user, KV_PASSWORD: password }
  return run(args, { cwd: space.dir, env, stdin: password })
}

describe('a cluster that runs', () => {
  test('shows its nodes', async () => {
    const node = {
      pid: expect.any(Number),
      state: 'running',
      role: expect.stringMatching(/^(leader|follower)$/),
      term: expect.any(Number),
      commit_index: expect.any(Number),
      applied_index: expect.any(Number),
      revision: expect.any(Number),
    }
    const whole = {
      cluster_id: expect.stringMatching(/^[0-9]+$/),
      leader: expect.stringMatching(/^n[123]$/),
      term: expect.any(Number),
      nodes: NAMES.map((name, at) => ({ name, url: `http://127.0.0.1:${space.port + at}`, ...node })),
    }
    expect(LocalClusterDocument.encode(started)).toStrictEqual(whole)
    const { code, stdout } = await space.spawned('cluster', 'status', '-o', 'json')
    expect({ code, status: JSON.parse(stdout) }).toStrictEqual({ code: 0, status: whole })
    expect(statSync(space.path('cluster.json')).mode & 0o777).toBe(0o600)
  })

  test('is shown by another start, which changes nothing', async () => {
    const again = await space.kv('cluster', 'start', '--port', String(space.port))
    expect(again.code).toBe(0)
    for (const { name, url } of started.nodes) expect(again.stdout).toMatch(new RegExp(`${name} +${url}`))
    const [fourNodes, otherPort, withTls, direct] = await Promise.all([
      space.kv('cluster', 'start', '--nodes', '4'),
      space.kv('cluster', 'start', '--port', String(space.port + 1)),
      space.kv('cluster', 'start', '--tls'),
      space.kv('cluster', 'start', '--direct'),
    ])
    expect(withTls).toMatchObject({ code: 2, stdout: '' })
    expect(withTls.stderr).toContain('runs without TLS; quorate cluster stop, then start it with --tls')
    expect(direct).toMatchObject({ code: 2, stderr: expect.stringContaining('runs with relays; ') })
    expect(fourNodes).toMatchObject({ code: 2, stderr: expect.stringContaining('has 3 nodes, not 4') })
    expect(otherPort).toMatchObject({ code: 2, stdout: '' })
    expect(otherPort.stderr).toContain(
      `n1 is at port ${space.port}; to move it to other ports: quorate cluster stop`,
    )
  })

  test('is not reached by commands for a copy of its directory', async () => {
    const copy = join(space.dir, 'copy')
    cpSync(space.path(), copy, { recursive: true })
    expect((await space.kv('cluster', 'status', '--data', copy)).code).toBe(7)
    expect(await space.kv('cluster', 'destroy', '--data', copy)).toMatchObject({ code: 0 })
    expect(existsSync(copy)).toBe(false)
    await expectAllRunning()
  })

  test('loses no node without consent', async () => {
    const follower = followersOf(started)[0]
    const refusals = await Promise.all(
      [['destroy'], ['rejoin', follower], ['rejoin', 'follower']].map((words) =>
        space.kv('cluster', ...words),
      ),
    )
    for (const refusal of refusals)
      expect(refusal).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') })
    await expectAllRunning()
    expect(existsSync(space.path(`${follower}.old-1`))).toBe(false)
  })

  test('loses none by a user who may not add one', async () => {
    expect(await runAs('root', 'auth', 'enable')).toMatchObject({ code: 0 })
    try {
      const { code, err } = await runAs('shop', 'cluster', 'rejoin', 'n1', '--yes')
      expect([code, err]).toEqual([8, expect.stringMatching(/user "shop" needs .*; nothing was changed/)])
      expect(existsSync(space.path('n1.old-1'))).toBe(false)
      await expectAllRunning()
    } finally {
      expect(await runAs('root', 'auth', 'disable')).toMatchObject({ code: 0 })
    }
  })

  test('rejects what names no node or cuts nothing', async () => {
    const rejected = [
      { command: 'kill', node: 'n9' },
      { command: 'partition', groups: [['n1'], ['n9']], reset: false },
      { command: 'partition', groups: [['n1', 'n2', 'n3']], reset: false },
    ] as const
    for (const request of rejected)
      expect(await space.send(request)).toMatchObject({ ok: false, exitCode: 2 })
    expect((await space.kv('cluster', 'kill', 'n9')).code).toBe(2)
  })
})

describe('faults', () => {
  test('a paused node keeps its process', async () => {
    const before = await allNodes(space)
    expect(await space.kv('cluster', 'pause', 'follower')).toMatchObject({ code: 0 })
    const [paused, ...others] = (await space.status()).nodes.filter(({ state }) => state === 'paused')
    if (paused === undefined) throw new Error('no node is paused')
    expect(others).toEqual([])
    expect(paused.name).not.toBe(before.leader)
    expect(paused).toMatchObject({ pid: nodeOf(before, paused.name).pid, role: undefined })
    expect(await space.kv('cluster', 'resume', paused.name)).toMatchObject({ code: 0 })
    await eventually(async () => nodeOf(await space.status(), paused.name).state === 'running')
  })

  test('a partition black-holes the minority until it heals', async () => {
    const cut = leaderOf(await allNodes(space))
    const rest = NAMES.filter((name) => name !== cut)
    expect(await space.kv('put', 'b', '1')).toMatchObject({ code: 0 })
    // Its first request makes a node load most of its API.
    expect(await space.kv('get', 'b', '--endpoints', urlOf(cut))).toMatchObject({ code: 0 })
    expect(await space.kv('cluster', 'partition', cut, rest.join(','))).toMatchObject({ code: 0 })
    await eventually(async () => rest.includes(leaderOf(await space.status())))
    expect(await space.kv('put', 'b', '2', '--endpoints', urlOf(rest[0] ?? ''))).toMatchObject({ code: 0 })
    const minority = ['--endpoints', urlOf(cut), '--timeout', '1s']
    const [read, written, stale] = await Promise.all([
      space.kv('get', 'b', ...minority),
      space.kv('put', 'b', '3', ...minority),
      space.kv('get', 'b', ...minority, '--consistency', 'stale'),
    ])
    expect(read.code).toBe(5)
    expect([5, 6]).toContain(written.code)
    expect(stale).toMatchObject({ code: 0, stdout: '1' })
    expect(await space.kv('cluster', 'heal')).toMatchObject({ code: 0 })
    const healed = await space.kv('get', 'b', '--endpoints', urlOf(cut))
    expect(healed).toMatchObject({ code: 0, stdout: expect.stringMatching(/^[23]$/) })
  })

  test('a partition may reset connections, and names the nodes of the other group', async () => {
    await allNodes(space)
    const cut = await space.kv('cluster', 'partition', 'leader', '--reset')
    expect(cut).toMatchObject({ code: 0, stderr: expect.stringMatching(/^cut: n\d \| n\d n\d/) })
    await space.execute({ command: 'heal', link: undefined })
  })

  test('a killed leader stays dead and is replaced', async () => {
    const first = leaderOf(await allNodes(space))
    const killed = await space.kv('cluster', 'kill', 'leader')
    expect(killed).toMatchObject({ code: 0, stderr: expect.stringContaining(`${first} is killed`) })
    await eventually(async () => {
      const { leader } = await space.status()
      return leader !== undefined && leader !== first
    })
    const dead = { state: 'stopped', pid: undefined, role: undefined, term: undefined }
    expect(nodeOf(await space.status(), first)).toMatchObject(dead)
    expect(await space.kv('put', 'b', '4')).toMatchObject({ code: 0 })
  })

  test('an aborted process is reported with the command that helps', async () => {
    const running = (await space.status()).nodes.find(({ state }) => state === 'running')
    process.kill(running?.pid ?? 0, 'SIGABRT')
    await eventually(async () => nodeOf(await space.status(), running?.name ?? '').state === 'stopped')
    const { code, stderr } = await space.kv('cluster', 'status')
    expect(code).toBe(0)
    expect(stderr).toContain(`quorate cluster rejoin ${running?.name}`)
  })

  // One of them stays dead: the next tests need a dead node.
  test('when all nodes have crashed, they come back one after the other', async () => {
    for (const { name, pid } of (await space.status()).nodes)
      if (pid !== undefined) await space.execute({ command: 'kill', node: name })
    const impossible = [
      { command: 'kill', node: 'leader' },
      { command: 'pause', node: 'follower' },
      { command: 'partition', groups: [['leader']], reset: false },
    ] as const
    for (const request of impossible)
      expect(await space.send(request)).toMatchObject({ ok: false, exitCode: 1 })
    // No majority can run yet, and the command does not wait for one.
    const first = await space.execute({ command: 'restart', node: 'n1' })
    expect(first).toContain('only when a majority')
    expect(await space.kv('cluster', 'restart', 'n2')).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('n2 is ready'),
    })
    const role = expect.stringMatching(/^(leader|follower)$/)
    expect(nodeOf(await space.status(), 'n2')).toMatchObject({ state: 'running', role })
    expect(await (await fetch(`${urlOf('n1')}/v1/kv/a`)).text()).toBe('1')
  })
})

describe('data that is lost or damaged', () => {
  test('a node is not replaced while the others have no majority', async () => {
    const dead = await deadNode()
    const { nodes, leader } = await space.status()
    const kept = nodes.find(({ name }) => name !== dead && name !== leader)
    const refused = await space.kv('cluster', 'rejoin', kept?.name ?? '', '--yes')
    expect(refused).toMatchObject({ code: 5, stderr: expect.stringContaining('nothing was changed') })
    expect(nodeOf(await space.status(), kept?.name ?? '').pid).toBe(kept?.pid)
  })

  test('a node of another cluster is named, and its data stays where it is', async () => {
    const name = await deadNode()
    const dir = space.path(name)
    const own = readFileSync(join(dir, 'IDENTITY'))
    const content = inspectDirectory(dir)
    if (content.kind === 'empty') throw new Error(`${name} has no data`)
    writeIdentity(dir, { ...content.identity, clusterId: '7' })
    try {
      const text = `${name} is of another cluster (7)`
      for (const words of [
        ['restart', name],
        ['rejoin', name, '--yes'],
      ]) {
        const refused = await space.kv('cluster', ...words)
        expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(text) })
      }
      expect(await space.kv('cluster', 'status')).toMatchObject({
        code: 0,
        stderr: expect.stringContaining(text),
      })
      expect(existsSync(dir)).toBe(true)
    } finally {
      writeFileSync(join(dir, 'IDENTITY'), own)
    }
  })

  test('a node whose data is damaged comes back only as a fresh replica', async () => {
    const damaged = await deadNode()
    // A node that a user starts by hand has the directory open.
    const opened = await openStorage(space.path(damaged))
    const inUse = await space.kv('cluster', 'rejoin', damaged)
    await new Promise((resolve) => opened.close(resolve))
    expect(inUse).toMatchObject({ code: 1, stderr: expect.stringContaining('end it with') })
    damage(space.path(damaged))
    const unopened = await space.kv('cluster', 'restart', damaged)
    expect(unopened).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`quorate cluster rejoin ${damaged}`),
    })
    expect(await space.kv('cluster', 'rejoin', damaged)).toMatchObject({ code: 0 })
    expect(existsSync(space.path(`${damaged}.old-1`))).toBe(true)
    await sameHashes(started)
  })

  test('a node that was removed comes back as a new replica', async () => {
    const [removed] = followersOf(await allNodes(space))
    expect(await space.kv('member', 'remove', removed, '--yes')).toMatchObject({ code: 0 })
    await eventually(async () => nodeOf(await space.status(), removed).pid === undefined)
    const text = `${removed} was removed from the cluster; quorate cluster rejoin ${removed} brings it back as a new replica`
    expect((await space.kv('cluster', 'status')).stderr).toContain(text)
    expect(await space.kv('cluster', 'rejoin', removed)).toMatchObject({ code: 0 })
  })

  /** LevelDB opens the file that CURRENT names. */
  function damage(dir: string): void {
    const paths = readdirSync(dir, { recursive: true, encoding: 'utf8' })
    const current = paths.find((path) => /(^|\/)CURRENT$/.test(path))
    if (current === undefined) throw new Error(`no CURRENT in ${dir}`)
    appendFileSync(join(dir, current), 'x')
  }
})

describe('the end of a cluster', () => {
  test('nodes do not outlive a supervisor that was killed, not even paused ones', async () => {
    const running = (await space.status()).nodes.filter(({ state }) => state === 'running')
    await space.execute({ command: 'pause', node: running[0]?.name ?? '' })
    process.kill(running[1]?.pid ?? 0, 'SIGSTOP')
    process.kill(supervisorPid(space), 'SIGKILL')
    await eventually(() => running.every(({ pid }) => isGone(pid ?? 0)))
    expect((await space.kv('cluster', 'status')).code).toBe(7)
  })

  test('a start without a majority, at other ports and with TLS, waits for no node that cannot come', async () => {
    if ((await findSupervisor(space.path())) !== undefined) await stopCluster(space.path())
    rmSync(space.path('n3'), { recursive: true })
    renameSync(space.path('n2'), space.path('n2.kept'))
    const flags = ['--detach', '--tls', '--port', String(space.port + 1)]
    const { code, stderr } = await space.kv('cluster', 'start', ...flags)
    renameSync(space.path('n2.kept'), space.path('n2'))
    expect(code).toBe(1)
    expect(stderr).toMatch(/n1 runs .* majority/)
    for (const lost of ['n2', 'n3']) {
      expect(stderr).toContain(`${lost} has lost its data`)
      expect(stderr).toContain(`quorate cluster rejoin ${lost}`)
    }
    const { clusterId, nodes } = await space.status()
    expect(clusterId).toBe(started.clusterId)
    expect(nodes.map(({ state }) => state)).toEqual(['running', 'stopped', 'stopped'])
    expect(nodes[0]?.url).toMatch(/^https:/)
    // A rejoin has no quorum: the data stays where it is.
    expect(
      await space.send({ command: 'rejoin', node: 'n1', evenIfHealthy: true, authorization: undefined }),
    ).toMatchObject({
      exitCode: 5,
    })
    expect(existsSync(space.path('n1'))).toBe(true)
  })

  test('with a majority it serves, and a node without data joins it', async () => {
    await space.execute({ command: 'restart', node: 'n2' })
    // The command is root by its certificate. For a node its own counts, whoever the user is.
    expect(await space.kv('auth', 'enable')).toMatchObject({ code: 0 })
    expect(await runAs('shop', 'cluster', 'rejoin', 'n3')).toMatchObject({ code: 0 })
    expect(await space.kv('auth', 'disable')).toMatchObject({ code: 0 })
    // A client learns the present URLs from any node.
    const urls = NAMES.map((_, at) => `https://127.0.0.1:${space.port + 1 + at}`)
    const reported = async (url: string): Promise<string[]> => {
      const options = { tls: clientTls(space.path()), timeoutMs: 60_000 }
      const { members } = JSON.parse((await requestHttp(`${url}/v1/cluster`, options)).text)
      return members.map((member: { url: string }) => member.url).sort()
    }
    for (const url of urls) await expect.poll(() => reported(url)).toEqual(urls)
    const read = { code: 0, stdout: '1' }
    expect(await space.kv('get', 'a')).toMatchObject(read)
    const [url = ''] = urls
    expect(await space.kv('get', 'a', '--endpoints', url)).toMatchObject(read)
    expect(await space.kv('get', 'a', '--endpoints', url.replace('https', 'http'))).toMatchObject({
      code: 7,
      stderr: expect.stringContaining(`speaks only TLS: --endpoints ${url} `),
    })
    expect(JSON.parse(readFileSync(space.path('cluster.json'), 'utf8')).tls).toEqual({
      ...{ ca: 'certs/ca.crt', cert: 'certs/root.crt', key: 'certs/root.key' },
    })
  })

  test('stop ends everything, also a paused node, whoever is connected to the supervisor', async () => {
    const { nodes } = await space.status()
    const supervisor = supervisorPid(space)
    await space.execute({ command: 'pause', node: 'n2' })
    const { control = '' } = (await findSupervisor(space.path())) ?? {}
    for (const text of ['', '{"token":', 'GET / HTTP/1.1\r\n\r\n']) {
      const socket = connect(parsePort(control), '127.0.0.1').on('error', () => {})
      await once(socket, 'connect')
      socket.write(text)
    }
    expect(await space.kv('cluster', 'stop')).toMatchObject({ code: 0 })
    expect(isGone(supervisor)).toBe(true)
    for (const { pid } of nodes) if (pid !== undefined) expect(isGone(pid)).toBe(true)
    for (const offset of [1, 2, 3]) expect(await isFree(space.port + offset)).toBe(true)
    expect(await space.kv('cluster', 'stop')).toMatchObject({ code: 0 })
    expect((await space.kv('cluster', 'status')).code).toBe(7)
    expect((await space.kv('cluster', 'start', '--nodes', '4')).code).toBe(2)
    const other = createServer().listen(space.port + 2, '127.0.0.1')
    await once(other, 'listening')
    const taken = await space.kv('cluster', 'start', '--detach')
    other.close()
    expect(taken.stderr).toContain(`end it, or start at other ports with --port ${space.port + 1 + 100}`)
  })

  test('destroy deletes the data of a cluster that was stopped', async () => {
    expect(await space.kv('cluster', 'destroy', '--yes')).toMatchObject({ code: 0 })
    expect(existsSync(space.path())).toBe(false)
  })
})
