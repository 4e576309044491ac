// A cluster where the file system has no room for one, as a small /tmp of a container.

import { existsSync, mkdtempSync, readdirSync, rmSync, type StatsFs } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startCluster } from '../../src/index.ts'
import { Supervisor } from '../../src/local/supervisor/supervisor.ts'

const disk = vi.hoisted(() => ({ freeBytes: Number.POSITIVE_INFINITY }))
vi.mock('node:fs', async (original) => ({
  ...(await original<typeof import('node:fs')>()),
  statfsSync: (): Partial<StatsFs> => ({ bsize: 1, blocks: 1, bavail: disk.freeBytes }),
}))

const usual = process.env.TMPDIR
const place = mkdtempSync(join(tmpdir(), 'quorate-full-'))
beforeAll(() => {
  process.env.TMPDIR = place
})
afterAll(() => {
  process.env.TMPDIR = usual ?? ''
  rmSync(place, { recursive: true, force: true })
})

test('a new cluster says so before a test that waits for it gives up', async () => {
  disk.freeBytes = 200 * 2 ** 20
  await expect(startCluster({ nodes: 2 })).rejects.toThrow(/nearly full.*200 MiB free.*dataDir/)
  expect(readdirSync(place)).toEqual([])
})

test('a new local cluster does not start its nodes', async () => {
  disk.freeBytes = 200 * 2 ** 20
  const dataDir = join(place, 'local')
  const start = Supervisor.start({ dataDir, nodes: 2, port: 7301, direct: true })
  await expect(start).rejects.toThrow(/^the disk is nearly full.*200 MiB free.*another disk with --data$/)
  expect(existsSync(join(dataDir, 'cluster.json'))).toBe(false)
})

test('one that goes on says what its nodes know to be wrong', async () => {
  disk.freeBytes = Number.POSITIVE_INFINITY
  const dataDir = join(place, 'kept')
  await (await startCluster({ nodes: 2, dataDir })).close()
  // It has to be brought up to date anew, and there is no room for that.
  rmSync(join(dataDir, 'n2'), { recursive: true })
  disk.freeBytes = 200 * 2 ** 20
  const start = startCluster({ nodes: 2, dataDir, readyTimeoutMs: 2_000 })
  await expect(start).rejects.toThrow(/not ready after 2 s.*n1: the disk is nearly full \(200 MiB free\)/s)
  expect(existsSync(join(dataDir, 'n1'))).toBe(true)
})
