// A recorded client records the operations of the real one and their outcomes, on a real node.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  AnomalyError,
  checkLinearizable,
  checkTransactions,
  faultSchedule,
  RecordedHistory,
  recorded,
} from '../../../jepsen-lite/testing/index.ts'
import { type HistoryEvent, parseHistory } from '../../../jepsen-lite/workload/history.ts'
import { Client, type EmbeddedCluster, startCluster } from '../../../src/index.ts'

let cluster: EmbeddedCluster
const place = mkdtempSync(join(tmpdir(), 'quorate-recorded-'))
beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
})
afterAll(async () => {
  await cluster.close()
  rmSync(place, { recursive: true, force: true })
})

/** Keys of one test only: a history is about keys that were empty when it began. */
let tests = 0
const newPrefix = (): string => {
  tests += 1
  return `${tests}/`
}

const callsOf = (history: RecordedHistory) => parseHistory(history.toString()).calls
const told = (history: RecordedHistory) =>
  callsOf(history).map(({ op, outcome }) => [op, outcome.kind === 'ok' ? outcome.result : outcome])

test('puts, gets, deletes and counts are recorded with what was answered', async () => {
  const prefix = newPrefix()
  const kv = recorded(cluster.client())
  const key = `${prefix}a`
  const { revision } = await kv.put(key, 'one')
  await kv.put(key, 'two', { ifRevision: revision })
  await expect(kv.put(key, 'three', { ifAbsent: true })).rejects.toMatchObject({
    code: 'precondition_failed',
  })
  expect((await kv.get(key))?.text()).toBe('two')
  expect(await kv.count({ prefix })).toBe(1)
  await kv.delete(key)
  expect(await kv.get(key)).toBeUndefined()
  await expect(kv.delete(key, { ifRevision: revision })).rejects.toMatchObject({
    code: 'precondition_failed',
  })
  const read = { revision: revision + 1, served: 'linearizable', node: 'n1' }
  const gone = { revision: revision + 2, served: 'linearizable', node: 'n1' }
  expect(told(kv.history)).toEqual([
    [
      { f: 'put', key, value: 'one' },
      { revision, modRevision: revision, version: 1 },
    ],
    [
      { f: 'put', key, value: 'two', ifRevision: revision },
      { revision: revision + 1, modRevision: revision + 1, version: 2 },
    ],
    [
      { f: 'put', key, value: 'three', ifAbsent: true },
      { applied: false, current: revision + 1 },
    ],
    [
      { f: 'get', key, minRevision: revision + 1 },
      { value: 'two', modRevision: revision + 1, version: 2, ...read },
    ],
    [
      { f: 'range', countOnly: true, prefix, minRevision: revision + 1 },
      { count: 1, ...read },
    ],
    [
      { f: 'del', key },
      { deleted: 1, revision: revision + 2 },
    ],
    [
      { f: 'get', key, minRevision: revision + 2 },
      { value: null, ...gone },
    ],
    [
      { f: 'del', key, ifRevision: revision },
      { applied: false, current: null },
    ],
  ])
  expect(checkLinearizable(kv.history)).toEqual({ operations: 8, unknown: 0, failed: 0 })
  expect(checkTransactions(kv.history)).toEqual({ operations: 8, unknown: 0, failed: 0 })
})

describe('a list', () => {
  const rowsOf = (history: RecordedHistory) =>
    callsOf(history).flatMap(({ op, outcome }) =>
      op.f === 'range' && outcome.kind === 'ok' ? [outcome.result.rows?.length] : [],
    )

  test('is recorded page by page, each with its revision', async () => {
    const prefix = newPrefix()
    const kv = recorded(cluster.client({ timeoutMs: 60_000 }))
    const keys = Array.from({ length: 1100 }, (_, at) => `${prefix}${String(at).padStart(4, '0')}`)
    for (let at = 0; at < keys.length; at += 100)
      await kv.txn({ success: keys.slice(at, at + 100).map((key) => ({ put: { key, value: 'x' } })) })
    const seen: string[] = []
    for await (const { key } of kv.list({ prefix })) {
      // Between the pages, so that they are of different revisions.
      if (seen.length === 500) await kv.put(`${prefix}0001`, 'changed')
      seen.push(key)
    }
    expect(seen).toEqual(keys)
    expect(rowsOf(kv.history)).toEqual([1000, 100])
    const lists = callsOf(kv.history).filter(({ op }) => op.f === 'range')
    expect(lists.map(({ op }) => op)).toMatchObject([{ prefix }, { prefix, after: keys[999] }])
    const [one, two] = lists.map(({ outcome }) => (outcome.kind === 'ok' ? outcome.result : {}))
    expect([one?.more, two?.more]).toEqual([true, false])
    expect((two?.revision ?? 0) - (one?.revision ?? 0)).toBe(1)
    checkLinearizable(kv.history)
    checkTransactions(kv.history)
  })

  test('of one snapshot is one answer', async () => {
    const prefix = newPrefix()
    const kv = recorded(cluster.client())
    for (const key of ['a', 'b', 'c']) await kv.put(prefix + key, key)
    const keys: string[] = []
    for await (const { key } of kv.list({ prefix, snapshot: true })) keys.push(key)
    for await (const { key } of kv.list({ prefix, snapshot: true, limit: 2 })) keys.push(key)
    expect(keys).toHaveLength(5)
    expect(rowsOf(kv.history)).toEqual([3, 2])
    checkLinearizable(kv.history)
  })

  test('has the bounds of its call, whatever becomes of the bytes before its first record', async () => {
    const at = newPrefix()
    const kv = recorded(cluster.client())
    for (const key of [`${at}a`, `${at}b`]) await kv.put(key, '1')
    const prefix = Buffer.from(`${at}a`)
    const records = kv.list({ prefix })
    prefix.write(`${at}b`)
    const keys: string[] = []
    for await (const { key } of records) keys.push(key)
    expect(keys).toEqual([`${at}a`])
    expect(callsOf(kv.history).at(-1)?.op).toMatchObject({ prefix: `${at}a` })
  })

  test('may be empty, limited, backward, without values, or be left early', async () => {
    const prefix = newPrefix()
    const kv = recorded(cluster.client())
    for await (const _ of kv.list({ prefix })) throw new Error('there is a key')
    for (const key of ['a', 'b', 'c']) await kv.put(prefix + key, key)
    const all = async (options: Parameters<Client['list']>[0]): Promise<string> => {
      let keys = ''
      for await (const { key } of kv.list({ prefix, ...options })) keys += key.slice(prefix.length)
      return keys
    }
    expect(await all({ limit: 2 })).toBe('ab')
    expect(await all({ limit: 3 })).toBe('abc')
    expect(await all({ limit: 0 })).toBe('')
    expect(await all({ order: 'desc', keysOnly: true })).toBe('cba')
    for await (const { key } of kv.list({ prefix })) if (key.endsWith('b')) break
    for await (const _ of kv.list({ prefix, order: 'desc', snapshot: true })) break
    expect(rowsOf(kv.history)).toEqual([0, 2, 3, 3, 2, 1])
    expect(callsOf(kv.history).at(-1)?.op).toMatchObject({ prefix, order: 'desc', limit: 1 })
    checkLinearizable(kv.history)
    expect(callsOf(kv.history).every(({ outcome }) => outcome.kind === 'ok')).toBe(true)
  })

  test('that fails is recorded as failed', async () => {
    const kv = recorded(cluster.client())
    const list = async (): Promise<void> => {
      for await (const _ of kv.list({ signal: AbortSignal.abort() })) break
    }
    await expect(list()).rejects.toMatchObject({ code: 'aborted' })
    expect(callsOf(kv.history).map(({ outcome }) => outcome)).toEqual([{ kind: 'fail', why: 'aborted' }])
  })
})

test('reads of the past are explained by the revision that was asked for', async () => {
  const prefix = newPrefix()
  const kv = recorded(cluster.client())
  const { revision } = await kv.put(`${prefix}a`, 'one')
  await kv.put(`${prefix}a`, 'two')
  await kv.put(`${prefix}b`, 'other')
  expect((await kv.get(`${prefix}a`, { revision }))?.text()).toBe('one')
  expect(await kv.get(`${prefix}b`, { revision, consistency: 'stale' })).toBeUndefined()
  expect(await kv.count({ prefix, revision })).toBe(1)
  for (const snapshot of [false, true]) {
    const seen: string[] = []
    for await (const record of kv.list({ prefix, revision, snapshot })) seen.push(record.text())
    expect(seen).toEqual(['one'])
  }
  expect(checkLinearizable(kv.history).operations).toBe(8)
  expect(checkTransactions(kv.history).operations).toBe(8)
  // Not because they are left out.
  const file = join(place, 'past.jsonl')
  writeFileSync(file, kv.history.toString().replace('{"value":"one"', '{"value":"two"'))
  expect(() => checkLinearizable(RecordedHistory.load(file))).toThrow(AnomalyError)
})

test('bytes that are no text, and texts that look like their form, keep apart', async () => {
  const key = newPrefix()
  const kv = recorded(cluster.client())
  await kv.put(key, Uint8Array.of(0xff))
  await kv.get(key)
  await kv.put(Buffer.from(key), 'base64:/w==')
  await kv.get(key)
  expect(callsOf(kv.history).flatMap(({ op }) => (op.f === 'put' ? [op.value] : []))).toEqual([
    'base64:/w==',
    'base64:YmFzZTY0Oi93PT0=',
  ])
  checkLinearizable(kv.history)
  await expect(kv.put(Uint8Array.of(0xff), 'x')).rejects.toThrow('the key is not UTF-8')
  const prefix = newPrefix()
  await cluster.client().put(Buffer.concat([Buffer.from(prefix), Uint8Array.of(0xff)]), 'x')
  const listed = async (list: AsyncIterable<unknown>) => {
    for await (const _ of list) {
    }
  }
  await expect(listed(kv.list({ prefix }))).rejects.toThrow('the key is not UTF-8')
  await expect(kv.transact((tx) => listed(tx.list({ prefix })))).rejects.toThrow('the key is not UTF-8')
})

describe('what goes wrong', () => {
  test('a call that was never sent is recorded as failed', async () => {
    const kv = recorded(cluster.client())
    await expect(kv.put('', 'x')).rejects.toMatchObject({ code: 'key_empty' })
    await expect(kv.get('')).rejects.toMatchObject({ code: 'key_empty' })
    expect(callsOf(kv.history).map(({ outcome }) => outcome.kind)).toEqual(['fail', 'fail'])
  })

  test('a change whose outcome is not known is unknown; nothing is assumed about it', async () => {
    const timing = { heartbeatMs: 30, electionMinMs: 200, electionMaxMs: 400 }
    const lonely = await startCluster({ nodes: 3, timing })
    const history = new RecordedHistory()
    try {
      const leader = await lonely.waitForLeader()
      lonely.partition([[leader.name]])
      const client = lonely.client({ endpoints: [leader.url], discover: false, timeoutMs: 300 })
      const kv = recorded(client, { history })
      await expect(kv.put('a', '1')).rejects.toMatchObject({ written: 'unknown' })
      lonely.heal()
      const other = recorded(lonely.client(), { history })
      await other.put('a', '2')
      await other.get('a')
    } finally {
      await lonely.close()
    }
    expect(checkLinearizable(history)).toEqual({ operations: 3, unknown: 1, failed: 0 })
  })
})

test('operations at the same time are of several clients of the history', async () => {
  const prefix = newPrefix()
  const history = new RecordedHistory()
  const one = recorded(cluster.client(), { history })
  const other = recorded(cluster.client(), { history })
  await Promise.all([one.put(`${prefix}a`, '1'), one.put(`${prefix}b`, '1'), other.put(`${prefix}c`, '1')])
  await one.get(`${prefix}a`)
  expect(callsOf(history).map(({ client }) => client)).toEqual(['1', '1.2', '2', '1'])
})

test('a transaction is what runs in its body, also in functions that it calls', async () => {
  const prefix = newPrefix()
  const kv = recorded(cluster.client())
  const { history } = kv
  const both = () => Promise.all([kv.put(`${prefix}a`, '1'), kv.put(`${prefix}b`, '1')])
  await Promise.all([
    history.transaction(both),
    history.transaction(async () => {
      await kv.get(`${prefix}a`)
      await history.transaction(() => kv.get(`${prefix}b`))
    }),
    kv.get(`${prefix}c`),
  ])
  expect(callsOf(history).map(({ op, transaction }) => [op.f, transaction])).toEqual([
    ['put', 1],
    ['put', 1],
    ['get', 2],
    ['get', undefined],
    ['get', 2],
  ])
})

describe('verdicts', () => {
  async function wrong(): Promise<string> {
    const key = newPrefix()
    const kv = recorded(cluster.client())
    await kv.put(key, 'old')
    await kv.put(key, 'new')
    await kv.get(key)
    const file = join(place, 'wrong.jsonl')
    kv.history.save(file)
    expect(checkLinearizable(RecordedHistory.load(file)).operations).toBe(3)
    const events = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line): HistoryEvent => JSON.parse(line))
    const put = events.find((event) => event.type === 'ok')
    const lie = { value: 'old', modRevision: put?.type === 'ok' ? put.result.modRevision : 0 }
    const last = events.at(-1)
    events[events.length - 1] = { ...last, result: lie } as HistoryEvent
    writeFileSync(file, events.map((event) => JSON.stringify(event)).join('\n'))
    return file
  }
  const failure = (check: () => unknown): AnomalyError => {
    try {
      check()
    } catch (error) {
      if (error instanceof AnomalyError) return error
      throw error
    }
    throw new Error('nothing was found')
  }

  test('a stale read is explained, and drawn', async () => {
    const history = RecordedHistory.load(await wrong())
    const report = join(place, 'report.html')
    const error = failure(() => checkLinearizable(history, { report }))
    expect(error).toMatchObject({ verdict: 'violation', report })
    expect(error.message).toMatch(
      /^the history is not linearizable \(3 operations, 0 of unknown outcome, 0 failed\)\n/,
    )
    expect(error.message).toContain('operation 3 fits nowhere')
    expect(error.message).toContain('cannot be explained even without the others')
    expect(error.message).toContain(report)
    expect(readFileSync(report, 'utf8')).toContain('operation 3 fits nowhere')
  })

  test('the same as a cycle of transactions, in real time only', async () => {
    const history = RecordedHistory.load(await wrong())
    const report = join(place, 'transactions.html')
    const error = failure(() => checkTransactions(history, { report }))
    expect(error.anomalies).toHaveLength(1)
    expect(error.message).toContain('G-single-realtime: no order of')
    expect(readFileSync(report, 'utf8')).toContain('G-single-realtime')
    expect(checkTransactions(history, { level: 'serializable' }).operations).toBe(3)
  })

  test('a report is written to a folder that is not there, and where it cannot be, the anomaly is told', async () => {
    const history = RecordedHistory.load(await wrong())
    const report = join(place, 'of', 'its', 'own', 'report.html')
    expect(failure(() => checkLinearizable(history, { report })).report).toBe(report)
    expect(readFileSync(report, 'utf8')).toContain('operation 3 fits nowhere')
    for (const check of [checkLinearizable, checkTransactions]) {
      const error = failure(() => check(history, { report: place }))
      expect(error).toMatchObject({ verdict: 'violation', report: undefined })
      expect(error.message).toContain('The report could not be written: EISDIR')
    }
  })

  test('what cannot be decided is no pass', () => {
    const history = new RecordedHistory()
    const file = join(place, 'undecided.jsonl')
    const lines = [{ type: 'history', version: 1, workload: 'w', command: '', model: 'kv' }] as HistoryEvent[]
    const appends = Array.from({ length: 30 }, (_, id) => ({
      id: id + 1,
      value: String.fromCharCode(97 + (id % 3)),
    }))
    for (const { id, value } of appends)
      lines.push({ type: 'invoke', id, client: id, time: 1, node: '', op: { f: 'append', key: 'x', value } })
    for (const { id } of appends) lines.push({ type: 'ok', id, time: 2, result: {} })
    lines.push({ type: 'invoke', id: 99, client: 99, time: 3, node: '', op: { f: 'get', key: 'x' } })
    lines.push({ type: 'ok', id: 99, time: 4, result: { value: 'abc'.repeat(9).concat('cab', 'x') } })
    writeFileSync(file, lines.map((line) => JSON.stringify(line)).join('\n'))
    expect(
      failure(() => checkLinearizable(RecordedHistory.load(file), { configurationsMax: 1000 })).verdict,
    ).toBe('undecided')
    expect(() => checkLinearizable(history)).toThrow('the history has no operations, so it proves nothing')
    expect(() => checkTransactions(history)).toThrow('the history has no operations, so it proves nothing')
  })
})

test('arguments are checked', async () => {
  const kv = cluster.client()
  const anything = (value: unknown) => value as never
  expect(() => recorded(anything({}))).toThrow('client must be a Client')
  expect(() => recorded(kv, anything({ histroy: 1 }))).toThrow('did you mean history?')
  expect(() => checkLinearizable(anything('file'))).toThrow('history must be a RecordedHistory')
  expect(() => checkTransactions(new RecordedHistory(), anything({ level: 'snapshot' }))).toThrow(
    'level must be one of',
  )
  expect(() => RecordedHistory.load(anything(''))).toThrow('file must be')
  writeFileSync(join(place, 'none'), 'hello')
  expect(() => RecordedHistory.load(join(place, 'none'))).toThrow('not JSON')
})

test('nothing is recorded in a history that was loaded, and nothing is sent', async () => {
  const key = `${newPrefix()}a`
  const kv = recorded(cluster.client())
  await kv.put(key, 'one')
  const file = join(place, 'loaded.jsonl')
  kv.history.save(file)
  const history = RecordedHistory.load(file)
  const again = recorded(cluster.client(), { history })
  await expect(again.put(key, 'two')).rejects.toThrow('it was loaded from a file')
  await expect(faultSchedule([]).run(cluster, async () => {}, { history })).rejects.toThrow(
    'it was loaded from a file',
  )
  expect((await kv.get(key))?.text()).toBe('one')
  expect(checkLinearizable(history).operations).toBe(1)
})

test('a long history is loaded as it was saved', async () => {
  const history = new RecordedHistory()
  const id = history.invoke('1', { f: 'get', key: 'a' })
  await history.end(id, { result: { value: null, revision: 1 } })
  const [header, ...operation] = history.toString().trimEnd().split('\n')
  // More lines than a function takes arguments.
  const lines = Array.from({ length: 70_000 }, (_, at) =>
    operation
      .map((line) => line.replace(`"id":${id}`, `"id":${at + 1}`).replace(/"time":[0-9.]+/, `"time":${at}`))
      .join('\n'),
  )
  const file = join(place, 'long.jsonl')
  const text = `${[header, ...lines].join('\n')}\n`
  writeFileSync(file, text)
  expect(RecordedHistory.load(file).toString() === text).toBe(true)
})

test('the rest of the client is as it was', async () => {
  const client = new Client({ endpoints: cluster.endpoints })
  const kv = recorded(client)
  expect(kv).toBeInstanceOf(Client)
  expect(kv.endpoints).toEqual(client.endpoints)
  expect(await kv.leader()).toBe('n1')
  await kv.put(newPrefix(), 'x')
  expect(kv.revision).toBe(client.revision)
  await kv.close()
  await expect(client.get('a')).rejects.toMatchObject({ code: 'closed' })
})

test('wrong arguments are refused with the words of the client, and nothing is recorded', async () => {
  const client = cluster.client()
  const kv = recorded(client)
  const asked = (one: Pick<Client, 'put' | 'get' | 'delete' | 'count'>) => [
    () => one.put(5 as never, 'x'),
    () => one.put('k', 5 as never),
    () => one.put('k', 'x', null as never),
    () => one.put('k', 'x', { ifRevision: undefined } as never),
    () => one.get(null as never),
    () => one.get('k', { wrong: 1 } as never),
    () => one.delete(undefined as never),
    () => one.count({ prefix: 5 } as never),
  ]
  const [plain, same] = [asked(client), asked(kv)]
  for (const [at, ask] of plain.entries()) {
    const error = await ask().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(TypeError)
    await expect(same[at]?.()).rejects.toEqual(error)
  }
  expect(told(kv.history)).toEqual([])
})
