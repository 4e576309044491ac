// kv node start: which directory may become which node, and how a node ends.

import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, constants, existsSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { eventually, KV, outcomeOf, Workspace } from './kv.ts'

test('a directory founds a cluster once, and is known again by itself', async () => {
  const space = await Workspace.open()
  const flags = flagsOf(space)
  const empty = await space.kv('node', 'start', ...flags)
  expect(empty.code).toBe(2)
  expect(empty.stderr).toContain('--bootstrap')
  expect(existsSync(join(space.dir, 'n1'))).toBe(false)
  const both = await space.kv('node', 'start', ...flags, '--bootstrap', '--join', 'http://127.0.0.1:1')
  expect(both.code).toBe(2)

  const founded = await serving(space, ...flags, '--bootstrap')
  founded.child.kill('SIGTERM')
  expect((await founded.ended).code).toBe(0)

  const again = await space.kv('node', 'start', ...flags, '--bootstrap')
  expect(again.code).toBe(2)
  expect(again.stderr).toContain('is in use')

  const known = await serving(space, ...flags)
  expect(known.clusterId).toBe(founded.clusterId)
  // It ends on signals that ask it to end, and on no other.
  known.child.kill('SIGUSR2')
  const second = await space.kv('node', 'start', ...flags)
  expect(second.code).toBe(1)
  // Nobody reads its last words, and a new start must see all the same that it has ended.
  const unread = fullPipe(space)
  const third = spawnSync(process.execPath, [KV, 'node', 'start', ...flags], {
    cwd: space.dir,
    stdio: ['ignore', 'ignore', unread],
    timeout: 120_000,
  })
  closeSync(unread)
  expect(third.status).toBe(1)

  // npm passes on the Ctrl-C that the terminal has delivered already: twice is once.
  known.child.kill('SIGINT')
  known.child.kill('SIGINT')
  const { code, stdout, stderr } = await known.ended
  expect({ code, stdout }).toEqual({ code: 130, stdout: '' })
  const log = stderr.trim().split('\n')
  expect(log.map((line) => JSON.parse(line).node)).toEqual(log.map(() => 'n1'))
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

test('a node that looks for its cluster ends on the first signal', async () => {
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

/** Of which nobody reads. */
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
