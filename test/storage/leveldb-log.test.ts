// A frame that is damaged in length and content at once, as a sector gone bad leaves it: whether it passes for the torn end of a file is decided
// by what lies behind it.

import { expect, test } from 'vitest'
import { readLogFile } from '../../src/storage/leveldb-log.ts'
import { logFile } from './leveldb-files.ts'

const FRAME_HEADER_BYTES = 7

/** The first frame claims to reach beyond the end of the file, and its content is another one. */
function damaged(file: Uint8Array): Uint8Array {
  const bytes = Buffer.from(file)
  bytes.writeUInt16LE(5000, 4)
  bytes.writeUInt8(0xaa, FRAME_HEADER_BYTES + 3)
  return bytes
}

const endOf = (file: Uint8Array): ReturnType<typeof readLogFile> =>
  readLogFile(
    file,
    () => undefined,
    () => true,
  )

test('a damaged frame with a whole one behind it is no torn end', () => {
  const records = [Buffer.alloc(20, 1), Buffer.alloc(20, 2)]
  expect(endOf(damaged(logFile(records)))).toEqual({
    kind: 'corrupt',
    at: 0,
    detail: 'a damaged frame is followed by a whole one',
  })
})

test('with nothing behind it, it is one', () => {
  expect(endOf(damaged(logFile([Buffer.alloc(20, 1)])))).toEqual({ kind: 'torn', at: 0 })
})
