// A local cluster and its directory, when that is moved, copied, deleted, or reached through a symlink.

import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { stopCluster } from '../../src/local/stop.ts'
import { isFree, isGone, outcomeOf, Workspace } from './kv.ts'

test('a directory that is moved while its cluster runs: the cluster ends, and goes on at its new place', async () => {
  const space = await Workspace.open()
  const { nodes } = await space.start('--nodes', '2')
  expect((await space.kv('put', 'a', '1')).code).toBe(0)
  const moved = join(space.dir, 'moved')
  renameSync(space.path(), moved)
  // Asked at its new place at once, or left alone.
  expect(await space.kv('cluster', 'stop', '--data', moved)).toMatchObject({ code: 0 })
  for (const { pid } of nodes) expect(await isGone(pid ?? 0)).toBe(true)

  const again = await space.start('--data', moved)
  renameSync(moved, space.path())
  // Nothing is left at the old one that would say who runs.
  await stopCluster(moved)
  for (const { pid } of again.nodes) expect(await isGone(pid ?? 0)).toBe(true)
  for (const offset of [0, 1, 2]) expect(await isFree(space.port + offset)).toBe(true)
  const none = await space.kv('cluster', 'stop', '--data', moved)
  expect(none).toMatchObject({ code: 0, stderr: expect.stringContaining('there is no such directory') })
  await space.start()
  expect(await space.kv('get', 'a')).toMatchObject({ code: 0, stdout: '1' })

  // A copy is another cluster, which does not run.
  cpSync(space.path(), moved, { recursive: true })
  expect((await space.kv('cluster', 'status', '--data', moved)).code).toBe(7)
  expect((await space.kv('cluster', 'destroy', '--data', moved)).code).toBe(0)
  expect(await space.kv('get', 'a')).toMatchObject({ code: 0, stdout: '1' })
})

function linkFiles(from: string, to: string): void {
  mkdirSync(to)
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const link = entry.isDirectory() ? linkFiles : linkSync
    link(join(from, entry.name), join(to, entry.name))
  }
}

test.each([
  ['is gone', (path: string) => rmSync(path, { recursive: true })],
  [
    'is empty',
    (path: string) => {
      for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true })
    },
  ],
  [
    'holds what was there before',
    (path: string) => {
      const backup = { ...JSON.parse(readFileSync(join(path, 'cluster.json'), 'utf8')), supervisor: null }
      for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true })
      writeFileSync(join(path, 'cluster.json'), JSON.stringify(backup))
    },
  ],
  [
    'holds, beside its lock, what was there before',
    (path: string) => {
      const file = join(path, 'cluster.json')
      writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), supervisor: null }))
    },
  ],
  [
    'holds a copy that was made of it while it ran',
    (path: string) => {
      const copy = `${path}-copy`
      cpSync(path, copy, { recursive: true })
      for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true })
      cpSync(copy, path, { recursive: true })
    },
  ],
  [
    'is another one with hard links to its files',
    (path: string) => {
      renameSync(path, `${path}-moved`)
      linkFiles(`${path}-moved`, path)
    },
  ],
])(
  'a supervisor in the foreground says that its directory %s, and stop waits for its end',
  async (_, empty) => {
    const space = await Workspace.open()
    const child = space.spawn('cluster', 'start', '--nodes', '1', '--port', String(space.port))
    const ended = outcomeOf(child)
    await once(child.stdout ?? child, 'data')
    empty(space.path())
    // A lock that names this supervisor may go.
    const files = (): string[] =>
      existsSync(space.path()) ? readdirSync(space.path()).filter((name) => name !== 'supervisor.lock') : []
    const left = files()
    // It looks at its directory by itself, too, and may have ended before.
    await stopCluster(space.path())
    expect(await isFree(space.port)).toBe(true)
    const { code, stderr } = await ended
    expect(code).toBe(1)
    expect(stderr).toContain('was moved, replaced, emptied or deleted')
    expect(files()).toEqual(left)
  },
)

test('a data directory may be a symlink', async () => {
  const space = await Workspace.open()
  mkdirSync(join(space.dir, 'real'))
  mkdirSync(join(space.dir, '.kv'))
  symlinkSync('../real', space.path())
  await space.start('--nodes', '1')
  expect((await space.kv('put', 'a', '1')).code).toBe(0)
  expect((await space.kv('cluster', 'destroy', '--yes')).code).toBe(0)
  expect(readdirSync(join(space.dir, 'real'))).toEqual([])
  await space.start('--nodes', '1')
  expect((await space.kv('get', 'a')).code).toBe(3)
})

test('with --direct, nobody else is called where a node listened before', async () => {
  const space = await Workspace.open()
  await space.start('--nodes', '2')
  await space.tell({ command: 'stop' })
  const { nodes } = JSON.parse(readFileSync(space.path('cluster.json'), 'utf8'))
  // As the nodes of the original would, when this were a copy.
  let calls = 0
  for (const { peer_port } of nodes) {
    const server = createServer((socket) => {
      calls++
      socket.destroy()
    })
    await new Promise<void>((resolve) => server.listen(peer_port, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
  }
  await space.start('--direct')
  expect(calls).toBe(0)
})
