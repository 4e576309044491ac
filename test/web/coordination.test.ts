// Names and clients, as the page of coordination reads them from keys.

import { expect, test } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/index.ts'
import { asRevision, type KeyRow, type LeaseId } from '../../src/operations/forms/store.ts'
import { escapePart } from '../../src/recipes/key-space.ts'
import { findHolders, orderClients } from '../../web/src/pages/coordination/clients.ts'
import {
  formatMeta,
  parseInstance,
  parseItemId,
  parseItemState,
  parseSaga,
} from '../../web/src/pages/coordination/documents.ts'
import { escapeName, namePrefix, unescapeName } from '../../web/src/pages/coordination/names.ts'

const row = (key: string, createRevision: number, lease: string | undefined, value = ''): KeyRow => ({
  key: encodeUtf8(key),
  value: encodeUtf8(value),
  createRevision: asRevision(createRevision),
  modRevision: asRevision(createRevision),
  version: 1,
  lease: lease as LeaseId | undefined,
})
const named = (recipe: string, name: string) => ({
  recipe,
  name: encodeUtf8(name),
  prefix: namePrefix(recipe, encodeUtf8(name)),
})

test.each(['plain', 'a/b', '100%', '%2F', '%25/', 'é/%', '\0'])(
  'the name %j is escaped as a recipe does',
  (name) => {
    const part = escapeName(encodeUtf8(name))
    expect(Buffer.from(part).toString()).toBe(escapePart(name).toString())
    expect(unescapeName(part)).toEqual(encodeUtf8(name))
  },
)

test.each(['', '%', '%2', '%41', '%2f', 'a/b'])('%j is no escaped name', (part) => {
  expect(unescapeName(encodeUtf8(part))).toBeUndefined()
})

const states = (recipe: string, records: readonly KeyRow[]) => {
  const queue = orderClients(named(recipe, 'x'), records)
  return queue.clients.map(({ token, state, mode }) => [token, state, mode])
}

test('the oldest key with a lease holds a lock, whatever the order of the keys', () => {
  const records = [row('lock/x/1', 9, '1'), row('lock/x/2', 7, '2'), row('lock/x/3', 3, undefined)]
  expect(states('lock', records)).toEqual([
    [7, 'holds', undefined],
    [9, 'waits', undefined],
  ])
  const { foreign } = orderClients(named('lock', 'x'), records)
  expect(foreign.map(({ createRevision }) => createRevision)).toEqual([3])
})

test('a client that has written its key again keeps its turn and its token', () => {
  const rewritten = (record: KeyRow, modRevision: number): KeyRow => ({
    ...record,
    ...{ modRevision: asRevision(modRevision), version: 2 },
  })
  for (const recipe of ['lock', 'election', 'semaphore', 'rwlock']) {
    const records = [
      row(`${recipe}/x/w/1`, 5, '1'),
      row(`${recipe}/x/w/2`, 7, '2'),
      row(`${recipe}/x/w/3`, 9, '3'),
    ]
    const same = [records[0], records[1], records[2]].map((record, at) =>
      record === undefined ? row('', 0, '0') : rewritten(record, 30 - at),
    )
    expect(states(recipe, same)).toEqual(states(recipe, records))
    expect(states(recipe, same).map(([token]) => token)).toEqual([5, 7, 9])
  }
})

test('readers hold a lock together, until a writer waits', () => {
  const records = [
    row('rwlock/x/r/1', 2, '1'),
    row('rwlock/x/r/2', 3, '2'),
    row('rwlock/x/w/3', 4, '3'),
    row('rwlock/x/r/4', 5, '4'),
  ]
  expect(states('rwlock', records)).toEqual([
    [2, 'holds', 'reads'],
    [3, 'holds', 'reads'],
    [4, 'waits', 'writes'],
    [5, 'waits', 'reads'],
  ])
  const writing = orderClients(named('rwlock', 'x'), records.slice(2))
  expect(findHolders(writing).map(({ mode }) => mode)).toEqual(['writes'])
})

test('the store does not say which clients of a semaphore hold a permit', () => {
  const records = [row('semaphore/x/1', 2, '1'), row('semaphore/x/2', 3, '2')]
  expect(findHolders(orderClients(named('semaphore', 'x'), records))).toEqual([])
})

const json = (value: unknown): Uint8Array => encodeUtf8(JSON.stringify(value))

test('the id of an item has its priority, and a revision before it', () => {
  expect(parseItemId('994-0000000000000123-00000aff')).toEqual({ priority: 5, revision: 123 })
  for (const id of ['', 'x', '994-123-00000aff', '994-0000000000000123-xyz'])
    expect(parseItemId(id)).toBeUndefined()
})

test.each([[''], ['7'], ['null'], ['[]'], ['{'], ['{"attempts":"2"}'], ['{"attempts":1,"error":2}']])(
  '%j is no state of an item',
  (text) => {
    expect(parseItemState(encodeUtf8(text))).toBeUndefined()
  },
)

test('a weight or metadata of another kind count as those that an instance has by default', () => {
  expect(parseInstance(json({ url: 'http://a', weight: -1, meta: [1] }))).toEqual({
    url: 'http://a',
    weight: 1,
    meta: {},
  })
  expect(parseInstance(json({ url: 7 }))).toBeUndefined()
  expect(parseInstance(Uint8Array.of(0xff))).toBeUndefined()
})

test('metadata of any depth is text', () => {
  expect(formatMeta({ zone: 'east' })).toBe('{"zone":"east"}')
  expect(formatMeta({})).toBe('')
  const deep = `${'{"0":'.repeat(20_000)}0${'}'.repeat(20_000)}`
  const instance = parseInstance(encodeUtf8(`{"url":"http://a","meta":${deep}}`))
  expect(instance && formatMeta(instance.meta)).toBe('too deep to be shown')
})

test.each([
  { status: 'lost' },
  { steps: [{ result: 1 }] },
  { steps: {} },
  { compensated: [1] },
  { failure: undefined },
  { failure: { step: 'a' } },
])('a record with %j is none of a saga', (part) => {
  const record = { input: 1, status: 'running', steps: [], compensated: [], failure: null }
  expect(parseSaga(json(record))).toMatchObject({ status: 'running', failure: undefined })
  expect(parseSaga(json({ ...record, ...part }))).toBeUndefined()
})
