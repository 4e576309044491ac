// Every limit at its last allowed value and at the next one; and bytes that no version of this program has written.

import { describe, expect, test } from 'vitest'
import { Reader, Writer } from '../../src/bytes/index.ts'
import { decodeRequest } from '../../src/kv/codec/request.ts'
import { initialState } from '../../src/kv/codec/state.ts'
import { readRange, readTxnCommand, writeTxn } from '../../src/kv/codec/txn.ts'
import { readTags, writeTags } from '../../src/kv/condition.ts'
import { MalformedBytesError, MissingRowError, UnknownKindError } from '../../src/kv/errors.ts'
import { readAllSettings, writeSettings } from '../../src/kv/settings.ts'
import type { RowChange } from '../../src/kv/types.ts'
import { asRevision, type KvSettings, TAGS_MAX } from '../../src/operations/forms/index.ts'
import { SETTING_LIMITS } from '../../src/operations/forms/settings.ts'
import { TXN_DEPTH_MAX } from '../../src/operations/forms/transactions.ts'
import type { KvTxn } from '../../src/operations/index.ts'
import { ask, batchOf, bodyOf, deleteOf, hex, MemoryStore, putOf, rev, utf8 } from './store.ts'

const reading = (bytes: Uint8Array) => new Reader(bytes, 'it', MalformedBytesError)

function written(txn: KvTxn): Reader {
  const to = new Writer()
  writeTxn(txn, to)
  return reading(to.written())
}

describe('the last allowed and the first refused', () => {
  test('key', () => {
    const store = new MemoryStore({ keyBytesMax: 3 })
    expect(store.apply(ask(putOf('abc', ''))).outcome).toMatchObject({ kind: 'put' })
    expect(store.apply(ask(putOf('abcd', ''))).outcome).toMatchObject({ code: 'key_too_long' })
  })

  test('value', () => {
    const store = new MemoryStore({ valueBytesMax: 4 })
    expect(store.apply(ask(putOf('a', '1234'))).outcome).toMatchObject({ kind: 'put' })
    expect(store.apply(ask(putOf('a', '12345'))).outcome).toMatchObject({ code: 'value_too_large' })
  })

  test('store: a value of the same size is accepted by a store that is too large already', () => {
    const store = new MemoryStore({ storeBytesMax: 10 })
    expect(store.apply(ask(putOf('a', '123456789'))).outcome).toMatchObject({ kind: 'put' })
    store.apply(ask({ kind: 'settings', settings: { storeBytesMax: 5 } }))
    expect(store.apply(ask(putOf('a', 'abcdefghi'))).outcome).toMatchObject({ kind: 'put' })
    expect(store.apply(ask(putOf('a', 'abcdefghij'))).outcome).toMatchObject({ code: 'storage_full' })
  })

  const names = Object.keys(SETTING_LIMITS).filter((name) => name !== 'clusterVersion')
  test.each(names as (keyof KvSettings)[])('setting %s', (name) => {
    const { min, max } = SETTING_LIMITS[name]
    for (const value of [min, max]) {
      const store = new MemoryStore()
      expect(store.apply(ask({ kind: 'settings', settings: { [name]: value } })).outcome).toMatchObject({
        kind: 'settings',
        settings: { [name]: value },
      })
    }
    for (const value of [min - 1, max + 1].filter((each) => each >= 0)) {
      const { outcome } = new MemoryStore().apply(ask({ kind: 'settings', settings: { [name]: value } }))
      expect(outcome).toMatchObject({ kind: 'refused', code: 'bad_request' })
    }
  })

  test('the age of tokens goes up to thirty days', () => {
    expect(SETTING_LIMITS.idempotencyAgeMsMax.max).toBe(2_592_000_000)
  })

  test('the age of history goes up to 365 days', () => {
    expect(SETTING_LIMITS.historyAgeMs.max).toBe(31_536_000_000)
  })

  test('token and principal have 255 characters', () => {
    const longest = { token: 't'.repeat(255), since: undefined }
    expect(() => bodyOf(ask(putOf('k', ''), longest))).not.toThrow()
    expect(() => bodyOf(ask(putOf('k', ''), { ...longest, token: 't'.repeat(256) }))).toThrow(RangeError)
    expect(() => bodyOf({ ...ask(putOf('k', '')), principal: 'p'.repeat(256) })).toThrow(RangeError)
  })

  test('a key whose length does not fit into the layout is not written as another key', () => {
    const put = (bytes: number) => {
      const key = new Uint8Array(bytes).fill(0x61)
      return ask({ kind: 'put', key, value: utf8('v'), condition: undefined, prev: false })
    }
    expect(decodeRequest(16, 1, bodyOf(put(0xffff)))).toEqual(put(0xffff))
    expect(() => bodyOf(put(0x1_0000))).toThrow(RangeError)
  })

  test('tags of a condition', () => {
    const write = (count: number) => {
      const tags = Array.from({ length: count }, () => rev(1))
      const to = new Writer()
      writeTags(tags, to)
      return readTags(reading(to.written()))
    }
    // The next number stands for `*`.
    expect(TAGS_MAX).toBe(0xfffe)
    expect(write(TAGS_MAX)).toHaveLength(TAGS_MAX)
    expect(() => write(TAGS_MAX + 1)).toThrow(RangeError)
  })

  test('tokens are forgotten beyond their bytes and their age, not at them', () => {
    const store = new MemoryStore({ idempotencyAgeMsMax: 1000 })
    const token = (name: string) => ({ token: name, since: undefined })
    store.apply(ask(putOf('k', ''), token('a')), 100)
    store.apply(ask(putOf('k', '')), 1100)
    expect(store.state.idempotencyTokens.count).toBe(1)
    store.apply(ask(putOf('k', '')), 1101)
    expect(store.state.idempotencyTokens.count).toBe(0)

    const byBytes = new MemoryStore()
    const numbered = (number: number) => byBytes.apply(ask(putOf('k', ''), token(`t${10 + number}`)))
    numbered(0)
    const { bytes } = byBytes.state.idempotencyTokens
    const settings = { ...byBytes.state.settings, idempotencyBytesMax: 20 * bytes }
    byBytes.state = { ...byBytes.state, settings }
    for (let number = 1; number < 20; number++) numbered(number)
    expect(byBytes.state.idempotencyTokens).toMatchObject({ count: 20, oldest: 0 })
    numbered(20)
    expect(byBytes.state.idempotencyTokens).toMatchObject({ count: 20, oldest: 1 })
  })
})

describe('bytes that are not ours', () => {
  test.each([-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY])(
    'a number that could not be read again is not written: %d',
    (value) => {
      expect(() => bodyOf(ask({ kind: 'settings', settings: { storeBytesMax: value } }))).toThrow(RangeError)
    },
  )

  test.each([
    ['a since without a token', 16, '02 0000000000000001 00 00 0001 6b'],
    ['bytes behind the settings', 18, '00 00 00 01 03 0000000000000008 00'],
    ['a setting twice', 18, '00 00 00 02 03 0000000000000008 03 0000000000000009'],
    ['settings in another order', 18, '00 00 00 02 03 0000000000000008 01 0000000000000009'],
    ['a principal that is not ASCII', 16, '00 01 80 00 0001 6b'],
    ['a token that is not ASCII', 16, '01 01 80 00 00 0001 6b'],
    ['an integer beyond 2^53', 18, '00 00 00 01 03 0020000000000000'],
  ])('a request in another than its one form is malformed: %s', (_, kind, body) => {
    const bytes = Uint8Array.from(Buffer.from(body.replaceAll(' ', ''), 'hex'))
    expect(() => decodeRequest(kind, 1, bytes)).toThrow(MalformedBytesError)
  })

  // The log of a node that stops shows the name.
  test.each([
    [
      UnknownKindError,
      'UnknownKindError: why is not known to this version of quorate: a newer version wrote it, so use that version',
    ],
    [MalformedBytesError, 'MalformedBytesError: why'],
  ])('%o has a name that the log shows', (error, said) => {
    expect(String(new error('why'))).toBe(said)
  })

  test('text beyond ASCII is an error of ours, DEL is ASCII', () => {
    const request = { ...ask(putOf('k', '')), principal: '\x7f' }
    expect(decodeRequest(16, 1, bodyOf(request))).toEqual(request)
    expect(() => bodyOf({ ...request, principal: '\x80' })).toThrow(RangeError)
  })

  test('a revision is a whole number that is not negative', () => {
    expect(asRevision(0)).toBe(0)
    for (const value of [-1, 0.5, 2 ** 53, Number.NaN]) expect(() => asRevision(value)).toThrow(RangeError)
  })

  test('registers that lack a setting are malformed', () => {
    const { clusterVersion: _, ...others } = initialState().settings
    const to = new Writer()
    writeSettings(others, to)
    expect(() => readAllSettings(reading(to.written()))).toThrow(MalformedBytesError)
  })

  test('registers that hold a setting twice are malformed', () => {
    const { settings } = initialState()
    const to = new Writer()
    writeSettings(settings, to)
    expect(readAllSettings(reading(to.written()))).toEqual(settings)
    const bytes = new Uint8Array([...to.written(), ...Array(9).fill(0)])
    bytes[0] = 8
    bytes.copyWithin(bytes.length - 9, bytes.length - 18)
    expect(() => readAllSettings(reading(bytes))).toThrow(MalformedBytesError)
  })

  test.each([
    ['outcome', [28, 99], UnknownKindError],
    ['refusal', [37, 99], UnknownKindError],
  ] as const)('a token row with an unknown %s stops the node', (_, [at, value], error) => {
    const store = new MemoryStore({ valueBytesMax: 1 })
    const request = ask(putOf('k', 'large'), { token: 't', since: undefined })
    store.apply(request)
    const key = hex(Uint8Array.of(2, ...utf8('t')))
    const row = Uint8Array.from(store.rows.get(key) ?? [])
    row[at] = value
    store.rows.set(key, row)
    expect(() => store.apply(request)).toThrow(error)
  })

  test('a token whose place has no row stops the node', () => {
    const store = new MemoryStore({ idempotencyTokensMax: 1 })
    store.apply(ask(putOf('k', ''), { token: 'a', since: undefined }))
    store.rows.delete(hex(Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 0)))
    expect(() => store.apply(ask(putOf('k', ''), { token: 'b', since: undefined }))).toThrow(MissingRowError)
  })
})

describe('transactions in bytes', () => {
  const ofPut = (bytes: string) =>
    Uint8Array.from(Buffer.from(`00 01 01 ${bytes} 00`.replaceAll(' ', ''), 'hex'))
  const KEY = '0001 6b'
  const EMPTY = '00000000'

  test.each([
    ['two leases', `06 ${KEY} 0000000000000007 00000000000003e8 ${EMPTY}`, 'a put with two leases'],
    ['a lease without a name', `02 ${KEY} 0000000000000000 ${EMPTY}`, '0 is the id of no lease'],
  ])('a put with %s is malformed', (_, bytes, message) => {
    expect(readTxnCommand(reading(ofPut(`00 ${KEY} ${EMPTY}`))).success).toHaveLength(1)
    expect(() => readTxnCommand(reading(ofPut(bytes)))).toThrow(message)
  })

  test('a place of a form that is not known stops the node', () => {
    const places = (form: string) => Uint8Array.from(Buffer.from(`${form}00016b00016c`, 'hex'))
    expect(readRange(reading(places('01')))).toEqual({ start: utf8('k'), end: utf8('l') })
    expect(() => readRange(reading(places('03')))).toThrow(UnknownKindError)
  })

  test('they are nested as deep as they may be, and no deeper', () => {
    const nested = (depth: number): KvTxn => ({
      compare: [],
      success: depth === 1 ? [] : [{ kind: 'txn', txn: nested(depth - 1) }],
      failure: [],
    })
    const deepest = nested(TXN_DEPTH_MAX)
    expect(readTxnCommand(written(deepest))).toEqual(deepest)
    expect(() => readTxnCommand(written(nested(TXN_DEPTH_MAX + 1)))).toThrow('nested too deep')
  })
})

test('a failed condition of a delete under a token is repeated with the row that it met', () => {
  const store = new MemoryStore()
  store.apply(ask(putOf('k', 'v')))
  const request = ask(deleteOf('k', { ifMatch: [rev(9)] }), { token: 't', since: undefined })
  const first = store.apply(request)
  expect(first.outcome).toMatchObject({ kind: 'precondition-failed', current: { modRevision: 2 } })
  store.apply(ask(putOf('k', 'w')))
  expect(store.apply(request)).toMatchObject({ outcome: first.outcome, replayed: true })
})

test('the events of many keys that were deleted at once are not written again by the changes after it', () => {
  const store = new MemoryStore()
  const everyKey = { start: new Uint8Array(), end: undefined }
  const names = Array.from({ length: 100 }, (_, at) => `${at}${'-'.repeat(200)}`)
  const deletions = Array.from({ length: 3 }, () => {
    store.apply(ask(batchOf(...names.map((name) => putOf(name, 'v')))))
    const { changes, outcome } = store.apply(ask({ kind: 'delete-range', range: everyKey }))
    expect(outcome).toMatchObject({ kind: 'delete-range', deleted: names.length })
    return bytesOf(changes)
  })
  expect(deletions).toEqual([deletions[0], deletions[0], deletions[0]])
  for (let at = 0; at < 20; at++) {
    // As after a start or a compaction, when the newest row is not in memory.
    if (at > 0) store.becomes({ rows: new Map(store.rows), state: store.state })
    expect(bytesOf(store.apply(ask(putOf('k', 'v'))).changes)).toBeLessThan(2048)
  }
})

const bytesOf = (changes: readonly RowChange[]): number =>
  changes.reduce(
    (sum, { key, value, rest }) => sum + key.length + (value?.length ?? 0) + (rest?.length ?? 0),
    0,
  )
