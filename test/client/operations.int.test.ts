// Operations and their expected results on a real node, over every transport.

import { afterAll, beforeAll, describe, expect, expectTypeOf, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import {
  Client,
  type KvRecord,
  PreconditionFailedError,
  QuorateError,
  type TxnResult,
} from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'

const AT_REST = { calls: 0, permits: 0, requests: 0, probes: 0 }

let cluster: EmbeddedCluster
const clients = {} as Record<'http' | 'auto', Client>
let prefixes = 0

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  for (const transport of ['http', 'auto'] as const)
    clients[transport] = new Client({ endpoints: cluster.endpoints, transport, discover: false })
  // From here on it has a connection and a session.
  const { auto } = clients
  let before = auto.revision
  for (let merged = 0; merged < 3; ) {
    const puts = Array.from({ length: 32 }, (_, at) => auto.put(`warm/${at}`, ''))
    await Promise.all(puts)
    merged += auto.revision === before + 32 ? 1 : 0
    before = auto.revision
  }
})

afterAll(async () => {
  for (const kv of Object.values(clients)) {
    await vi.waitFor(() => expect(kv[inspect]()).toEqual(AT_REST), 60_000)
    await kv.close()
  }
  await cluster.close()
})

const textsOf = (records: readonly KvRecord[] = []) =>
  Object.fromEntries(records.map((record) => [record.key, record.text()]))

const failure = async (call: Promise<unknown>): Promise<QuorateError> => {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof QuorateError) return error
  throw new Error('it has not failed', { cause: error })
}

const BYTES = Uint8Array.from({ length: 256 }, (_, byte) => byte)
const LONG = 'x'.repeat(5_000)
const REVISION = expect.any(Number)
const written = (version: number) => ({
  ...{ revision: REVISION, createRevision: REVISION, modRevision: REVISION, version },
})
const found = (value: Uint8Array, version: number) => ({
  value,
  version,
  modRevision: REVISION,
  lease: undefined,
})
const refused = (code: string, more: object = {}) => ({ code, written: 'no', ...more })
const failedCondition = (current: object | null) => refused('precondition_failed', { status: 412, current })

/** A step, and its result or the fields of its error. */
type Step = readonly [call: (kv: Client, key: Buffer) => Promise<unknown>, expected: unknown]

const NAMES = [Buffer.from('a/../b c+?#%'), Buffer.from([0xff, 0, 0x80])]

/** Each story begins with a key that does not exist. */
const STORIES: [title: string, names: readonly Buffer[], ...steps: Step[]][] = [
  [
    'a key that does not exist',
    NAMES,
    [(kv, key) => kv.get(key), undefined],
    [(kv, key) => kv.delete(key), { deleted: 0 }],
    [(kv, key) => kv.put(key, 'y', { ifRevision: 1 }), failedCondition(null)],
    [(kv, key) => kv.delete(key, { ifRevision: 1 }), failedCondition(null)],
    [(kv, key) => kv.put(key, 'y', { ifRevision: 0 }), failedCondition(null)],
    [(kv, key) => kv.put(key, 'y'), written(1)],
  ],
  [
    'a record',
    NAMES,
    [(kv, key) => kv.put(key, BYTES, { ifAbsent: true }), written(1)],
    [(kv, key) => kv.get(key), found(BYTES, 1)],
    [(kv, key) => kv.get(key, { consistency: 'lease' }), found(BYTES, 1)],
    [(kv, key) => kv.put(key, 'y', { ifAbsent: true }), failedCondition({ version: 1 })],
    [(kv, key) => kv.put(key, 'y', { ifRevision: 0 }), failedCondition({ version: 1 })],
    [(kv, key) => kv.put(key, ''), written(2)],
    [(kv, key) => kv.get(key), found(new Uint8Array(), 2)],
    [async (kv, key) => kv.put(key, 'z', { ifRevision: (await kv.get(key))?.modRevision ?? 0 }), written(3)],
    [
      async (kv, key) => kv.delete(key, { ifRevision: (await kv.get(key))?.modRevision ?? 0 }),
      { deleted: 1 },
    ],
    [(kv, key) => kv.get(key), undefined],
  ],
  [
    'a value as JSON',
    NAMES,
    [(kv, key) => kv.putJson(key, { a: [1] }, { ifAbsent: true }), written(1)],
    [async (kv, key) => (await kv.get(key))?.json(), { a: [1] }],
    [(kv, key) => kv.putJson(key, null, { ifAbsent: true }), failedCondition({ version: 1 })],
  ],
  [
    'limits',
    NAMES.slice(1),
    [(kv) => kv.put(LONG, 'y'), refused('key_too_long', { status: 400 })],
    [(kv) => kv.get(LONG), refused('key_too_long', { status: 400 })],
    [(kv, key) => kv.put(key, new Uint8Array(1024 * 1024)), written(1)],
    [(kv, key) => kv.put(key, new Uint8Array(1024 * 1024 + 1)), refused('value_too_large', { status: 413 })],
    // No message carries it.
    [(kv, key) => kv.put(key, new Uint8Array(5 * 1024 * 1024)), refused('value_too_large', { status: 413 })],
  ],
  [
    'stale data that cannot be so fresh',
    NAMES.slice(1),
    [
      (kv, key) => kv.get(key, { consistency: 'stale', maxStalenessMs: 1e-6, timeoutMs: 2_000 }),
      refused('too_stale', { status: 503 }),
    ],
  ],
]

async function outcomeOf(call: Promise<unknown>): Promise<unknown> {
  return call.catch((error: unknown) => {
    if (!(error instanceof QuorateError)) throw error
    const { code, written: isWritten, status } = error
    const current = error instanceof PreconditionFailedError ? { current: error.current } : {}
    return { code, written: isWritten, status, ...current }
  })
}

describe.each(['http', 'auto'] as const)('over %s', (transport) => {
  const setting = () => ({ kv: clients[transport], p: `${transport}/${++prefixes}/` })

  test.each(STORIES)('%s', async (_, names, ...steps: Step[]) => {
    const { kv, p } = setting()
    for (const name of names)
      for (const [at, [call, expected]] of steps.entries())
        expect({
          at,
          outcome: await outcomeOf(call(kv, Buffer.concat([Buffer.from(p), name]))),
        }).toMatchObject({
          at,
          outcome: expected,
        })
  })

  test('a transaction does what its comparisons say, all at one revision', async () => {
    const { kv, p } = setting()
    const lock = () =>
      kv.txn({
        compare: [{ key: `${p}lock`, exists: false }],
        success: [
          { put: { key: `${p}lock`, value: 'me' } },
          { put: { key: `${p}n`, value: Buffer.from([0xff]) } },
        ],
        failure: [{ get: { key: `${p}lock` } }],
      })
    const first = await lock()
    const { revision } = first
    const meta = { createRevision: revision, modRevision: revision, version: 1 }
    expect(first).toEqual({ succeeded: true, revision, results: [{ put: meta }, { put: meta }] })
    const second = await lock()
    expect(second).toMatchObject({ succeeded: false, revision })
    const [found] = second.results[0]?.get?.kvs ?? []
    expect(found).toMatchObject({ key: `${p}lock`, ...meta })
    expect(found?.text()).toBe('me')
    expect((await kv.get(`${p}n`))?.value).toEqual(new Uint8Array([0xff]))
    expectTypeOf(second).toEqualTypeOf<TxnResult>()
  })

  test('every operation answers in its own form, also within other transactions', async () => {
    const { kv, p } = setting()
    await kv.put(`${p}a`, '1')
    await kv.put(`${p}b`, '2')
    const { results } = await kv.txn({
      success: [
        { get: { prefix: p, limit: 1 } },
        { get: { prefix: p, limit: 1, count: true } },
        { put: { key: `${p}c`, value: '3', prev: true } },
        { put: { key: `${p}a`, value: '4', prev: true } },
        { get: { start: p, end: `${p}z`, keysOnly: true } },
        {
          txn: {
            failure: [{ delete: { prefix: 'never' } }],
            success: [{ delete: { start: `${p}b`, end: `${p}c`, prev: true } }],
          },
        },
        { get: { prefix: p, countOnly: true } },
        { delete: { key: `${p}none` } },
      ],
    })
    const [some, counted, created, changed, keys, inner, count, none] = results
    expect([textsOf(some?.get?.kvs), some?.get?.more, some?.get?.count]).toEqual([
      { [`${p}a`]: '1' },
      true,
      undefined,
    ])
    expect([textsOf(counted?.get?.kvs), counted?.get?.count]).toEqual([{ [`${p}a`]: '1' }, 2])
    expect([created?.put?.prev, changed?.put?.prev?.text(), changed?.put?.version]).toEqual([null, '1', 2])
    expect(textsOf(keys?.get?.kvs)).toEqual({ [`${p}a`]: '', [`${p}b`]: '', [`${p}c`]: '' })
    expect(inner?.txn?.succeeded).toBe(true)
    const deleted = inner?.txn?.results[0]?.delete
    expect([deleted?.deleted, textsOf(deleted?.prev)]).toEqual([1, { [`${p}b`]: '2' }])
    expect(count?.get).toEqual({ kvs: [], more: false, count: 2 })
    expect(none).toEqual({ delete: { deleted: 0 } })
  })

  test.each([
    ['quotes', '"'],
    ['characters of four bytes', '\u{1F600}'],
  ])('a value of the largest size may consist of %s', async (_, character) => {
    const { kv, p } = setting()
    const value = Buffer.alloc(1024 * 1024, character)
    const result = await kv.txn({ success: [{ put: { key: `${p}large`, value } }] })
    expect(result.succeeded).toBe(true)
    expect(value.equals((await kv.get(`${p}large`))?.value ?? new Uint8Array())).toBe(true)
  })

  test('one that only reads is a read, with its options', async () => {
    const { kv, p } = setting()
    const { revision } = await kv.put(`${p}a`, 'x')
    const seen: unknown[] = []
    const options = {
      consistency: 'stale',
      maxStalenessMs: 60_000,
      onAnswer: (info: unknown) => seen.push(info),
    } as const
    const { results } = await kv.txn({ success: [{ get: { key: `${p}a` } }] }, options)
    expect(textsOf(results[0]?.get?.kvs)).toEqual({ [`${p}a`]: 'x' })
    expect(seen).toMatchObject([{ consistency: 'stale', revision, stalenessMs: expect.any(Number) }])
  })

  test('keys, lists and counts are as they were at a revision, until it is compacted', async () => {
    const { kv, p } = setting()
    await kv.put(`${p}a`, '1')
    const { revision } = await kv.put(`${p}b`, '2')
    await kv.txn({ success: [{ put: { key: `${p}a`, value: '3' } }, { delete: { key: `${p}b` } }] })
    const read = async (options: { revision?: number; snapshot?: boolean }) => {
      const found: KvRecord[] = []
      for await (const record of kv.list({ prefix: p, ...options })) found.push(record)
      return [
        textsOf(found),
        await kv.count({ prefix: p, revision: options.revision }),
        (await kv.get(`${p}b`, { revision: options.revision }))?.text(),
      ]
    }
    const before = [{ [`${p}a`]: '1', [`${p}b`]: '2' }, 2, '2']
    expect(await read({ revision })).toEqual(before)
    expect(await read({ revision, snapshot: true })).toEqual(before)
    expect(await read({})).toEqual([{ [`${p}a`]: '3' }, 1, undefined])
    expect(await failure(kv.get(`${p}a`, { revision: 1_000_000 }))).toMatchObject({ code: 'future_revision' })
    const compacted = await kv.compact(revision + 1)
    expect(compacted).toEqual({ compactRevision: revision + 1, revision: revision + 1 })
    expect(await failure(kv.get(`${p}a`, { revision }))).toMatchObject({
      code: 'compacted',
      status: 410,
      written: 'no',
    })
    expect(await failure(read({ revision }))).toMatchObject({ code: 'compacted' })
    expect(await failure(kv.compact(revision))).toMatchObject({ code: 'compacted', written: 'no' })
    expect(await read({ revision: revision + 1 })).toEqual([{ [`${p}a`]: '3' }, 1, undefined])
  })
})

test('all keys are deleted only if the caller says so', async () => {
  await using own = await startCluster({ nodes: 1 })
  const kv = own.client()
  await kv.put('a', '')
  await kv.put(new Uint8Array([0xff, 0xff]), '')
  expect(await kv.deleteRange({ all: true })).toMatchObject({ deleted: 2 })
})

test('a client that was idle while others wrote can still write, although its outcomes are forgotten', async () => {
  await using own = await startCluster({ nodes: 1 })
  const [idle, busy] = [own.client(), own.client()]
  await busy.changeSettings({ idempotency_tokens_max: 1 })
  for (let round = 1; round <= 3; round++) {
    expect(await idle.put('idle', `${round}`)).toMatchObject({ version: round })
    for (let n = 0; n < 5; n++) await busy.put(`busy/${n}`, 'v')
  }
  expect(await idle.delete('idle')).toMatchObject({ deleted: 1 })
})
