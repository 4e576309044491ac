// LevelDB counts a write that fails for lack of space all the same, and a compaction that ends after it records that
// number in MANIFEST. Then MANIFEST is ahead of everything in the WALs and tables, as if acknowledged writes were
// lost. The side file distinguishes the two cases.

import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStorage } from '../../src/storage/directory.ts'
import { createDatabase, LevelEngine, levelLimits } from '../../src/storage/level/level-engine.ts'
import { createWatermark, readWatermark, Watermark } from '../../src/storage/watermark.ts'
import { outcomeOf } from './damage.ts'
import { FaultyEngine } from './faulty.ts'
import { type Files, filesOf, putFiles, temporaryDirectory } from './files.ts'
import { edit, logFile } from './level/leveldb-files.ts'
import { levelReplica } from './replicas.ts'
import { closed } from './samples.ts'
import { contentAfter, submit } from './workload.ts'

/** LevelDB begins a new WAL after about twenty batches. */
const [LIMITS, PADDING] = [{ writeBufferSize: 64 * 1024 }, 2000]

let parent: string
beforeAll(async () => {
  parent = await temporaryDirectory()
})
afterAll(() => rmSync(parent, { recursive: true }))

const nameOf = (wal: number): string => `${String(wal).padStart(6, '0')}.log`
const newestFile = (names: readonly string[]): number =>
  Math.max(...names.map((name) => Number.parseInt(name, 10)).filter((number) => !Number.isNaN(number)))

/**
 * The files after a full disk, when the next WAL could be created but not written; and how many batches were
 * acknowledged.
 */
async function filledUp(): Promise<{ files: Files; count: number }> {
  const replica = await levelReplica({ limits: LIMITS })
  const storage = await replica.open()
  const wal = newestFile(readdirSync(replica.dir))
  symlinkSync('/dev/full', join(replica.dir, nameOf(wal + 1)))
  let count = 0
  let failure: unknown
  while (failure === undefined) {
    await submit(storage, count + 1, PADDING).then(
      () => count++,
      (error: unknown) => {
        failure = error
      },
    )
  }
  expect(failure).toMatchObject({ message: expect.stringContaining('start the node again') })
  // The compaction continues, and records what LevelDB has counted.
  await expect.poll(() => existsSync(join(replica.dir, nameOf(wal)))).toBe(false)
  rmSync(join(replica.dir, nameOf(wal + 1)))
  writeFileSync(join(replica.dir, nameOf(wal + 1)), '')
  const files = filesOf(replica.dir)
  await replica.dispose()
  return { files, count }
}

function directoryOf(files: Files, changed: Readonly<Record<string, Uint8Array>> = {}): string {
  const dir = mkdtempSync(join(parent, 'node-'))
  putFiles(dir, [...files, ...Object.entries(changed)])
  return dir
}

const fileOf = (files: Files, pattern: RegExp): readonly [name: string, content: Buffer] => {
  const found = [...files].find(([name]) => pattern.test(name))
  if (found === undefined) throw new Error(`no ${pattern}`)
  return found
}

/** Sets MANIFEST to this sequence number; no change if it is there already. */
function countedTo(files: Files, sequence: number): Files {
  const [name, content] = fileOf(files, /^MANIFEST/)
  return new Map([...files, [name, Buffer.concat([content, logFile([edit({ last: sequence })])])]])
}

const markIn = (watermark: Buffer): number => Number(watermark.readBigUInt64BE(4))
const throughIn = (watermark: Buffer): number => Number(watermark.readBigUInt64BE(16 + 12))

test('the node starts again with exactly what was acknowledged', async () => {
  const { files, count } = await filledUp()
  const [, watermark] = fileOf(files, /^WATERMARK$/)
  const counted = countedTo(files, throughIn(watermark))
  const content = await contentAfter(count, PADDING)
  expect(await outcomeOf(directoryOf(counted))).toEqual({ kind: 'opened', content })

  // A start that fails after LevelDB has opened leaves another form: everything in tables, and an empty WAL.
  const dir = directoryOf(counted)
  const beforeRead = (): never => {
    throw new Error('Input/output error')
  }
  await expect(
    openStorage(dir, { under: (engine) => new FaultyEngine(engine, { beforeRead }) }),
  ).rejects.toThrow('Input/output error')
  const recovered = new Map(filesOf(dir))
  expect(recovered.has(fileOf(counted, /^MANIFEST/)[0])).toBe(false)
  expect(await outcomeOf(directoryOf(recovered))).toEqual({ kind: 'opened', content })

  // Later writes continue, and must not be lost either.
  const running = directoryOf(recovered)
  const storage = await openStorage(running)
  await submit(storage, count + 1, PADDING)
  const killed = filesOf(running)
  await closed(storage)
  expect(await outcomeOf(directoryOf(killed))).toEqual({
    kind: 'opened',
    content: await contentAfter(count + 1, PADDING),
  })
  const [wal] = fileOf(killed, /\.log$/)
  expect(await outcomeOf(directoryOf(killed, { [wal]: Buffer.alloc(0) }))).toMatchObject({ kind: 'refused' })
})

test('no other damage is accepted as this case', async () => {
  const { files } = await filledUp()
  const [, watermark] = fileOf(files, /^WATERMARK$/)
  const through = throughIn(watermark)
  const refused = { kind: 'refused' }
  // Beyond the failed write.
  expect(await outcomeOf(directoryOf(countedTo(files, through + 1)))).toMatchObject(refused)
  const counted = countedTo(files, through)
  // The note is torn or damaged.
  for (let length = 0; length < watermark.length; length++) {
    const torn = { WATERMARK: watermark.subarray(0, length) }
    expect((await outcomeOf(directoryOf(counted, torn))).kind, `${length}`).toBe('refused')
  }
  for (let bit = 0; bit < watermark.length * 8; bit += 5) {
    const flipped = Buffer.from(watermark)
    flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
    expect((await outcomeOf(directoryOf(counted, { WATERMARK: flipped }))).kind, `${bit}`).toBe('refused')
  }
  // A later batch was acknowledged.
  const later = directoryOf(counted)
  const side = new Watermark(later)
  side.raise(markIn(watermark) + 1)
  side.close()
  expect((await outcomeOf(later)).kind).toBe('refused')
})

test('after such a start, a failed write is noted with the end of the last batch', async () => {
  const dir = await temporaryDirectory()
  createWatermark(dir, 90)
  const db = await createDatabase(dir, levelLimits)
  const side = new Watermark(dir)
  const engine = new LevelEngine(db, dir, side, { sequence: 103, heldTo: 97 })
  const batch = engine.batch()
  batch.put(Uint8Array.of(1), Uint8Array.of(1))
  await db.close()
  const error = await new Promise((resolve) => engine.write(batch, resolve))
  expect(error).toBeInstanceOf(Error)
  expect(readWatermark(dir)).toEqual({ mark: 90, failed: { from: 97, through: 104 } })
  side.raise(98)
  expect(readWatermark(dir)).toEqual({ mark: 98, failed: undefined })
  side.close()
  rmSync(dir, { recursive: true })
})
