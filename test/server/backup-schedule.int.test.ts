// Backups that a node makes by itself.

import { mkdirSync, readdirSync, rmSync, statfsSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { verifyFile } from '../../src/backup/file.ts'
import { type BackupTarget, backupName, DirectoryTarget, findBackups } from '../../src/backup/target.ts'
import { DirectoryDisk } from '../../src/server/node/directory-disk.ts'
import { backupRoom } from '../../src/server/start/backup-room.ts'
import { BackupSchedule } from '../../src/server/start/backup-schedule.ts'
import { NodeHost } from '../../src/server/start/host-status.ts'
import { startNode } from '../../src/server/start/start-node.ts'
import { temporaryDirectory } from '../backup/samples.ts'
import { FakeNode } from './http/fake-node.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const HOUR = 3_600_000

const unlimited = () => Number.POSITIVE_INFINITY

const scheduleOf = (node: FakeNode, target: BackupTarget, everyMs = HOUR, keep = 24) =>
  new BackupSchedule({ node, target, everyMs, keep, room: unlimited, logger: silent })

function leader(): FakeNode {
  const node = new FakeNode()
  node.role = 'leader'
  return node
}

test('the leader makes a backup when the newest is old enough, and no other node of the same directory does', async () => {
  const dir = join(temporaryDirectory(), 'backups')
  const node = new FakeNode()
  node.put('a', '1')
  const [first, second] = [
    scheduleOf(node, new DirectoryTarget(dir)),
    scheduleOf(node, new DirectoryTarget(dir)),
  ]
  node.role = 'follower'
  await first.check()
  expect(first.counts).toEqual({ lastSuccessMs: undefined, failuresTotal: 0, failure: undefined })
  node.role = 'leader'
  await first.check()
  const [name = ''] = readdirSync(dir)
  expect(name).toMatch(/^quorate-4242-.*-r2\.backup$/)
  expect((await verifyFile(join(dir, name))).state).toMatchObject({ keys: 1, revision: 2 })
  await first.check()
  await second.check()
  expect(readdirSync(dir)).toEqual([name])
  expect(second.counts.lastSuccessMs).toBe(first.counts.lastSuccessMs)
})

test('a backup has no age below zero, also when the clock is set back: no client could read the status', async () => {
  const dir = temporaryDirectory()
  const host = new NodeHost(new DirectoryDisk(dir), undefined)
  expect(host.lastBackupAgeMs).toBeUndefined()
  const backups = scheduleOf(leader(), new DirectoryTarget(join(dir, 'backups')))
  await backups.check()
  host.backups = backups
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - HOUR })
  onTestFinished(() => void vi.useRealTimers())
  expect(host.lastBackupAgeMs).toBe(0)
  vi.setSystemTime(Date.now() + 3 * HOUR)
  expect(host.lastBackupAgeMs).toBeGreaterThanOrEqual(HOUR)
})

test('the oldest are deleted, and files that are no backups of this cluster are left alone', async () => {
  const dir = temporaryDirectory()
  const now = Date.now()
  const others = ['letter.txt', backupName('77', now - 9 * HOUR, 3), 'quorate-4242.backup']
  const old = [9, 8, 7, 6].map((hours) => backupName('4242', now - hours * HOUR, 100 - hours))
  for (const name of [...others, ...old]) writeFileSync(join(dir, name), '')
  const node = new FakeNode()
  node.role = 'leader'
  await scheduleOf(node, new DirectoryTarget(dir), HOUR, 3).check()
  const left = readdirSync(dir)
  expect(left).toHaveLength(others.length + 3)
  expect(left).toEqual(expect.arrayContaining([...others, ...old.slice(2)]))
})

test('backups of a clock that was wrong neither stop the schedule nor push out the others', async () => {
  const dir = temporaryDirectory()
  const now = Date.now()
  const wrong = [1, 2].map((years) => backupName('4242', now + years * 365 * 24 * HOUR, 9))
  const right = [5, 4, 3, 2].map((hours) => backupName('4242', now - hours * HOUR, 100 - hours))
  for (const name of [...wrong, ...right]) writeFileSync(join(dir, name), '')
  const node = new FakeNode()
  node.role = 'leader'
  const schedule = scheduleOf(node, new DirectoryTarget(dir), HOUR, 5)
  await schedule.check()
  const left = readdirSync(dir)
  expect(left.filter((name) => !right.includes(name))).toHaveLength(1)
  expect(left).toEqual(expect.arrayContaining(right))
  // The age of the newest is that of the one just made, also for a node that starts now.
  const later = scheduleOf(node, new DirectoryTarget(dir), HOUR, 5)
  await later.check()
  expect(readdirSync(dir)).toEqual(left)
  expect(Math.abs((later.counts.lastSuccessMs ?? 0) - now)).toBeLessThan(HOUR)
})

test('a backup is made at once when somebody has deleted all of them', async () => {
  const dir = temporaryDirectory()
  const node = leader()
  const schedule = scheduleOf(node, new DirectoryTarget(dir))
  await schedule.check()
  for (const name of readdirSync(dir)) rmSync(join(dir, name))
  node.role = 'follower'
  await schedule.check()
  expect(schedule.counts.lastSuccessMs).toBeUndefined()
  node.role = 'leader'
  await schedule.check()
  expect(readdirSync(dir)).toHaveLength(1)
})

test('a file that another node deletes while this one lists is not in the list', async () => {
  const dir = temporaryDirectory()
  const [kept, gone] = [1, 2].map((at) => backupName('4242', at, at))
  writeFileSync(join(dir, kept ?? ''), 'abc')
  // Its name is there, and the file is not.
  symlinkSync(join(dir, 'deleted'), join(dir, gone ?? ''))
  expect(await new DirectoryTarget(dir).list('quorate-4242-')).toEqual([{ name: kept, bytes: 3 }])
})

test('a failure is counted, leaves no file, and the next check tries again', async () => {
  const dir = temporaryDirectory()
  const node = new FakeNode()
  node.role = 'leader'
  node.put('a', '1')
  const schedule = scheduleOf(node, new DirectoryTarget(dir))
  node.unread = new Error('a block cannot be read')
  await schedule.check()
  const failure = 'a block cannot be read'
  expect(schedule.counts).toEqual({ lastSuccessMs: undefined, failuresTotal: 1, failure })
  expect(readdirSync(dir)).toEqual([])
  node.unread = undefined
  node.problem = { code: 'no_quorum', detail: 'deposed', written: 'no' }
  await schedule.check()
  expect(schedule.counts.failuresTotal).toBe(2)
  node.problem = undefined
  await schedule.check()
  expect(schedule.counts.failure).toBeUndefined()
  expect(readdirSync(dir)).toHaveLength(1)
  expect(node.openScans).toBe(0)
})

test('a follower knows the age of the newest backup, and that it cannot reach the target', async () => {
  const dir = join(temporaryDirectory(), 'backups')
  const [first, second] = [leader(), new FakeNode()]
  const follower = scheduleOf(second, new DirectoryTarget(dir))
  await follower.check()
  expect([follower.counts.lastSuccessMs, readdirSync(dirname(dir))]).toEqual([undefined, []])
  const made = scheduleOf(first, new DirectoryTarget(dir))
  await made.check()
  await follower.check()
  expect(follower.counts).toEqual(made.counts)
  // After a change of the leader it neither makes another one nor forgets this one.
  second.role = 'leader'
  await follower.check()
  expect(follower.counts).toEqual(made.counts)
  expect(readdirSync(dir)).toHaveLength(1)
  const unreachable = scheduleOf(new FakeNode(), new DirectoryTarget(join(dir, readdirSync(dir)[0] ?? '')))
  await unreachable.check()
  expect(unreachable.counts).toMatchObject({ failuresTotal: 1, failure: expect.stringContaining('ENOTDIR') })
})

test('a leader that is deposed in the middle gives its backup up, and counts no failure', async () => {
  const dir = temporaryDirectory()
  const node = leader()
  for (let at = 0; at < 20; at++) node.put(`key ${at}`, 'x'.repeat(100_000))
  const schedule = scheduleOf(node, new DirectoryTarget(dir))
  node.onSlice = () => {
    node.role = 'follower'
  }
  await schedule.check()
  expect(readdirSync(dir)).toEqual([])
  expect(schedule.counts).toEqual({ lastSuccessMs: undefined, failuresTotal: 0, failure: undefined })
  node.onSlice = undefined
  node.role = 'leader'
  await schedule.check()
  expect(readdirSync(dir)).toHaveLength(1)
})

test('without room for as much as the last backup nothing is written, and nothing is deleted', async () => {
  const dir = temporaryDirectory()
  const node = leader()
  node.put('a', 'x'.repeat(1000))
  let left = 10_000
  const target = new DirectoryTarget(dir)
  const logged: string[] = []
  const logger = { ...silent, error: (_: object, message: string) => void logged.push(message) }
  const schedule = new BackupSchedule({ node, target, everyMs: 1, keep: 1, room: () => left, logger })
  await schedule.check()
  expect(schedule.counts.failuresTotal).toBe(0)
  const made = readdirSync(dir)
  left = statSync(join(dir, made[0] ?? '')).size - 1
  for (let times = 0; times < 3; times++) await schedule.check()
  expect(schedule.counts.failuresTotal).toBe(3)
  expect(schedule.counts.failure).toMatch(/backups in .* may take 1 MiB more of the file system of the data/)
  expect(readdirSync(dir)).toEqual(made)
  // A failure that lasts is logged once, and again after a success.
  expect(logged).toHaveLength(1)
  left = 10_000
  await schedule.check()
  expect(schedule.counts.failure).toBeUndefined()
  left = 0
  await schedule.check()
  expect(logged).toHaveLength(2)
  // The store may be larger than the last backup.
  const [large, empty] = [leader(), temporaryDirectory()]
  large.put('a', 'x'.repeat(20_000))
  const other = { node: large, target: new DirectoryTarget(empty), everyMs: 1, keep: 1, logger }
  await new BackupSchedule({ ...other, room: () => 20_000 }).check()
  expect(readdirSync(empty)).toEqual([])
})

test('a backup whose room runs out in the middle ends, and its file is deleted', async () => {
  const dir = temporaryDirectory()
  const node = leader()
  for (let at = 0; at < 60; at++) node.put(`key ${at}`, 'x'.repeat(300_000))
  let slices = 0
  node.onSlice = () => slices++
  const target = new DirectoryTarget(dir)
  const room = () => (slices < 30 ? 1e9 : 0)
  const schedule = new BackupSchedule({ node, target, everyMs: 1, keep: 1, room, logger: silent })
  await schedule.check()
  expect(schedule.counts.failure).toContain('may take 0 MiB more')
  expect(slices).toBeLessThan(59)
  expect(readdirSync(dir)).toEqual([])
  expect(node.openScans).toBe(0)
})

test('a backup that cannot be deleted costs no new one, and is a failure', async () => {
  const dir = temporaryDirectory()
  const now = Date.now()
  const names = [9, 8, 7, 6].map((hours) => backupName('4242', now - hours * HOUR, 100 - hours))
  // Neither can be deleted as a file.
  mkdirSync(join(dir, names[0] ?? ''))
  mkdirSync(join(dir, `${names[3]}.77.partial`))
  for (const name of names.slice(1)) writeFileSync(join(dir, name), '')
  const schedule = scheduleOf(leader(), new DirectoryTarget(dir), HOUR, 2)
  await schedule.check()
  expect(schedule.counts.failure).toContain(`${names[0]} cannot be deleted`)
  const left = readdirSync(dir).filter((name) => statSync(join(dir, name)).isFile())
  expect(left).toEqual([names[3], expect.stringMatching(/\.backup$/)])
  expect(schedule.counts.lastSuccessMs).toBeGreaterThanOrEqual(now)
})

test('a failure is tried again after twice the pause, at most after the interval, and stops with the node', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  onTestFinished(() => void vi.useRealTimers())
  const lists: number[] = []
  let isBroken = true
  const target: BackupTarget = {
    directory: '',
    list: async () => {
      lists.push(Date.now())
      if (isBroken) throw new Error('no list')
      return []
    },
    write: async () => {},
    delete: async () => {},
  }
  const begun = Date.now()
  const schedule = scheduleOf(new FakeNode(), target, 20 * 60_000)
  schedule.start()
  await vi.advanceTimersByTimeAsync(60 * 60_000)
  const minutes = () => lists.map((at, index) => Math.round((at - (lists[index - 1] ?? begun)) / 60_000))
  expect(minutes()).toEqual([0, 2, 4, 8, 16, 20])
  isBroken = false
  await vi.advanceTimersByTimeAsync(12 * 60_000)
  expect(minutes().slice(6)).toEqual([20, 1])
  // The pauses begin anew with the next failure.
  isBroken = true
  await vi.advanceTimersByTimeAsync(8 * 60_000)
  expect(minutes().slice(8)).toEqual([1, 2, 4])
  schedule.stop()
  await vi.advanceTimersByTimeAsync(10 * HOUR)
  expect(lists).toHaveLength(11)
  expect(vi.getTimerCount()).toBe(0)
})

test('room is what is free beyond twice the reserve on the file system of the data, and unlimited elsewhere', () => {
  const dir = temporaryDirectory()
  const { bavail, bsize } = statfsSync(dir)
  const free = bavail * bsize
  const reserve = Math.floor(free / 4)
  const missing = join(dir, 'not', 'yet')
  for (const target of [dir, missing]) {
    expect(backupRoom(target, dir, reserve) / (free - 2 * reserve)).toBeCloseTo(1, 1)
    expect(backupRoom(target, dir, free)).toBe(0)
  }
  if (process.platform === 'linux') expect(backupRoom('/proc', dir, free)).toBe(Number.POSITIVE_INFINITY)
})

test('names tell the cluster and the time', () => {
  const at = Date.UTC(2026, 10, 27, 3, 4, 5, 678)
  const name = backupName('123', at, 7)
  expect(name).toBe('quorate-123-20261127T030405678Z-r7.backup')
  const older = backupName('123', at - 1, 9)
  const impossible = name.replace('20261127', '20261327')
  const names = ['x', older, impossible, name, backupName('124', at, 7), `${name}.partial`]
  expect(
    findBackups(
      '123',
      names.map((each) => ({ name: each, bytes: 1 })),
    ),
  ).toEqual([
    { name, bytes: 1, timeMs: at },
    { name: older, bytes: 1, timeMs: at - 1 },
  ])
})

test('only what this cluster has left incomplete is deleted, whatever the target lists', async () => {
  const deleted: string[] = []
  const [own, ...others] = ['4242', '77', '42425'].map((id) => `${backupName(id, 1, 1)}.0a.partial`)
  const target: BackupTarget = {
    directory: '',
    list: async () => [own, ...others, 'x.partial'].map((name) => ({ name: name ?? '', bytes: 1 })),
    write: async () => {},
    delete: async (name) => void deleted.push(name),
  }
  await scheduleOf(leader(), target).check()
  expect(deleted).toEqual([own])
})

test('a node that was started with a target makes backups and reports them, until it stops', async () => {
  const stops = vi.spyOn(BackupSchedule.prototype, 'stop')
  onTestFinished(() => stops.mockRestore())
  const top = temporaryDirectory()
  const HOST = { host: '127.0.0.1', port: 0 }
  const node = await startNode({
    ...{ name: 'n1', dataDir: join(top, 'data'), listen: HOST, peerListen: HOST, diskReserveBytes: 0 },
    founding: { kind: 'bootstrap' },
    backup: { to: join(top, 'backups'), everyMs: 1000, keep: 1 },
  })
  try {
    const made = () => readdirSync(top).includes('backups') && readdirSync(join(top, 'backups'))
    await expect.poll(made, { timeout: 10_000 }).toEqual([expect.stringMatching(/\.backup$/)])
    const metrics = async () => (await fetch(`${node.url}/metrics`)).text()
    await expect.poll(metrics).toMatch(/quorate_backup_last_success_timestamp_seconds 1/)
    expect(await metrics()).toMatch(/quorate_backup_failures_total 0/)
    expect(await metrics()).toMatch(/quorate_backup_interval_seconds 1\n/)
    const status = (await (await fetch(`${node.url}/v1/status`)).json()) as Record<string, number>
    expect(status).toMatchObject({ last_backup_age_ms: expect.any(Number), certificates: [] })
    expect(status.disk_total_bytes).toBeGreaterThan(status.disk_free_bytes ?? 0)
    expect(stops).not.toHaveBeenCalled()
  } finally {
    await node.stop()
  }
  expect(stops).toHaveBeenCalledOnce()
})
