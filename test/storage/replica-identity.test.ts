// The small files beside the database: which replica the directory belongs to, and how far it had come. Each is read
// back exactly as it was written, or is ignored.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { Writer } from '../../src/bytes/index.ts'
import { asReplicaId } from '../../src/raft/types.ts'
import { formatStorage, inspectDirectory } from '../../src/storage/directory.ts'
import { FORMAT_VERSION, type Identity } from '../../src/storage/index.ts'
import { seal } from '../../src/storage/records.ts'
import { writeIdentity } from '../../src/storage/replica-identity.ts'
import { createWatermark, readWatermark, Watermark } from '../../src/storage/watermark.ts'
import { openFilesIn, temporaryDirectory } from './files.ts'
import { identity, initial } from './samples.ts'

let dir: string

beforeEach(async () => {
  dir = await temporaryDirectory()
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
})

const put = (name: string, content: string | Uint8Array = ''): void => writeFileSync(join(dir, name), content)

/** With the right checksum. */
const identityText = (body: string): string => `${body}crc32 ${crc32(body).toString(16).padStart(8, '0')}\n`

describe('an identity', () => {
  beforeEach(() => put('CURRENT'))

  test.each<[string, Partial<Identity>]>([
    ['the smallest numbers', { clusterId: '0', replicaId: asReplicaId('0'), name: 'a' }],
    [
      'the largest numbers',
      {
        clusterId: '18446744073709551615',
        replicaId: asReplicaId('18446744073709551615'),
        name: 'z'.repeat(63),
      },
    ],
    ['all signs of a name', { name: 'abc-xyz-0189' }],
  ])('reads back as it was written: %s', (_what, part) => {
    const written = { ...identity, ...part }
    writeIdentity(dir, written)
    expect(inspectDirectory(dir)).toEqual({ kind: 'formatted', identity: written })
    expect(readdirSync(dir).sort()).toEqual(['CURRENT', 'IDENTITY'])
    expect(openFilesIn(dir)).toEqual([])
  })

  test('reads back with every form of checksum', () => {
    const names = Array.from({ length: 100 }, (_, at) => `node-${at}`)
    const checksums = names.map((name) => {
      writeIdentity(dir, { ...identity, name })
      expect(inspectDirectory(dir)).toMatchObject({ identity: { name } })
      return readFileSync(join(dir, 'IDENTITY'), 'latin1').slice(-9, -1)
    })
    expect(checksums.filter((checksum) => checksum.startsWith('0'))).not.toEqual([])
  })

  const body = `quorate node\nformat ${FORMAT_VERSION}\ncluster 77\nreplica 9\nname n1\n`

  test.each([
    ['nothing', ''],
    ['something before it', `x${identityText(body)}`],
    ['something behind it', `${identityText(body)}\n`],
    ['another checksum', `${body}crc32 00000000\n`],
    ['a checksum that is not hexadecimal', `${body}crc32 0000000g\n`],
    ['a replica with a zero before it', identityText(body.replace('replica 9', 'replica 09'))],
    ['a format with a zero before it', identityText(body.replace('format 2', 'format 02'))],
    ['a cluster that is not a number', identityText(body.replace('77', '7x'))],
    ['a cluster of too many digits', identityText(body.replace('77', '7'.repeat(21)))],
    ['a name in capital letters', identityText(body.replace('n1', 'N1'))],
    ['no name', identityText(body.replace('n1', ''))],
    ['a name that is too long', identityText(body.replace('n1', 'n'.repeat(64)))],
    ['no line for the name', identityText(body.replace('name n1\n', ''))],
  ])('is refused with %s', (_what, text) => {
    put('IDENTITY', text)
    expect(() => inspectDirectory(dir)).toThrow(/IDENTITY is damaged: .*--join URL --replace/)
  })

  test('of a much newer format is of a newer format', () => {
    put('IDENTITY', identityText(body.replace('format 2', 'format 999999999')))
    expect(() => inspectDirectory(dir)).toThrow('has format 999999999, of a newer version of quorate')
  })

  test('that cannot be read is refused with the reason', () => {
    mkdirSync(join(dir, 'IDENTITY'))
    const refused = expect.objectContaining({
      name: 'StorageRefusedError',
      message: expect.stringMatching(/IDENTITY cannot be read: .*EISDIR/),
      cause: expect.objectContaining({ code: 'EISDIR' }),
    })
    expect(() => inspectDirectory(dir)).toThrow(refused)
  })
})

const OF_A_DATABASE = [
  ...['CURRENT', 'MANIFEST-000012', 'MANIFEST-1', 'LOG', 'LOG.old', 'LOCK', 'WATERMARK', 'IDENTITY.new'],
  ...['000012.log', '000012.ldb', '000012.dbtmp', '7.log'],
]
const OF_OTHERS = [
  ...['xCURRENT', 'CURRENTLY', 'MANIFEST-', 'MANIFEST-x', 'MANIFEST-1.txt', 'BLOG', 'LOG.older', 'LOGxold'],
  ...[
    'LOG.old.old',
    '.log',
    'a.log',
    'a12.log',
    '12xlog',
    '12.logs',
    '12.txt',
    'IDENTITYxnew',
    'IDENTITY.newer',
  ],
]

describe('a directory without IDENTITY', () => {
  test.each(OF_A_DATABASE)('that holds %s has lost its node', (name) => {
    put(name)
    expect(() => inspectDirectory(dir)).toThrow(/IDENTITY is missing beside a database.*--join URL --replace/)
  })

  test.each(OF_OTHERS)('that holds %s is somebody else’s', (name) => {
    put(name)
    expect(() => inspectDirectory(dir)).toThrow(`is not empty and holds no node (found ${name})`)
  })

  test('that holds files of a database and others has lost its node', () => {
    for (const name of ['CURRENT', 'thesis.txt']) put(name)
    expect(() => inspectDirectory(dir)).toThrow('IDENTITY is missing beside a database')
  })

  test('is closed file by file when it has become a node’s', async () => {
    await formatStorage(dir, identity, initial)
    expect(openFilesIn(dir)).toEqual([])
  })

  test('names a few of the files that it holds', () => {
    for (const name of ['a', 'b', 'c', 'd']) put(name)
    expect(() => inspectDirectory(dir)).toThrow(/found \w, \w, \w\)/)
  })

  test('whose formatting was interrupted is made anew, without what belongs to others', async () => {
    for (const name of [...OF_A_DATABASE, ...OF_OTHERS]) put(name, 'left')
    put('FORMATTING')
    await formatStorage(dir, identity, initial)
    const left = readdirSync(dir).filter((name) => readFileSync(join(dir, name), 'latin1') === 'left')
    // Another process may hold the lock.
    expect(left.sort()).toEqual([...OF_OTHERS, 'LOCK'].toSorted())
    expect(existsSync(join(dir, 'FORMATTING'))).toBe(false)
    expect(openFilesIn(dir)).toEqual([])
  })
})

describe('the side file', () => {
  test('has the newest mark', () => {
    createWatermark(dir, 2)
    expect(readWatermark(dir)).toEqual({ mark: 2, failed: undefined })
    const watermark = new Watermark(dir)
    for (const mark of [7, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
      watermark.raise(mark)
      expect(readWatermark(dir)).toEqual({ mark, failed: undefined })
    }
    expect(readFileSync(join(dir, 'WATERMARK'))).toHaveLength(16)
    expect(openFilesIn(dir)).toHaveLength(existsSync('/proc/self/fd') ? 1 : 0)
    watermark.close()
    expect(openFilesIn(dir)).toEqual([])
  })

  test('has the note of a failed write until the next mark', () => {
    createWatermark(dir, 7)
    const watermark = new Watermark(dir)
    watermark.noteFailed({ from: 7, through: 12 })
    expect(readWatermark(dir)).toEqual({ mark: 7, failed: { from: 7, through: 12 } })
    watermark.noteFailed({ from: 8, through: 13 })
    expect(readWatermark(dir)).toEqual({ mark: 7, failed: { from: 8, through: 13 } })
    watermark.raise(9)
    expect(readWatermark(dir)).toEqual({ mark: 9, failed: undefined })
    watermark.close()
  })

  test('says nothing when it is torn, and does not mistake one part for the other', () => {
    createWatermark(dir, 7)
    const watermark = new Watermark(dir)
    watermark.noteFailed({ from: 7, through: 12 })
    watermark.close()
    const whole = readFileSync(join(dir, 'WATERMARK'))
    for (let length = 0; length < whole.length; length++) {
      put('WATERMARK', whole.subarray(0, length))
      expect(readWatermark(dir)).toEqual({ mark: length < 16 ? undefined : 7, failed: undefined })
    }
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const flipped = Buffer.from(whole)
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      put('WATERMARK', flipped)
      expect(readWatermark(dir)).toEqual({ mark: bit < 128 ? undefined : 7, failed: undefined })
    }
    const magic = new TextEncoder().encode('QFLD')
    const longer = seal(magic, magic, new Writer().uint64(7).uint64(12).uint64(0).written())
    for (const part of [Buffer.of(0), longer]) put('WATERMARK', Buffer.concat([whole.subarray(0, 16), part]))
    expect(readWatermark(dir)).toEqual({ mark: 7, failed: undefined })
  })
})
