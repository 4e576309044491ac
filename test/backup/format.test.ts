// The file of a backup: what was written is read, and nothing else is.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { verifyBackup } from '../../src/backup/file.ts'
import { type BackupHeader, BackupReader, BackupWriter, DamagedBackupError } from '../../src/backup/format.ts'
import type { StoredRow } from '../../src/storage/index.ts'
import { FORMAT_VERSION, hashOfRow, StateHash } from '../../src/storage/index.ts'
import { runs } from '../runs.ts'
import { backupOf, nodeWithEverything } from './samples.ts'

const header: BackupHeader = {
  clusterId: '4242',
  node: 'n1',
  version: '1.2.3',
  createdAtMs: 1,
  index: 9,
  term: 2,
  hasHistory: true,
  users: 0,
  kv: Uint8Array.of(1, 2),
  raft: Uint8Array.of(3),
}

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

function fileOf(pages: readonly (readonly StoredRow[])[]): Buffer {
  const writer = new BackupWriter()
  return Buffer.concat([writer.begin(header), ...pages.map((page) => writer.rows(page)), writer.end()])
}

const key = fc.uint8Array({ minLength: 1, maxLength: 40 })
const pages = fc
  .uniqueArray(fc.record({ key, value: fc.uint8Array({ maxLength: 300 }) }), {
    selector: (row) => Buffer.from(row.key).toString('hex'),
    maxLength: 40,
  })
  .map((rows) => rows.sort((a, b) => Buffer.compare(a.key, b.key)))
  .chain((rows) =>
    fc.integer({ min: 1, max: 10 }).map((size) => {
      const cut: StoredRow[][] = []
      for (let at = 0; at < rows.length; at += size) cut.push(rows.slice(at, at + size))
      return cut
    }),
  )

test('any rows are read as they were written, in chunks of any size', async () => {
  await fc.assert(
    fc.asyncProperty(pages, fc.integer({ min: 1, max: 500 }), async (written, size) => {
      const reader = new BackupReader(inChunks(fileOf(written), size))
      const read: StoredRow[] = []
      expect(await reader.header()).toEqual(header)
      for await (const page of reader.pages()) read.push(...page)
      const plain = (rows: readonly StoredRow[]) => rows.map((row) => [[...row.key], [...row.value]])
      expect(plain(read)).toEqual(plain(written.flat()))
      const hash = new StateHash()
      for (const row of written.flat()) hash.add(hashOfRow(row.key, row.value))
      expect(reader.end).toEqual({ rows: written.flat().length, stateHash: hash.value })
    }),
    { numRuns: runs(100) },
  )
})

test('a flipped bit in each kilobyte, and in each byte of a small file, is found', async () => {
  const file = await backupOf(await nodeWithEverything(300))
  expect(file.length).toBeGreaterThan(40_000)
  const places = [
    ...Array.from({ length: Math.ceil(file.length / 1024) }, (_, at) =>
      Math.min(at * 1024 + (at % 1024), file.length - 1),
    ),
    ...Array.from({ length: 200 }, (_, at) => at),
    ...Array.from({ length: 80 }, (_, at) => file.length - 1 - at),
  ]
  await expect(verifyBackup(inChunks(file, 65_536))).resolves.toBeDefined()
  for (const [number, at] of places.entries()) {
    const damaged = Buffer.from(file)
    damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << (number % 8)), at)
    await expect(verifyBackup(inChunks(damaged, 65_536)), `byte ${at}`).rejects.toThrow(DamagedBackupError)
  }
})

test('a file that ends anywhere before its end, or goes on after it, is refused', async () => {
  const file = fileOf(
    Array.from({ length: 20 }, (_, at) => [{ key: Uint8Array.of(1, at), value: new Uint8Array(50) }]),
  )
  const read = async (bytes: Uint8Array, size = 700): Promise<void> => {
    for await (const _ of new BackupReader(inChunks(bytes, size)).pages());
  }
  await expect(read(file)).resolves.toBeUndefined()
  for (let length = 0; length < file.length; length++)
    await expect(read(file.subarray(0, length)), `${length} bytes`).rejects.toThrow(DamagedBackupError)
  const longer = Buffer.concat([file, Buffer.of(0)])
  await expect(read(longer)).rejects.toThrow('bytes follow the end')
  // The chunk of the end has no other byte.
  await expect(read(longer, file.length)).rejects.toThrow('bytes follow the end')
})

test('blocks in another order, or a second time, are refused', async () => {
  const writer = new BackupWriter()
  const head = writer.begin(header)
  const [first, second] = [1, 2].map((at) =>
    writer.rows([{ key: Uint8Array.of(at), value: Uint8Array.of() }]),
  )
  const end = writer.end()
  for (const blocks of [[second, first], [first, first, second], [first]]) {
    const file = Buffer.concat([head, ...blocks.flatMap((block) => block ?? []), end])
    const reader = new BackupReader(inChunks(file, 700))
    await expect(async () => {
      for await (const _ of reader.pages());
    }).rejects.toThrow(DamagedBackupError)
  }
})

test('a file of another kind, or of a later format, is refused with the reason', async () => {
  const file = fileOf([])
  await expect(new BackupReader(inChunks(Buffer.alloc(100, 'x'), 7)).header()).rejects.toThrow(
    'no backup of quorate',
  )
  const formatOf = (format: number) => {
    file.writeUInt32BE(format, 8)
    return new BackupReader(inChunks(file, 7)).header()
  }
  await expect(formatOf(FORMAT_VERSION + 1)).rejects.toThrow(
    'the backup has format 3, of a newer version of quorate, and this one reads format 2: start the version that wrote it',
  )
  await expect(formatOf(1)).rejects.toThrow('the backup has format 1, of a build before 0.1.0')
})
