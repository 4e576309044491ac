// A new replica is not lost with its directory: the names that lead to it are durable, whoever made them.

import { mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { formatStorage } from '../../src/storage/index.ts'
import { temporaryDirectory } from './replicas.ts'
import { identity, initial } from './samples.ts'

const disk = vi.hoisted(() => ({ synced: new Set<string>(), unreadable: '' }))

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const openSync: typeof fs.openSync = (path, ...rest) => {
    if (path === disk.unreadable) throw Object.assign(new Error('permission denied'), { code: 'EACCES' })
    return fs.openSync(path, ...rest)
  }
  const fsyncSync: typeof fs.fsyncSync = (file) => {
    disk.synced.add(fs.readlinkSync(`/proc/self/fd/${file}`))
    fs.fsyncSync(file)
  }
  return { ...fs, openSync, fsyncSync }
})

async function formatted(
  made: number,
  unreadable = '',
): Promise<{ synced: ReadonlySet<string>; home: string }> {
  const home = await temporaryDirectory()
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  const path = [home, ...['a', 'b', 'n1'].slice(0, made)].reduce((above, name) => join(above, name))
  mkdirSync(path, { recursive: true })
  disk.synced.clear()
  disk.unreadable = unreadable === '' ? '' : join(home, unreadable)
  await formatStorage(join(home, 'a', 'b', 'n1'), identity, initial)
  return { synced: new Set(disk.synced), home }
}

test.each([0, 1, 2, 3])(
  'also when %i of them were there, as an interrupted attempt leaves them',
  async (made) => {
    const { synced, home } = await formatted(made)
    for (const above of [dirname(home), home, join(home, 'a'), join(home, 'a', 'b')])
      expect(synced).toContain(above)
  },
)

test('one above that belongs to somebody else and cannot be read does no harm, unless something was made in it', async () => {
  const { synced, home } = await formatted(3, 'a')
  expect(synced).toContain(home)
  await expect(formatted(1, 'a')).rejects.toThrow('permission denied')
})
