// A new replica is not lost with its directory: the names that lead to it are durable, whoever made them, and of
// several that format it at the same time none destroys what another one has made.

import { execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  cpSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { asReplicaId } from '../../src/raft/types.ts'
import { holdsNode } from '../../src/server/holds-node.ts'
import { formatStorage, isInUse, openStorage } from '../../src/storage/index.ts'
import { temporaryDirectory } from './replicas.ts'
import { identity, initial } from './samples.ts'

const disk = vi.hoisted(() => ({
  synced: new Set<string>(),
  unreadable: '',
  silent: '',
  forbidden: '',
  /** What somebody else does when the file of that name is opened, once. */
  other: { name: '', act: () => {} },
  removing: (_path: string): void => {},
}))

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const openSync: typeof fs.openSync = (path, ...rest) => {
    const { name, act } = disk.other
    if (name !== '' && path.toString().endsWith(name)) {
      disk.other = { name: '', act: () => {} }
      act()
    }
    if (path === disk.unreadable) throw Object.assign(new Error('permission denied'), { code: 'EACCES' })
    return fs.openSync(path, ...rest)
  }
  const readFileSync = new Proxy(fs.readFileSync, {
    apply(read, self, args): unknown {
      if (args[0] === disk.unreadable)
        throw Object.assign(new Error('too many open files'), { code: 'EMFILE' })
      if (args[0] === disk.silent) return ''
      if (args[0] === disk.forbidden) throw Object.assign(new Error('permission denied'), { code: 'EACCES' })
      return Reflect.apply(read, self, args)
    },
  })
  const fsyncSync: typeof fs.fsyncSync = (file) => {
    disk.synced.add(fs.readlinkSync(`/proc/self/fd/${file}`))
    fs.fsyncSync(file)
  }
  const rmSync: typeof fs.rmSync = (path, ...rest) => {
    disk.removing(path.toString())
    fs.rmSync(path, ...rest)
  }
  return { ...fs, openSync, readFileSync, fsyncSync, rmSync }
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

test('files that cannot be vouched for while nobody can tell who has them open are not called damaged', async () => {
  const { home } = await formatted(3)
  const dir = join(home, 'a', 'b', 'n1')
  rmSync(join(dir, 'WATERMARK'))
  disk.unreadable = '/proc/locks'
  onTestFinished(() => {
    disk.unreadable = ''
  })
  await expect(openStorage(dir)).rejects.toMatchObject({
    name: 'StorageRefusedError',
    message: expect.stringMatching(
      /^\/proc\/locks cannot be read: too many open files\..*start the node again/,
    ),
  })
})

test('nor are those that a process of another container has open, whose locks the system does not tell', async () => {
  const { home } = await formatted(3)
  const dir = join(home, 'a', 'b', 'n1')
  const storage = await openStorage(dir)
  rmSync(join(dir, 'WATERMARK'))
  disk.silent = '/proc/locks'
  onTestFinished(() => {
    disk.silent = ''
  })
  const files = readdirSync(dir)
  await expect(openStorage(dir)).rejects.toMatchObject({ name: 'StorageInUseError' })
  await new Promise<void>((resolve) => storage.close(() => resolve()))
  await expect(openStorage(dir)).rejects.toThrow('WATERMARK is damaged')
  expect(readdirSync(dir)).toEqual(files)
})

test('a process that may not read the list of locks opens a directory all the same, once', async () => {
  disk.forbidden = '/proc/locks'
  onTestFinished(() => {
    disk.forbidden = ''
  })
  const { home } = await formatted(3)
  const dir = join(home, 'a', 'b', 'n1')
  const storage = await openStorage(dir)
  await expect(openStorage(dir)).rejects.toMatchObject({ name: 'StorageInUseError' })
  await new Promise<void>((resolve) => storage.close(() => resolve()))
})

test('what was gone because another process had it open is looked at once more when that has ended', async () => {
  const { home } = await formatted(3)
  const dir = join(home, 'a', 'b', 'n1')
  const opened = await openStorage(dir)
  await new Promise<void>((resolve) => opened.close(() => resolve()))
  const [table = ''] = readdirSync(dir).filter((name) => name.endsWith('.ldb'))
  const script = `
    import(process.argv[1])
      .then(({ openStorage }) => openStorage(process.argv[2]))
      .then((storage) => storage.compact(() => storage.close(() => process.exit())))`
  const args = ['-e', script, resolve('src/storage/index.ts'), dir]
  disk.other = { name: table, act: () => execFileSync(process.execPath, args) }
  const storage = await openStorage(dir)
  expect(storage.boot).toBe(opened.boot + 2)
  expect(readdirSync(dir)).not.toContain(table)
  await new Promise<void>((resolve) => storage.close(() => resolve()))
})

/** A directory that another formatting is at work on, or one that has just ended, as `finished` says. */
async function another(home: string, finished: boolean): Promise<{ dir: string; end: () => Promise<void> }> {
  const dir = join(home, 'another')
  await formatStorage(dir, identity, initial)
  const storage = await openStorage(dir)
  if (!finished) {
    rmSync(join(dir, 'IDENTITY'))
    writeFileSync(join(dir, 'FORMATTING'), '')
  }
  return { dir, end: () => new Promise((resolve) => storage.close(() => resolve())) }
}

test('one that another container is at work on is not begun anew', async () => {
  const home = await temporaryDirectory()
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  const { dir, end } = await another(home, false)
  const files = readdirSync(dir)
  disk.silent = '/proc/locks'
  onTestFinished(() => {
    disk.silent = ''
  })
  await expect(formatStorage(dir, identity, initial)).rejects.toThrow('is in use')
  expect(readdirSync(dir)).toEqual(files)
  await end()
})

test.each([
  ['is at work on it', false],
  ['is done', true],
])('whoever makes its names durable sees that somebody else %s meanwhile', async (_, finished) => {
  const home = await temporaryDirectory()
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  const { dir, end } = await another(home, finished)
  const files = readdirSync(dir)
  const path = join(home, 'n1')
  disk.other = { name: home, act: () => renameSync(dir, path) }
  await expect(formatStorage(path, identity, initial)).rejects.toThrow(
    finished ? 'holds a node already' : 'is in use',
  )
  expect(readdirSync(path)).toEqual(files)
  await end()
})

test('the lock of an interrupted attempt stays where it is: somebody may have taken it since', async () => {
  const home = await temporaryDirectory()
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  for (const left of ['FORMATTING', 'LOCK', 'CURRENT']) writeFileSync(join(home, left), '')
  // Otherwise another file might get its number.
  linkSync(join(home, 'LOCK'), join(home, 'link'))
  await formatStorage(home, identity, initial)
  expect(statSync(join(home, 'LOCK')).ino).toBe(statSync(join(home, 'link')).ino)
})

test('what another thread has begun is not deleted while that is at work, though it has no lock yet', async () => {
  const home = await temporaryDirectory()
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  const left = ['FORMATTING', 'CURRENT', 'MANIFEST-000001']
  for (const name of left) writeFileSync(join(home, name), '')
  const another = openSync(join(home, 'FORMATTING'), 'r')
  await expect(formatStorage(home, identity, initial)).rejects.toThrow('is in use')
  expect(readdirSync(home).sort()).toEqual(left.toSorted())
  closeSync(another)
  await formatStorage(home, identity, initial)
  expect(readdirSync(home)).not.toContain('FORMATTING')
})

test('other processes that are about to begin anew stop nobody: who has the lock goes on', async () => {
  const home = await temporaryDirectory()
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  writeFileSync(join(home, 'FORMATTING'), '')
  const file = openSync(join(home, 'FORMATTING'), 'r+')
  const other = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', file] })
  onTestFinished(() => void other.kill())
  closeSync(file)
  await formatStorage(home, identity, initial)
  const storage = await openStorage(home)
  await new Promise<void>((resolve) => storage.close(() => resolve()))
})

test('what an interrupted attempt has left is deleted while nobody else can begin, from another container either', async () => {
  const home = await temporaryDirectory()
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  for (const left of ['FORMATTING', 'CURRENT', 'MANIFEST-000001']) writeFileSync(join(home, left), '')
  const locked: boolean[] = []
  disk.removing = (path) => {
    if (path.startsWith(join(home, 'CURRENT')) || path.startsWith(join(home, 'MANIFEST')))
      locked.push(isInUse(home))
  }
  onTestFinished(() => {
    disk.removing = () => {}
  })
  await formatStorage(home, identity, initial)
  expect(locked).toEqual([true, true])
  const storage = await openStorage(home)
  await new Promise<void>((resolve) => storage.close(() => resolve()))
})

test('without the lock nothing is deleted, also where there is no place to ask for it from', async () => {
  const home = await temporaryDirectory()
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  const left = ['CURRENT', 'FORMATTING', 'MANIFEST-000001']
  for (const name of left) writeFileSync(join(home, name), '')
  vi.stubEnv('TMPDIR', join(home, 'nowhere'))
  onTestFinished(() => void vi.unstubAllEnvs())
  await expect(formatStorage(home, identity, initial)).rejects.toThrow(
    /cannot be formatted: ENOENT.*nowhere.*start the node again/,
  )
  expect(readdirSync(home).sort()).toEqual(left)
})

test('whoever begins when another has just ended is told that there is a node', async () => {
  const { home } = await formatted(3)
  const path = join(home, 'n1')
  mkdirSync(path)
  disk.other = {
    name: 'FORMATTING',
    act: () => cpSync(join(home, 'a', 'b', 'n1'), path, { recursive: true }),
  }
  const another = { ...identity, replicaId: asReplicaId('9') }
  await expect(formatStorage(path, another, initial)).rejects.toThrow(`${path} holds a node already.`)
})

test('what fails behind IDENTITY is told, and not that somebody else was quicker', async () => {
  const home = await temporaryDirectory()
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  disk.removing = (path) => {
    if (path.endsWith('FORMATTING')) throw new Error('EIO: i/o error')
  }
  const refused = formatStorage(home, identity, initial)
  await expect(refused).rejects.toThrow(`${home} cannot be formatted: EIO: i/o error`)
  disk.removing = () => {}
  const storage = await openStorage(home)
  await new Promise<void>((resolve) => storage.close(() => resolve()))
})

test('one that is in use is not called damaged because the one that its lock was asked from cannot be deleted', async () => {
  const { home } = await formatted(3)
  const dir = join(home, 'a', 'b', 'n1')
  const storage = await openStorage(dir)
  rmSync(join(dir, 'WATERMARK'))
  disk.silent = '/proc/locks'
  const left: string[] = []
  disk.removing = (path) => {
    left.push(path)
    throw new Error('EMFILE: too many open files')
  }
  const refused = await openStorage(dir).catch((error: unknown) => error)
  Object.assign(disk, { silent: '', removing: () => {} })
  for (const path of left) rmSync(path, { recursive: true })
  expect(left).toHaveLength(1)
  expect(refused).toMatchObject({ name: 'StorageInUseError' })
  await new Promise<void>((resolve) => storage.close(() => resolve()))
})

test('what is out of reach is neither absent nor unmarked', async () => {
  const { home } = await formatted(3)
  const dir = join(home, 'a', 'b', 'n1')
  const loop = join(home, 'loop')
  symlinkSync(loop, loop)
  const outOfReach = {
    name: 'StorageRefusedError',
    message: expect.stringContaining('cannot be read: ELOOP'),
  }
  await expect(openStorage(join(loop, 'n1'))).rejects.toMatchObject(outOfReach)
  expect(holdsNode(join(loop, 'n1'))).toBe(true)
  symlinkSync(loop, join(dir, 'QUARANTINE'))
  await expect(openStorage(dir)).rejects.toMatchObject(outOfReach)
})
