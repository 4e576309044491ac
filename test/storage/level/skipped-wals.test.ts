// LevelDB skips a WAL that it cannot open or read, without an error, and deletes it. In these tests one becomes
// unreadable between our verification and LevelDB's start, as when a process is briefly short of file descriptors.

import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { openStorage } from '../../../src/storage/directory.ts'
import type { Storage } from '../../../src/storage/index.ts'
import { readLogFile } from '../../../src/storage/level/log-file.ts'
import { copyTo, crashImage, outcomeOf } from '../damage.ts'
import { type Files, filesOf, putFiles, temporaryDirectory } from '../files.ts'
import { closed, must } from '../samples.ts'
import { contentAfter } from '../workload.ts'
import { logFile } from './leveldb-files.ts'

interface Opened {
  compactRange(start: Uint8Array, end: Uint8Array): Promise<void>
}

const hook = vi.hoisted(() => ({ before: () => {}, after: async (_db: Opened) => {}, puttingBack: () => {} }))

vi.mock(import('../../../src/storage/level/skipped-wals.ts'), async (original) => {
  const recovery = await original()
  const restoreWals: typeof recovery.restoreWals = (dir, wals) => {
    hook.puttingBack()
    recovery.restoreWals(dir, wals)
  }
  return { ...recovery, restoreWals }
})

vi.mock(import('../../../src/storage/level/level-engine.ts'), async (original) => {
  const engine = await original()
  const openDatabase: typeof engine.openDatabase = async (dir, limits) => {
    hook.before()
    const db = await engine.openDatabase(dir, limits)
    await hook.after(db)
    return db
  }
  return { ...engine, openDatabase }
})

/** So many that the log is compacted beyond the first ones: only missing rows show that they are lost. */
const BATCHES = 40

let killed: Files
let dir: string
let wal: string
beforeAll(async () => {
  killed = await crashImage(BATCHES, { restartEvery: BATCHES + 1 })
})
beforeEach(async () => {
  dir = await temporaryDirectory()
  onTestFinished(() => rmSync(dir, { recursive: true }))
  putFiles(dir, killed)
  wal = must(wals()[0])
})

const wals = (): string[] => readdirSync(dir).filter((name) => name.endsWith('.log'))

const nameOf = (number: number): string => `${String(number).padStart(6, '0')}.log`

/** The error of a start. `before` runs between our verification and LevelDB's open, `after` after LevelDB's open. */
async function startWhile(before: () => void, after = async (_db: Opened) => {}): Promise<unknown> {
  Object.assign(hook, { before, after })
  try {
    return await openStorage(dir).catch((error: unknown) => error)
  } finally {
    Object.assign(hook, { before: () => {}, after: async () => {} })
  }
}

const refusal = (what: string): object => ({
  name: 'StorageRefusedError',
  message: expect.stringMatching(
    new RegExp(
      `cannot be opened, although its files are whole: LevelDB did not read ${what}.* start the node again`,
    ),
  ),
})

/** LevelDB deletes the link as it would delete a WAL. */
function vanish(name: string): void {
  rmSync(join(dir, name))
  symlinkSync('nowhere', join(dir, name))
}

async function expectWhole(): Promise<void> {
  expect(await outcomeOf(dir)).toEqual({ kind: 'opened', content: await contentAfter(BATCHES) })
}

test('a WAL that LevelDB cannot open is put back, and the next start has all its content', async () => {
  expect(await startWhile(() => vanish(wal))).toMatchObject(refusal(`${wal} .*No such file`))
  await expectWhole()
})

test('so is one of two WALs, whose loss the other one does not show', async () => {
  const records: Buffer[] = []
  readLogFile(
    must(filesOf(dir).get(wal)),
    (content) => {
      records.push(Buffer.from(content))
      return undefined
    },
    () => true,
  )
  writeFileSync(join(dir, wal), logFile(records.slice(0, 5)))
  writeFileSync(join(dir, nameOf(Number.parseInt(wal, 10) + 50)), logFile(records.slice(5)))
  for (const at of [0, 1]) {
    const name = must(wals()[at])
    expect(await startWhile(() => vanish(name))).toMatchObject(refusal(`${name} .*No such file`))
  }
  await expectWhole()
})

test('so is one that LevelDB opens and cannot read', async () => {
  const replaceByDirectory = (): void => {
    rmSync(join(dir, wal))
    mkdirSync(join(dir, wal))
  }
  expect(await startWhile(replaceByDirectory)).toMatchObject(refusal('a WAL to its end .*directory'))
  rmSync(join(dir, wal), { recursive: true })
  await expectWhole()
})

test('also when no other file can be opened afterwards', async () => {
  const side = join(dir, 'WATERMARK')
  const noMore = async (): Promise<void> => {
    renameSync(side, `${side}.away`)
    mkdirSync(side)
  }
  expect(await startWhile(() => vanish(wal), noMore)).toMatchObject(refusal(`${wal} .*No such file`))
  rmSync(side, { recursive: true })
  renameSync(`${side}.away`, side)
  await expectWhole()
})

test('also when LevelDB has changed its tables meanwhile', async () => {
  const tables = (): string[] => readdirSync(dir).filter((name) => name.endsWith('.ldb'))
  const before = tables()
  const compacted = startWhile(
    () => vanish(wal),
    (db) => db.compactRange(Uint8Array.of(0), Uint8Array.of(255)),
  )
  expect(await compacted).toMatchObject(refusal(`${wal} .*No such file`))
  expect(before).toHaveLength(1)
  expect(tables()).not.toEqual(before)
  await expectWhole()
})

test('no other process opens the directory meanwhile: its acknowledged writes would be overwritten', async () => {
  let other: Promise<unknown> | undefined
  hook.puttingBack = () => {
    Object.assign(hook, { before: () => {}, puttingBack: () => {} })
    other = openStorage(dir).catch((error: unknown) => error)
  }
  expect(await startWhile(() => vanish(wal))).toMatchObject(refusal(`${wal} .*No such file`))
  expect(await other).toMatchObject({ name: 'StorageInUseError' })
  await expectWhole()
})

/** The files after another start that was killed as soon as it had written. */
async function leftByStart(): Promise<Files> {
  const copy = await temporaryDirectory()
  copyTo(copy, dir)
  const storage = await openStorage(copy)
  const files = filesOf(copy)
  await closed(storage)
  rmSync(copy, { recursive: true })
  return files
}

test.each([
  ['started, and had recovered it', leftByStart, BATCHES],
  ['ran', () => crashImage(BATCHES + 1, { restartEvery: BATCHES + 2 }), BATCHES + 1],
])(
  'after a process that %s, and was killed before it noted its last write, the next start opens the directory',
  async (_, leave, batches) => {
    const left = await leave()
    const before = new Set(readdirSync(dir))
    const meddled = await startWhile(() => {
      for (const name of before) if (!left.has(name)) rmSync(join(dir, name))
      for (const [name, content] of left) if (name !== 'WATERMARK') writeFileSync(join(dir, name), content)
    })
    expect(meddled).toMatchObject({ name: 'StorageInUseError' })
    expect(await outcomeOf(dir)).toEqual({ kind: 'opened', content: await contentAfter(batches) })
  },
)

test('a failure to put it back is reported', async () => {
  const standInTheWay = (): void => {
    vanish(wal)
    for (let after = 1; after < 10; after++)
      mkdirSync(join(dir, `${nameOf(Number.parseInt(wal, 10) + after)}.new`))
  }
  // As a power cut may leave it.
  writeFileSync(join(dir, 'WATERMARK'), '')
  expect(await startWhile(standInTheWay)).toMatchObject({
    name: 'StorageRefusedError',
    message: expect.stringMatching(
      /did not read .*cannot be put back: EISDIR.*start the node again: it reports whether anything is missing/,
    ),
  })
  expect(await startWhile(() => {})).toMatchObject({
    message: expect.stringMatching(/acknowledged writes are missing.*To rejoin/),
  })
})

test('no rejoin is advised when the disk fails after LevelDB has read everything', async () => {
  const files = ['LOG', 'LOG.old'].map((name) => join(dir, name))
  hook.puttingBack = () => {
    throw new Error('EMFILE: too many open files')
  }
  const inTheWay = async (): Promise<void> => {
    for (const file of files) {
      rmSync(file, { force: true })
      mkdirSync(file)
    }
  }
  const refused = await startWhile(() => {}, inTheWay)
  hook.puttingBack = () => {}
  expect(refused).toMatchObject({
    name: 'StorageRefusedError',
    message: expect.stringMatching(/EMFILE.*start the node again/),
  })
  expect(refused).not.toMatchObject({ message: expect.stringContaining('rejoin') })
  for (const file of files) rmSync(file, { recursive: true })
  await expectWhole()
})

test('a process that tries to start meanwhile, and makes a LOG before it finds the lock, does not stop the first', async () => {
  const startedMeanwhile = async (): Promise<void> => {
    renameSync(join(dir, 'LOG'), join(dir, 'LOG.old'))
    writeFileSync(join(dir, 'LOG'), '')
  }
  const started = await startWhile(() => {}, startedMeanwhile)
  expect(started).not.toBeInstanceOf(Error)
  await closed(started as Storage)
  await expectWhole()
})

test("without LevelDB's own LOG it is unknown what LevelDB has read", async () => {
  const files = ['LOG', 'LOG.old'].map((name) => join(dir, name))
  const standInTheWay = (): void => {
    for (const file of files) {
      rmSync(file, { force: true })
      mkdirSync(join(file, 'in the way'), { recursive: true })
    }
  }
  expect(await startWhile(standInTheWay)).toMatchObject(refusal(`${wal} .*gives no reason`))
  for (const file of files) rmSync(file, { recursive: true })
  await expectWhole()
})

test.each([
  ['Resource temporarily unavailable', 'StorageInUseError'],
  ['already held by process', 'StorageInUseError'],
  ['No locks available', 'StorageRefusedError'],
  ['Operation not supported', 'StorageRefusedError'],
  ['Function not implemented', 'StorageRefusedError'],
])('LevelDB cannot lock the directory: %s', async (reason, name) => {
  const cause = Object.assign(new Error(`IO error: lock ${dir}/LOCK: ${reason}`), { code: 'LEVEL_LOCKED' })
  const refused = await startWhile(() => {
    throw new Error('Database failed to open', { cause })
  })
  expect(refused).toMatchObject({ name })
  if (name === 'StorageRefusedError')
    expect(refused).toMatchObject({ message: expect.stringContaining(reason) })
  await expectWhole()
})
