// GET /v1/backup: a file that is whole, or a connection that breaks.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { writeBackup } from '../../src/backup/file.ts'
import { DamagedBackupError } from '../../src/backup/format.ts'
import { Client } from '../../src/client/index.ts'
import { apiLimits } from '../../src/server/api/limits.ts'
import { FakeNode } from '../server/http/fake-node.ts'
import { serve } from '../server/http/served.ts'
import { backupOf, nodeWithEverything, rowsIn, temporaryDirectory } from './samples.ts'

function largeNode(): FakeNode {
  const node = new FakeNode()
  for (let at = 0; at < 400; at++) node.put(`key ${at}`, 'x'.repeat(10_000))
  return node
}

test('rows that cannot be read break the connection, and no file is left', async () => {
  const node = largeNode()
  const { port } = await serve({ node })
  await using client = new Client({ endpoints: [`http://127.0.0.1:${port}`], discover: false })
  let slices = 0
  node.onSlice = () => {
    slices++
    if (slices === 4) node.corrupt = () => true
  }
  const dir = temporaryDirectory()
  const path = join(dir, 'store.backup')
  await expect(writeBackup(path, client.backup())).rejects.toThrow(/the stream of the backup.* broke/)
  expect(slices).toBe(4)
  expect(readdirSync(dir)).toEqual([])
  node.onSlice = undefined
  node.corrupt = undefined
  // The rows were read, and only their end says that some were skipped.
  node.unread = new Error('a block cannot be read')
  await expect(writeBackup(path, client.backup())).rejects.toThrow(/the stream of the backup.* broke/)
  expect(existsSync(path)).toBe(false)
  node.unread = undefined
  expect((await writeBackup(path, client.backup())).state.keys).toBe(400)
  expect(readdirSync(dir)).toEqual(['store.backup'])
})

test('a client that is gone holds no scan', async () => {
  const node = largeNode()
  const { port } = await serve({ node })
  const socket = connect(port, '127.0.0.1')
  socket.write('GET /v1/backup HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await new Promise<void>((resolve) => socket.once('data', () => resolve()))
  expect(node.openScans).toBe(1)
  socket.destroy()
  await expect.poll(() => node.openScans).toBe(0)
})

test('a backup that takes longer than its limit breaks the connection, and holds no scan', async () => {
  const node = largeNode()
  const { raw } = await serve({ node })
  const clock = vi.spyOn(performance, 'now')
  onTestFinished(() => clock.mockRestore())
  let slices = 0
  node.onSlice = () => {
    slices++
    if (slices === 4) clock.mockReturnValue(performance.now() + apiLimits.backupMsMax + 1)
  }
  const received = await raw('GET /v1/backup HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  expect(received).toMatch(/^HTTP\/1.1 200 /)
  expect([received.endsWith('\r\n0\r\n\r\n'), slices, node.openScans]).toEqual([false, 4, 0])
})

test('a file that is cut on the way is not kept', async () => {
  const whole = await backupOf(largeNode())
  const dir = temporaryDirectory()
  const path = join(dir, 'store.backup')
  const chunks = async function* () {
    yield whole.subarray(0, whole.length - 1)
  }
  await expect(writeBackup(path, chunks())).rejects.toThrow(DamagedBackupError)
  expect(readdirSync(dir)).toEqual([])
})

test('without history a backup has each key once, and no events', async () => {
  const node = await nodeWithEverything(100)
  const tables = (rows: readonly { readonly key: Uint8Array }[]) =>
    [...new Set(rows.map(({ key }) => key[0]))].sort((a = 0, b = 0) => a - b)
  const [all, newest] = [
    await rowsIn(await backupOf(node)),
    await rowsIn(await backupOf(node, '?history=false')),
  ]
  expect(tables(all)).toEqual([6, 7, 9, 10, 64, 65])
  expect(tables(newest)).toEqual([6, 7, 9, 10, 65])
  expect(newest.filter(({ key }) => key[0] === 65)).toHaveLength(node.state.keys)
})

test('two processes that save under one name do not write into one file', async () => {
  const [first, second] = [await backupOf(largeNode()), await backupOf(await nodeWithEverything(100))]
  const path = join(temporaryDirectory(), 'store.backup')
  const begun = Promise.withResolvers<void>()
  const isSaved = Promise.withResolvers<void>()
  const slow = writeBackup(
    path,
    (async function* () {
      yield first.subarray(0, 1000)
      begun.resolve()
      await isSaved.promise
      yield first.subarray(1000)
    })(),
  )
  await begun.promise
  await writeBackup(
    path,
    (async function* () {
      yield second
    })(),
  )
  expect(readFileSync(path).equals(second)).toBe(true)
  isSaved.resolve()
  expect((await slow).bytes).toBe(first.length)
  expect(readFileSync(path).equals(first)).toBe(true)
})
