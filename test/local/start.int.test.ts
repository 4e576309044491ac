// `kv cluster start` in the foreground, and starts that are refused: the obstacle is named, and nothing is formatted.

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isFree } from '../../src/local/addresses.ts'
import { runTogether } from '../cli/run-kv.ts'
import { eventually, isGone, KV, nodeOf, outcomeOf, Workspace } from './kv.ts'

const canMount = (() => {
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

test('in the foreground it prints a table and commands, and ends on Ctrl-C, which may come twice at once', async () => {
  const space = await Workspace.open()
  const child = space.spawn('cluster', 'start', '--nodes', '2', '--port', String(space.port))
  const ended = outcomeOf(child)
  let shown = ''
  child.stdout?.on('data', (chunk) => {
    shown += chunk
  })
  await eventually(() => shown.includes('Ctrl-C'))
  const { nodes } = await space.status()
  await space.execute({ command: 'kill', node: 'n2' })
  child.kill('SIGINT')
  child.kill('SIGINT')
  const { code, stdout, stderr } = await ended
  expect(code).toBe(130)
  for (const { name, url } of nodes) expect(stdout).toMatch(new RegExp(`${name} +${url} +(leader|follower)`))
  expect(stdout).toContain('put greeting hello')
  expect(stderr).toMatch(/n2 is killed \(process \d+\)/)
  for (const { pid } of nodes) expect(isGone(pid ?? 0)).toBe(true)
})

test('a taken client port is named, nothing is formatted, and no process is left', async () => {
  const space = await Workspace.open()
  const other = createServer().listen(space.port + 1, '127.0.0.1')
  await once(other, 'listening')
  const { code, stderr } = await space.kv('cluster', 'start', '--detach', '--port', String(space.port))
  other.close()
  expect(code).toBe(1)
  expect(stderr).toContain(`port ${space.port + 1}, the client port of n2, is in use`)
  expect(existsSync(space.path('n1'))).toBe(false)
  expect((await space.kv('cluster', 'status')).code).toBe(7)
  expect(await isFree(space.port)).toBe(true)
})

test('a supervisor that was started as kv names kv in its messages', async () => {
  const space = await Workspace.open()
  space.program = join(space.dir, 'kv')
  symlinkSync(KV, space.program)
  const started = await space.start('--nodes', '1')
  process.kill(started.nodes[0]?.pid ?? 0, 'SIGABRT')
  await eventually(async () => nodeOf(await space.status(), 'n1').state === 'stopped')
  expect((await space.send({ command: 'resume', node: 'n1' })).message).toContain('kv cluster restart n1')
  const hint = '; if the data of n1 is damaged or lost: kv cluster rejoin n1'
  expect((await space.send({ command: 'status' })).message).toContain(hint)
  expect(readFileSync(space.path('supervisor.log'), 'utf8')).toContain(`${hint}\n`)
})

test.runIf(canMount)('a read-only file system is named, wherever a file is to be written', async () => {
  const { dir, port } = await Workspace.open()
  const start = (...flags: string[]) => ['cluster', 'start', '--port', `${port}`, ...flags]
  const addresses = ['--listen', '127.0.0.1:0', '--peer-listen', '127.0.0.1:0']
  const commands = [
    start('--data', 'empty/c'),
    start('--data', 'empty', '--detach'),
    ['node', 'start', '--name', 'n1', '--data', 'empty/n1', ...addresses, '--bootstrap'],
    start('--data', 'empty'),
  ]
  const mounted = 'mkdir empty && mount -t tmpfs -o ro tmpfs empty && exec "$@"'
  const within = ['unshare', '-m', 'sh', '-c', mounted, 'sh']
  const runs = commands.map((args) => ({ args, cwd: dir }))
  expect(await runTogether(runs, { within, cwd: dir })).toEqual(
    [
      /^error: cannot create .*\/empty\/c: read-only file system; .* --data\n$/,
      /^error: cannot write .*\/empty\/supervisor\.log: read-only file system\n$/,
      /^error: .*read-only file system/,
      /^error: cannot write .*\/empty\/supervisor\.lock: read-only file system\n$/,
    ].map((text) => ({ code: 1, text: expect.stringMatching(text) })),
  )
})

test('a directory that cannot be created is named with the reason', async () => {
  const space = await Workspace.open()
  writeFileSync(join(space.dir, 'file'), '')
  // On Linux /proc reports every new name as missing.
  const reasons = [
    ['file', 'not a directory'],
    ['/proc/a/b', '(no such file or directory|not permitted|permission denied|read-only.*)'],
  ] as const
  for (const [data, reason] of reasons) {
    const { code, stderr } = await space.kv('cluster', 'start', '--data', data, '--detach')
    expect(code).toBe(1)
    expect(stderr).toMatch(new RegExp(`^error: cannot create .*${data}: ${reason}; .* --data\n$`))
  }
})

test('with too few open files nothing is started, and the limit is named', async () => {
  const { dir, port } = await Workspace.open()
  const commands = [['--detach'], ['--nodes', '9']].map((flags) => ({
    args: ['cluster', 'start', '--port', `${port}`, ...flags],
    cwd: dir,
  }))
  const within = ['sh', '-c', 'ulimit -n 90; exec "$@"', 'sh']
  expect(await runTogether(commands, { within })).toEqual(
    ['3 needs 210', '9 needs 408'].map((needs) => ({
      code: 1,
      text: expect.stringMatching(
        `^error: this process may have 90 open files, .* ${needs}; .* ulimit -n 4096\n$`,
      ),
    })),
  )
  expect(existsSync(join(dir, '.kv/cluster/n1'))).toBe(false)
})
