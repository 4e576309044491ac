// How a transaction is sent: over which transport, under which identity, how often; and what becomes of odd answers.

import { getEventListeners } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import type { Client, Transaction, TransactOptions, Txn } from '../../src/client/index.ts'
import { oneNode, oneNodeWithSession } from './one-node.ts'
import { problem } from './relayed-node.ts'
import { clientOf, failure, fake, freezeTime, until } from './with-fakes.ts'

const TXN = 7
const put = (value = 'v', more = {}): Txn => ({ success: [{ put: { key: 'k', value, ...more } }] })
const READ: Txn = { success: [{ get: { key: 'k' } }] }

const tokenOf = (headers: Record<string, unknown>) => headers['idempotency-key']

test('it is tried again under one identity until a node has answered, and is applied once', async () => {
  const [first, second] = [await fake('n1'), await fake('n2')]
  first.faults.push('cut-after', 'cut')
  const kv = clientOf([first], {})
  expect((await kv.txn(put())).succeeded).toBe(true)
  const seen = first.asked.filter(({ target }) => target === '/v1/txn')
  expect(new Set(seen.map(({ headers }) => tokenOf(headers))).size).toBe(1)
  expect([seen.length >= 3, first.rows.get('k')?.version, second.asked]).toEqual([true, 1, []])
})

test('one that only reads is tried again too, without an identity', async () => {
  const node = await fake()
  node.set('k', 'v')
  node.faults.push('cut', problem(503, 'no_leader', 'no leader'), problem(504, 'outcome_unknown', 'lost'))
  const { results } = await clientOf([node]).txn(READ)
  expect(results[0]?.get?.kvs?.[0]?.text()).toBe('v')
  const seen = node.asked.filter(({ target }) => target.startsWith('/v1/txn'))
  expect([seen.length, new Set(seen.map(({ headers }) => tokenOf(headers)))]).toEqual([
    4,
    new Set([undefined]),
  ])
})

test('one that asks for records before is sent once, and its outcome may be unknown', async () => {
  const node = await fake()
  const kv = clientOf([node])
  await kv.get('k')
  node.faults.push('cut-after')
  expect(await failure(kv.txn(put('v', { prev: true })))).toMatchObject({
    code: 'outcome_unknown',
    written: 'unknown',
  })
  expect(node.asked.filter(({ target }) => target === '/v1/txn')).toHaveLength(1)
  // As long as nothing was done, it is tried again.
  node.faults.push(problem(503, 'no_leader', 'no leader'))
  expect(await kv.txn(put('w', { prev: true }))).toMatchObject({ succeeded: true })
})

test.each([
  { does: 'writes', more: {}, tokens: 1 },
  { does: 'asks for the record before', more: { prev: true }, tokens: 0 },
])('an inner transaction that $does is sent like one that is not in another', async ({ more, tokens }) => {
  const node = await fake()
  const kv = clientOf([node])
  await kv.get('k')
  node.faults.push('cut', problem(413, 'value_too_large', 'too large'))
  const inner = { success: [{ get: { key: 'k' } }], failure: put('v', more).success }
  const error = await failure(kv.txn({ ...READ, failure: [{ txn: inner }] }))
  expect(error).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
  const seen = node.asked.filter(({ target }) => target.startsWith('/v1/txn'))
  const found = new Set(seen.flatMap(({ headers }) => tokenOf(headers) ?? []))
  expect([seen.length, found.size]).toEqual([tokens + 1, tokens])
})

test('it takes a connection, and so does a read of history', async () => {
  const { node, lines, kv } = await oneNode()
  await kv.txn(put())
  expect(lines.items.map(([, op]) => op)).toEqual([TXN])
  expect(node.rows.get('k')?.version).toBe(1)
  node.fault = ({ target }) =>
    target.includes('revision=') ? problem(410, 'compacted', 'too old') : undefined
  await failure(kv.get('k', { revision: 1 }))
  expect(lines.items).toHaveLength(2)
})

test('in a session it has a slot, which is free again when it has ended', async () => {
  const { lines, kv } = await oneNodeWithSession({}, (each) => {
    each.welcome = { txn_operations_max: 128, changes_max: 1000 }
  })
  for (let round = 0; round < 3; round++) await kv.txn(put())
  const identities = lines.items
    .filter(([, op]) => op === TXN)
    .map(([, , , , identity]) => identity as number[])
  expect(identities.map((identity) => identity.length)).toEqual([3, 3, 3])
  expect(new Set(identities.map(([session, slot]) => `${session}/${slot}`)).size).toBe(1)
  expect(identities.map(([, , seq]) => seq)).toEqual(
    [...identities.map(([, , seq]) => seq)].sort((a = 0, b = 0) => a - b),
  )
})

test('what a repeat does not know any more is told', async () => {
  const node = await fake()
  node.fault = ({ target }) =>
    target.startsWith('/v1/txn')
      ? {
          status: 200,
          body: { succeeded: true, revision: 7, results: [{ put: REVISIONS }, { get: { omitted: true } }] },
        }
      : undefined
  const txn = { success: [...(put().success ?? []), ...(READ.success ?? [])] }
  const { results } = await clientOf([node]).txn(txn)
  expect(results[1]).toEqual({ get: { omitted: true } })
})

const REVISIONS = { create_revision: 7, mod_revision: 7, version: 1 }

test.each<[string, unknown]>([
  ['no verdict', { revision: 7, results: [{ put: REVISIONS }] }],
  ['no revision', { succeeded: true, results: [{ put: REVISIONS }] }],
  ['no results', { succeeded: true, revision: 7 }],
  ['too many results', { succeeded: true, revision: 7, results: [{ put: REVISIONS }, { put: REVISIONS }] }],
  [
    'the result of another operation',
    { succeeded: true, revision: 7, results: [{ delete: { deleted: 1 } }] },
  ],
  ['results of the other branch', { succeeded: false, revision: 7, results: [{ put: REVISIONS }] }],
  ['a result without revisions', { succeeded: true, revision: 7, results: [{ put: {} }] }],
])('an answer with %s is that of another program', async (_, body) => {
  const node = await fake()
  node.fault = ({ target }) => (target.startsWith('/v1/txn') ? { status: 200, body } : undefined)
  expect(await failure(clientOf([node]).txn(put()))).toMatchObject({
    code: 'unexpected_answer',
    written: 'unknown',
  })
})

test('a read that does not say its revision fixes none: the transaction fails', async () => {
  const node = await fake()
  const row = { key: 'a', value: '1', create_revision: 7, mod_revision: 7, version: 1 }
  node.fault = () => ({ status: 200, body: row, headers: { 'kv-revision': '' } })
  const both = clientOf([node]).transact((tx) => Promise.all([tx.get('a'), tx.get('a')]))
  expect(await failure(both)).toMatchObject({ code: 'unexpected_answer', written: 'no' })
})

test('a body that leaves too little time for an answer is not committed, so nothing is in doubt', async () => {
  freezeTime()
  const node = await fake()
  node.set('k', 'v')
  const kv = clientOf([node], { timeoutMs: 1_000 })
  const late = kv.transact(async (tx) => {
    await tx.get('k')
    vi.advanceTimersByTime(950)
    tx.put('k', 'w')
  })
  expect(await failure(late)).toMatchObject({ name: 'UnavailableError', code: 'timeout', written: 'no' })
  expect(node.asked.filter(({ target }) => target === '/v1/txn')).toEqual([])
})

test('a conflict is the reason when the time of the next attempt is up', async () => {
  freezeTime()
  const node = await fake()
  node.set('k', 'v')
  node.fault = ({ target }) =>
    target === '/v1/txn'
      ? { status: 200, body: { succeeded: false, revision: 3, results: [] }, headers: { 'kv-revision': '3' } }
      : undefined
  let attempts = 0
  const late = failure(
    clientOf([node], { timeoutMs: 1_000 }).transact(async (tx) => {
      if (++attempts === 2) vi.advanceTimersByTime(1_001)
      tx.put('k', `${(await tx.get('k'))?.text()}`)
    }),
  )
  await until(() => vi.getTimerCount() > 0 && node.asked.some(({ target }) => target === '/v1/txn'))
  while (attempts < 2) {
    await nextTurn()
    vi.advanceTimersByTime(1)
  }
  expect(await late).toMatchObject({ code: 'conflict', written: 'no' })
})

test('an outcome that is unknown is not tried again by the body of a transaction', async () => {
  const node = await fake()
  node.set('k', '1')
  node.fault = ({ target }) =>
    target.startsWith('/v1/txn') ? problem(504, 'outcome_unknown', 'lost') : undefined
  let attempts = 0
  const error = await failure(
    clientOf([node]).transact(
      async (tx) => {
        attempts++
        tx.put('k', `${(await tx.get('k'))?.text()}2`)
      },
      { timeoutMs: 300 },
    ),
  )
  expect([attempts, error.code, error.written]).toEqual([1, 'outcome_unknown', 'unknown'])
})

describe('a body that waits for something else', () => {
  const never = new Promise<never>(() => {})

  /** Resolves when the body has begun, with what it writes with. */
  function waiting(kv: Client, options: TransactOptions = {}) {
    const { promise: begun, resolve } = Promise.withResolvers<Transaction>()
    const ended = failure(
      kv.transact(async (tx) => {
        tx.put('k', 'v')
        resolve(tx)
        await never
      }, options),
    )
    return { begun, ended }
  }

  test('ends with the signal of its transaction, and can write nothing more', async () => {
    const node = await fake()
    const kv = clientOf([node])
    const end = new AbortController()
    const { begun, ended } = waiting(kv, { signal: end.signal })
    const tx = await begun
    end.abort('enough')
    expect(await ended).toMatchObject({ name: 'AbortError', code: 'aborted', written: 'no', cause: 'enough' })
    expect(() => tx.put('k', 'w')).toThrow('the transaction has ended')
    expect([kv[inspect]().calls, getEventListeners(end.signal, 'abort'), node.seen]).toEqual([0, [], []])
  })

  test('ends when its client is closed', async () => {
    const kv = clientOf([await fake()])
    const { begun, ended } = waiting(kv)
    await begun
    await kv.close()
    expect(await ended).toMatchObject({ name: 'AbortError', code: 'closed', written: 'no' })
  })

  test('ends when the time is up', async () => {
    freezeTime()
    const kv = clientOf([await fake()])
    const { begun, ended } = waiting(kv, { timeoutMs: 1_000 })
    await begun
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await ended).toMatchObject({ name: 'UnavailableError', code: 'timeout', written: 'no' })
    expect(vi.getTimerCount()).toBe(0)
  })

  test('leaves no timer and no listener when it has ended', async () => {
    freezeTime()
    const kv = clientOf([await fake()])
    const { signal } = new AbortController()
    expect(await kv.transact(async () => 'done', { signal })).toBe('done')
    await expect(kv.transact(() => Promise.reject(new Error('of the body')), { signal })).rejects.toThrow(
      'of the body',
    )
    expect([vi.getTimerCount(), getEventListeners(signal, 'abort'), kv[inspect]().calls]).toEqual([0, [], 0])
  })
})
