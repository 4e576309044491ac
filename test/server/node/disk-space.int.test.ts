// A real node on a real file system, whose reserve is set above what is free there.

import { existsSync, mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, expect, test } from 'vitest'
import { DirectoryDisk } from '../../../src/server/node/directory-disk.ts'
import type { Founding } from '../../../src/server/options.ts'
import type { ServingNode } from '../../../src/server/start/start-node.ts'
import { startNode } from '../../../src/server/start/start-node.ts'

const dir = mkdtempSync(join(tmpdir(), 'quorate-space-'))
let node: ServingNode | undefined
afterEach(async () => {
  await node?.stop()
  node = undefined
})

afterAll(() => rmSync(dir, { recursive: true, force: true }))

const free = (): number => {
  const { bavail, bsize } = statfsSync(dir)
  return bavail * bsize
}

async function start(founding: Founding, diskReserveBytes: number): Promise<string> {
  const address = { host: '127.0.0.1', port: 0 }
  node = await startNode({
    ...{ name: 'n1', dataDir: join(dir, 'n1'), listen: address, peerListen: address },
    ...{ founding, diskReserveBytes },
  })
  for (;;) {
    const { status } = await fetch(`${node.url}/readyz`)
    if (status === 200) return node.url
  }
}

const change = async (url: string, method: string, key: string): Promise<[number, unknown]> => {
  const body = method === 'PUT' ? 'value' : null
  const answer = await fetch(`${url}/v1/kv/${key}`, { method, body })
  const { code, deleted } = (await answer.json()) as { code?: string; deleted?: number }
  return [answer.status, code ?? deleted]
}

test('a node on a file system that is nearly full refuses puts with 507, serves reads and deletes, and takes puts when there is room', async () => {
  const roomy = await start({ kind: 'bootstrap' }, 0)
  expect(await change(roomy, 'PUT', 'a')).toEqual([200, undefined])
  await node?.stop()
  const short = await start({ kind: 'existing' }, 2 * free())
  expect(await change(short, 'PUT', 'b')).toEqual([507, 'storage_full'])
  expect((await fetch(`${short}/v1/kv/a`)).status).toBe(200)
  const { errors } = (await (await fetch(`${short}/v1/status`)).json()) as { errors: string[] }
  expect(errors).toEqual([expect.stringMatching(/^the disk is nearly full .* deletes are taken/)])
  const metrics = await (await fetch(`${short}/metrics`)).text()
  expect(metrics).toMatch(/^quorate_disk_room 1$/m)
  expect(metrics).toMatch(/^quorate_disk_free_bytes [0-9.e+]+$/m)
  expect(await change(short, 'DELETE', 'a')).toEqual([200, 1])
  await node?.stop()
  const again = await start({ kind: 'existing' }, 0)
  expect(await change(again, 'PUT', 'b')).toEqual([200, undefined])
})

test('the file that is kept takes its room, is given back, and is no obstacle to a start', async () => {
  const disk = new DirectoryDisk(join(dir, 'n1'))
  const bytes = 3 * 1024 * 1024 + 5
  const reserved = (): number => statSync(join(dir, 'n1', 'RESERVE'), { throwIfNoEntry: false })?.size ?? 0
  disk.takeReserve(bytes)
  while (reserved() < bytes) await pause(5)
  expect({ size: reserved(), has: disk.hasReserve }).toEqual({ size: bytes, has: true })
  const url = await start({ kind: 'existing' }, 0)
  expect(await change(url, 'PUT', 'c')).toEqual([200, undefined])
  disk.giveBackReserve()
  expect(disk.hasReserve).toBe(false)
})

test('a part of such a file, as an earlier process may leave it, does not pass for it', async () => {
  const file = join(dir, 'n1', 'RESERVE')
  writeFileSync(file, 'part')
  await start({ kind: 'existing' }, 0)
  expect(existsSync(file)).toBe(false)
})

test('a start beside a node that runs leaves it what it keeps', async () => {
  await start({ kind: 'existing' }, 0)
  const file = join(dir, 'n1', 'RESERVE')
  writeFileSync(file, 'kept')
  const running = node
  await expect(start({ kind: 'existing' }, 2 * free())).rejects.toMatchObject({ name: 'StorageInUseError' })
  expect(node).toBe(running)
  expect(existsSync(file)).toBe(true)
})

test('where nothing can be told of the file system there is room', () => {
  expect(new DirectoryDisk(join(dir, 'nowhere')).freeBytes()).toBe(Number.POSITIVE_INFINITY)
})
