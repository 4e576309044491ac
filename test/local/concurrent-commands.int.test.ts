// Commands that run at the same time, and obstacles in the way of one: each ends with its result or with a reason.

import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { isFree } from '../../src/local/addresses.ts'
import { succeeded } from '../../src/local/cluster/control-protocol.ts'
import { writeClusterFile } from '../../src/local/directory/cluster-file.ts'
import { destroyCluster, stopCluster } from '../../src/local/supervisor/stop-cluster.ts'
import { LOCK_DIRECTORY, lockDirectory } from '../../src/local/supervisor/supervisor-lock.ts'
import { failingFs } from './failing-fs.ts'
import { eventually, outcomeOf, startSupervisor, Workspace } from './kv.ts'

function temporaryDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-commands-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

test('a stop finds a start that has just begun', async () => {
  const space = await Workspace.open()
  const started = outcomeOf(space.spawn('cluster', 'start', '--nodes', '1', '--port', String(space.port)))
  await eventually(() => existsSync(space.path(LOCK_DIRECTORY)), 1)
  expect(await stopCluster(space.path())).toBe(true)
  expect(await isFree(space.port)).toBe(true)
  expect((await started).stdout).not.toContain('Ctrl-C')
  expect(await stopCluster(space.path())).toBe(false)
})

test('a cluster that is started while destroy runs is not ended without consent', async () => {
  const dir = temporaryDirectory()
  writeClusterFile(dir, {
    cluster_id: '7',
    supervisor: null,
    nodes: [{ name: 'n1', url: 'http://127.0.0.1:1', pid: null, peer_port: null, stage: 'member' }],
  })
  const destroyed = destroyCluster(dir, async () => {
    throw new Error('no consent')
  })
  // Destroy has found no supervisor. Now this one locks the directory.
  const lock = await lockDirectory(dir, async () => succeeded(''))
  if ('holder' in lock) throw new Error('destroy was first')
  onTestFinished(() => lock.release())
  await expect(destroyed).rejects.toThrow('no consent')
  expect(existsSync(join(dir, 'cluster.json'))).toBe(true)
})

test('on a full disk a cluster can be deleted, and what cannot be written is named', async () => {
  const dir = temporaryDirectory()
  const node = { name: 'n1', url: 'http://127.0.0.1:7301', pid: null, peer_port: null, stage: 'new' } as const
  const write = (): void => writeClusterFile(dir, { cluster_id: null, supervisor: null, nodes: [node] })
  write()
  failingFs('openSync', 'cluster.json.new', 'ENOSPC')
  expect(write).toThrow(/cannot write .*cluster\.json: the disk is full; free space/)
  writeFileSync(join(dir, 'n1.log'), '{}')
  failingFs('writeFileSync', LOCK_DIRECTORY, 'ENOSPC')
  expect(await destroyCluster(dir, async () => {})).toBe(true)
  expect(existsSync(dir)).toBe(false)
})

test('destroy deletes no files of others, and nothing without cluster.json', async () => {
  const dir = temporaryDirectory()
  mkdirSync(join(dir, 'n1'))
  await expect(destroyCluster(dir, async () => {})).rejects.toThrow('nothing was deleted')
  writeFileSync(join(dir, 'cluster.json'), '')
  writeFileSync(join(dir, 'notes.txt'), '')
  await expect(destroyCluster(dir, async () => {})).rejects.toThrow('is damaged')
  const node = { name: 'n1', url: 'http://127.0.0.1:7301', pid: null, peer_port: null, stage: 'new' } as const
  writeClusterFile(dir, { cluster_id: null, supervisor: null, nodes: [node] })
  expect(await destroyCluster(dir, async () => {})).toBe(true)
  expect([existsSync(join(dir, 'n1')), existsSync(join(dir, 'notes.txt'))]).toEqual([false, true])
})

test('a node whose program is gone, as after an upgrade, does not start, and the reason is reported', async () => {
  const space = await Workspace.open()
  const { execPath } = process
  process.execPath = '/nowhere/node'
  try {
    const starting = startSupervisor(space)
    // Before it holds the lock. It creates the directory again.
    rmSync(space.path(), { recursive: true })
    await expect((await starting).formed()).rejects.toThrow('n1 ended: spawn /nowhere/node ENOENT')
  } finally {
    process.execPath = execPath
  }
})

test('a directory may be a symlink', async () => {
  const space = await Workspace.open()
  const real = join(space.dir, 'real')
  mkdirSync(real)
  mkdirSync(join(space.dir, '.kv'))
  symlinkSync('../real', space.path())
  const supervisor = await startSupervisor(space)
  await supervisor.formed()
  await supervisor.stop()
  expect(existsSync(join(real, 'n1/IDENTITY'))).toBe(true)
  expect(await destroyCluster(space.path(), async () => {})).toBe(true)
  expect(existsSync(real)).toBe(true)
})
