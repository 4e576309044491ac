// Verification of LevelDB's files before LevelDB may open them, on files made by hand: states that occur only in rare
// moments.

import { rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { crc32c, maskCrc, unmaskCrc } from '../../../src/storage/level/crc32c.ts'
import { readLogFile } from '../../../src/storage/level/log-file.ts'
import { Damage, verifyDatabase } from '../../../src/storage/level/verify.ts'
import { openFilesIn, temporaryDirectory } from '../files.ts'
import { type Edit, edit, logFile, tableFile, walRecord } from './leveldb-files.ts'

describe('CRC-32C', () => {
  test.each([
    ['123456789', 0xe3069283],
    ['', 0],
    ['\0'.repeat(32), 0x8a9136aa],
    [String.fromCharCode(...Array.from({ length: 32 }, (_, at) => at)), 0x46dd794e],
  ])('has the published values (%j)', (text, expected) => {
    const bytes = Buffer.from(text, 'latin1')
    expect(crc32c(bytes, 0, bytes.length)).toBe(expected)
  })

  test('is masked reversibly', () => {
    for (const crc of [0, 1, 0xe3069283, 0xffffffff, 0x80000000]) {
      expect(unmaskCrc(maskCrc(crc))).toBe(crc)
      expect(maskCrc(crc)).not.toBe(crc)
    }
  })
})

describe('a log file', () => {
  /**
   * One record leaves 3 bytes of its block, one spans blocks, and one leaves 7, which become a frame without content.
   */
  const records = [20, 0, 32_724, 40_000, 7, 25_494, 300].map((bytes, at) => Buffer.alloc(bytes, at + 1))
  const read = (file: Uint8Array): { sizes: number[]; end: ReturnType<typeof readLogFile> } => {
    const sizes: number[] = []
    const end = readLogFile(
      file,
      (content) => {
        sizes.push(content.length)
        return undefined
      },
      () => true,
    )
    return { sizes, end }
  }

  test('gives back its records', () => {
    const found: Buffer[] = []
    const end = readLogFile(
      logFile(records),
      (content) => {
        found.push(Buffer.from(content))
        return undefined
      },
      () => true,
    )
    expect(end).toEqual({ kind: 'clean' })
    expect(found.map((record) => record.toString('latin1'))).toEqual(
      records.map((record) => record.toString('latin1')),
    )
  })

  test('cut anywhere ends cleanly between records and is torn within them', () => {
    const sizes = records.map(({ length }) => length)
    const ends = records.map((_, count) => logFile(records.slice(0, count + 1)).length)
    const file = logFile(records)
    // Near the ends of records and blocks, and some places between.
    const edges = [0, 32_768, 65_536, 98_304, ...ends]
    for (let length = 1; length < file.length; length++) {
      if (length % 7919 !== 0 && !edges.some((edge) => Math.abs(edge - length) < 12)) continue
      const { sizes: found, end } = read(file.subarray(0, length))
      const whole = ends.filter((at) => at <= length).length
      expect(found, `${length}`).toEqual(sizes.slice(0, whole))
      const begins = ends[whole - 1] ?? 0
      const blockEnd = Math.ceil(begins / 32_768) * 32_768
      const isInTrailer = blockEnd - begins < 7 && length <= blockEnd
      expect(end.kind, `${length}`).toBe(length === begins || isInTrailer ? 'clean' : 'torn')
    }
  })

  test.each<[string, (file: Buffer) => void, string]>([
    ['a flipped bit in the content', (file) => void file.writeUInt8((file[10] ?? 0) ^ 1, 10), 'corrupt'],
    [
      'a flipped bit in the last content',
      (file) => void file.writeUInt8((file.at(-1) ?? 0) ^ 1, file.length - 1),
      'suspect',
    ],
    [
      'a longer length of the last frame',
      (file) => void file.writeUInt16LE(301, file.length - 303),
      'corrupt',
    ],
    [
      'a shorter length of the last frame',
      (file) => void file.writeUInt16LE(299, file.length - 303),
      'corrupt',
    ],
    ['a length beyond the block', (file) => void file.writeUInt16LE(0xffff, 4), 'corrupt'],
    [
      'a length beyond the end of the file',
      (file) => void file.writeUInt16LE(400, file.length - 303),
      'corrupt',
    ],
    ['another type', (file) => void file.writeUInt8(3, 6), 'corrupt'],
    ['zeros at the end', (file) => void file.fill(0, file.length - 307), 'corrupt'],
  ])('with %s', (_what, damage, kind) => {
    const file = logFile(records)
    damage(file)
    expect(read(file).end.kind).toBe(kind)
  })

  test('whose torn record holds bytes that look like frames is torn all the same', () => {
    const lookalike = logFile([Buffer.alloc(100, 9)])
    const file = logFile([Buffer.alloc(50), Buffer.concat([Buffer.alloc(30), lookalike, Buffer.alloc(500)])])
    const end = readLogFile(
      file.subarray(0, file.length - 100),
      () => undefined,
      (content) => content[0] === 1,
    )
    expect(end.kind).toBe('torn')
  })
})

describe('a database', () => {
  const [table5, table6, table300] = [tableFile(1000), tableFile(200), tableFile(3000)]
  const tables: Edit = {
    added: [
      [0, 5, table5.length],
      [1, 6, table6.length],
    ],
  }
  const first: Edit = { comparator: 'leveldb.BytewiseComparator', log: 8, next: 9, last: 100, ...tables }
  let dir: string

  beforeEach(async () => {
    dir = await temporaryDirectory()
    write('CURRENT', 'MANIFEST-000007\n')
    manifest([first])
    write('000005.ldb', table5)
    write('000006.ldb', table6)
  })
  afterEach(() => rmSync(dir, { recursive: true }))

  const write = (name: string, content: string | Uint8Array): void => writeFileSync(join(dir, name), content)
  const manifest = (edits: readonly Edit[]): void => write('MANIFEST-000007', logFile(edits.map(edit)))
  const wal = (
    number: number,
    ...records: readonly (readonly [sequence: number, count: number])[]
  ): Buffer => {
    const file = logFile(records.map(([sequence, count]) => walRecord(sequence, count)))
    write(`${String(number).padStart(6, '0')}.log`, file)
    return file
  }
  const verify = (mark?: number, discardSuspectTail = false): Promise<number> =>
    verifyDatabase(dir, { reached: { mark, failed: undefined }, discardSuspectTail }).then(
      ({ sequence }) => sequence,
    )
  const damage = async (watermark?: number): Promise<string> => {
    try {
      await verify(watermark)
    } catch (error) {
      if (error instanceof Damage) return `${error.file}: ${error.message}`
      throw error
    }
    return 'none'
  }

  test('that is new ends at the sequence number of MANIFEST', async () => {
    wal(8)
    expect(await verify()).toBe(100)
    expect(await verify(100)).toBe(100)
    expect(await damage(101)).toMatch('acknowledged writes are missing')
  })

  test('goes on through its WALs', async () => {
    wal(8, [101, 3], [104, 1])
    wal(11, [105, 10])
    wal(12)
    expect(await verify(114)).toBe(114)
    expect(await damage(115)).toMatch('acknowledged writes are missing')
  })

  test('may have been written while the WAL before became a table', async () => {
    wal(8, [90, 3], [93, 20])
    expect(await verify(112)).toBe(112)
  })

  test('ignores old WALs and files that are not its own', async () => {
    wal(4, [1, 99])
    wal(8, [101, 1])
    const others = ['000099.ldb', 'MANIFEST-000004', '000010.dbtmp', 'LOG', 'notes.log', 'x000009.log']
    for (const name of [...others, '000009.log.old']) write(name, 'whatever')
    expect(await verify()).toBe(101)
    expect(await damage(102)).toMatch(/^000008\.log .* ends at sequence number 101, but 102 had been reached/)
  })

  test('goes through its WALs in the order of their numbers', async () => {
    manifest([{ ...first, log: 999_999 }])
    wal(999_999, [101, 4])
    wal(1_000_000, [105, 1])
    expect(await verify()).toBe(105)
  })

  test('may have a WAL before the one that MANIFEST names', async () => {
    manifest([{ ...first, prev: 6 }])
    wal(6, [101, 2])
    wal(8, [103, 1])
    expect(await verify()).toBe(103)
  })

  test('may have numbers of several bytes', async () => {
    manifest([{ ...first, log: 128, last: 0x3fff }])
    wal(128, [0x4000, 1])
    expect(await verify()).toBe(0x4000)
  })

  test('may end at the sequence number of MANIFEST', async () => {
    wal(8, [96, 5])
    expect(await verify()).toBe(100)
    wal(8, [96, 4])
    expect(await damage()).toContain('the WALs end at sequence number 99, MANIFEST-000007 stands at 100')
  })

  test('counts the operations of a record, whatever their kind', async () => {
    write('000008.log', logFile([walRecord(101, 3, 0)]))
    expect(await verify()).toBe(103)
  })

  /**
   * The first record may be complete. The last one is cut off within a value that looks like a record with this
   * sequence number.
   */
  const tornWith = (sequence: number, isFirst: boolean): void => {
    const lookalike = logFile([walRecord(sequence, 1)])
    const last = Buffer.concat([walRecord(isFirst ? 101 : 104, 1), lookalike, Buffer.alloc(100)])
    write('000008.log', logFile(isFirst ? [last] : [walRecord(101, 3), last]).subarray(0, -50))
  }

  test.each([
    // Whole records end at sequence number 103.
    [104, false],
    [105, false],
    [2 ** 32 + 103, false],
    [100, true],
    [101, true],
  ])('is refused when a record of sequence number %i follows a damaged one', async (sequence, isFirst) => {
    tornWith(sequence, isFirst)
    expect(await damage()).toContain('a damaged frame is followed by a whole one')
  })

  test.each([
    [103, false],
    [2 ** 32 + 104, false],
    [1, false],
    [99, true],
  ])('does not take a value for a record when its sequence number would be %i', async (sequence, isFirst) => {
    tornWith(sequence, isFirst)
    expect(await verify()).toBe(isFirst ? 100 : 103)
  })

  test('keeps none of its files open', async () => {
    wal(8, [101, 3])
    await verify()
    expect(openFilesIn(dir)).toEqual([])
  })

  test('may end in the middle of a record, also when an interrupted start has made the next WAL already', async () => {
    const whole = wal(8, [101, 3], [104, 5])
    write('000008.log', whole.subarray(0, -3))
    expect(await verify(103)).toBe(103)
    expect(await damage(108)).toMatch('acknowledged writes are missing')
    wal(11)
    wal(12)
    expect(await verify(103)).toBe(103)
  })

  test.each<[string, string, () => void]>([
    [
      'a gap within a WAL',
      '000008.log: at byte 39: sequence number 105 where 104 should be',
      () => wal(8, [101, 3], [105, 1]),
    ],
    [
      'a record too short for its sequence number',
      '000008.log: at byte 39: sequence number -1 where 104 should be',
      () => write('000008.log', logFile([walRecord(101, 3), Buffer.alloc(11, 1)])),
    ],
    ['a repetition', '000008.log: at byte 39: sequence number 101', () => wal(8, [101, 3], [101, 3])],
    [
      'a gap between WALs',
      '000011.log: at byte 0: sequence number 106',
      () => {
        wal(8, [101, 4])
        wal(11, [106, 1])
      },
    ],
    [
      'a gap after the tables',
      '000008.log: at byte 0: sequence number 102 where 101',
      () => wal(8, [102, 1]),
    ],
    ['a WAL that ends before MANIFEST', '000008.log: acknowledged writes are missing', () => wal(8, [90, 5])],
    ['a write that failed, counted by MANIFEST', '(or only one that failed for lack', () => wal(8, [90, 5])],
    ['no WAL', '000008.log: the file is missing', () => {}],
    ['an older WAL instead', '000008.log: the file is missing', () => wal(11, [101, 1])],
    [
      'an emptied WAL before the newest',
      '000008.log: it is empty',
      () => {
        wal(8)
        wal(11, [101, 1])
      },
    ],
    [
      'a torn WAL before the newest',
      '000008.log: it ends in the middle',
      () => {
        write('000008.log', wal(8, [101, 1]).subarray(0, -1))
        wal(11, [101, 1])
      },
    ],
    [
      'a record without operations',
      '000008.log: at byte 0: a record without operations',
      () => wal(8, [101, 0]),
    ],
    [
      'a missing table',
      '000006.ldb: the file is missing',
      () => {
        wal(8)
        rmSync(join(dir, '000006.ldb'))
      },
    ],
    [
      'a table of another size',
      `000005.ldb: it is ${table5.length - 1} bytes`,
      () => {
        wal(8)
        write('000005.ldb', table5.subarray(1))
      },
    ],
    [
      'another order of keys',
      'MANIFEST-000007: at byte 0: it was written with another order',
      () => manifest([{ ...first, comparator: 'leveldb.ReverseComparator' }]),
    ],
    [
      'a MANIFEST without its beginning',
      'MANIFEST-000007: its beginning',
      () => manifest([{ log: 8, next: 9, last: 1 }]),
    ],
    [
      'a MANIFEST without a WAL',
      'MANIFEST-000007: its beginning',
      () => manifest([{ comparator: 'leveldb.BytewiseComparator', next: 9, last: 1 }]),
    ],
    [
      'a MANIFEST without the number of the next file',
      'MANIFEST-000007: its beginning',
      () => manifest([{ comparator: 'leveldb.BytewiseComparator', log: 8, last: 1 }]),
    ],
    [
      'a MANIFEST without a sequence number',
      'MANIFEST-000007: its beginning',
      () => manifest([{ comparator: 'leveldb.BytewiseComparator', log: 8, next: 9 }]),
    ],
    [
      'a damaged last edit',
      'MANIFEST-000007: at byte 0: the checksum of the last frame does not hold',
      () => {
        const file = logFile([edit(first)])
        write('MANIFEST-000007', Buffer.concat([file.subarray(0, -1), Buffer.of((file.at(-1) ?? 0) ^ 1)]))
      },
    ],
    [
      'a damaged edit before a whole one',
      'MANIFEST-000007: at byte 0: a damaged frame is followed by a whole one',
      () => {
        const file = logFile([edit(first), edit({ last: 110 })])
        write('MANIFEST-000007', Buffer.concat([file.subarray(0, 20), Buffer.of(0xee), file.subarray(21)]))
      },
    ],
    [
      'a table with another filter',
      '000005.ldb: its filter is damaged',
      () => write('000005.ldb', tableFile(1000, { filterName: 'filter.leveldb.BuiltinBloomFilter3' })),
    ],
    [
      'a table whose filter would be another block, of the same size',
      '000005.ldb: its filter is damaged',
      () => write('000005.ldb', tableFile(1000, { filterAt: table5.length - 48 - 31 })),
    ],
    ['an empty MANIFEST', 'MANIFEST-000007: its beginning', () => manifest([])],
    ['no MANIFEST', 'MANIFEST-000007: the file is missing', () => rmSync(join(dir, 'MANIFEST-000007'))],
    ['an odd CURRENT', 'CURRENT: it does not name', () => write('CURRENT', 'MANIFEST-000007')],
    ['a CURRENT with more in it', 'CURRENT: it does not name', () => write('CURRENT', 'MANIFEST-000007\n\n')],
    [
      'a CURRENT with more before it',
      'CURRENT: it does not name',
      () => write('CURRENT', 'xMANIFEST-000007\n'),
    ],
    ['no CURRENT', 'CURRENT: the file is missing', () => rmSync(join(dir, 'CURRENT'))],
    [
      'an edit of another LevelDB',
      'MANIFEST-000007: at byte 0: an edit has the unknown tag',
      () => write('MANIFEST-000007', logFile([Buffer.from([99, 1])])),
    ],
    [
      'an edit that is cut short',
      'MANIFEST-000007: at byte 0: an edit is cut short',
      () => write('MANIFEST-000007', logFile([edit(first).subarray(0, -1)])),
    ],
  ])('is refused with %s', async (_what, expected, damageIt) => {
    damageIt()
    expect(await damage()).toContain(expected)
  })

  test('is refused with any bit flipped in what leads to the rows of a table', async () => {
    wal(8)
    const whole = tableFile(40)
    manifest([{ ...first, added: [[0, 5, whole.length]] }])
    const footer = whole.length - 48
    for (let bit = 40 * 8; bit < whole.length * 8; bit++) {
      const flipped = Buffer.from(whole)
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      write('000005.ldb', flipped)
      // Unused bits of the footer may change without an error.
      const allowed =
        bit < footer * 8
          ? /^000005\.ldb: its (filter|metaindex|index) is damaged/
          : /its footer is damaged|none/
      expect(await damage(), `bit ${bit}`).toMatch(allowed)
    }
    for (const [odd, what] of [
      [Buffer.alloc(whole.length), 'its footer is damaged'],
      [Buffer.alloc(48), 'its footer is damaged'],
      [whole.subarray(-47), 'it is no table'],
    ] as const) {
      manifest([{ ...first, added: [[0, 5, odd.length]] }])
      write('000005.ldb', odd)
      expect(await damage()).toBe(`000005.ldb: ${what}`)
    }
  })

  test('follows the tables through later edits', async () => {
    wal(8)
    manifest([
      first,
      { pointer: 1, deleted: [[0, 5]], added: [[1, 5, table5.length]] },
      { deleted: [[1, 6]], added: [[2, 300, table300.length]] },
    ])
    expect(await damage()).toContain('000300.ldb: the file is missing')
    write('000300.ldb', table300)
    rmSync(join(dir, '000006.ldb'))
    expect(await verify()).toBe(100)
    manifest([
      first,
      {
        deleted: [
          [0, 5],
          [1, 6],
        ],
        log: 12,
        last: 120,
      },
    ])
    expect(await damage()).toContain('000012.log: the file is missing')
    wal(12, [121, 2])
    expect(await verify(122)).toBe(122)
  })

  test('ignores an edit that was never finished', async () => {
    wal(8, [101, 9])
    wal(12, [110, 1])
    const whole = logFile([edit(first), edit({ deleted: [[0, 5]], log: 12, last: 109 })])
    write('MANIFEST-000007', whole.subarray(0, -1))
    expect(await verify(110)).toBe(110)
  })

  describe('behind a write that failed', () => {
    const extent = async (from: number, through: number): Promise<unknown> => {
      const reached = { mark: 94, failed: { from, through } }
      const { sequence, heldTo } = await verifyDatabase(dir, { reached, discardSuspectTail: false })
      return { sequence, heldTo }
    }

    test("may end before MANIFEST's number, by at most that write", async () => {
      wal(8, [90, 3], [93, 2])
      expect(await extent(94, 100)).toEqual({ sequence: 100, heldTo: 94 })
      expect(await extent(94, 120)).toEqual({ sequence: 100, heldTo: 94 })
      await expect(extent(94, 99)).rejects.toThrow('acknowledged writes are missing')
      // The batches that the note promises must be there.
      await expect(extent(95, 120)).rejects.toThrow('acknowledged writes are missing')
      wal(8)
      expect(await extent(94, 100)).toEqual({ sequence: 100, heldTo: 94 })
    })

    test('ends as usual when MANIFEST does not count that write', async () => {
      wal(8, [101, 4])
      expect(await extent(104, 110)).toEqual({ sequence: 104, heldTo: 104 })
      // The write was complete all the same, or another one has followed.
      expect(await extent(100, 104)).toEqual({ sequence: 104, heldTo: 104 })
      expect(await extent(97, 100)).toEqual({ sequence: 104, heldTo: 104 })
      wal(8)
      expect(await extent(100, 104)).toEqual({ sequence: 100, heldTo: 100 })
    })
  })

  test('is read to where MANIFEST is damaged, however large that is', async () => {
    const path = join(dir, 'MANIFEST-000007')
    const { size } = statSync(path)
    // Node cannot read a file of 2 GiB at once.
    truncateSync(path, 2 ** 31)
    expect(await damage()).toBe(`MANIFEST-000007: at byte ${size}: the checksum of a frame does not hold`)
  })

  test('drops a suspect tail when asked to, unless it was acknowledged', async () => {
    const file = wal(8, [101, 3], [104, 5])
    file.writeUInt8((file.at(-1) ?? 0) ^ 0x40, file.length - 1)
    write('000008.log', file)
    expect(await damage()).toMatch(/^000008\.log: at byte 39: .* --discard-suspect-tail/)
    expect(await verify(103, true)).toBe(103)
    await expect(verify(108, true)).rejects.toThrow('acknowledged writes are missing')
  })

  test('does not drop a damaged record that others follow', async () => {
    const file = wal(8, [101, 3], [104, 5], [109, 1])
    file.writeUInt8((file[45] ?? 0) ^ 1, 45)
    write('000008.log', file)
    await expect(verify(undefined, true)).rejects.toThrow('byte 39')
  })
})
