// The reader of LevelDB's log files: the damage that it reports as torn, suspect and corrupt. Only the rest of an
// interrupted append may be dropped.

import { expect, test } from 'vitest'
import { readLogFile } from '../../../src/storage/level/log-file.ts'
import { frame, logFile } from './leveldb-files.ts'

const BLOCK_BYTES = 32 * 1024
const FRAME_HEADER_BYTES = 7
const [FULL, FIRST, MIDDLE, LAST] = [1, 2, 3, 4]

type End = ReturnType<typeof readLogFile>

const endOf = (file: Uint8Array): End =>
  readLogFile(
    file,
    () => undefined,
    () => true,
  )

const corrupt = (at: number, detail: string): End => ({ kind: 'corrupt', at, detail })

/** This many bytes, none of which looks like a frame type. */
const content = (bytes: number, fill = 9): Buffer => Buffer.alloc(bytes, fill)

/** Overwrites bytes with `values`. */
function changed(file: Uint8Array, at: number, ...values: readonly number[]): Buffer {
  const bytes = Buffer.from(file)
  bytes.set(values, at)
  return bytes
}

/** Damage as from a bad sector: the first frame claims to reach beyond the end of the file, and its content differs. */
const damaged = (file: Uint8Array): Buffer =>
  changed(changed(file, 4, 0x88, 0x13), FRAME_HEADER_BYTES + 3, 0xaa)

test.each([
  ['a whole one', frame(FULL, content(20))],
  ['the beginning of one that goes on in the next block', frame(FIRST, content(20))],
  ['one without content', frame(FULL, content(0))],
])('a damaged frame with %s after it is not a torn end', (_what, behind) => {
  const file = damaged(Buffer.concat([frame(FULL, content(20)), behind]))
  expect(endOf(file)).toEqual(corrupt(0, 'a damaged frame is followed by a whole one'))
})

test('with nothing after it, it is a torn end', () => {
  expect(endOf(damaged(logFile([content(20)])))).toEqual({ kind: 'torn', at: 0 })
})

test('a record spans blocks, from FIRST over MIDDLE to LAST', () => {
  const parts = [content(3, 1), content(4, 2), content(5, 3), content(6, 4)]
  const types = [FIRST, MIDDLE, MIDDLE, LAST]
  const file = Buffer.concat(parts.map((part, at) => frame(types[at] ?? FULL, part)))
  const records: string[] = []
  const end = readLogFile(
    Buffer.concat([frame(FULL, content(2)), file]),
    (record, at) => {
      records.push(`${at}: ${Buffer.from(record).toString('hex')}`)
      return undefined
    },
    () => true,
  )
  expect(end).toEqual({ kind: 'clean' })
  expect(records).toEqual(['0: 0909', `9: ${Buffer.concat(parts).toString('hex')}`])
})

const spanning = Buffer.concat([frame(FIRST, content(5)), frame(MIDDLE, content(5)), frame(LAST, content(5))])

test.each<[string, Uint8Array, End]>([
  ['a MIDDLE at the beginning', frame(MIDDLE, content(5)), corrupt(0, 'a record has no beginning')],
  ['a LAST at the beginning', frame(LAST, content(5)), corrupt(0, 'a record has no beginning')],
  [
    'a FULL within a record',
    Buffer.concat([frame(FIRST, content(5)), frame(FULL, content(5))]),
    corrupt(12, 'a record has no end'),
  ],
  [
    'a FIRST within a record',
    Buffer.concat([frame(FIRST, content(5)), frame(FIRST, content(5))]),
    corrupt(12, 'a record has no end'),
  ],
  ['a record without its end', spanning.subarray(0, 24), { kind: 'torn', at: 0 }],
  ['the type 0 under a good checksum', frame(0, content(5)), corrupt(0, 'the length of a frame is damaged')],
  ['the type 5 under a good checksum', frame(5, content(5)), corrupt(0, 'the length of a frame is damaged')],
  [
    'a length beyond the block',
    changed(frame(FULL, content(20)), 4, 0xff, 0xff),
    corrupt(0, 'a frame is longer than its block'),
  ],
  [
    'a shorter length',
    changed(frame(FULL, content(20)), 4, 19),
    corrupt(0, 'the length of a frame is damaged'),
  ],
  [
    'a longer length',
    changed(frame(FULL, content(20)), 4, 30),
    corrupt(0, 'the length of a frame is damaged'),
  ],
  [
    'its last byte missing, which was 0',
    frame(FULL, content(20, 0)).subarray(0, -1),
    { kind: 'torn', at: 0 },
  ],
  ['a header of 6 bytes', frame(FULL, content(0)).subarray(0, 6), { kind: 'torn', at: 0 }],
  ['a header and nothing else', frame(FULL, content(20)).subarray(0, 7), { kind: 'torn', at: 0 }],
  ['a damaged last frame', changed(frame(FULL, content(20)), 10, 0xaa), { kind: 'suspect', at: 0 }],
  [
    'a damaged frame that fills a block before the last',
    changed(logFile([content(BLOCK_BYTES - FRAME_HEADER_BYTES), content(5)]), 100, 0xaa),
    corrupt(0, 'the checksum of a frame does not hold'),
  ],
  [
    'something in the rest of a block that is too small for a frame',
    changed(logFile([content(BLOCK_BYTES - FRAME_HEADER_BYTES - 3), content(5)]), BLOCK_BYTES - 2, 1),
    corrupt(BLOCK_BYTES - 3, 'the end of a block is not zero'),
  ],
])('with %s', (_what, file, end) => {
  expect(endOf(file)).toEqual(end)
})

test('an error of a record names the place where the record begins', () => {
  const fault = (): string => 'it is not liked'
  const end = readLogFile(Buffer.concat([spanning, content(3)]), fault, () => true)
  expect(end).toEqual(corrupt(0, 'it is not liked'))
})
