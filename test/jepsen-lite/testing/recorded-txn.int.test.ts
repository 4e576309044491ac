// Transactions of a recorded client, on real nodes: what is written down, and what the checkers find in it.

import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  AnomalyError,
  checkLinearizable,
  checkTransactions,
  faultSchedule,
  faultSchedules,
  RecordedHistory,
  recorded,
} from '../../../jepsen-lite/testing/index.ts'
import { parseHistory } from '../../../jepsen-lite/workload/history.ts'
import {
  type Client,
  type EmbeddedCluster,
  OutcomeUnknownError,
  PreconditionFailedError,
  QuorateError,
  startCluster,
  type Transaction,
  type Txn,
  type TxnComparison,
  type TxnOperation,
} from '../../../src/index.ts'
import { runs } from '../../runs.ts'

let cluster: EmbeddedCluster
/** One node: its clients send nothing again on a busy machine. The answer to a repeated transaction has no reads. */
let single: EmbeddedCluster
beforeAll(async () => {
  const timing = { heartbeatMs: 30, electionMinMs: 200, electionMaxMs: 400 }
  ;[cluster, single] = await Promise.all([startCluster({ nodes: 3, timing }), startCluster({ nodes: 1 })])
})
afterAll(() => Promise.all([cluster.close(), single.close()]))

/** Keys of one test only: a history is about keys that were empty when it began. */
let tests = 0
const newPrefix = (): string => {
  tests += 1
  return `${tests}/`
}

const callsOf = (history: RecordedHistory) => parseHistory(history.toString()).calls
const told = (history: RecordedHistory) =>
  callsOf(history).map(({ op, outcome, transaction }) => [
    transaction,
    op,
    outcome.kind === 'ok' ? outcome.result : outcome.kind,
  ])

async function sizeOf(list: AsyncIterable<unknown>): Promise<number> {
  let size = 0
  for await (const _ of list) size += 1
  return size
}

/** The client with another `txn`. */
const withTxn = (client: Client, txn: Client['txn']): Client =>
  new Proxy(client, {
    get(target, name) {
      const value: unknown = name === 'txn' ? txn : Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })

const passes = (history: RecordedHistory): void => {
  checkLinearizable(history)
  checkTransactions(history)
}

describe('txn', () => {
  test('is one transaction of its operations, with what was answered', async () => {
    const at = newPrefix()
    const kv = recorded(single.client())
    const first = await kv.txn({
      compare: [{ key: `${at}a`, exists: false }],
      success: [{ put: { key: `${at}a`, value: '1' } }, { put: { key: `${at}b`, value: '2' } }],
      failure: [{ get: { key: `${at}a` } }],
    })
    const { revision } = first
    expect(first.succeeded).toBe(true)
    await kv.txn({
      compare: [
        { key: `${at}a`, target: 'modRevision', op: '=', to: revision },
        { key: `${at}b`, target: 'value', op: '=', to: '2' },
      ],
      success: [
        { get: { prefix: at } },
        { delete: { key: `${at}a` } },
        { get: { key: `${at}a` } },
        { delete: { key: `${at}c` } },
      ],
    })
    const row = (key: string, value: string) => ({
      key: `${at}${key}`,
      modRevision: revision,
      version: 1,
      value,
    })
    expect(told(kv.history)).toEqual([
      [
        1,
        { f: 'put', key: `${at}a`, value: '1', ifAbsent: true },
        { revision, modRevision: revision, version: 1 },
      ],
      [1, { f: 'put', key: `${at}b`, value: '2' }, { revision, modRevision: revision, version: 1 }],
      [2, { f: 'get', key: `${at}b` }, { value: '2', revision }],
      [2, { f: 'range', prefix: at }, { rows: [row('a', '1'), row('b', '2')], more: false, revision }],
      [2, { f: 'del', key: `${at}a`, ifRevision: revision }, { deleted: 1, revision: revision + 1 }],
      [2, { f: 'get', key: `${at}a` }, { value: null, revision: revision + 1 }],
      [2, { f: 'del', key: `${at}c` }, { deleted: 0, revision: revision + 1 }],
    ])
    passes(kv.history)
  })

  test('whose comparisons do not hold has changed nothing, and what it then reads is told', async () => {
    const at = newPrefix()
    const kv = recorded(single.client())
    const { revision } = await kv.put(`${at}a`, '1')
    const { succeeded } = await kv.txn({
      compare: [{ key: `${at}a`, target: 'modRevision', op: '=', to: revision + 7 }],
      success: [{ put: { key: `${at}a`, value: '2' } }, { get: { key: `${at}z` } }],
      failure: [{ get: { key: `${at}a` } }, { txn: { success: [{ get: { key: `${at}b` } }] } }],
    })
    expect(succeeded).toBe(false)
    expect(told(kv.history).slice(1)).toEqual([
      [1, { f: 'put', key: `${at}a`, value: '2', ifRevision: revision + 7 }, 'fail'],
      [1, { f: 'get', key: `${at}a` }, { value: '1', modRevision: revision, version: 1, revision }],
      [1, { f: 'get', key: `${at}b` }, { value: null, revision }],
    ])
    passes(kv.history)
  })

  test('that only reads says at which level it was answered', async () => {
    const at = newPrefix()
    const kv = recorded(single.client())
    await kv.put(`${at}a`, '1')
    const seen: string[] = []
    await kv.txn(
      {
        success: [
          { get: { prefix: at, countOnly: true } },
          { get: { prefix: at, limit: 1, keysOnly: true } },
        ],
      },
      { consistency: 'stale', onAnswer: ({ consistency }) => seen.push(String(consistency)) },
    )
    expect(seen).toEqual(['stale'])
    const [, count, range] = callsOf(kv.history)
    expect(count?.op).toMatchObject({ f: 'range', countOnly: true, consistency: 'stale' })
    expect(count?.outcome).toMatchObject({ kind: 'ok', result: { count: 1, served: 'stale' } })
    expect(range?.outcome).toMatchObject({ kind: 'ok', result: { rows: [{ key: `${at}a` }], more: false } })
    passes(kv.history)
  })

  test('is recorded with its comparisons, whatever stands around its changes', async () => {
    const at = newPrefix()
    const kv = recorded(single.client())
    const { revision } = await kv.put(`${at}a`, '1')
    await kv
      .txn({
        compare: [
          { key: `${at}a`, target: 'modRevision', op: '=', to: revision },
          { key: `${at}a`, target: 'version', op: '=', to: 1 },
          { key: `${at}b`, target: 'version', op: '=', to: 0 },
          { key: `${at}a`, target: 'createRevision', op: '>', to: 0 },
        ],
        success: [
          { txn: { success: [{ put: { key: `${at}a`, value: '2' } }, { get: { key: `${at}a` } }] } },
          { get: { key: `${at}a`, keysOnly: true } },
          { get: { key: `${at}c`, countOnly: true } },
        ],
      })
      .catch((error: Error) => expect(error.message).toContain('a read of a range in which'))
    await kv.txn({
      compare: [
        { key: `${at}a`, target: 'modRevision', op: '=', to: revision },
        { key: `${at}a`, target: 'version', op: '=', to: 1 },
        { key: `${at}b`, target: 'version', op: '=', to: 0 },
        { key: `${at}a`, target: 'createRevision', op: '>', to: 0 },
      ],
      success: [
        { get: { key: `${at}a`, keysOnly: true } },
        { txn: { success: [{ put: { key: `${at}a`, value: '2' } }, { get: { key: `${at}a` } }] } },
        { get: { key: `${at}c`, countOnly: true } },
      ],
    })
    const a = { key: `${at}a` }
    const range = { f: 'range', start: `${at}a`, end: `${at}a\0` }
    const [was, is] = [
      { modRevision: revision, version: 1 },
      { modRevision: revision + 1, version: 2 },
    ]
    expect(told(kv.history).slice(1)).toEqual([
      [2, { f: 'get', ...a }, { modRevision: revision, revision }],
      [2, { f: 'get', ...a }, { version: 1, revision }],
      [2, { f: 'get', key: `${at}b` }, { value: null, revision }],
      [2, { ...range, countOnly: true }, { count: 1, revision }],
      [2, { ...range, keysOnly: true }, { rows: [{ ...a, ...was }], more: false, revision }],
      [2, { f: 'put', ...a, value: '2', ifRevision: revision }, { revision: revision + 1, ...is }],
      [2, { f: 'get', ...a }, { value: '2', ...is, revision: revision + 1 }],
      [2, { f: 'range', start: `${at}c`, end: `${at}c\0`, countOnly: true }, { count: 0, revision }],
    ])
    passes(kv.history)
  })

  test('is recorded with comparisons that are no condition of a change', async () => {
    const at = newPrefix()
    const kv = recorded(single.client())
    const { revision } = await kv.put(`${at}a`, '1')
    const a = { key: `${at}a` }
    const same = { ...a, target: 'modRevision', op: '=', to: revision } as const
    const b = { key: `${at}b` }
    await kv.txn({
      compare: [same, same, { ...b, exists: false }],
      success: [{ put: { ...a, value: '2' } }, { delete: b }],
    })
    const after = { revision: revision + 1 }
    expect(told(kv.history).slice(1)).toEqual([
      [1, { f: 'get', ...b }, { value: null, revision }],
      [
        1,
        { f: 'put', ...a, value: '2', ifRevision: revision },
        { modRevision: revision + 1, version: 2, ...after },
      ],
      [1, { f: 'del', ...b }, { deleted: 0, ...after }],
    ])
    passes(kv.history)
  })

  test('of which nobody knows the outcome may have changed what it was to change', async () => {
    const at = newPrefix()
    const client = single.client()
    const eats = withTxn(client, async (...args) => {
      await client.txn(...args)
      throw new OutcomeUnknownError('eaten', { code: 'outcome_unknown', written: 'unknown' })
    })
    const history = new RecordedHistory()
    const [kv, other] = [recorded(eats, { history }), recorded(client, { history })]
    const lost = kv.txn({
      compare: [{ key: `${at}b`, exists: false }],
      success: [{ put: { key: `${at}a`, value: '1' } }, { get: { key: `${at}b` } }],
    })
    await expect(lost).rejects.toThrow('eaten')
    expect(told(history)).toEqual([
      [1, { f: 'get', key: `${at}b` }, 'fail'],
      [1, { f: 'put', key: `${at}a`, value: '1' }, 'unknown'],
      [1, { f: 'get', key: `${at}b` }, 'fail'],
    ])
    await other.get(`${at}a`)
    passes(history)
  })

  test('what cannot be recorded is refused, and nothing of it is done', async () => {
    const at = newPrefix()
    const kv = recorded(single.client())
    await kv.put(`${at}a`, '1')
    await expect(kv.txn({ success: [{ delete: { prefix: at } }] })).rejects.toThrow('a delete of a range')
    await expect(
      kv.txn({ failure: [{ txn: { success: [{ put: { key: `${at}b`, value: '', ttlMs: 1_000 } }] } }] }),
    ).rejects.toThrow('put with a lease')
    await expect(kv.transact((tx) => tx.put(`${at}b`, '', { ttlMs: 1_000 }))).rejects.toThrow(
      'put with a lease',
    )
    const binary = { put: { key: Uint8Array.of(0xff), value: '' } }
    await expect(
      kv.txn({ success: [{ put: { key: `${at}b`, value: '' } }], failure: [binary] }),
    ).rejects.toThrow('the key is not UTF-8')
    const compared = (...compare: NonNullable<Txn['compare']>) =>
      kv.txn({ compare, success: [{ put: { key: `${at}b`, value: '' } }] })
    const key = `${at}b`
    for (const compare of [
      { key, target: 'value', op: '!=', to: '' },
      { key, target: 'modRevision', op: '<', to: 9 },
      { key, target: 'createRevision', op: '=', to: 9 },
      { key, target: 'lease', op: '=', to: '0' },
      { prefix: at, target: 'version', op: '=', to: 0 },
    ] as const)
      await expect(compared(compare)).rejects.toThrow('is not recorded yet')
    expect(() => kv.deleteRange({ prefix: at })).toThrow('deleteRange is not recorded yet')
    expect(await kv.count({ prefix: at })).toBe(1)
    // As those of a client.
    await expect(kv.txn({ sucess: [] } as never)).rejects.toThrow('did you mean success?')
    await expect(kv.transact(undefined as never)).rejects.toThrow('transact: the body must be a function')
    expect(callsOf(kv.history)).toHaveLength(2)
  })
})

describe('transact', () => {
  test('is what its body has read and written, as one transaction', async () => {
    const at = newPrefix()
    const kv = recorded(single.client())
    const { revision } = await kv.put(`${at}a`, '1')
    await kv.put(`${at}c/1`, 'x')
    await kv.transact(async (tx) => {
      const found = await tx.get(`${at}a`)
      await tx.get(`${at}b`)
      for await (const _ of tx.list({ prefix: `${at}c/` })) {
      }
      tx.put(`${at}a`, `${found?.text()}2`)
      expect((await tx.get(`${at}a`))?.text()).toBe('12')
      tx.delete(`${at}b`)
    })
    const row = { key: `${at}c/1`, modRevision: revision + 1, version: 1, value: 'x' }
    const before = { revision: revision + 1 }
    const after = { revision: revision + 2 }
    expect(told(kv.history).slice(2)).toEqual([
      [1, { f: 'get', key: `${at}a` }, { value: '1', modRevision: revision, version: 1, ...before }],
      [1, { f: 'get', key: `${at}b` }, { value: null, ...before }],
      [1, { f: 'range', start: `${at}c/`, end: `${at}c0` }, { rows: [row], more: false, ...before }],
      [
        1,
        { f: 'put', key: `${at}a`, value: '12', ifRevision: revision },
        { modRevision: revision + 2, version: 2, ...after },
      ],
      [1, { f: 'del', key: `${at}b` }, { deleted: 0, ...after }],
    ])
    passes(kv.history)
  })

  test.each<['asc' | 'desc', (at: string) => readonly [string, string]]>([
    ['asc', (at) => [`${at}k`, `${at}k1\0`]],
    ['desc', (at) => [`${at}k1`, `${at}l`]],
  ])('a list that the body does not read to its end covers what it has shown: %s', async (order, range) => {
    const at = newPrefix()
    const kv = recorded(single.client())
    const shown = order === 'asc' ? ['k0', 'k1'] : ['k2', 'k1']
    for (const name of ['k0', 'k1', 'k2']) await kv.put(`${at}${name}`, name)
    await kv.transact(async (tx) => {
      const seen: string[] = []
      for await (const { key } of tx.list({ prefix: `${at}k`, order })) {
        seen.push(key.slice(at.length))
        if (seen.length === 2) break
      }
      expect(seen).toEqual(shown)
    })
    const [start, end] = range(at)
    const last = callsOf(kv.history).at(-1)
    expect(last?.op).toEqual({ f: 'range', start, end })
    const rows = last?.outcome.kind === 'ok' ? last.outcome.result.rows : []
    expect(rows?.map(({ key }) => key.slice(at.length))).toEqual(shown.toSorted())
    passes(kv.history)
  })

  test('a list that its limit has ended covers what it has shown', async () => {
    const at = newPrefix()
    const kv = recorded(single.client())
    for (const name of ['k0', 'k1', 'k2']) await kv.put(`${at}${name}`, name)
    await kv.transact(async (tx) => {
      expect(await sizeOf(tx.list({ prefix: `${at}k`, limit: 2 }))).toBe(2)
    })
    expect(callsOf(kv.history).at(-1)?.op).toEqual({ f: 'range', start: `${at}k`, end: `${at}k1\0` })
    passes(kv.history)
  })

  test('an attempt that others have overtaken has changed nothing, and its reads do not count', async () => {
    const at = newPrefix()
    const history = new RecordedHistory()
    const [kv, other] = [recorded(single.client(), { history }), recorded(single.client(), { history })]
    let attempts = 0
    await kv.transact(async (tx) => {
      attempts += 1
      const found = await tx.get(`${at}a`)
      if (attempts === 1) await other.put(`${at}a`, 'theirs')
      tx.put(`${at}a`, `${found?.text() ?? ''} mine ${attempts}`)
    })
    expect(told(history).map(([, op, outcome]) => [op, outcome])).toMatchObject([
      [{ f: 'put', value: 'theirs' }, { version: 1 }],
      [{ f: 'put', value: ' mine 1' }, 'fail'],
      [{ f: 'get' }, { value: 'theirs' }],
      [{ f: 'put', value: 'theirs mine 2' }, {}],
    ])
    passes(history)
  })

  test('of which nobody knows the outcome may have changed what it was to change', async () => {
    const at = newPrefix()
    const history = new RecordedHistory()
    await cluster.waitForLeader()
    const kv = recorded(cluster.client(), { history })
    const lost = kv.transact(
      async (tx) => {
        await tx.get(`${at}a`)
        tx.put(`${at}a`, '1')
        // The leader takes it, and no majority does.
        cluster.partition([['n1'], ['n2'], ['n3']])
      },
      { timeoutMs: 1_000 },
    )
    await expect(lost).rejects.toMatchObject({ written: 'unknown' })
    cluster.heal()
    expect(told(history)).toEqual([[1, { f: 'put', key: `${at}a`, value: '1', ifAbsent: true }, 'unknown']])
    const other = recorded(cluster.client({ timeoutMs: 20_000 }), { history })
    await other.put(`${at}b`, '2')
    await other.get(`${at}a`)
    passes(history)
  })

  test('a change that is refused is not committed, if the body catches the error', async () => {
    const at = newPrefix()
    const key = Buffer.concat([Buffer.from(at), Uint8Array.of(0xff)])
    const plain = single.client()
    const kv = recorded(single.client())
    const changing = (change: (tx: Transaction) => void) =>
      kv.transact((tx) => {
        expect(() => change(tx)).toThrow('the key is not UTF-8')
        tx.put(`${at}a`, '1')
      })
    await changing((tx) => tx.put(key, '1'))
    expect(await plain.get(key)).toBeUndefined()
    await plain.put(key, '1')
    await changing((tx) => tx.delete(key))
    expect((await plain.get(key))?.text()).toBe('1')
  })

  test('a body that ends behind its transaction has done nothing', async () => {
    const at = newPrefix()
    const kv = recorded(single.client())
    const [begun, mayEnd] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const end = new AbortController()
    const ended = kv.transact(
      async (tx) => {
        tx.put(`${at}a`, '1')
        begun.resolve()
        await mayEnd.promise
      },
      { signal: end.signal },
    )
    const aborted = expect(ended).rejects.toMatchObject({ code: 'aborted', written: 'no' })
    await begun.promise
    end.abort()
    await aborted
    mayEnd.resolve()
    await new Promise((resolve) => setImmediate(resolve))
    expect(told(kv.history)).toEqual([])
  })

  test('reads of a body that writes nothing are of the time when it began', async () => {
    const at = newPrefix()
    const history = new RecordedHistory()
    const [kv, other] = [recorded(single.client(), { history }), recorded(single.client(), { history })]
    await other.put(`${at}a`, 'before')
    await other.put(`${at}b`, 'before')
    await kv.transact(async (tx) => {
      await tx.get(`${at}a`)
      await other.put(`${at}b`, 'after')
      expect((await tx.get(`${at}b`))?.text()).toBe('before')
    })
    passes(history)
    const reads = callsOf(history).filter(({ op }) => op.f === 'get')
    expect(reads).toMatchObject([{ transaction: 1 }, { transaction: 1 }])
  })
})

describe('a store that makes no comparisons', () => {
  /** It seems to make them: every transaction succeeds. */
  const faulty = (client: Client): Client =>
    withTxn(client, ({ compare: _, ...txn }, options) => client.txn(txn, options))
  const clientsOf = (history: RecordedHistory) =>
    Array.from({ length: 4 }, () => recorded(faulty(single.client()), { history }))

  test.each<[string, (compare: TxnComparison, put: TxnOperation) => Txn]>([
    ['beside', (compare, put) => ({ compare: [compare], success: [put] })],
    ['around', (compare, put) => ({ compare: [compare], success: [{ txn: { success: [put] } }] })],
  ])('is found by comparisons %s a change', async (_, txnOf) => {
    for (const target of ['modRevision', 'version'] as const) {
      const key = `${newPrefix()}n`
      const history = new RecordedHistory()
      const [a, b] = clientsOf(history)
      const to = (await a?.put(key, '0'))?.[target] ?? 0
      const compare = { key, target, op: '=', to } as const
      for (const [kv, value] of [
        [a, 'a'],
        [b, 'b'],
      ] as const)
        await kv?.txn(txnOf(compare, { put: { key, value } }))
      expect(() => checkLinearizable(history)).toThrow('not linearizable')
    }
  })

  test.each(['reads before it writes', 'writes while it reads'])(
    'loses updates of a body that %s',
    async (order) => {
      const key = `${newPrefix()}n`
      const history = new RecordedHistory()
      const clients = clientsOf(history)
      await clients[0]?.put(key, '0')
      let adds = 0
      const add = (kv: Client) =>
        kv.transact(async (tx) => {
          const reading = tx.get(key)
          if (order.startsWith('writes')) tx.put(key, 'in flight')
          tx.put(key, `${Number((await reading)?.text().split(' ')[0]) + 1} ${adds++}`)
        })
      for (let round = 0; round < 5; round++) await Promise.all(clients.map(add))
      const sum = Number((await clients[0]?.get(key))?.text().split(' ')[0])
      expect(sum).toBeLessThan(adds)
      expect(() => checkTransactions(history)).toThrow('not strict serializable')
    },
  )
})

describe('what an application does', () => {
  const increments = async (
    history: RecordedHistory,
    at: string,
    increment: (kv: Client, key: string) => Promise<void>,
  ): Promise<void> => {
    const clients = Array.from({ length: 4 }, () => recorded(single.client(), { history }))
    for (let round = 0; round < 5; round++)
      await Promise.all(clients.map((kv) => history.transaction(() => increment(kv, `${at}n`))))
  }

  test('a counter that tries again when its comparison did not hold is right', async () => {
    const history = new RecordedHistory()
    await increments(history, newPrefix(), async (kv, key) => {
      for (;;) {
        const found = await kv.get(key)
        const { succeeded } = await kv.txn({
          compare: [{ key, target: 'modRevision', op: '=', to: found?.modRevision ?? 0 }],
          success: [{ put: { key, value: `${Number(found?.text() ?? 0) + 1}` } }],
        })
        if (succeeded) return
      }
    })
    passes(history)
  })

  test.each<[string, (kv: Client, key: string, to: number, value: string) => Promise<void>]>([
    [
      'txn',
      async (kv, key, to, value) => {
        const compare = [{ key, target: 'modRevision', op: '=', to } as const]
        const { succeeded } = await kv.txn({ compare, success: [{ put: { key, value } }] })
        if (!succeeded) await kv.put(key, value)
      },
    ],
    [
      'put',
      async (kv, key, to, value) => {
        const condition = to === 0 ? { ifAbsent: true } : { ifRevision: to }
        await kv.put(key, value, condition).catch((error: unknown) => {
          expect(error).toBeInstanceOf(PreconditionFailedError)
          return kv.put(key, value)
        })
      },
    ],
  ])('a counter whose retry of a %s does not read again loses updates', async (_name, write) => {
    const history = new RecordedHistory()
    await increments(history, newPrefix(), async (kv, key) => {
      const found = await kv.get(key)
      await write(kv, key, found?.modRevision ?? 0, `${Number(found?.text() ?? 0) + 1}`)
    })
    expect(() => checkTransactions(history)).toThrow('lost update')
  })

  test('one that lists before its comparison does not hold has made each of its lists by itself', async () => {
    const at = newPrefix()
    const history = new RecordedHistory()
    const [kv, other] = [recorded(single.client(), { history }), recorded(single.client(), { history })]
    const key = `${at}n`
    await kv.put(key, '1')
    const listed = Promise.withResolvers<void>()
    const overtaken = listed.promise.then(() => other.put(key, '2'))
    await history.transaction(async () => {
      for (;;) {
        let to = 0
        for await (const { modRevision } of kv.list({ prefix: at })) to = modRevision
        listed.resolve()
        await overtaken
        const compare = [{ key, target: 'modRevision', op: '=', to } as const]
        if ((await kv.txn({ compare, success: [{ put: { key, value: '3' } }] })).succeeded) return
      }
    })
    passes(history)
    const lists = callsOf(history).filter(({ op }) => op.f === 'range')
    expect(lists.map(({ transaction }) => transaction !== undefined)).toEqual([false, true])
  })

  test('one that lists fewer keys when its comparison did not hold loses updates of the others', async () => {
    const at = newPrefix()
    const history = new RecordedHistory()
    const [kv, other] = [recorded(single.client(), { history }), recorded(single.client(), { history })]
    const key = `${at}b`
    await kv.put(key, '1')
    const listed = Promise.withResolvers<void>()
    const overtaken = listed.promise.then(() => other.put(key, '2'))
    await history.transaction(async () => {
      await sizeOf(kv.list({ start: `${at}a`, end: `${at}c` }))
      listed.resolve()
      await overtaken
      const compare = [{ key, target: 'version', op: '=', to: 1 } as const]
      expect((await kv.txn({ compare, success: [{ put: { key, value: '3' } }] })).succeeded).toBe(false)
      await sizeOf(kv.list({ start: `${at}a`, end: `${at}b` }))
      await kv.put(key, '3')
    })
    expect(() => checkTransactions(history)).toThrow(AnomalyError)
  })

  test('one that reads in a transaction and writes behind it loses updates, which is found', async () => {
    const history = new RecordedHistory()
    await increments(history, newPrefix(), async (kv, key) => {
      const found = await kv.transact((tx) => tx.get(key))
      await kv.txn({
        success: [{ put: { key, value: `${Number(found?.text() ?? 0) + 1} ${Math.random()}` } }],
      })
    })
    checkLinearizable(history)
    expect(() => checkTransactions(history)).toThrow(AnomalyError)
  })
})

/** Every kind of fault, also while another one is in force. */
const everyFault = faultSchedule([
  { at: 4, fault: 'partition', nodes: ['leader'], for: 4 },
  { at: 12, fault: 'crash', nodes: ['n1'], for: 6 },
  { at: 15, fault: 'partition', nodes: ['n2'], for: 4 },
  { at: 24, fault: 'stop', nodes: ['n3'], for: 4 },
])
/** Each client does everything, beginning with something else. */
const everyAct = Array.from({ length: 4 }, (_, client) =>
  Array.from({ length: 9 }, (_, step) => 8 * (step + client) + ((step + client) % 3)),
)

test('whatever clients do while nodes fail, the store is right about it, and whole afterwards', async () => {
  const KEYS = ['a', 'b', 'c']
  let committed = 0
  const injected = new Set<unknown>()
  await fc.assert(
    fc.asyncProperty(
      faultSchedules({ steps: 2, operations: 30 }),
      fc.array(fc.array(fc.nat(999), { minLength: 6, maxLength: 10 }), { minLength: 3, maxLength: 4 }),
      async (schedule, work) => {
        const at = newPrefix()
        let values = 0
        const history = await schedule.run(cluster, async (shared) => {
          await Promise.all(
            work.map(async (draws, client) => {
              // Half of them begin with one node, and one uses no other, whatever its state.
              const endpoints = client < 2 ? [cluster.endpoints[client] ?? ''] : cluster.endpoints
              const options = { endpoints, discover: client > 0, timeoutMs: 1_000 }
              const kv = recorded(cluster.client(options), { history: shared })
              const key = (draw: number) => `${at}${KEYS[draw % 3]}`
              const value = () => String(++values)
              for (const draw of draws) {
                const [one, other] = [key(draw), key(draw + 1)]
                const consistency = draw % 2 === 0 ? 'stale' : 'linearizable'
                const acts = [
                  () => kv.put(one, value()),
                  () => kv.get(one),
                  () => kv.get(one, { consistency: 'stale' }),
                  () => sizeOf(kv.list({ prefix: at, consistency })),
                  () =>
                    shared.transaction(async () => {
                      const { modRevision } = (await kv.get(one)) ?? {}
                      const condition =
                        modRevision === undefined ? { ifAbsent: true } : { ifRevision: modRevision }
                      await kv.put(one, value(), condition)
                    }),
                  () =>
                    kv.transact(async (tx) => {
                      const { length } = (await tx.get(one))?.text() ?? ''
                      tx.put(other, value())
                      if (length % 2 === 0) tx.delete(one)
                    }),
                  () => kv.transact(async (tx) => [await tx.get(one), await tx.get(other)]),
                  () =>
                    kv.transact(async (tx) =>
                      tx.put(one, `${value()} ${await sizeOf(tx.list({ prefix: at }))}`),
                    ),
                  () =>
                    kv.txn({
                      compare: [{ key: one, exists: draw % 2 === 0 }],
                      success: [{ get: { prefix: at } }, { put: { key: other, value: value() } }],
                      failure: [
                        { put: { key: one, value: value() } },
                        { get: { key: other } },
                        { delete: { key: other } },
                      ],
                    }),
                ]
                await acts[(draw >> 3) % acts.length]?.().then(
                  () => (committed += 1),
                  (error: unknown) => {
                    // Operations that failed, or may have failed, are in the history.
                    if (!(error instanceof QuorateError)) throw error
                  },
                )
              }
            }),
          )
        })
        passes(history)
        expect(cluster.nodes.map(({ running }) => running)).toEqual([true, true, true])
        for (const { what, fault } of parseHistory(history.toString()).notes)
          if (what === 'inject') injected.add(fault)
      },
    ),
    { examples: [[everyFault, everyAct]], numRuns: runs(12) + 1, endOnFailure: true },
  )
  expect(committed).toBeGreaterThan(0)
  expect([...injected].toSorted()).toEqual(['crash', 'partition', 'stop'])
})
