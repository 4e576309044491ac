// Servers that break one promise each, and the clients of a run: what they record must not pass.

import { once } from 'node:events'
import { expect, test } from 'vitest'
import { judge } from '../../../jepsen-lite/checker/index.ts'
import { runClient } from '../../../jepsen-lite/local/clients.ts'
import { lackingFeatures, RunStats } from '../../../jepsen-lite/local/run-stats.ts'
import { WIRES } from '../../../jepsen-lite/local/wires/index.ts'
import { createWorkload, keysFor, type WorkloadName } from '../../../jepsen-lite/local/workloads.ts'
import type { Recipe } from '../../../jepsen-lite/sim/index.ts'
import { buildHistory, type HistoryEvent, Recorder } from '../../../jepsen-lite/workload/history.ts'
import { Random } from '../../../jepsen-lite/workload/random.ts'
import { type Answer, type Asked, type Bug, type Row, ScriptedStore } from './scripted-store.ts'

const CLIENTS = 4
/** After so many operations, and again after as many, a run is judged, and may end. */
const JUDGED_EVERY = 100

interface Judged {
  /** By the check that found something. */
  readonly broken: ReadonlySet<string>
  readonly messages: readonly string[]
  readonly wrong: readonly string[]
  readonly lacking: readonly string[]
  readonly operations: number
}

/** `isEnough`: a run with this judgement ends. */
async function judged(
  bug: Bug | undefined,
  workload: Exclude<WorkloadName, Recipe> = 'kv',
  { operations = 500, isEnough = (_: Judged): boolean => false } = {},
): Promise<Judged> {
  const { server } = new ScriptedStore(bug)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('not bound')
  const enough = new AbortController()
  const events: HistoryEvent[] = []
  const stats = new RunStats()
  const wrong: string[] = []
  const judgement = (): Judged => {
    const { findings, check } = judge(buildHistory(events))
    const broken = new Set(findings.map((finding) => finding.check))
    const messages = findings.map(({ message }) => message)
    return { broken, messages, wrong, lacking: lackingFeatures(stats), operations: check.counts.operations }
  }
  let ended = 0
  const recorder = new Recorder(
    { workload, command: 'a test', complete: true },
    () => performance.now(),
    (event) => {
      events.push(event)
      stats.add(event)
      if (event.type === 'invoke') return
      ended += 1
      if (ended > operations || (ended % JUDGED_EVERY === 0 && isEnough(judgement()))) enough.abort()
    },
  )
  const keys = keysFor(workload)
  let transactions = 0
  const loops = Array.from({ length: CLIENTS }, (_, id) => {
    const random = new Random('broken servers').named(`client ${id}`)
    return runClient({
      ...{
        id,
        rate: 10_000,
        random,
        recorder,
        stays: true,
        wire: 'http' as const,
        signal: enough.signal,
        number: () => ++transactions,
      },
      workload: createWorkload(workload, id, keys, random.named('operations'), {
        logUpTo: () => 1,
        transaction: () => ++transactions,
        leases: [],
        features: WIRES.http.features,
      }),
      targets: () => [{ name: 'n1', port: bound.port }],
      report: (message) => wrong.push(message),
    })
  })
  await Promise.all(loops)
  server.closeAllConnections()
  server.close()
  return judgement()
}

test.each(['kv', 'register', 'append', 'cas', 'cas-lock', 'txn'] as const)(
  'one that keeps all promises passes: %s',
  async (workload) => {
    const { broken, wrong, lacking, operations } = await judged(undefined, workload, { operations: 600 })
    expect([...broken, ...wrong, ...lacking]).toEqual([])
    expect(operations).toBeGreaterThan(500)
  },
)

const isList = ({ method, key }: Asked): boolean => method === 'GET' && key === undefined
const isPage = (asked: Asked): boolean => isList(asked) && asked.headers.accept !== 'application/x-ndjson'

type Page = {
  kvs: { key: string; value?: string; mod_revision: number }[]
  more: boolean
  next?: string
  count?: number
}

/** A page, changed. */
const page =
  (change: (page: Page, asked: Asked) => Page): Bug =>
  (asked, right) =>
    isPage(asked) ? { ...right, body: JSON.stringify(change(JSON.parse(right.body), asked)) } : undefined
const stream =
  (change: (lines: string[]) => string[]): Bug =>
  (asked, right) => {
    if (!isList(asked) || isPage(asked)) return undefined
    return {
      ...right,
      body: change(right.body.split('\n').slice(0, -1))
        .map((line) => `${line}\n`)
        .join(''),
    }
  }
const refusing =
  (which: (asked: Asked) => boolean): Bug =>
  (asked) =>
    which(asked) ? { status: 400, body: JSON.stringify({ code: 'bad_request' }) } : undefined
const unavailable =
  (which: (asked: Asked) => boolean): Bug =>
  (asked) =>
    which(asked) ? { status: 503, body: JSON.stringify({ code: 'no_leader' }) } : undefined
const without = (answer: Answer, name: string): Answer => {
  const { [name]: _, ...headers } = answer.headers ?? {}
  return { ...answer, headers }
}

// perform.int.test.ts has the answers that are wrong in themselves.
test.each<[string, Bug]>([
  ['shows every row twice', page((one) => ({ ...one, kvs: one.kvs.flatMap((row) => [row, row]) }))],
  ['shows rows in the wrong order', page((one) => ({ ...one, kvs: one.kvs.toReversed() }))],
  ['does not show the second row', page((one) => ({ ...one, kvs: one.kvs.filter((_, at) => at !== 1) }))],
  ['never says that there is more', page(({ next: _, ...one }) => ({ ...one, more: false }))],
  [
    'always says that there is more',
    page((one) => ({ ...one, more: true, next: one.kvs.at(-1)?.key ?? '' })),
  ],
  [
    'goes on at the wrong place',
    page((one) => (one.next === undefined ? one : { ...one, next: one.kvs[0]?.key ?? '' })),
  ],
  [
    'counts what it shows',
    page((one) => (one.count === undefined ? one : { ...one, count: one.kvs.length })),
  ],
  [
    'shows values where none were asked for',
    page((one, { query }) =>
      query.has('keys_only') ? { ...one, kvs: one.kvs.map((row) => ({ value: 'x', ...row })) } : one,
    ),
  ],
  [
    'ignores where to begin',
    (asked, right, { rows }) =>
      asked.query.has('start') && isPage(asked)
        ? {
            ...right,
            body: JSON.stringify({
              kvs: [...rows].sort().map(([key, row]) => ({ key, ...row })),
              more: false,
              revision: JSON.parse(right.body).revision,
            }),
          }
        : undefined,
  ],
  ['loses a row of a stream', stream((lines) => lines.filter((_, at) => at !== 1 || lines.length < 3))],
  [
    'cuts off long values',
    (asked, right) =>
      asked.method === 'GET' && asked.key !== undefined && right.status === 200
        ? { ...right, body: right.body.slice(0, 1_000) }
        : undefined,
  ],
  [
    'shows an older value',
    (asked, right) =>
      asked.key?.endsWith('/0') && right.status === 200 && asked.method === 'GET'
        ? { ...right, body: '0.1' }
        : undefined,
  ],
  ['refuses lists by prefix', refusing((asked) => isList(asked) && asked.query.has('prefix'))],
  ['refuses reads by lease', refusing(({ query }) => query.get('consistency') === 'lease')],
  ['refuses tokens', refusing(({ headers }) => headers['idempotency-key'] !== undefined)],
  ['is never able to serve a stale read', unavailable(({ query }) => query.get('consistency') === 'stale')],
  ['is never able to list backwards', unavailable(({ query }) => query.get('order') === 'desc')],
  [
    'is never able to make a conditional change under a token',
    unavailable(
      ({ headers }) => headers['idempotency-key'] !== undefined && headers['if-match'] !== undefined,
    ),
  ],
  [
    'does not say how old its answer is',
    (asked, right) => (asked.method === 'GET' ? without(right, 'Kv-Staleness-Ms') : undefined),
  ],
  [
    'is never able to show what is there',
    ({ method, key }, right) =>
      method === 'GET' && key !== undefined && right.status === 200
        ? { status: 503, body: JSON.stringify({ code: 'no_leader' }) }
        : undefined,
  ],
  ['answers a repeat as if it were new', (_, right) => without(right, 'Idempotency-Replayed')],
  [
    'says that what it made has failed',
    (asked, right) =>
      asked.method === 'DELETE' && right.status === 200
        ? { status: 503, body: JSON.stringify({ code: 'no_leader' }) }
        : undefined,
  ],
])('one that %s does not', async (_, bug) => {
  const isFound = ({ broken, wrong, lacking }: Judged): boolean =>
    broken.size + wrong.length + lacking.length > 0
  expect(isFound(await judged(bug, 'kv', { isEnough: isFound }))).toBe(true)
})

test('a store that makes no compare-and-set proves nothing, though it answers those that find another value', async () => {
  let before = new Map<string, Row>()
  const { broken, wrong, lacking } = await judged((asked, right, store) => {
    const isMade = asked.method === 'PUT' && right.status === 200
    if (!isMade || !('if-match' in asked.headers || 'if-none-match' in asked.headers)) {
      before = new Map(store.rows)
      return undefined
    }
    store.rows.clear()
    for (const [key, row] of before) store.rows.set(key, row)
    store.revision--
    return { status: 503, body: JSON.stringify({ code: 'no_leader' }) }
  }, 'cas')
  expect([...broken, ...wrong]).toEqual([])
  expect(lacking).toEqual([expect.stringMatching('no cas that changes something')])
})

test('a client of a store that ignores tokens sees its change made twice', async () => {
  let tokens = 0
  const { broken } = await judged((asked, right, store) => {
    // A repeat is answered from memory; here it is made again, as the first one was.
    if (right.headers?.['Idempotency-Replayed'] !== 'true' || asked.method !== 'PUT') return undefined
    tokens++
    store.revision++
    const row = store.rows.get(asked.key ?? '')
    const changed = {
      create_revision: row?.create_revision ?? store.revision,
      mod_revision: store.revision,
      version: (row?.version ?? 0) + 1,
    }
    store.rows.set(asked.key ?? '', { value: asked.body, ...changed })
    return { status: 200, body: JSON.stringify({ revision: store.revision, ...changed }) }
  })
  expect(tokens).toBeGreaterThan(0)
  expect(broken).toContain('idempotency')
})

const isTxn = ({ method }: Asked): boolean => method === 'POST'

test.each<[string, Bug, string]>([
  [
    'makes transactions whose comparisons do not hold',
    (asked, _right, store) => {
      if (!isTxn(asked)) return undefined
      const { success } = JSON.parse(asked.body)
      return store.txn({ compare: [], success })
    },
    'garbage-read',
  ],
  [
    'answers half of a transaction from before another one',
    ((): Bug => {
      const old = new Map<string, unknown>()
      return (asked, right) => {
        if (!isTxn(asked)) return undefined
        const answer = JSON.parse(right.body)
        const { success } = JSON.parse(asked.body)
        if (success.length < 2 || success.some((one: object) => 'put' in one)) return undefined
        const before = old.get(success[1].get.key) ?? answer.results[1]
        old.set(success[1].get.key, answer.results[1])
        return { ...right, body: JSON.stringify({ ...answer, results: answer.results.with(1, before) }) }
      }
    })(),
    'G-single',
  ],
  [
    'makes a transaction again when its token comes again',
    (asked, right, store) => {
      if (!isTxn(asked) || right.headers?.['Idempotency-Replayed'] !== 'true') return undefined
      const { success } = JSON.parse(asked.body)
      if (!JSON.parse(right.body).succeeded) return undefined
      return store.txn({ compare: [], success })
    },
    'answered as new',
  ],
  [
    'says that what it made did not compare',
    (asked, right) => {
      if (!isTxn(asked)) return undefined
      const answer = JSON.parse(right.body)
      const isGet = (result: object): boolean => 'get' in result
      const changes = answer.results.some((result: object) => !isGet(result))
      if (!changes) return undefined
      const told = { ...answer, succeeded: false, results: answer.results.filter(isGet) }
      return { ...right, body: JSON.stringify(told) }
    },
    'an answer that does not fit the transaction: {"succeeded":false',
  ],
])('one that %s does not', async (_, bug, found) => {
  const toldOf = ({ messages, wrong }: Judged): string => [...messages, ...wrong].join('\n')
  const isEnough = (one: Judged): boolean => toldOf(one).includes(found)
  expect(toldOf(await judged(bug, 'txn', { isEnough }))).toContain(found)
})

test('one that refuses transactions whose comparisons hold, as the answer shows, does not', async () => {
  let before: readonly (readonly [string, Row])[] = []
  const bug: Bug = (asked, right, store) => {
    const isMade =
      isTxn(asked) && JSON.parse(asked.body).compare.length > 0 && JSON.parse(right.body).succeeded === true
    if (isMade) {
      store.rows.clear()
      for (const [key, row] of before) store.rows.set(key, row)
    }
    before = [...store.rows]
    if (!isMade) return undefined
    return store.txn({ ...JSON.parse(asked.body), compare: [{ key: '', to: 1 }] })
  }
  const { wrong } = await judged(bug, 'txn', { isEnough: (one) => one.wrong.length > 0 })
  expect(wrong.join('\n')).toContain('an answer that does not fit the transaction: {"succeeded":false')
})

test('one that refuses transactions proves nothing', async () => {
  const isEnough = (one: Judged): boolean => one.lacking.length > 0
  const { lacking } = await judged(unavailable(isTxn), 'txn', { isEnough })
  expect(lacking.join('\n')).toContain('get in a transaction')
})
