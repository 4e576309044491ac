// Backups that a node makes by itself.

import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { verifyFile } from '../../src/backup/file.ts'
import { type BackupTarget, backupName, backupsOf, DirectoryTarget } from '../../src/backup/target.ts'
import { BackupSchedule } from '../../src/server/backup-schedule.ts'
import { startNode } from '../../src/server/start-node.ts'
import { temporaryDirectory } from '../backup/samples.ts'
import { FakeNode } from './http/fake-node.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const HOUR = 3_600_000

const scheduleOf = (node: FakeNode, target: BackupTarget, everyMs = HOUR, keep = 24) =>
  new BackupSchedule({ node, target, everyMs, keep, logger: silent })

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

test('names tell the cluster and the time', () => {
  const at = Date.UTC(2026, 10, 27, 3, 4, 5, 678)
  const name = backupName('123', at, 7)
  expect(name).toBe('quorate-123-20261127T030405678Z-r7.backup')
  const older = backupName('123', at - 1, 9)
  expect(backupsOf('123', ['x', older, name, backupName('124', at, 7), `${name}.partial`])).toEqual([
    { name, timeMs: at },
    { name: older, timeMs: at - 1 },
  ])
})

test('a node that was started with a target makes backups and reports them', async () => {
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
    const status = (await (await fetch(`${node.url}/v1/status`)).json()) as Record<string, number>
    expect(status).toMatchObject({ last_backup_age_ms: expect.any(Number), certificates: [] })
    expect(status.disk_total_bytes).toBeGreaterThan(status.disk_free_bytes ?? 0)
  } finally {
    await node.stop()
  }
})
