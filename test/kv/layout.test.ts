// The bytes of log, rows and registers never change: a failing test here means that the data of every user would be
// unreadable. A change needs a new version of the kind, a row flag or a new layout number.

import { describe, expect, test } from 'vitest'
import { decodeRequest } from '../../src/kv/codec/request.ts'
import { decodeVersion, decodeVersionKey, tombstoneKey, versionKey } from '../../src/kv/codec/rows.ts'
import { decodeState, encodeState } from '../../src/kv/codec/state.ts'
import { MalformedBytesError, UnknownKindError } from '../../src/kv/errors.ts'
import { REASONS } from '../../src/kv/rejections.ts'
import { type Request, ROW_HEAD_BYTES } from '../../src/kv/types.ts'
import { keyAfter, type LeaseId, prefixEnd } from '../../src/operations/forms/index.ts'
import { CLUSTER_VERSION } from '../../src/operations/forms/settings.ts'
import { commandDigest } from '../../src/server/node/write/command-digest.ts'
import { must } from '../storage/samples.ts'
import { ask, batchOf, bodyOf, deleteOf, hex, MemoryStore, putOf, rev, utf8 } from './store.ts'

const unspaced = (text: string) => text.replaceAll(/\s/g, '')

/** The fingerprint of a command of this kind, and the command. */
const printed = (kind: number, command: string): string => `${print(kind, command)} ${command}`

const print = (kind: number, command: string): string =>
  hex(commandDigest(kind, Buffer.from(unspaced(command), 'hex')))

describe('requests', () => {
  test.each<readonly [string, number, Request, string]>([
    ['a plain put', 16, ask(putOf('key', 'value')), '00  00 00 0003 6b6579 76616c7565'],
    ['an empty value', 16, ask(putOf('k', '')), '00  00 00 0001 6b'],
    [
      'a put with everything',
      16,
      {
        command: putOf('k', 'v', { ifMatch: [rev(7), rev(2 ** 40)], ifNoneMatch: 'any' }, true),
        idempotency: { token: 'tok', since: rev(5) },
        principal: 'me',
      },
      `03 02 6d65 03 746f6b 0000000000000005
       ${printed(16, '07 0002 0000000000000007 0000010000000000 ffff 0001 6b 76')}`,
    ],
    [
      'a delete',
      17,
      ask(deleteOf('k'), { token: 't', since: undefined }),
      `01 00 01 74 ${printed(17, '00 0001 6b')}`,
    ],
    [
      'settings',
      18,
      ask({ kind: 'settings', settings: { storeBytesMax: 8, keyBytesMax: 3 } }),
      '00  00 00 02 01 0000000000000003 03 0000000000000008',
    ],
    [
      'a put with a lease',
      16,
      ask({ ...putOf('k', 'v', { ifMatch: 'any' }, true), lease: { id: '18446744073709551615' as LeaseId } }),
      '00  00 0d ffff ffffffffffffffff 0001 6b 76',
    ],
    [
      'a put with a lease of its own',
      16,
      ask({ ...putOf('k', 'v'), lease: { ttlMs: 1000 } }),
      '00  00 10 00000000000003e8 0001 6b 76',
    ],
    [
      'puts with leases in a batch',
      19,
      ask(
        batchOf(
          { ...putOf('k', 'v'), lease: { id: '7' as LeaseId } },
          { ...putOf('l', ''), lease: { ttlMs: 1000 } },
        ),
      ),
      `00  00 00 0002
       01 08 0000000000000007 0001 6b 00000001 76
       01 10 00000000000003e8 0001 6c 00000000`,
    ],
    [
      'puts with leases in a transaction',
      23,
      ask({
        kind: 'txn',
        txn: {
          compare: [],
          success: [
            {
              kind: 'put',
              key: utf8('k'),
              value: utf8('v'),
              prev: true,
              lease: { id: '7' as LeaseId },
            },
          ],
          failure: [{ kind: 'put', key: utf8('k'), value: utf8(''), prev: false, lease: { ttlMs: 1000 } }],
        },
      }),
      `00  00 00 00
       01 01 03 0001 6b 0000000000000007 00000001 76
       01 01 04 0001 6b 00000000000003e8 00000000`,
    ],
    [
      'puts that keep a value, a lease, or both',
      19,
      ask(
        batchOf(
          { ...putOf('k', ''), keepsValue: true, lease: { id: '7' as LeaseId } },
          { ...putOf('k', 'v'), keepsLease: true },
          { ...putOf('k', ''), keepsValue: true, keepsLease: true },
        ),
      ),
      `00  00 00 0003
       01 28 0000000000000007 0001 6b 00000000
       01 40 0001 6b 00000001 76
       01 60 0001 6b 00000000`,
    ],
    [
      'puts in a transaction that keep a value, a lease, or both',
      23,
      ask({
        kind: 'txn',
        txn: {
          compare: [],
          success: [{ kind: 'put', key: utf8('k'), value: utf8(''), prev: true, keepsValue: true }],
          failure: [
            { kind: 'put', key: utf8('k'), value: utf8('v'), prev: false, keepsLease: true },
            { kind: 'put', key: utf8('l'), value: utf8(''), prev: false, keepsValue: true, keepsLease: true },
          ],
        },
      }),
      `00  00 00 00
       01 01 09 0001 6b 00000000
       02 01 10 0001 6b 00000001 76 01 18 0001 6c 00000000`,
    ],
    [
      'a get at a revision in a transaction',
      23,
      ask({
        kind: 'txn',
        txn: {
          compare: [],
          success: [
            {
              ...{ kind: 'get', where: { key: utf8('k') }, limit: 3, keysOnly: true, count: false },
              ...{ countOnly: false, revision: rev(258) },
            },
          ],
          failure: [],
        },
      }),
      '00  00 00 00 01 02 15 00 0001 6b 0000000000000003 0000000000000102 00',
    ],
    [
      'a compaction that must go forward',
      21,
      ask({ kind: 'compact', revision: rev(258), onlyForward: true }),
      '00  00 01 0000000000000102',
    ],
    [
      'a grant',
      24,
      ask({ kind: 'grant', id: '7' as LeaseId, ttlMs: 1000 }),
      '00  00 00 0000000000000007 00000000000003e8',
    ],
    [
      'a grant of any id',
      24,
      ask({ kind: 'grant', id: undefined, ttlMs: 1000 }),
      '00  00 00 0000000000000000 00000000000003e8',
    ],
    [
      'a renewal',
      25,
      ask({ kind: 'renew', ids: ['7', '258'] as LeaseId[] }),
      '00  00 00 0002 0000000000000007 0000000000000102',
    ],
    ['what says the time', 25, ask({ kind: 'renew', ids: [] }), '00  00 00 0000'],
    ['a revocation', 26, ask({ kind: 'revoke', id: '7' as LeaseId }), '00  00 00 0000000000000007'],
    [
      'the end of leases',
      27,
      ask({ kind: 'expire', leases: [{ id: '7' as LeaseId, deadlineMs: 258 }] }),
      '00  00 00 0001 0000000000000007 0000000000000102',
    ],
    [
      'a put of a user',
      16,
      { ...ask(putOf('k', 'v')), principal: 'bob', authRevision: 258, madeAt: 7 },
      '08 03 626f62 0000000000000102 0000000000000007  00 0001 6b 76',
    ],
    [
      'a put of a user with a lease',
      16,
      {
        ...ask({ ...putOf('k', 'v'), lease: { id: '7' as LeaseId } }),
        ...{ principal: 'bob', authRevision: 258, madeAt: 7 },
      },
      '18 03 626f62 0000000000000102 0000000000000007  08 0000000000000007 0001 6b 76',
    ],
    [
      'a put with the time of its node',
      16,
      { ...ask(putOf('k', 'v')), timeMs: 0x01_02_03_04_05_06 },
      '20 00 010203040506  00 0001 6b 76',
    ],
    [
      'a put of a user with a token and the time of its node',
      16,
      {
        ...ask(putOf('k', 'v'), { token: 't', since: undefined }),
        ...{ principal: 'bob', authRevision: 258, madeAt: 7, timeMs: 7 },
      },
      `29 03 626f62 0000000000000102 0000000000000007 000000000007 01 74
       ${printed(16, '00 0001 6b 76')}`,
    ],
    [
      'a put of a user in a session',
      16,
      {
        ...ask(putOf('k', 'v'), { session: 258, slot: 3, seq: 7 }),
        ...{ principal: 'bob', authRevision: 258, madeAt: 7 },
      },
      `0c 03 626f62 0000000000000102 0000000000000007
       0000000000000102 0003 000000000007 ${printed(16, '00 0001 6b 76')}`,
    ],
    [
      'a user',
      28,
      ask({
        kind: 'auth',
        change: { kind: 'put-user', name: 'bob', passwordHash: 'h', roles: ['app'] },
        ifRevision: 258,
      }),
      '00  00 00 01 0000000000000102 03 00000003 626f62 02 00000001 68 01 0001 00000003 617070',
    ],
    [
      'a user without a password',
      28,
      ask({
        kind: 'auth',
        change: { kind: 'put-user', name: 'bob', passwordHash: null, roles: undefined },
        ifRevision: undefined,
      }),
      '00  00 00 00 03 00000003 626f62 01 00',
    ],
    [
      'a role',
      28,
      ask({
        kind: 'auth',
        change: {
          kind: 'put-role',
          name: 'app',
          permissions: [
            { access: 'read', range: { start: utf8('a'), end: utf8('b') } },
            { access: 'readwrite', range: { start: utf8(''), end: undefined } },
            { access: 'admin', range: undefined },
          ],
        },
        ifRevision: undefined,
      }),
      `00  00 00 00 05 00000003 617070 0003
       01 00000001 61 01 00000001 62  03 00000000 00  04`,
    ],
    [
      'enabling rights',
      28,
      ask({
        kind: 'auth',
        change: { kind: 'enable', rootHasCertificate: true, leaseIdKey: utf8('l'), tokenKey: utf8('key') },
        ifRevision: undefined,
      }),
      '00  00 00 00 01 01 00000001 6c 00000003 6b6579',
    ],
    ...(
      [
        ['disabling rights', { kind: 'disable' }, '02'],
        ['removing a user', { kind: 'delete-user', name: 'bob' }, '04 00000003 626f62'],
        ['removing a role', { kind: 'delete-role', name: 'app' }, '06 00000003 617070'],
      ] as const
    ).map(
      ([name, change, bytes]) =>
        [name, 28, ask({ kind: 'auth', change, ifRevision: undefined }), `00  00 00 00 ${bytes}`] as const,
    ),
    [
      'raising the revision',
      29,
      ask({ kind: 'raise-revision', revision: rev(2 ** 40) }),
      '00  00 00 0000010000000000',
    ],
    ['opening a session', 20, ask({ kind: 'open-session' }), '00  00 00'],
    [
      'a put in a session',
      16,
      ask(putOf('k', 'v'), { session: 258, slot: 3, seq: 2 ** 40 + 7 }),
      `04 00 0000000000000102 0003 010000000007 ${printed(16, '00 0001 6b 76')}`,
    ],
    [
      'a batch',
      19,
      ask(
        batchOf(
          putOf('k', 'val', { ifMatch: [rev(7)] }),
          deleteOf('key', { ifNoneMatch: 'any' }),
          putOf('', ''),
        ),
      ),
      `00  00 00 0003
       01 01 0001 0000000000000007 0001 6b 00000003 76616c
       02 02 ffff 0003 6b6579
       01 00 0000 00000000`,
    ],
  ])('%s', (_, kind, request, bytes) => {
    expect(hex(bodyOf(request))).toBe(unspaced(bytes))
    expect(decodeRequest(kind, 1, bodyOf(request))).toEqual(request)
  })

  test.each([
    ['kind', 15, 1, '0000000001 6b'],
    ['kind', 30, 1, '0000000001 6b'],
    ['change of users', 28, 1, '000000 00 07'],
    ['version', 16, 2, '0000000001 6b'],
    ['envelope flag', 16, 1, '4000000001 6b'],
    ['command of a batch', 19, 1, '000000 0001 03 00 0001 6b'],
    ['batch flag', 19, 1, '000001 0000'],
    ['flag', 16, 1, '0000800001 6b'],
    ['flag of a delete', 17, 1, '000008 0000000000000007 0001 6b'],
    ['flag of a grant', 24, 1, '000001 0000000000000007 00000000000003e8'],
    ['settings flag', 18, 1, '00000100'],
    ['setting', 18, 1, '0000000163 0000000000000001'],
  ])('an unknown %s stops the node: %i.%i %s', (_, kind, version, body) => {
    const store = new MemoryStore()
    const bytes = Uint8Array.from(Buffer.from(unspaced(body), 'hex'))
    expect(() => store.applyBody(kind, version, bytes, 0)).toThrow(UnknownKindError)
  })

  test('a time of what writes no version stops the node', () => {
    const renewal = Uint8Array.from(Buffer.from('2000000000000007000000', 'hex'))
    expect(() => new MemoryStore().applyBody(25, 1, renewal, 0)).toThrow(MalformedBytesError)
  })

  test('a body that is too short or too long stops the node', () => {
    const body = bodyOf(ask(deleteOf('key', { ifMatch: [rev(1)] }), { token: 'token', since: rev(1) }))
    for (let length = 0; length < body.length; length++)
      expect(() => decodeRequest(17, 1, body.subarray(0, length))).toThrow(MalformedBytesError)
    expect(() => decodeRequest(17, 1, Uint8Array.of(...body, 0))).toThrow(MalformedBytesError)
  })

  test.each([
    ['a value', 16, '0000 20 0001 6b 76'],
    ['a lease', 16, '0000 48 0000000000000007 0001 6b 76'],
    ['a value in a batch', 19, '000000 0001 01 20 0001 6b 00000001 76'],
    ['a lease of its own in a transaction', 23, '000000 00 01 01 14 0001 6b 00000000000003e8 00000000 00'],
  ])('a put that states %s, and keeps it, stops the node', (_, kind, body) => {
    const bytes = Uint8Array.from(Buffer.from(unspaced(body), 'hex'))
    expect(() => decodeRequest(kind, 1, bytes)).toThrow('a put that states what it keeps')
  })

  test('65 535 commands are the most that a batch has room for', () => {
    const of = (count: number) => ask(batchOf(...Array.from({ length: count }, () => deleteOf('k'))))
    expect(decodeRequest(19, 1, bodyOf(of(65_535))).command).toMatchObject({ commands: { length: 65_535 } })
    expect(() => bodyOf(of(65_536))).toThrow(RangeError)
  })
})

describe('rows', () => {
  test('of tokens and the order of tokens', () => {
    const store = new MemoryStore()
    store.apply(ask(putOf('k', 'old')), 1)
    store.apply(ask(putOf('k', 'v'), { token: 'tok', since: undefined }), 258)
    const rows = [...store.rows].filter(([key]) => /^0[23]/.test(key)).map(([key, row]) => [key, hex(row)])
    expect(Object.fromEntries(rows)).toEqual({
      [unspaced('02 746f6b')]: unspaced(
        `0000000000000000 ${print(16, '00 0001 6b 76')}
         00000021 01 0000000000000003 0000000000000002 0000000000000003 0000000000000002`,
      ),
      [unspaced('03 0000000000000000')]: unspaced(
        '0000000000000102 0000000000000003 00000069 0000000000000000 746f6b',
      ),
    })
  })

  test('of a token whose request was refused: a reason and two numbers, no text', () => {
    const store = new MemoryStore({ valueBytesMax: 4 })
    store.apply(ask(putOf('k', '12345'), { token: 't', since: undefined }))
    expect(hex(must(store.rows.get(unspaced('02 74'))))).toBe(
      unspaced(
        `0000000000000000 ${print(16, '00 0001 6b 3132333435')}
         0000001a 05 0000000000000001 02 0000000000000005 0000000000000004`,
      ),
    )
  })

  test.each([
    ['a delete', deleteOf('k'), '02 0000000000000003 01'],
    ['a delete of nothing', deleteOf('l'), '02 0000000000000002 00'],
    [
      'a condition that a key did not meet',
      deleteOf('k', { ifNoneMatch: 'any' }),
      '03 0000000000000002 01 0000000000000002 0000000000000002 0000000000000001',
    ],
    ['a condition that no key could meet', deleteOf('l', { ifMatch: 'any' }), '03 0000000000000002 00'],
    [
      'settings',
      { kind: 'settings' as const, settings: { storeBytesMax: 8 } },
      `04 0000000000000003
       0e 01 0000000000001000 02 0000000000180000 03 0000000000000008 04 00000000000f4240
          05 0000000010000000 06 00000000000dbba0 07 0000000000000002
          08 000000000036ee80 09 00000000003d0900 0a 0000000100000000 0b 0000000000002710
          0c 0000000000001388 0d 00000000000f4240 0e 0000000000400000`,
    ],
    [
      'a refused raise',
      { kind: 'raise-revision' as const, revision: rev(9) },
      '05 0000000000000002 23 0000000000000001 0000000000000009',
    ],
  ])('of a token, behind the fingerprint: %s', (_, command, bytes) => {
    const store = new MemoryStore()
    store.apply(ask(putOf('k', 'v')))
    store.apply(ask(command, { token: 't', since: undefined }))
    expect(hex(must(store.rows.get(unspaced('02 74')))).slice(56)).toBe(unspaced(bytes))
  })

  test('of sessions and their slots', () => {
    const store = new MemoryStore()
    store.apply(ask({ kind: 'open-session' }), 258)
    store.apply(ask(putOf('k', 'v'), { session: 1, slot: 3, seq: 2 ** 40 + 7 }), 259)
    store.apply(ask({ kind: 'open-session' }, { session: 1, slot: 0, seq: 1 }), 260)
    store.apply(ask(batchOf(deleteOf('k'), putOf('', '')), { session: 2, slot: 0, seq: 1 }), 261)
    const held = [...store.rows].map(([key, row]) => [key, hex(row)])
    expect(Object.fromEntries(held.filter(([key]) => /^0[45]/.test(key ?? '')))).toEqual({
      [unspaced('04 0000000000000001')]: unspaced('0000000000000102 0004 0000000000000000'),
      [unspaced('04 0000000000000002')]: unspaced('0000000000000104 0001 0000000000000000'),
      [unspaced('05 0000000000000001 0003')]: unspaced(
        `010000000007 ${print(16, '00 0001 6b 76')}
         01 0000000000000002 0000000000000002 0000000000000002 0000000000000001`,
      ),
      [unspaced('05 0000000000000001 0000')]: unspaced(
        `000000000001 ${print(20, '00')} 06 0000000000000002 0000000000000002 00000000000dbba0`,
      ),
      [unspaced('05 0000000000000002 0000')]: unspaced(
        `000000000001 ${print(19, '00 0002 02 00 0001 6b 01 00 0000 00000000')} 07 0000000000000003 0002
         02 0000000000000003 01
         05 0000000000000003 00 0000000000000000 0000000000000000`,
      ),
    })
  })

  test('a reason of a newer program stops the node', () => {
    const store = new MemoryStore({ valueBytesMax: 4 })
    const request = ask(putOf('k', '12345'), { token: 't', since: undefined })
    store.apply(request)
    must(store.rows.get(unspaced('02 74')))[37] = REASONS.length
    expect(() => store.apply(request)).toThrow(UnknownKindError)
  })
})

test('the row of a lease has what its keys have in common, up to the size of a head', () => {
  const store = new MemoryStore()
  const id = '9' as LeaseId
  store.apply(ask({ kind: 'grant', id, ttlMs: 1000 }))
  const rowWith = (key: string) => {
    store.apply(ask({ ...putOf(key, ''), lease: { id } }))
    const row = must(store.rows.get(unspaced('06 0000000000000009')))
    expect(row.length).toBeLessThanOrEqual(ROW_HEAD_BYTES)
    return Buffer.from(row.subarray(25)).toString()
  }
  const keys = ['services/of/the/first/2', 'services/of/the/first/20', 'services/of/8', 'x']
  expect(keys.map(rowWith)).toEqual(['services/of/the/firs', 'services/of/the/firs', 'services/of/', ''])
})

test('rows of leases and attachments, and the outcomes that are remembered of them', () => {
  const store = new MemoryStore({ leaseCheckpointMs: 5000 })
  const token = (name: string) => ({ token: name, since: undefined })
  const id = '258' as LeaseId
  store.apply(ask({ kind: 'grant', id, ttlMs: 1000 }, token('a')), 7)
  store.apply(ask({ ...putOf('k', 'v'), lease: { id } }), 8)
  store.apply(ask({ ...putOf('l', ''), lease: { ttlMs: 2000 } }), 9)
  const rows = (table: string) => [...store.rows].filter(([name]) => name.startsWith(table))
  const own = '236e729df77c4a42'
  expect(Object.fromEntries([...rows('06'), ...rows('07')].map(([name, row]) => [name, hex(row)]))).toEqual({
    [unspaced('06 0000000000000102')]: unspaced('00 00000000000003e8 0000000000001777 00000001 00000001 6b'),
    [unspaced(`06 ${own}`)]: unspaced('01 00000000000007d0 0000000000001b61 00000001 00000001 6c'),
    [unspaced('07 0000000000000102 6b')]: '00',
    [unspaced(`07 ${own} 6c`)]: '00',
  })
  store.apply(ask(deleteOf('k', { ifNoneMatch: 'any' }), token('b')), 10)
  store.apply(ask({ kind: 'renew', ids: [id, '9' as LeaseId] }, token('c')), 11)
  store.apply(ask({ kind: 'revoke', id }, token('d')), 12)
  store.apply(ask({ kind: 'expire', leases: [{ id, deadlineMs: 7 }] }, token('e')), 13)
  const remembered = rows('02').map(([name, row]) => [name, hex(row.subarray(28))])
  expect(Object.fromEntries(remembered)).toEqual({
    '0261': unspaced('0b 0000000000000001 0000000000000102 00000000000003e8'),
    '0262': unspaced(
      '03 0000000000000003 02 0000000000000002 0000000000000002 0000000000000001 0000000000000102',
    ),
    '0263': unspaced('0c 0000000000000003 0002 00000000000003e8 0000000000000000'),
    '0264': unspaced('0d 0000000000000004 0000000000000001'),
    '0265': unspaced('0e 0000000000000004 0000000000000000 0000000000000000'),
  })
  for (const again of [
    store.apply(ask({ kind: 'grant', id, ttlMs: 1000 }, token('a')), 14),
    store.apply(ask(deleteOf('k', { ifNoneMatch: 'any' }), token('b')), 14),
    store.apply(ask({ kind: 'renew', ids: [id, '9' as LeaseId] }, token('c')), 14),
    store.apply(ask({ kind: 'revoke', id }, token('d')), 14),
    store.apply(ask({ kind: 'expire', leases: [{ id, deadlineMs: 7 }] }, token('e')), 14),
  ])
    expect(again.replayed).toBe(true)
})

test.each([
  [1, undefined, '0d 0000000000000005 0000000000000002'],
  [
    2,
    '04 00000000000003e8 0000000000001777 00000001 00000002 6b',
    '11 0000000000000005 0000000000000001 0000000000000001',
  ],
] as const)(
  'at cluster version %i, a lease of two keys that ends where an entry has room for one',
  (clusterVersion, leaseRow, outcome) => {
    const store = new MemoryStore({ clusterVersion, rangeKeysMax: 2, leaseCheckpointMs: 5000 })
    const id = '258' as LeaseId
    store.apply(ask({ kind: 'grant', id, ttlMs: 1000 }), 7)
    for (const name of ['k', 'ka']) store.apply(ask({ ...putOf(name, ''), lease: { id } }), 7)
    store.apply(ask({ kind: 'settings', settings: { rangeKeysMax: 1 } }), 7)
    const revoke = () => store.apply(ask({ kind: 'revoke', id }, { token: 'a', since: undefined }), 8)
    revoke()
    const rows = (table: string) => [...store.rows].filter(([name]) => name.startsWith(table))
    const [row] = rows('06')
    expect(row && hex(row[1])).toBe(leaseRow && unspaced(leaseRow))
    expect(rows('02').map(([, remembered]) => hex(remembered.subarray(28)))).toEqual([unspaced(outcome)])
    expect(revoke().replayed).toBe(true)
  },
)

test.each([
  [1, 'k', '41 6b 00 003ffffffffffffc', '41 6b 00 003ffffffffffffd'],
  [2 ** 31, 'k\0', '41 6b 00ff 00 003ffffefffffffe', '41 6b 00ff 00 003ffffeffffffff'],
  [Number.MAX_SAFE_INTEGER, '', '41 00 0000000000000000', '41 00 0000000000000001'],
])('the row of a version at revision %i of %j', (revision, name, version, tombstone) => {
  const key = utf8(name)
  const rows = [versionKey(key, rev(revision)), tombstoneKey(key, rev(revision))]
  expect(rows.map(hex)).toEqual([unspaced(version), unspaced(tombstone)])
  for (const [at, row] of rows.entries())
    expect(decodeVersionKey(row)).toEqual({ key, revision, isTombstone: at === 1 })
})

test('registers of a newer layout are those of a newer version, and none has layout 0', () => {
  const bytes = encodeState(new MemoryStore().state)
  const of = (layout: number) => () => decodeState(Uint8Array.of(layout, ...bytes.subarray(1)))
  expect(of(CLUSTER_VERSION + 1)).toThrow(UnknownKindError)
  expect(of(CLUSTER_VERSION + 1)).toThrow(
    `cluster version ${CLUSTER_VERSION + 1} of the data is not known to this version of quorate, which knows versions up to ${CLUSTER_VERSION}: a newer version wrote it, so use that version`,
  )
  expect(of(0)).toThrow(MalformedBytesError)
})

test('registers that are cut short, or go on, are malformed', () => {
  const bytes = encodeState(new MemoryStore().state)
  for (const other of [bytes.subarray(0, -1), Uint8Array.of(...bytes, 0)])
    expect(() => decodeState(other)).toThrow(MalformedBytesError)
})

test('registers', () => {
  const store = new MemoryStore({ idempotencyAgeMsMax: 1000 })
  store.apply(ask({ kind: 'open-session' }), 1)
  store.apply(ask({ kind: 'open-session' }), 2)
  store.apply(ask(putOf('k', 'value'), { session: 1, slot: 3, seq: 7 }), 3)
  store.apply(ask(putOf('k', 'value')), 1002)
  const bytes = encodeState(store.state)
  expect(hex(bytes)).toBe(
    unspaced(`02 0000000000000003 00000000000003ea 0000000000000006 0000000000000001
      0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000
      0000000000000003 0000000000000002 0000000000000002 0000000000000000 0000000000000000
      0000000000000002 0000000000000002 0000000000000001 0000000000000006 0000000000000000 0000000000000000
      0000000000000000 0006849e8bb6ffe2
      0000000000000000 0000000000000001
      0e 01 0000000000001000 02 0000000000180000 03 0000000200000000 04 00000000000f4240
          05 0000000010000000 06 00000000000003e8 07 0000000000000002
          08 000000000036ee80 09 00000000003d0900 0a 0000000100000000 0b 0000000000002710
          0c 0000000000001388 0d 00000000000f4240 0e 0000000000400000`),
  )
  expect(decodeState(bytes)).toEqual(store.state)
})

test.each([
  ['', undefined],
  ['61', '62'],
  ['61ff', '62'],
  ['ffff', undefined],
  ['6100', '6101'],
])('the first key after all keys that begin with %j is %j', (prefix, end) => {
  const given = Buffer.from(prefix, 'hex')
  const found = prefixEnd(given)
  expect(found && hex(found)).toBe(end)
  expect(hex(given)).toBe(prefix)
})

test('nothing lies between a key and the key after it', () => {
  expect(hex(keyAfter(utf8('a')))).toBe('6100')
})

test('the row of a deletion with a flag of a newer version is not taken for damage', () => {
  const name = { key: utf8('k'), revision: rev(2), isTombstone: true }
  expect(() => decodeVersion(name, Uint8Array.of(1 | 16))).toThrow(UnknownKindError)
  expect(() => decodeVersion(name, Uint8Array.of(1 | 2))).toThrow(UnknownKindError)
  expect(() => decodeVersion({ ...name, isTombstone: false }, Uint8Array.of(1))).toThrow(MalformedBytesError)
})
