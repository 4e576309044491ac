// kv cluster, as its users and their scripts see it: the real command, real processes.

import { once } from 'node:events'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ask } from '../../src/local/control-client.ts'
import { findSupervisor } from '../../src/local/supervisor-lock.ts'
import {
  eventually,
  followersOf,
  isFree,
  isGone,
  leaderOf,
  outcomeOf,
  type StatusJson,
  stateOf,
  supervisorPid,
  Workspace,
} from './kv.ts'

test('a cluster starts, shows itself, is stopped, goes on with its data, and is deleted', async () => {
  const space = await Workspace.open()
  const started = await space.start()

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
    nodes: [1, 2, 3].map((n) => ({ name: `n${n}`, url: `http://127.0.0.1:${space.port + n - 1}`, ...node })),
  }
  expect(started).toStrictEqual(whole)
  expect(await space.status()).toStrictEqual(whole)

  expect(statSync(space.path('cluster.json')).mode & 0o777).toBe(0o600)
  expect((await space.kv('put', 'greeting', 'hello')).code).toBe(0)

  const again = await space.kv('cluster', 'start')
  expect(again.code).toBe(0)
  for (const { name, url } of started.nodes) expect(again.stdout).toMatch(new RegExp(`${name} +${url}`))
  expect((await space.kv('cluster', 'start', '--nodes', '4')).code).toBe(2)
  expect((await space.kv('cluster', 'start', '--port', String(space.port))).code).toBe(0)
  const elsewhere = await space.kv('cluster', 'start', '--port', String(space.port + 1))
  expect(elsewhere).toMatchObject({ code: 2, stdout: '' })
  expect(elsewhere.stderr).toContain(
    `n1 is at port ${space.port}. To move it to other ports: quorate cluster stop`,
  )

  const supervisor = JSON.parse(readFileSync(space.path('cluster.json'), 'utf8')).supervisor.pid
  expect((await space.kv('cluster', 'stop')).code).toBe(0)
  expect(await isGone(supervisor)).toBe(true)
  for (const { pid } of started.nodes) expect(await isGone(pid ?? 0)).toBe(true)
  for (const offset of [0, 1, 2]) expect(await isFree(space.port + offset)).toBe(true)
  expect((await space.kv('cluster', 'stop')).code).toBe(0)
  expect((await space.kv('cluster', 'status')).code).toBe(7)
  expect((await space.kv('cluster', 'start', '--nodes', '4')).code).toBe(2)

  const resumed = await space.start()
  expect(resumed.cluster_id).toBe(started.cluster_id)
  expect(await space.kv('get', 'greeting')).toMatchObject({ code: 0, stdout: 'hello' })

  expect((await space.kv('cluster', 'destroy', '--yes')).code).toBe(0)
  expect(existsSync(space.path())).toBe(false)
  for (const { pid } of resumed.nodes) expect(await isGone(pid ?? 0)).toBe(true)
})

test('nodes are killed, restarted, paused, cut off and healed', async () => {
  const space = await Workspace.open()
  const started = await space.start()
  const first = leaderOf(started)

  const killed = await space.kv('cluster', 'kill', 'leader')
  expect(killed).toMatchObject({ code: 0, stderr: expect.stringContaining(`${first} is killed`) })
  const second = await eventually(async () => {
    const { leader } = await space.peek()
    return leader !== null && leader !== first && leader
  })
  expect(stateOf(await space.status(), first)).toMatchObject({
    state: 'stopped',
    pid: null,
    role: null,
    term: null,
  })
  expect((await space.kv('put', 'a', '1')).code).toBe(0)
  expect((await space.kv('cluster', 'restart', first)).code).toBe(0)
  expect(stateOf(await space.peek(), first)).toMatchObject({ state: 'running', role: 'follower' })

  const running = await space.peek()
  expect((await space.kv('cluster', 'pause', 'follower')).code).toBe(0)
  const [paused, ...others] = (await space.peek()).nodes.filter(({ state }) => state === 'paused')
  if (paused === undefined) throw new Error('none is paused')
  const { name, pid } = stateOf(running, paused.name)
  expect(others).toEqual([])
  expect(name).not.toBe(second)
  expect(paused).toMatchObject({ pid, role: null })
  expect((await space.kv('cluster', 'resume', name)).code).toBe(0)
  await eventually(async () => stateOf(await space.peek(), name).state === 'running')

  const rest = started.nodes.map(({ name }) => name).filter((name) => name !== second)
  expect((await space.kv('cluster', 'partition', second, rest.join(','))).code).toBe(0)
  await eventually(async () => rest.includes(leaderOf(await space.peek())))
  const minority = stateOf(started, second).url
  const majority = stateOf(started, first).url
  expect((await space.kv('put', 'a', '2', '--endpoints', majority)).code).toBe(0)
  const [read, written, stale] = await Promise.all([
    space.kv('get', 'a', '--endpoints', minority, '--timeout', '1s'),
    space.kv('put', 'a', '3', '--endpoints', minority, '--timeout', '1s'),
    space.kv('get', 'a', '--endpoints', minority, '--consistency', 'stale'),
  ])
  expect(read.code).toBe(5)
  expect([5, 6]).toContain(written.code)
  expect(stale).toMatchObject({ code: 0, stdout: '1' })

  expect((await space.kv('cluster', 'heal')).code).toBe(0)
  const healed = await space.kv('get', 'a', '--endpoints', minority)
  expect(healed).toMatchObject({ code: 0, stdout: expect.stringMatching(/^[23]$/) })

  // All of them crash, and come back one after the other.
  const names = started.nodes.map(({ name }) => name)
  for (const node of names) await space.tell({ command: 'kill', node })
  for (const words of [
    ['kill', 'leader'],
    ['pause', 'follower'],
    ['partition', 'leader'],
  ])
    expect((await space.kv('cluster', ...words)).code).toBe(1)
  for (const node of names) await space.tell({ command: 'restart', node })
  expect((await space.kv('get', 'a')).stdout).toMatch(/^[23]$/)

  // A partition that resets, and the names it takes.
  const cut = await space.kv('cluster', 'partition', 'leader', '--reset')
  expect(cut).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Cut: n\d \| n\d n\d/) })
  await space.tell({ command: 'heal' })
  expect((await space.kv('cluster', 'partition', 'n1', 'n9')).code).toBe(2)
  expect((await space.kv('cluster', 'kill', 'n9')).code).toBe(2)

  // A paused node is stopped like the others.
  const { nodes } = await space.peek()
  await space.tell({ command: 'pause', node: 'n2' })
  expect((await space.kv('cluster', 'stop')).code).toBe(0)
  for (const { pid } of nodes) expect(await isGone(pid ?? 0)).toBe(true)
})

test('a node that has lost its data, or has it damaged, comes back only as a fresh replica', async () => {
  const space = await Workspace.open()
  const started = await space.start()
  expect((await space.kv('put', 'a', '1')).code).toBe(0)

  const wiped = followersOf(started)[0]
  // While it runs: what it acknowledged from then on would be in files that nobody will find.
  renameSync(space.path(wiped), join(space.dir, 'lost'))
  await eventually(async () => stateOf(await space.peek(), wiped).state === 'stopped')
  const refused = await space.kv('cluster', 'restart', wiped)
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain(`quorate cluster rejoin ${wiped}`)
  expect((await space.kv('cluster', 'rejoin', wiped)).code).toBe(0)

  const damaged = followersOf(started)[1]
  // So they would when its files were put back from a copy, each that had changed.
  copyFileSync(space.path(damaged, 'WATERMARK'), join(space.dir, 'copy'))
  renameSync(join(space.dir, 'copy'), space.path(damaged, 'WATERMARK'))
  await eventually(async () => stateOf(await space.peek(), damaged).state === 'stopped')
  damage(space.path(damaged))
  const unopened = await space.kv('cluster', 'restart', damaged)
  expect(unopened.code).toBe(1)
  expect(unopened.stderr).toContain(`quorate cluster rejoin ${damaged}`)
  expect((await space.kv('cluster', 'rejoin', damaged)).code).toBe(0)
  expect(existsSync(space.path(`${damaged}.old-1`))).toBe(true)

  await eventually(async () => new Set(await hashesOf(started)).size === 1)

  // A start that finds such a node runs the others, and says so.
  await space.tell({ command: 'stop' })
  rmSync(space.path(wiped), { recursive: true })
  const partly = await space.kv('cluster', 'start', '--detach', '--port', String(space.port + 1))
  expect(partly.code).toBe(1)
  expect(partly.stderr).toContain(`quorate cluster rejoin ${wiped}`)
  // In a copy, the original's may be there.
  expect(partly.stderr).toContain(`look for ${wiped} at ${stateOf(started, wiped).url}`)
  expect(stateOf(await space.peek(), wiped).state).toBe('stopped')
  expect((await space.kv('cluster', 'rejoin', wiped)).code).toBe(0)

  // A start without a majority says so, and waits for nobody who cannot come.
  await space.tell({ command: 'stop' })
  for (const lost of ['n2', 'n3']) rmSync(space.path(lost), { recursive: true })
  const { code, stderr } = await space.kv('cluster', 'start', '--detach')
  expect(code).toBe(1)
  expect(stderr).toMatch(/n1 runs .* majority/)
  expect(stderr).toContain('n2 has lost its data')
  expect((await space.peek()).nodes.map(({ state }) => state)).toEqual(['running', 'stopped', 'stopped'])
})

test('a healthy node is made a fresh replica only on purpose, and also while another is being restarted', async () => {
  const space = await Workspace.open()
  const started = await space.start()
  expect((await space.kv('put', 'a', '1')).code).toBe(0)
  const [restarted, replaced] = followersOf(started)
  for (const words of [['destroy'], ['rejoin', replaced], ['rejoin', 'follower']]) {
    const refused = await space.kv('cluster', ...words)
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') })
  }
  expect((await space.peek()).nodes.map(({ pid }) => pid)).toEqual(started.nodes.map(({ pid }) => pid))
  expect(existsSync(space.path(`${replaced}.old-1`))).toBe(false)

  await space.tell({ command: 'kill', node: restarted })
  const restart = space.kv('cluster', 'restart', restarted)
  await eventually(async () => stateOf(await space.peek(), restarted).state !== 'stopped')
  const rejoin = space.kv('cluster', 'rejoin', replaced, '--yes')
  expect([await restart, await rejoin]).toMatchObject([{ code: 0 }, { code: 0 }])
  await eventually(async () => new Set(await hashesOf(started)).size === 1)

  // Each of two needs the data of the other.
  const both = [restarted, replaced].map((node) => ({ command: 'rejoin', node, evenHealthy: true }) as const)
  const said = await Promise.all(both.map((request) => space.tell(request)))
  for (const sentence of said) expect(sentence).toContain('is a voter again')
  expect(await space.kv('get', 'a')).toMatchObject({ code: 0, stdout: '1' })
  // What does not run is deleted without a question.
  await space.tell({ command: 'stop' })
  expect((await space.kv('cluster', 'destroy')).code).toBe(0)
})

test('a cluster goes on at other ports', async () => {
  const space = await Workspace.open()
  await space.start('--nodes', '4')
  expect((await space.kv('put', 'a', '1')).code).toBe(0)
  await space.tell({ command: 'stop' })
  const child = space.spawn('cluster', 'start', '--detach', '--port', String(space.port + 1))
  const started = outcomeOf(child)
  await once(child.stdout ?? child, 'data')
  // Whatever node a client asks, it learns where they all are now: in a copy, the original may be where they were.
  const urls = [1, 2, 3, 4].map((at) => `http://127.0.0.1:${space.port + at}`)
  const told = urls.map(async (url) => {
    const { members } = JSON.parse(await (await fetch(`${url}/v1/cluster`)).text())
    return members.map((member: { url: string }) => member.url).sort()
  })
  expect(await Promise.all(told)).toEqual(urls.map(() => urls))
  expect((await started).code).toBe(0)
  const moved = await space.peek()
  expect(moved.nodes.map(({ role }) => role).sort()).toEqual(['follower', 'follower', 'follower', 'leader'])
  expect(await space.kv('get', 'a')).toMatchObject({ code: 0, stdout: '1' })
})

test('a process that LevelDB aborts is told from one that was killed', async () => {
  const space = await Workspace.open()
  const started = await space.start('--nodes', '1')
  process.kill(started.nodes[0]?.pid ?? 0, 'SIGABRT')
  await eventually(async () => stateOf(await space.peek(), 'n1').state === 'stopped')
  const { code, stderr } = await space.kv('cluster', 'status')
  expect(code).toBe(0)
  expect(stderr).toContain('quorate cluster rejoin n1')
  // Nobody could take its place: the data stays where it is.
  expect((await space.kv('cluster', 'rejoin', 'n1')).code).toBe(5)
  expect(existsSync(space.path('n1'))).toBe(true)
  expect((await space.kv('cluster', 'restart', 'n1')).code).toBe(0)
})

test('nodes do not outlive a supervisor that was killed, paused ones neither', async () => {
  const space = await Workspace.open()
  const started = await space.start('--nodes', '2')
  expect((await space.kv('put', 'a', '1')).code).toBe(0)
  await space.tell({ command: 'pause', node: 'n2' })
  process.kill(stateOf(started, 'n1').pid ?? 0, 'SIGSTOP')

  process.kill(supervisorPid(space), 'SIGKILL')
  await eventually(async () => {
    const gone = await Promise.all(started.nodes.map(({ pid }) => isGone(pid ?? 0)))
    return gone.every(Boolean)
  })
  expect((await space.kv('cluster', 'status')).code).toBe(7)

  await space.start()
  expect(await space.kv('get', 'a')).toMatchObject({ code: 0, stdout: '1' })
})

test('in the foreground it prints a table and what to try, and ends on Ctrl-C, which may come twice at once', async () => {
  const space = await Workspace.open()
  const child = space.spawn('cluster', 'start', '--nodes', '2', '--port', String(space.port))
  const ended = outcomeOf(child)
  let shown = ''
  child.stdout?.on('data', (chunk) => {
    shown += chunk
  })
  await eventually(() => shown.includes('Ctrl-C'))
  const { nodes } = await space.peek()
  child.kill('SIGINT')
  child.kill('SIGINT')
  const { code, stdout } = await ended
  expect(code).toBe(130)
  for (const { name, url } of nodes) expect(stdout).toMatch(new RegExp(`${name} +${url} +(leader|follower)`))
  expect(stdout).toContain('put greeting hello')
  for (const { pid } of nodes) expect(await isGone(pid ?? 0)).toBe(true)
})

test('a client port that is taken is named, and nothing is left running', async () => {
  const space = await Workspace.open()
  const other = createServer().listen(space.port + 1, '127.0.0.1')
  await once(other, 'listening')
  const { code, stderr } = await space.kv('cluster', 'start', '--detach', '--port', String(space.port))
  other.close()
  expect(code).toBe(1)
  expect(stderr).toContain(String(space.port + 1))
  expect((await space.kv('cluster', 'status')).code).toBe(7)
  expect(await isFree(space.port)).toBe(true)
})

test('a restart that is overtaken by a stop starts nothing', async () => {
  const space = await Workspace.open()
  await space.start('--nodes', '1')
  const supervisor = await findSupervisor(space.path())
  if (supervisor === undefined) throw new Error('no supervisor')
  const restarted = ask(supervisor, { command: 'restart', node: 'n1' })
  const stopped = ask(supervisor, { command: 'stop' })
  expect(await stopped).toMatchObject({ ok: true })
  expect(await restarted).toMatchObject({ ok: false })
  await eventually(() => isGone(supervisor.pid))
  for (const offset of [0, 1, 2]) expect(await isFree(space.port + offset)).toBe(true)
  await space.start()
})

/** LevelDB takes the file that CURRENT names; this one names none. */
function damage(dir: string): void {
  const [current] = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /(^|\/)CURRENT$/.test(path),
  )
  if (current === undefined) throw new Error(`no CURRENT in ${dir}`)
  appendFileSync(join(dir, current), 'x')
}

async function hashesOf(status: StatusJson): Promise<string[]> {
  return Promise.all(
    status.nodes.map(async ({ url }) => {
      const status = JSON.parse(await (await fetch(`${url}/v1/status`)).text())
      return `${status.applied_index} ${status.state_hash}`
    }),
  )
}
