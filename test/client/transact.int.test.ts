// `transact` on a real cluster: what a body reads and writes, when it runs again, what is compared, and that nothing is
// lost when many bodies run at the same time.

import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import {
  type Client,
  ConflictError,
  type KvRecord,
  QuorateError,
  type Transaction,
  type TransactionListOptions,
} from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { runs } from '../runs.ts'

const AT_REST = { calls: 0, permits: 0, requests: 0, probes: 0 }

/** Only where a body's reads are served depends on replicas. One node is faster. */
let single: EmbeddedCluster
let kv: Client
let other: Client
let prefixes = 0

beforeAll(async () => {
  single = await startCluster({ nodes: 1 })
  kv = single.client({ timeoutMs: 30_000 })
  other = single.client({ timeoutMs: 30_000 })
})

afterAll(async () => {
  await atRest(kv, other)
  await single.close()
})

async function atRest(...clients: readonly Client[]): Promise<void> {
  for (const client of clients) await vi.waitFor(() => expect(client[inspect]()).toEqual(AT_REST), 60_000)
}

const newPrefix = () => `${++prefixes}/`

async function all(records: AsyncIterable<KvRecord>): Promise<[string, string][]> {
  const found: [string, string][] = []
  for await (const record of records) found.push([record.key, record.text()])
  return found
}

const numberAt = async (tx: Transaction | Client, key: string) => Number((await tx.get(key))?.text() ?? 0)

test('what a body writes is there, at one revision, and its result is the result', async () => {
  const p = newPrefix()
  await kv.put(`${p}old`, '1')
  const before = kv.revision
  const result = await kv.transact(async (tx) => {
    const old = await tx.get(`${p}old`)
    tx.put(`${p}new`, `${old?.text()}2`)
    tx.put(`${p}bytes`, new Uint8Array([0xff]))
    tx.delete(`${p}old`)
    return 'done'
  })
  expect(result).toBe('done')
  const revisions = new Set<number>()
  for await (const { modRevision } of kv.list({ prefix: p })) revisions.add(modRevision)
  expect([...revisions]).toEqual([before + 1])
  expect(await all(kv.list({ prefix: p }))).toEqual([
    [`${p}bytes`, '\ufffd'],
    [`${p}new`, '12'],
  ])
})

test('a body that only reads, or does nothing, writes nothing', async () => {
  const p = newPrefix()
  await kv.put(`${p}a`, '1')
  const before = kv.revision
  expect(await kv.transact((tx) => tx.get(`${p}a`).then((record) => record?.text()))).toBe('1')
  expect(await kv.transact((tx) => all(tx.list({ prefix: p })))).toEqual([[`${p}a`, '1']])
  expect(await kv.transact(() => 7)).toBe(7)
  expect((await kv.put(`${p}b`, '')).revision).toBe(before + 1)
})

// ---------------------------------------------------------------------------------------------------------------------

/** Changes of others between the read and the commit of the first attempt; and how often the body must run. */
type Row = [string, (p: string) => Promise<unknown>, (tx: Transaction, p: string) => Promise<unknown>, number]

const everything =
  (options: TransactionListOptions = {}) =>
  (tx: Transaction, p: string) =>
    all(tx.list({ prefix: p, ...options }))
const first = (options: TransactionListOptions) => async (tx: Transaction, p: string) => {
  for await (const record of tx.list({ prefix: p, ...options })) return record
  return undefined
}

describe('a body runs again if what it has read has changed', () => {
  // b, d and f exist.
  test.each<Row>([
    ['nothing happens', async () => {}, (tx, p) => tx.get(`${p}b`), 1],
    ['another key is written', (p) => other.put(`${p}x`, ''), (tx, p) => tx.get(`${p}b`), 1],
    ['the key is written', (p) => other.put(`${p}b`, ''), (tx, p) => tx.get(`${p}b`), 2],
    ['the key is deleted', (p) => other.delete(`${p}b`), (tx, p) => tx.get(`${p}b`), 2],
    ['a key that was absent is created', (p) => other.put(`${p}a`, ''), (tx, p) => tx.get(`${p}a`), 2],
    [
      'a key that was absent is created and deleted',
      async (p) => [await other.put(`${p}a`, ''), await other.delete(`${p}a`)],
      (tx, p) => tx.get(`${p}a`),
      1,
    ],
    [
      'the key is deleted and created',
      async (p) => [await other.delete(`${p}b`), await other.put(`${p}b`, '1')],
      (tx, p) => tx.get(`${p}b`),
      2,
    ],
    ['a key of the range is written', (p) => other.put(`${p}d`, ''), everything(), 2],
    ['a key of the range is deleted', (p) => other.delete(`${p}d`), everything(), 2],
    ['a key of the range is created', (p) => other.put(`${p}c`, ''), everything(), 2],
    ['a key at the end of the range is created', (p) => other.put(`${p}g`, ''), everything(), 2],
    [
      'a key at the end of the range is created, in descending order',
      (p) => other.put(`${p}a`, ''),
      everything({ order: 'desc' }),
      2,
    ],
    ['a key beside the range is created', (p) => other.put(`${p.slice(0, -1)}0`, ''), everything(), 1],
    [
      'a key of the range is deleted, of which only keys were read',
      (p) => other.delete(`${p}d`),
      everything({ keysOnly: true }),
      2,
    ],
    [
      'a key before the only one that was wanted is created',
      (p) => other.put(`${p}a`, ''),
      everything({ limit: 1 }),
      2,
    ],
    ['the only one that was wanted is deleted', (p) => other.delete(`${p}b`), everything({ limit: 1 }), 2],
    [
      'one behind the last that was wanted is created',
      (p) => other.put(`${p}c`, ''),
      everything({ limit: 1 }),
      1,
    ],
    [
      'one behind the last that was wanted is deleted',
      (p) => other.delete(`${p}d`),
      everything({ limit: 1 }),
      1,
    ],
    [
      'one behind the last that was wanted is created, in descending order',
      (p) => other.put(`${p}e`, ''),
      everything({ limit: 1, order: 'desc' }),
      1,
    ],
    [
      'one before the last that was wanted is created, in descending order',
      (p) => other.put(`${p}g`, ''),
      everything({ limit: 1, order: 'desc' }),
      2,
    ],
    ['one behind the last that was taken is deleted', (p) => other.delete(`${p}d`), first({}), 1],
    ['the last that was taken is deleted', (p) => other.delete(`${p}f`), first({ order: 'desc' }), 2],
    ['no record was wanted', (p) => other.put(`${p}a`, ''), everything({ limit: 0 }), 1],
    [
      'an empty range gets a key',
      (p) => other.put(`${p}x/1`, ''),
      (tx, p) => all(tx.list({ prefix: `${p}x/` })),
      2,
    ],
    [
      'a range of a bound only',
      (p) => other.delete(`${p}f`),
      (tx, p) => all(tx.list({ start: `${p}e`, end: `${p}g` })),
      2,
    ],
    [
      'a key of a range is created, behind a part of it that was read as well',
      (p) => other.put(`${p}g`, ''),
      async (tx, p) => [await everything()(tx, p), await all(tx.list({ start: `${p}c`, end: `${p}e` }))],
      2,
    ],
    [
      'all of it is compacted, and nothing changed',
      () => other.compact(other.revision),
      (tx, p) => tx.get(`${p}b`),
      1,
    ],
  ])('%s', async (_, meddle, read, expected) => {
    const p = newPrefix()
    for (const name of ['b', 'd', 'f']) await kv.put(`${p}${name}`, '1')
    let attempts = 0
    await kv.transact(async (tx) => {
      await read(tx, p)
      if (++attempts === 1) await meddle(p)
      tx.put('result', String(attempts))
    })
    expect(attempts).toBe(expected)
    expect((await kv.get('result'))?.text()).toBe(String(expected))
  })

  test('history does not go back to its revision any more', async () => {
    const p = newPrefix()
    await kv.put(`${p}a`, '1')
    for (const second of [
      (tx: Transaction) => tx.get(`${p}b`),
      (tx: Transaction) => all(tx.list({ prefix: p })),
      // A body cannot continue without a read that failed.
      (tx: Transaction) => tx.get(`${p}b`).catch(() => tx.put(`${p}c`, 'as if there was no b')),
    ]) {
      let attempts = 0
      await kv.transact(async (tx) => {
        await tx.get(`${p}a`)
        if (++attempts === 1) {
          const { revision } = await other.put(`${p}z`, '')
          await other.compact(revision)
        }
        await second(tx)
      })
      expect(attempts).toBe(2)
      const always = kv.transact(
        async (tx) => {
          await tx.get(`${p}a`)
          const { revision } = await other.put(`${p}z`, '')
          await other.compact(revision)
          await second(tx)
        },
        { attemptsMax: 2 },
      )
      const message = expect.stringContaining('2 times in a row history no longer had the revision')
      await expect(always).rejects.toMatchObject({ code: 'conflict', written: 'no', message })
    }
  })
})

test('what a body has written it sees as a record without a revision', async () => {
  const p = newPrefix()
  await kv.put(`${p}b`, '1')
  await kv.transact(async (tx) => {
    tx.put(`${p}b`, '3')
    tx.put(`${p}c`, '2')
    const own = await tx.get(`${p}c`)
    expect([own?.text(), own?.key, own?.modRevision, own?.version]).toEqual(['2', `${p}c`, 0, 0])
    expect(await all(tx.list({ prefix: p, keysOnly: true }))).toEqual([
      [`${p}b`, ''],
      [`${p}c`, ''],
    ])
  })
})

test('the buffers of its keys and borders may be used again at once', async () => {
  const p = newPrefix()
  await kv.put(`${p}a`, '1')
  const found = await kv.transact(async (tx) => {
    const prefix = Buffer.from(p)
    const list = tx.list({ prefix })
    prefix.fill('z')
    const key = Buffer.from(`${p}a`)
    const record = tx.get(key)
    key.fill('z')
    return [(await record)?.text(), await all(list)]
  })
  expect(found).toEqual(['1', [[`${p}a`, '1']]])
})

test('a list shows what was written before it began, and as many records as it may', async () => {
  const p = newPrefix()
  for (const key of ['a', 'b', 'c', 'd', 'e']) await kv.put(`${p}${key}`, key)
  await kv.transact(async (tx) => {
    tx.delete(`${p}a`)
    const found: string[] = []
    for await (const { key } of tx.list({ prefix: p, limit: 3 })) {
      found.push(key)
      tx.delete(`${p}c`)
      tx.put(`${p}bb`, '')
    }
    expect(found).toEqual([`${p}b`, `${p}c`, `${p}d`])
    expect(await all(tx.list({ prefix: p }))).toEqual([
      [`${p}b`, 'b'],
      [`${p}bb`, ''],
      [`${p}d`, 'd'],
      [`${p}e`, 'e'],
    ])
  })
})

test('an error of the body ends it, and nothing is written', async () => {
  const p = newPrefix()
  const thrown = new Error('enough')
  let attempts = 0
  const failing = kv.transact(async (tx) => {
    attempts++
    tx.put(`${p}a`, '1')
    throw thrown
  })
  await expect(failing).rejects.toBe(thrown)
  expect([attempts, await kv.get(`${p}a`)]).toEqual([1, undefined])
})

test('a transaction that has ended takes no more calls', async () => {
  const p = newPrefix()
  let escaped: Transaction | undefined
  await kv.transact((tx) => {
    escaped = tx
  })
  expect(() => escaped?.put(`${p}a`, '1')).toThrow(/tx.put: the transaction has ended/)
  expect(() => escaped?.delete(`${p}a`)).toThrow(/tx.delete/)
  expect(() => escaped?.list()).toThrow(/tx.list/)
  await expect(escaped?.get(`${p}a`)).rejects.toThrow(/tx.get/)
})

test('a list that its body has not read to the end shows no more when the transaction has ended', async () => {
  const p = newPrefix()
  for (const key of ['a', 'b']) await kv.put(`${p}${key}`, key)
  const untouched = await kv.transact((tx) => tx.list({ prefix: p }))
  await expect(untouched.next()).rejects.toThrow('tx.list: the transaction has ended')
  const half = await kv.transact(async (tx) => {
    const records = tx.list({ prefix: p })
    expect((await records.next()).value?.key).toBe(`${p}a`)
    tx.put(`${p}c`, 'c')
    return records
  })
  await expect(half.next()).rejects.toThrow('tx.list: the transaction has ended')
})

test.each(['asc', 'desc'] as const)(
  'a list (%s) of which its body has seen nothing is no conflict',
  async (order) => {
    const key = `${newPrefix()}a`
    await kv.put(key, 'before')
    const body = (tx: Transaction) => {
      // Its first record comes when the body has ended.
      tx.list({ order })
        .next()
        .catch(() => {})
      tx.put(key, order)
    }
    await kv.transact(body, { attemptsMax: 1 })
    expect((await kv.get(key))?.text()).toBe(order)
  },
)

test('attempts are limited by their number', async () => {
  const p = newPrefix()
  let attempts = 0
  const always = async (tx: Transaction) => {
    attempts++
    await tx.get(`${p}a`)
    await other.put(`${p}a`, '')
    tx.put(`${p}b`, '')
  }
  const byNumber = await kv.transact(always, { attemptsMax: 3 }).catch((error: unknown) => error)
  expect(byNumber).toBeInstanceOf(ConflictError)
  expect(byNumber).toMatchObject({
    code: 'conflict',
    written: 'no',
    message: expect.stringContaining('3 times'),
  })
  expect(attempts).toBe(3)
  expect(await kv.get(`${p}b`)).toBeUndefined()
})

test('a signal ends it between two attempts too', async () => {
  const p = newPrefix()
  const aborting = new AbortController()
  const ended = kv.transact(
    async (tx) => {
      await tx.get(`${p}a`)
      await other.put(`${p}a`, '')
      tx.put(`${p}b`, '')
      setImmediate(() => aborting.abort('enough'))
    },
    { signal: aborting.signal },
  )
  await expect(ended).rejects.toMatchObject({ name: 'AbortError', code: 'aborted', cause: 'enough' })
})

test('one that reads too many keys to compare is told so', async () => {
  const p = newPrefix()
  const puts = Array.from({ length: 130 }, (_, at) => kv.put(`${p}${at}`, ''))
  await Promise.all(puts)
  const error = await kv
    .transact(async (tx) => tx.put('count', String((await all(tx.list({ prefix: p }))).length)))
    .catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(QuorateError)
  expect(error).toMatchObject({
    code: 'too_many_operations',
    written: 'no',
    message: expect.stringContaining('compares 131 keys and ranges that its body has read, and changes 1'),
  })
  // Only reading them is no matter.
  expect(await kv.transact(async (tx) => (await all(tx.list({ prefix: p }))).length)).toBe(130)
})

describe('reads that several nodes serve', () => {
  let cluster: EmbeddedCluster
  let kv: Client
  let other: Client

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 3 })
    kv = cluster.client({ timeoutMs: 30_000 })
    other = cluster.client({ timeoutMs: 30_000 })
  })

  afterAll(async () => {
    await atRest(kv, other)
    await cluster.close()
  })

  test('all reads of a body show one revision, whatever others write meanwhile', async () => {
    const p = newPrefix()
    for (const name of ['a', 'b', 'c']) await kv.put(`${p}${name}`, '1')
    const write = async () => {
      for (const name of ['a', 'b']) await other.put(`${p}${name}`, '2')
      await other.delete(`${p}c`)
    }
    const one = await kv.transact(async (tx) => {
      const first = await tx.get(`${p}a`)
      await write()
      return [
        first?.text(),
        (await tx.get(`${p}b`))?.text(),
        await all(tx.list({ prefix: p })),
        await tx.get(`${p}d`),
      ]
    })
    expect(one).toEqual(['1', '1', ['a', 'b', 'c'].map((name) => [`${p}${name}`, '1']), undefined])
    const two = await kv.transact(async (tx) => {
      const first = await all(tx.list({ prefix: p }))
      await other.put(`${p}a`, '3')
      return [first, (await tx.get(`${p}a`))?.text()]
    })
    expect(two).toEqual([['a', 'b'].map((name) => [`${p}${name}`, '2']), '2'])
  })

  test('reads that begin together show one revision too', async () => {
    const p = newPrefix()
    const keys = Array.from({ length: 8 }, (_, at) => `${p}${at}`)
    let goesOn = true
    const writing = (async () => {
      for (let n = 0; goesOn; n++)
        await other.txn({ success: keys.map((key) => ({ put: { key, value: String(n) } })) })
    })()
    for (let round = 0; round < runs(40); round++) {
      const seen = await kv.transact((tx) =>
        Promise.all([...keys.map((key) => tx.get(key)), ...[all(tx.list({ prefix: p }))]]),
      )
      const values = seen.flat(2).flatMap((each) => (typeof each === 'object' ? [each?.text()] : []))
      expect(new Set(values).size).toBeLessThanOrEqual(1)
    }
    goesOn = false
    await writing
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// At the same time

test('no increment is lost', async () => {
  const p = newPrefix()
  // All bodies conflict. On a busy machine the last of them needs more than the usual 5 s.
  const options = { timeoutMs: 60_000 }
  const increment = async (tx: Transaction) => tx.put(`${p}n`, String((await numberAt(tx, `${p}n`)) + 1))
  await Promise.all(
    Array.from({ length: 16 }, (_, at) => (at % 2 === 0 ? kv : other).transact(increment, options)),
  )
  expect(await numberAt(kv, `${p}n`)).toBe(16)
})

/** Accounts are created and deleted: an account without money does not exist. */
test('transfers between accounts neither make nor lose money, and nobody ever sees them half done', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          from: fc.nat({ max: 4 }),
          to: fc.nat({ max: 4 }),
          amount: fc.integer({ min: 1, max: 60 }),
          ranged: fc.boolean(),
        }),
        { minLength: 4, maxLength: 16, size: 'max' },
      ),
      async (transfers) => {
        const p = newPrefix()
        await kv.txn({ success: [0, 1].map((at) => ({ put: { key: `${p}${at}`, value: '100' } })) })
        const transfer = (client: Client, { from, to, amount, ranged }: (typeof transfers)[number]) =>
          client.transact(async (tx) => {
            const money = new Map(
              ranged
                ? (await all(tx.list({ prefix: p }))).map(([key, value]) => [key, Number(value)])
                : [
                    [`${p}${from}`, await numberAt(tx, `${p}${from}`)],
                    [`${p}${to}`, await numberAt(tx, `${p}${to}`)],
                  ],
            )
            const sum = [...money.values()].reduce((total, each) => total + each, 0)
            if (ranged) expect(sum).toBe(200)
            const has = money.get(`${p}${from}`) ?? 0
            if (has < amount || from === to) return
            const set = (at: number, value: number) =>
              value === 0 ? tx.delete(`${p}${at}`) : tx.put(`${p}${at}`, String(value))
            set(from, has - amount)
            set(to, (money.get(`${p}${to}`) ?? 0) + amount)
            // Its own writes are in the sum as well.
            if (ranged) {
              const after = (await all(tx.list({ prefix: p }))).reduce(
                (total, [, value]) => total + Number(value),
                0,
              )
              expect(after).toBe(200)
            }
          })
        await Promise.all(transfers.map((each, at) => transfer(at % 2 === 0 ? kv : other, each)))
        const sum = (await all(kv.list({ prefix: p }))).reduce((total, [, value]) => total + Number(value), 0)
        expect(sum).toBe(200)
      },
    ),
    { numRuns: runs(20) },
  )
})

/** Write skew: two doctors are on call, and each may leave only while the other one stays. */
test('two bodies that each read what the other one writes are not both committed', async () => {
  for (let round = 0; round < 10; round++) {
    const p = newPrefix()
    for (const name of ['a', 'b']) await kv.put(`${p}${name}`, 'on call')
    const leave = (client: Client, name: string) =>
      client.transact(async (tx) => {
        if ((await all(tx.list({ prefix: p }))).length > 1) tx.delete(`${p}${name}`)
      })
    await Promise.all([leave(kv, 'a'), leave(other, 'b')])
    expect(await kv.count({ prefix: p })).toBe(1)
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// A model

type Step =
  | { readonly kind: 'get'; readonly key: string }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  | { readonly kind: 'list'; readonly options: TransactionListOptions; readonly take: number }

const key = fc.constantFrom('a', 'a\0', 'aa', 'b', 'bb', 'b\u00ff', 'c')
const bound = fc.constantFrom('', 'a', 'aa', 'b', 'c', 'd')
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('get' as const), key }),
  fc.record({ kind: fc.constant('delete' as const), key }),
  fc.record({ kind: fc.constant('put' as const), key, value: fc.string({ maxLength: 2 }) }),
  fc.record({
    kind: fc.constant('list' as const),
    options: fc.record(
      {
        start: bound,
        end: bound,
        limit: fc.nat({ max: 4 }),
        order: fc.constantFrom('asc' as const, 'desc' as const),
      },
      { requiredKeys: [] },
    ),
    take: fc.nat({ max: 8 }),
  }),
)

const comparing = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

function modelList(
  model: ReadonlyMap<string, string>,
  p: string,
  { options, take }: Extract<Step, { kind: 'list' }>,
) {
  const { start = '', end = '~', limit = 100, order = 'asc' } = options
  const found = [...model]
    .filter(([name]) => comparing(name, `${p}${start}`) >= 0 && comparing(name, `${p}${end}`) < 0)
    .sort(([a], [b]) => comparing(a, b) * (order === 'asc' ? 1 : -1))
  return found.slice(0, Math.min(limit, take))
}

test('bodies, one after the other, do what a Map does', async () => {
  const p = newPrefix()
  const committed = new Map<string, string>()
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
      const model = new Map(committed)
      await kv.transact(async (tx) => {
        for (const each of steps) {
          if (each.kind === 'put') {
            tx.put(`${p}${each.key}`, each.value)
            model.set(`${p}${each.key}`, each.value)
          } else if (each.kind === 'delete') {
            tx.delete(`${p}${each.key}`)
            model.delete(`${p}${each.key}`)
          } else if (each.kind === 'get') {
            expect((await tx.get(`${p}${each.key}`))?.text()).toBe(model.get(`${p}${each.key}`))
          } else {
            const { start = '', end = '~' } = each.options
            const range = { ...each.options, start: `${p}${start}`, end: `${p}${end}` }
            const found: [string, string][] = []
            if (each.take > 0)
              for await (const record of tx.list(range))
                if (found.push([record.key, record.text()]) === each.take) break
            expect(found).toEqual(modelList(model, p, each))
          }
        }
      })
      committed.clear()
      for (const [name, value] of model) committed.set(name, value)
      expect(await all(kv.list({ prefix: p }))).toEqual([...committed].sort(([a], [b]) => comparing(a, b)))
    }),
    { numRuns: runs(150) },
  )
})
