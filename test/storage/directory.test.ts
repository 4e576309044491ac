// The directory of a new replica survives a power cut: all names in its path are durable, whichever process made them.
// When several processes format it at the same time, none destroys the files of another one.

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
import { checkReplica } from '../../src/server/replica/check-replica.ts'
import { holdsNode } from '../../src/server/replica/inspect-data-directory.ts'
import { inspectReplica } from '../../src/server/replica/stopped-replica.ts'
import { formatStorage, isInUse, openStorage } from '../../src/storage/directory.ts'
import { temporaryDirectory } from './files.ts'
import { identity, initial } from './samples.ts'

const disk = vi.hoisted(() => ({
  synced: new Set<string>(),
  unreadable: '',
  silent: '',
  forbidden: '',
  /** The action of another process, run once when the file of that name is opened. */
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
  'also when %i of them existed, as an interrupted attempt leaves them',
  async (made) => {
    const { synced, home } = await formatted(made)
    for (const above of [dirname(home), home, join(home, 'a'), join(home, 'a', 'b')])
      expect(synced).toContain(above)
  },
)

test('an unreadable directory above that belongs to another user does no harm, unless something was made in it', async () => {
  const { synced, home } = await formatted(3, 'a')
  expect(synced).toContain(home)
  await expect(formatted(1, 'a')).rejects.toThrow('permission denied')
})

test('files that fail verification are not called damaged while it is unknown which process has them open', async () => {
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

test('nor are files that a process of another container has open, whose locks the system does not show', async () => {
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

test('nor does doctor or inspect call files damaged that such a process is changing while they are copied', async () => {
  const { home } = await formatted(3)
  const dir = join(home, 'a', 'b', 'n1')
  const storage = await openStorage(dir)
  rmSync(join(dir, 'WATERMARK'))
  disk.silent = '/proc/locks'
  onTestFinished(() => {
    disk.silent = ''
  })
  const problems = async () =>
    (await checkReplica(dir, 'kv')).checks.flatMap(({ check, result, detail }) =>
      result === 'problem' && check !== 'disk' ? [[check, detail]] : [],
    )
  expect(await problems()).toEqual([['lock', expect.stringMatching(/^a node runs on it; stop it first/)]])
  await expect(inspectReplica(dir)).rejects.toThrow(`${dir} is in use: a node runs on it.`)
  await new Promise<void>((resolve) => storage.close(() => resolve()))
  expect(await problems()).toEqual([['files', expect.stringContaining('WATERMARK is damaged')]])
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

test('files that looked damaged because another process had them open are checked again when that has ended', async () => {
  const { home } = await formatted(3)
  const dir = join(home, 'a', 'b', 'n1')
  const opened = await openStorage(dir)
  await new Promise<void>((resolve) => opened.close(() => resolve()))
  const [table = ''] = readdirSync(dir).filter((name) => name.endsWith('.ldb'))
  const script = `
    import(process.argv[1])
      .then(({ openStorage }) => openStorage(process.argv[2]))
      .then((storage) => storage.compactDatabase(() => storage.close(() => process.exit())))`
  const args = ['-e', script, resolve('src/storage/directory.ts'), dir]
  disk.other = { name: table, act: () => execFileSync(process.execPath, args) }
  const storage = await openStorage(dir)
  expect(storage.boot).toBe(opened.boot + 2)
  expect(readdirSync(dir)).not.toContain(table)
  await new Promise<void>((resolve) => storage.close(() => resolve()))
})

/** A directory that another process is formatting, or has just finished formatting if `finished`. */
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

test('a directory that another container is formatting is not begun anew', async () => {
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
])(
  'after making its names durable, a formatting sees that another process %s meanwhile',
  async (_, finished) => {
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
  },
)

test('the LOCK file of an interrupted attempt stays: another process may have taken the lock since', async () => {
  const home = await temporaryDirectory()
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  for (const left of ['FORMATTING', 'LOCK', 'CURRENT']) writeFileSync(join(home, left), '')
  // Otherwise another file might get its inode number.
  linkSync(join(home, 'LOCK'), join(home, 'link'))
  await formatStorage(home, identity, initial)
  expect(statSync(join(home, 'LOCK')).ino).toBe(statSync(join(home, 'link')).ino)
})

test('the files of another thread are not deleted while it is formatting, even if it has no lock yet', async () => {
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

test('other processes that are about to begin anew stop no formatting: the one with the lock continues', async () => {
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

test('the files of an interrupted attempt are deleted while no other process can begin, not even from another container', async () => {
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

test('without the lock nothing is deleted, also when no temporary directory can be made to ask for it', async () => {
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

test('a formatting that begins when another has just ended is told that there is a node', async () => {
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

test('an unreachable directory counts neither as missing nor as unmarked', async () => {
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
