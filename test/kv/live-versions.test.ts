// The jumps of a reader over versions that it does not need.

import { expect, test } from 'vitest'
import { firstVersionUpTo, TOMBSTONE_ROW, versionKey, versionsEnd } from '../../src/kv/codec/rows.ts'
import { LiveVersions } from '../../src/kv/live-versions.ts'
import type { Revision } from '../../src/kv/types.ts'

const key = Buffer.from('k')
const other = Buffer.from('l')
const revision = (number: number) => number as Revision

/** The jump after each row of the key, the newest first. */
function jumps(records: LiveVersions, newest: number, rows: number, of = key): (Uint8Array | undefined)[] {
  return Array.from({ length: rows }, (_, at) => {
    records.take(versionKey(of, revision(newest - at)), TOMBSTONE_ROW)
    return records.takeJump()
  })
}

test('what follows the newest version is jumped over from the sixteenth row on, once', () => {
  const none = (rows: number) => Array(rows).fill(undefined)
  const records = new LiveVersions(undefined, false)
  expect(jumps(records, 100, 20)).toEqual([...none(16), versionsEnd(key), ...none(3)])
  // The next key begins a new count.
  expect(jumps(records, 100, 17, other)).toEqual([...none(16), versionsEnd(other)])
})

test('versions that are too new are jumped over to the one that was there', () => {
  const records = new LiveVersions(revision(50), false)
  expect(jumps(records, 100, 16).at(-1)).toEqual(firstVersionUpTo(key, revision(50)))
  // From there on it reads again.
  expect(jumps(records, 50, 17)).toEqual([...Array(16).fill(undefined), versionsEnd(key)])
})

test('backwards there is no jump', () => {
  const records = new LiveVersions(revision(50), true)
  expect(jumps(records, 100, 60).every((jump) => jump === undefined)).toBe(true)
})
