// A process that is killed after any step in the file system, while it saves, restores or recovers.

import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { verifyFile, writeBackup } from '../../src/backup/file.ts'
import { restoreFile } from '../../src/backup/restore.ts'
import { DirectoryTarget } from '../../src/backup/target.ts'
import { recoverReplica } from '../../src/server/replica/stopped-replica.ts'
import { BackupSchedule } from '../../src/server/start/backup-schedule.ts'
import { startNode } from '../../src/server/start/start-node.ts'
import { inspectDirectory } from '../../src/storage/directory.ts'
import { FakeNode } from '../server/http/fake-node.ts'
import { backupOf, fileWith, newNode, opened, recordsOf, temporaryDirectory } from './samples.ts'

/**
 * After so many steps, each further one fails: also those that would clean up. A step makes, renames or deletes a name,
 * or writes to a backup. Names of files of a database are left out, except those that say whether it is complete.
 */
const disk = vi.hoisted(() => {
  const disk = { stepsLeft: Number.POSITIVE_INFINITY, step, counted }
  function step(path: string): void {
    if (/(LOCK|WATERMARK|LOG|[0-9]+\.[a-z]+)$/.test(path)) return
    if (disk.stepsLeft === 0) throw new Error('killed')
    disk.stepsLeft--
  }
  /** Replaces functions of the object by ones that take a step. */
  function counted<T extends object>(object: T, names: readonly (keyof T & string)[]): Partial<T> {
    return Object.fromEntries(
      names.map((name) => {
        const call = object[name] as (...args: unknown[]) => unknown
        return [
          name,
          (...args: unknown[]) => {
            step(typeof args[0] === 'string' ? args[0] : '')
            return call.apply(object, args)
          },
        ]
      }),
    ) as Partial<T>
  }
  return disk
})

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const changes = disk.counted(fs, ['mkdirSync', 'renameSync', 'unlinkSync', 'rmSync'])
  const openSync: typeof fs.openSync = (path, flags, mode) => {
    if (flags !== 'r') disk.step(String(path))
    return fs.openSync(path, flags, mode)
  }
  return { ...fs, ...changes, openSync }
})

vi.mock('node:fs/promises', async (original) => {
  const fs = await original<typeof import('node:fs/promises')>()
  const open: typeof fs.open = async (...args) => {
    disk.step(String(args[0]))
    const file = await fs.open(...args)
    return Object.assign(file, disk.counted(file, ['writeFile']))
  }
  return { ...fs, ...disk.counted(fs, ['rename', 'unlink']), open }
})

/** Runs the operation, killed after 0, 1, 2 … steps, until it is not killed any more. `check` is called each time. */
async function killedAtEachStep<T>(
  prepare: () => T,
  run: (at: T) => Promise<unknown>,
  check: (at: T, steps: number) => Promise<void>,
): Promise<number> {
  for (let steps = 0; ; steps++) {
    const at = prepare()
    disk.stepsLeft = steps
    const isKilled = await run(at).then(
      () => false,
      () => disk.stepsLeft === 0,
    )
    disk.stepsLeft = Number.POSITIVE_INFINITY
    await check(at, steps)
    if (!isKilled) return steps
  }
}

const BUMP = 1000

function sample(): FakeNode {
  const node = new FakeNode()
  for (let at = 0; at < 12; at++) node.put(`k${at % 4}`, String(at))
  return node
}

const startAt = (dataDir: string) => {
  const HOST = { host: '127.0.0.1', port: 0 }
  return startNode({ name: 'n9', dataDir, listen: HOST, peerListen: HOST, founding: { kind: 'existing' } })
}

/** A node in the directory has all records, or there is none. Returns whether there is one. */
async function isWholeOrNone(dir: string, records: readonly object[], what: string): Promise<boolean> {
  if (existsSync(dir) && inspectDirectory(dir).kind === 'formatted') {
    await opened(dir, async (storage) => expect(await recordsOf(storage), what).toEqual(records))
    return true
  }
  await expect(startAt(dir), what).rejects.toThrow('holds no node')
  return false
}

test('a save leaves the old file or the new one under the name, and the next save works', async () => {
  const node = sample()
  const old = await backupOf(node)
  node.put('new', '1')
  const bytes = await backupOf(node)
  const chunks = async function* () {
    for (let at = 0; at < bytes.length; at += 300) yield bytes.subarray(at, at + 300)
  }
  const steps = await killedAtEachStep(
    () => fileWith(old),
    (path) => writeBackup(path, chunks()),
    async (path, steps) => {
      const { state } = await verifyFile(path)
      expect([4, 5], `${steps} steps`).toContain(state.keys)
      expect((await writeBackup(path, chunks())).state.keys).toBe(5)
      expect((await verifyFile(path)).state.keys).toBe(5)
    },
  )
  expect(steps).toBeGreaterThan(3)
})

test('a scheduled backup is whole or has no name, and the next one deletes what the killed one has left', async () => {
  const node = sample()
  node.role = 'leader'
  const logger = { debug() {}, info() {}, warn() {}, error() {} }
  const schedule = (dir: string) =>
    new BackupSchedule({
      ...{ node, target: new DirectoryTarget(dir), everyMs: 3_600_000, keep: 3, logger },
      room: () => Number.POSITIVE_INFINITY,
    })
  const steps = await killedAtEachStep(
    () => join(temporaryDirectory(), 'backups'),
    async (dir) => {
      const running = schedule(dir)
      await running.check()
      if (running.counts.failuresTotal > 0) throw new Error('killed')
    },
    async (dir, steps) => {
      await schedule(dir).check()
      const names = readdirSync(dir)
      expect(names, `${steps} steps`).toEqual([expect.stringMatching(/\.backup$/)])
      expect((await verifyFile(join(dir, names[0] ?? ''))).state.keys).toBe(4)
    },
  )
  expect(steps).toBeGreaterThan(3)
})

test('a restore leaves a whole node or none, and where there is none the next restore works', async () => {
  const node = sample()
  const records = await recordsOf(node)
  const path = fileWith(await backupOf(node))
  const steps = await killedAtEachStep(
    () => newNode(join(temporaryDirectory(), 'above', 'd')),
    (made) => restoreFile(path, made, { bump: BUMP }),
    async (made, steps) => {
      if (await isWholeOrNone(made.dir, records, `${steps} steps`)) return
      await restoreFile(path, made, { bump: BUMP })
      expect(await isWholeOrNone(made.dir, records, `${steps} steps, again`)).toBe(true)
    },
  )
  expect(steps).toBeGreaterThan(3)
})

test('a recovery leaves the old replica, none, or the whole new one, and the next recovery completes it', async () => {
  const node = sample()
  const records = await recordsOf(node)
  const top = temporaryDirectory()
  const template = join(top, 'template')
  await restoreFile(fileWith(await backupOf(node)), newNode(template), { bump: BUMP })
  // The directory that an attempt has made which was killed before its renames.
  const made = join(top, 'made')
  cpSync(template, made, { recursive: true })
  await recoverReplica(made, { bump: BUMP })
  const steps = await killedAtEachStep(
    () => {
      const dir = join(mkdtempSync(join(top, 'r')), 'd')
      cpSync(template, dir, { recursive: true })
      cpSync(made, `${dir}.recovered`, { recursive: true })
      return dir
    },
    (dir) => recoverReplica(dir, { bump: BUMP }),
    async (dir, steps) => {
      const what = `${steps} steps`
      await isWholeOrNone(dir, records, what)
      await recoverReplica(dir, { bump: BUMP })
      expect(await isWholeOrNone(dir, records, `${what}, again`)).toBe(true)
      expect(existsSync(`${dir}.recovered`), what).toBe(false)
      rmSync(join(dir, '..'), { recursive: true })
    },
  )
  expect(steps).toBeGreaterThan(3)
})
