// Which revisions of the source share a transaction of the target.

import { expect, test } from 'vitest'
import {
  BYTES_MAX,
  countFitting,
  countShared,
  countSharedRecords,
  lastChanges,
  OPERATIONS_MAX,
  type SourceChange,
  type SourceRecord,
  type SourceRevision,
} from '../../../src/cli/migrate/changes.ts'

const record = (name: string, fields: Partial<SourceRecord> = {}): SourceRecord => ({
  ...{
    keyBytes: Buffer.from(name),
    value: new Uint8Array(),
    lease: undefined,
    createRevision: 1,
    modRevision: 1,
    version: 1,
    bytes: 10,
  },
  ...fields,
})
const put = (name: string, fields?: Partial<SourceRecord>): SourceChange => ({
  type: 'put',
  record: record(name, fields),
})
const del = (name: string): SourceChange => ({ type: 'delete', key: Buffer.from(name) })
const revisions = (...changes: SourceChange[][]): SourceRevision[] =>
  changes.map((each, at) => ({ revision: at + 1, changes: each }))
const many = (count: number): SourceChange[] => Array.from({ length: count }, (_, at) => put(`k${at}`))

const MESSAGE = 'app/topic/x/message/0000000000000001-0000012345'

test.each([
  ['others follow', revisions([put('a')], [put('b'), del('c')], [put('d')]), 3],
  ['a key changes again', revisions([put('a')], [put('b')], [del('a')], [put('c')]), 2],
  ['a key of a lease', revisions([put('a')], [put('b', { lease: '7' })], [put('c')]), 1],
  ['a key of a lease alone', revisions([put('b', { lease: '7' })], [put('c')]), 1],
  ['a message of a topic', revisions([put('a')], [put(MESSAGE), put('topic/x/aged')], [put('c')]), 1],
  ['as many operations as fit', revisions(many(OPERATIONS_MAX), [put('z')]), 1],
  ['more than fit', revisions(many(OPERATIONS_MAX + 1), [put('z')]), 1],
  ['large values', revisions([put('a', { bytes: 200_000 })], [put('b', { bytes: 200_000 })]), 1],
])('%s', (_, given, count) => {
  expect(countShared(given)).toBe(count)
})

test('a key that one revision deletes and puts is put', () => {
  expect(lastChanges([del('a'), del('b'), put('a')])).toEqual([put('a'), del('b')])
})

test('records of one revision stay together', () => {
  const records = [1, 1, 2, 2, 2, 3].map((modRevision, at) => record(`k${at}`, { modRevision }))
  expect(countSharedRecords(records, 0)).toBe(6)
  const long = Array.from({ length: 300 }, (_, at) => record(`k${at}`, { modRevision: at >> 1 }))
  expect(countSharedRecords(long, 0)).toBe(126)
  expect(countSharedRecords(long, 298)).toBe(2)
})

test('a revision that is too large has parts', () => {
  expect(countFitting(many(300), OPERATIONS_MAX)).toBe(127)
  expect(countFitting(many(3), OPERATIONS_MAX)).toBe(3)
  expect(countFitting([put('a', { bytes: BYTES_MAX * 2 }), put('b')], OPERATIONS_MAX)).toBe(1)
  expect(countFitting([], OPERATIONS_MAX)).toBe(0)
})
