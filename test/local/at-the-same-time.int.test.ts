// Commands that cross each other, and things in the way of one: each ends, with what it was asked for or with a reason.

import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { writeClusterFile } from '../../src/local/cluster-file.ts'
import { isFree as isPortFree } from '../../src/local/free-ports.ts'
import { destroyCluster, stopCluster } from '../../src/local/stop.ts'
import { Supervisor } from '../../src/local/supervisor.ts'
import { findSupervisor, LOCK_FILE } from '../../src/local/supervisor-lock.ts'
import { eventually, isFree, outcomeOf, Workspace } from './kv.ts'

test('a stop finds a start that has just begun', async () => {
  const space = await Workspace.open()
  const started = outcomeOf(space.spawn('cluster', 'start', '--nodes', '1', '--port', String(space.port)))
  await eventually(() => existsSync(space.path('supervisor.lock')), 1)
  expect(await stopCluster(space.path())).toBe(true)
  expect(await isFree(space.port)).toBe(true)
  expect((await started).stdout).not.toContain('Ctrl-C')
  expect(await stopCluster(space.path())).toBe(false)
})

test('a start waits until a cluster is deleted', async () => {
  const space = await Workspace.open()
  await space.start('--nodes', '1')
  await space.kv('cluster', 'stop')
  // Deleting takes a while.
  for (let at = 0; at < 3000; at++) mkdirSync(space.path(`n1.old-1/${at}`), { recursive: true })
  const deleted = space.kv('cluster', 'destroy')
  await eventually(() => !existsSync(space.path('n1/IDENTITY')), 1)
  const { cluster_id } = await space.start('--nodes', '1')
  expect(await deleted).toMatchObject({ code: 0 })
  expect(await space.kv('put', 'a', '1')).toMatchObject({ code: 0 })
  await space.kv('cluster', 'kill', 'n1')
  await space.kv('cluster', 'restart', 'n1')
  expect(await space.kv('get', 'a')).toMatchObject({ code: 0, stdout: '1' })
  expect((await space.status()).cluster_id).toBe(cluster_id)
})

test('a start whose directory is deleted before it has the lock makes it anew', async () => {
  const space = await Workspace.open()
  const options = { dataDir: space.path(), nodes: 1, port: space.port, direct: true }
  const begun = Supervisor.start(options)
  rmSync(space.path(), { recursive: true })
  const supervisor = await begun
  if (!(supervisor instanceof Supervisor)) throw new Error('somebody else runs it')
  expect((await supervisor.formed()).status.leader).toBe('n1')
  await supervisor.stop()
})

test('what somebody else deletes first need not be deleted', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-destroyed-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  let asked = 0
  // The lock names a stranger. Who wants to take it asks there once more, and meanwhile everything is deleted.
  const stranger = createServer((_, answer) => {
    asked += 1
    if (asked === 2) rmSync(dir, { recursive: true })
    answer.end('{}')
  })
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void stranger.close())
  const address = stranger.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const control = `http://127.0.0.1:${address.port}`
  writeFileSync(join(dir, LOCK_FILE), JSON.stringify({ pid: process.pid, control, token: 'old' }))
  expect(await destroyCluster(dir, async () => {})).toBe(false)
})

test('on a full disk a cluster can be deleted, and what cannot be written is named', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-full-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const full = (name: string): void => symlinkSync('/dev/full', join(dir, name))
  const node = { name: 'n1', url: 'http://127.0.0.1:7301', pid: null, peer_port: null, stage: 'new' } as const
  const write = (): void => writeClusterFile(dir, { cluster_id: null, supervisor: null, nodes: [node] })
  write()
  full('cluster.json.new')
  expect(write).toThrow(/cluster\.json cannot be written: the disk is full\. Free space/)
  writeFileSync(join(dir, 'n1.log'), '{}')
  full(`${LOCK_FILE}.${process.pid}`)
  expect(await destroyCluster(dir, async () => {})).toBe(true)
  expect(existsSync(dir)).toBe(false)
})

test('a node whose program is gone, as after an upgrade, is not started, and why is said', async () => {
  const space = await Workspace.open()
  const { execPath } = process
  process.execPath = '/nowhere/node'
  try {
    const options = { dataDir: space.path(), nodes: 1, port: space.port, direct: true }
    const supervisor = await Supervisor.start(options)
    if (!(supervisor instanceof Supervisor)) throw new Error('somebody else runs it')
    await expect(supervisor.formed()).rejects.toThrow('n1 ended: spawn /nowhere/node ENOENT')
  } finally {
    process.execPath = execPath
  }
})

test('a port that only root may have is not taken by another program', async () => {
  const isRoot = process.geteuid?.() === 0
  if (isRoot) process.seteuid?.(65_534)
  try {
    expect(await isPortFree(1)).toBe(true)
  } finally {
    if (isRoot) process.seteuid?.(0)
  }
})

test('a connection to the supervisor that says nothing does not hold it up', async () => {
  const space = await Workspace.open()
  await space.start('--nodes', '1')
  const { control = '' } = (await findSupervisor(space.path())) ?? {}
  for (const words of ['', 'GET / HTTP/1.1\r\nHo']) {
    const socket = connect(Number(new URL(control).port), '127.0.0.1').on('error', () => {})
    await once(socket, 'connect')
    socket.write(words)
  }
  expect((await space.kv('cluster', 'stop')).code).toBe(0)
})

test('a start that cannot have the lock ends with the reason', async () => {
  const space = await Workspace.open()
  const noFiles = await space.kv('cluster', 'start', '--data', '/proc/self', '--port', String(space.port))
  expect(noFiles).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^error: \S+supervisor\.lock cannot be written: [a-z ]+\.$/m),
  })

  mkdirSync(space.path('supervisor.lock'), { recursive: true })
  const noLock = await space.kv('cluster', 'start', '--port', String(space.port))
  expect(noLock).toMatchObject({ code: 1, stderr: expect.stringContaining('supervisor.lock') })
})

test('one that is being started is there for everybody', async () => {
  const space = await Workspace.open()
  const started = space.start('--nodes', '1')
  await eventually(() => existsSync(space.path('supervisor.lock')))
  expect((await space.status()).nodes).toHaveLength(1)
  await started
})
