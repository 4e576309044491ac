// Which directories can become a replica, which can be opened, and the errors for the others.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { Worker } from 'node:worker_threads'
import { crc32 } from 'node:zlib'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { asReplicaId } from '../../src/raft/types.ts'
import { formatStorage, inspectDirectory, isInUse, openStorage } from '../../src/storage/directory.ts'
import type { Engine } from '../../src/storage/engine.ts'
import { FORMAT_VERSION, type Identity, type InitialState } from '../../src/storage/index.ts'
import { META_KEY } from '../../src/storage/keys.ts'
import { isLocked } from '../../src/storage/level/level-engine.ts'
import { createWatermark, readWatermark } from '../../src/storage/watermark.ts'
import { crashImage } from './damage.ts'
import { FaultyEngine } from './faulty.ts'
import { type Files, filesOf, openFilesIn, sameFiles, temporaryDirectory } from './files.ts'
import { closed, identity, initial, must } from './samples.ts'

let dir: string

beforeEach(async () => {
  const home = await temporaryDirectory()
  dir = join(home, 'node')
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
})

const open = (options: Parameters<typeof openStorage>[1] = {}): Promise<unknown> =>
  openStorage(dir, options).then(
    async (storage) => {
      await closed(storage)
      return 'opened'
    },
    (error: unknown) => error,
  )

const refused = (message: RegExp): object => ({
  name: 'StorageRefusedError',
  message: expect.stringMatching(message),
})

describe('formatting', () => {
  test('makes a home of an absent or empty directory, parents included', async () => {
    expect(inspectDirectory(dir)).toEqual({ kind: 'empty' })
    await formatStorage(dir, identity, initial)
    expect(inspectDirectory(dir)).toEqual({ kind: 'formatted', identity })
    const deep = join(dir, '..', 'a', 'b')
    mkdirSync(join(deep, 'lost+found'), { recursive: true })
    expect(inspectDirectory(deep)).toEqual({ kind: 'empty' })
    await formatStorage(deep, identity, initial)
    expect(await open()).toBe('opened')
  })

  test('is done once', async () => {
    await formatStorage(dir, identity, initial)
    const before = filesOf(dir)
    await expect(formatStorage(dir, identity, initial)).rejects.toMatchObject(refused(/holds a node already/))
    expect(sameFiles(before, filesOf(dir))).toBe(true)
  })

  test('leaves other people’s directories alone', async () => {
    mkdirSync(dir)
    writeFileSync(join(dir, 'thesis.txt'), 'chapter 1')
    await expect(formatStorage(dir, identity, initial)).rejects.toMatchObject(
      refused(/is not empty .*thesis\.txt/),
    )
    expect(readdirSync(dir)).toEqual(['thesis.txt'])
    writeFileSync(join(dir, '..', 'file'), '')
    expect(() => inspectDirectory(join(dir, '..', 'file'))).toThrow('cannot be read')
  })

  test('that was interrupted begins again', async () => {
    await formatStorage(dir, identity, initial)
    const whole = readdirSync(dir)
    expect(whole).not.toContain('FORMATTING')
    renameSync(join(dir, 'IDENTITY'), join(dir, 'IDENTITY.new'))
    for (const left of [whole, ['LOG', 'LOCK'], []]) {
      for (const name of readdirSync(dir))
        if (![...left, 'IDENTITY.new'].includes(name)) rmSync(join(dir, name))
      writeFileSync(join(dir, 'FORMATTING'), '')
      writeFileSync(join(dir, 'thesis.txt'), 'chapter 1')
      expect(inspectDirectory(dir)).toEqual({ kind: 'empty' })
      expect(await open()).toMatchObject(refused(/holds no node/))
      await formatStorage(dir, identity, initial)
      expect(await open()).toBe('opened')
      expect(readFileSync(join(dir, 'thesis.txt'), 'utf8')).toBe('chapter 1')
      rmSync(join(dir, 'IDENTITY'))
    }
  })

  test('that was interrupted at its end is complete, and a node that loses its IDENTITY later is not new', async () => {
    await formatStorage(dir, identity, initial)
    writeFileSync(join(dir, 'FORMATTING'), '')
    expect(await open()).toBe('opened')
    renameSync(join(dir, 'IDENTITY'), join(dir, 'IDENTITY.new'))
    const before = filesOf(dir)
    for (const attempt of [open(), formatStorage(dir, identity, initial).catch((error: unknown) => error)])
      expect(await attempt).toMatchObject(refused(/IDENTITY is missing .*rejoin/))
    expect(sameFiles(before, filesOf(dir))).toBe(true)
  })

  test('that failed begins again in the same process', async () => {
    const failing: InitialState = {
      ...initial,
      get applied(): never {
        throw new Error('No space left on device')
      },
    }
    for (let attempt = 0; attempt < 2; attempt++)
      await expect(formatStorage(dir, identity, failing)).rejects.toThrow('No space left on device')
    await formatStorage(dir, identity, initial)
    expect(await open()).toBe('opened')
  })

  test('is not begun again by another process before IDENTITY is written', async () => {
    const script = `
      const [module, samples, dir] = process.argv.slice(1)
      Promise.all([import(module), import(samples)])
        .then(([{ formatStorage }, { identity, initial }]) => formatStorage(dir, identity, initial))
        .then(() => console.log('formatted'), (error) => console.log(error.name))`
    const args = [
      '-e',
      script,
      resolve('src/storage/directory.ts'),
      join(import.meta.dirname, 'samples.ts'),
      dir,
    ]
    let other = ''
    const first: Identity = {
      ...identity,
      // Read just before IDENTITY is written.
      get name() {
        if (other === '') other = execFileSync(process.execPath, args, { encoding: 'utf8' })
        return 'n1'
      },
    }
    await formatStorage(dir, first, initial)
    expect(other).toBe('StorageInUseError\n')
    expect(await open()).toBe('opened')
  })

  test('says what is wrong with the disk when no database can be made there', async () => {
    // Linux's longest path: there is room for the name FORMATTING, but not for the name of MANIFEST.
    const segments = Math.floor((4080 - dir.length) / 200)
    const parent = join(dir, ...Array.from({ length: segments }, () => 'd'.repeat(199)))
    const deep = join(parent, 'e'.repeat(4082 - parent.length - 1))
    await expect(formatStorage(deep, identity, initial)).rejects.toMatchObject(
      refused(/cannot be formatted: .*MANIFEST-.*File name too long\. Look at the disk/),
    )
  })

  test('is not begun again while another process does it', async () => {
    await formatStorage(dir, identity, initial)
    const storage = await openStorage(dir)
    rmSync(join(dir, 'IDENTITY'))
    writeFileSync(join(dir, 'FORMATTING'), '')
    const before = readdirSync(dir)
    await expect(formatStorage(dir, identity, initial)).rejects.toMatchObject({ name: 'StorageInUseError' })
    expect(readdirSync(dir)).toEqual(before)
    await closed(storage)
  })
})

describe('opening', () => {
  beforeEach(() => formatStorage(dir, identity, initial))

  test('needs a node', async () => {
    expect(await openStorage(join(dir, 'nothing')).catch((error: unknown) => error)).toMatchObject(
      refused(/holds no node/),
    )
    rmSync(join(dir, 'CURRENT'))
    expect(await open()).toMatchObject(refused(/CURRENT is missing.*--join URL --replace/))
  })

  test('refuses another node than the one expected', async () => {
    expect(await open({ name: 'n1', clusterId: '77' })).toBe('opened')
    expect(await open({ name: 'n2' })).toMatchObject(refused(/belongs to node n1, not n2/))
    expect(await open({ clusterId: '78' })).toMatchObject(refused(/of cluster 77, not 78/))
  })

  test('refuses a directory of a newer format, and does not call it damaged', async () => {
    const format = FORMAT_VERSION + 1
    const message =
      /has format 3, of a newer version of quorate, and this one reads format 2: start the version that wrote it/
    const text = readFileSync(join(dir, 'IDENTITY'), 'latin1').replace(/^format .*$/m, `format ${format}`)
    const body = text.slice(0, text.indexOf('crc32'))
    writeFileSync(join(dir, 'IDENTITY'), `${body}crc32 ${crc32(body).toString(16).padStart(8, '0')}\n`)
    const error = await open()
    expect(error).toMatchObject(refused(message))
    expect(error).not.toMatchObject(refused(/rejoin/))
  })

  test('refuses a directory of a build before 0.1.0, and says how its keys move', async () => {
    const body = 'quorate node\nformat 1\ncluster 77\nreplica 9\nname n1\n'
    writeFileSync(join(dir, 'IDENTITY'), `${body}crc32 ${crc32(body).toString(16).padStart(8, '0')}\n`)
    const message = `${dir} has format 1, of a build before 0.1.0, and this version of quorate reads format 2: start the build that wrote it, save the keys with quorate export, and import them into a new cluster. Nothing was changed.`
    expect(await open()).toMatchObject({ name: 'StorageRefusedError', message })
  })

  test('twice in one process is refused with a clear message', async () => {
    const storage = await openStorage(dir)
    expect(await open()).toMatchObject({
      name: 'StorageInUseError',
      message: expect.stringContaining('in use'),
    })
    expect(isInUse(dir)).toBe(existsSync('/proc/locks'))
    await closed(storage)
    expect(isInUse(dir)).toBe(false)
    expect(await open()).toBe('opened')
  })

  test('from another thread of the process is refused, and other processes are kept out all the same', async () => {
    const storage = await openStorage(dir)
    // It may ask for the lock as well.
    const script = `
      const { parentPort, workerData: { src, dir } } = require('node:worker_threads')
      Promise.all([import(src + '/directory.ts'), import(src + '/level/level-engine.ts')]).then(
        async ([{ openStorage }, { isLocked }]) => {
          const said = await openStorage(dir).then(() => 'opened', (error) => error.name)
          parentPort.postMessage([said, await isLocked(dir)])
        })`
    const worker = new Worker(script, { eval: true, workerData: { src: resolve('src/storage'), dir } })
    const [said] = await once(worker, 'message')
    await worker.terminate()
    expect([...said, await isLocked(dir)]).toEqual(['StorageInUseError', true, true])
    expect(isInUse(dir)).toBe(existsSync('/proc/locks'))
    await closed(storage)
    expect(await isLocked(dir)).toBe(false)
  })

  test('while another thread of the process is about to open is refused', async () => {
    // Each opens it before LevelDB, whose lock is still free.
    const other = openSync(join(dir, 'WATERMARK'), 'r+')
    expect(await open()).toMatchObject({ name: 'StorageInUseError' })
    closeSync(other)
    expect(await open()).toBe('opened')
    expect(openFilesIn(dir)).toEqual([])
  })

  test('in a process that inherited the open files of the one before is not refused once that is done', async () => {
    const storage = await openStorage(dir)
    const script = `
      process.once('message', ({ module, dir }) =>
        import(module)
          .then(({ openStorage }) => openStorage(dir))
          .then(() => 'opened', (error) => error.message)
          .then((said) => process.send(said, () => process.exit())))`
    const successor = spawn(process.execPath, ['-e', script], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    onTestFinished(() => void successor.kill('SIGKILL'))
    await closed(storage)
    successor.send({ module: resolve('src/storage/directory.ts'), dir })
    expect(await once(successor, 'message')).toEqual(['opened', undefined])
  })

  test('while its files are being written to is refused as in use, whatever they look like', async () => {
    const storage = await openStorage(dir)
    writeFileSync(join(dir, 'CURRENT'), 'something else')
    expect(await open()).toMatchObject({ name: 'StorageInUseError' })
    await closed(storage)
    expect(await open()).toMatchObject(
      refused(/CURRENT is damaged: it does not name a MANIFEST\. The files were left/),
    )
  })

  test('is refused when another process has written between verification and opening', async () => {
    const { mark } = readWatermark(dir)
    const opening = open()
    createWatermark(dir, must(mark) + 1)
    expect(await opening).toMatchObject({ name: 'StorageInUseError' })
    createWatermark(dir, must(mark))
    expect(await open()).toBe('opened')
  })

  test('says which file is missing, and which cannot be read', async () => {
    const watermark = join(dir, 'WATERMARK')
    renameSync(watermark, join(dir, 'elsewhere'))
    expect(await open()).toMatchObject(refused(/WATERMARK is damaged: the file is missing\. .*To rejoin/))
    mkdirSync(watermark)
    const unreadable = await open()
    expect(unreadable).toMatchObject({
      ...refused(/node cannot be read: EISDIR.*Nothing was changed\. Look at permissions/),
      cause: { code: 'EISDIR' },
    })
    // The reason may be the owner of a file, or the limit of open files. The acknowledged data is not lost then.
    expect(unreadable).not.toMatchObject(refused(/rejoin/))
  })

  test('says what is wrong with the disk when its files are whole', async () => {
    rmSync(join(dir, 'LOCK'))
    mkdirSync(join(dir, 'LOCK'))
    const error = await open()
    expect(error).toMatchObject({
      ...refused(/node cannot be opened, although its files are whole: .*LOCK.* Look at the disk/),
      cause: { message: expect.stringContaining('LOCK') },
    })
    rmSync(join(dir, 'LOCK'), { recursive: true })
    expect(await open()).toBe('opened')
    expect(openFilesIn(dir)).toEqual([])
  })

  test('of a database that contradicts itself is refused as often as it is tried', async () => {
    const under = (engine: Engine): Engine => new Without(engine)
    for (let times = 0; times < 2; times++)
      expect(await open({ under })).toMatchObject({
        ...refused(/node: .*the meta record is missing\. .*To rejoin/),
        cause: { name: 'CorruptionError' },
      })
    expect(await open()).toBe('opened')
  })

  test('that fails in a read gives the directory back', async () => {
    const beforeRead = (): never => {
      throw new Error('EIO: the disk is gone')
    }
    const under = (engine: Engine): Engine => new FaultyEngine(engine, { beforeRead })
    expect(await open({ under })).toMatchObject({ name: 'StorageFailedError' })
    expect(await open()).toBe('opened')
  })

  test('drops a damaged last frame only when asked to', async () => {
    const images: Files[] = []
    await crashImage(3, {}, (files) => images.push(files))
    const [before, last] = [must(images[1]), must(images[2])]
    const restored = (): void => {
      for (const [name, content] of last) writeFileSync(join(dir, name), content)
      // The side file does not know of the third batch.
      writeFileSync(join(dir, 'WATERMARK'), must(before.get('WATERMARK')))
      const wal = must([...last.keys()].filter((name) => name.endsWith('.log')).at(-1))
      const content = Buffer.from(must(last.get(wal)))
      content.writeUInt8(content.readUInt8(content.length - 1) ^ 1, content.length - 1)
      writeFileSync(join(dir, wal), content)
    }
    for (const name of readdirSync(dir)) rmSync(join(dir, name))
    restored()
    expect(await open()).toMatchObject(refused(/--discard-suspect-tail/))
    expect(await open({ discardSuspectTail: true })).toBe('opened')
  })

  test('keeps the side file in its place and size', async () => {
    await open()
    expect(statSync(join(dir, 'WATERMARK')).size).toBe(16)
  })
})

/** A database without its meta record. */
class Without extends FaultyEngine {
  constructor(engine: Engine) {
    super(engine, {})
  }
  override get(key: Uint8Array): Uint8Array | undefined {
    return Buffer.from(META_KEY).equals(key) ? undefined : super.get(key)
  }
}

test('IDENTITY is text that a person can read', async () => {
  await formatStorage(dir, { ...identity, replicaId: asReplicaId('9') }, initial)
  expect(readFileSync(join(dir, 'IDENTITY'), 'utf8')).toBe(
    'quorate node\nformat 2\ncluster 77\nreplica 9\nname n1\ncrc32 77793ecd\n',
  )
})
