// Histories of thousands of transactions: right ones pass, and whatever is made wrong in them is found.

import { expect, test } from 'vitest'
import { checkTransactions } from '../../../../jepsen-lite/checker/transactions/index.ts'
import {
  buildHistory,
  type HistoryEvent,
  type HistoryOperation,
  type RecordedResult,
} from '../../../../jepsen-lite/workload/history.ts'
import { Random } from '../../../../jepsen-lite/workload/random.ts'

interface Open {
  readonly client: number
  readonly ends: readonly HistoryEvent[]
}

/** `clients` transactions are in flight at a time. Each reads and writes up to four of a few keys, which change. */
function right(transactions: number, seed: string, clients = 10): HistoryEvent[] {
  const random = new Random(seed)
  const events: HistoryEvent[] = [{ type: 'history', version: 1, workload: 'transactions', command: '' }]
  const state = new Map<string, { readonly value: string; readonly revision: number }>()
  const open: Open[] = []
  let [revision, id] = [1, 0]
  const end = (): void => {
    const [one] = open.splice(random.below(open.length), 1)
    events.push(...(one?.ends ?? []).map((event) => ({ ...event, time: events.length })))
  }
  for (let number = 1; number <= transactions; number++) {
    if (open.length >= clients) end()
    const client = [...Array(clients).keys()].find((free) => open.every((one) => one.client !== free)) ?? 0
    revision += 1
    const ends: HistoryEvent[] = []
    // A key lives for 60 transactions.
    const generation = Math.floor(number / 60)
    for (const place of [0, 1, 2].filter(() => random.below(3) > 0)) {
      id += 1
      const key = `k${generation}.${place}`
      const held = state.get(key)
      const isRead = random.below(2) === 0
      const value = `v${number}`
      const op = isRead ? ({ f: 'get', key } as const) : ({ f: 'put', key, value } as const)
      events.push({ type: 'invoke', id, client, time: events.length, node: '', op, transaction: number })
      if (!isRead) state.set(key, { value, revision })
      const told: RecordedResult = isRead
        ? { value: held?.value ?? null, revision, ...(held && { modRevision: held.revision }) }
        : { modRevision: revision, revision }
      ends.push({ type: 'ok', id, time: 0, result: told })
    }
    open.push({ client, ends })
  }
  while (open.length > 0) end()
  return events
}

const findings = (events: readonly HistoryEvent[]) => checkTransactions(buildHistory(events)).findings

interface Told {
  readonly event: HistoryEvent & { readonly type: 'ok' }
  readonly place: number
  /** Where its operation began. */
  readonly began: number
  readonly op: HistoryOperation & { readonly key: string }
}

function answersIn(events: readonly HistoryEvent[]): Told[] {
  const begun = new Map<number, { readonly began: number; readonly op: Told['op'] }>()
  return [...events.entries()].flatMap(([place, event]) => {
    if (event.type === 'invoke' && 'key' in event.op && event.op.f !== 'guarded-put')
      begun.set(event.id, { began: place, op: event.op })
    const call = event.type === 'ok' ? begun.get(event.id) : undefined
    return event.type === 'ok' && call !== undefined ? [{ event, place, ...call }] : []
  })
}

/** A transaction has at most three steps, so another one lies between. */
const isLongAfter = (later: Told, earlier: Told): boolean =>
  later.op.key === earlier.op.key && later.began > earlier.place + 6

const replaced = (
  events: readonly HistoryEvent[],
  wrong: ReadonlyMap<HistoryEvent, HistoryEvent>,
): HistoryEvent[] => events.map((event) => wrong.get(event) ?? event)

type Wrong = (events: readonly HistoryEvent[], random: Random) => HistoryEvent[]

const WRONGS: Readonly<Record<string, Wrong>> = {
  'a read is answered with nothing, long after another one was answered with a value': (events, random) => {
    const reads = answersIn(events).filter(({ event }) => typeof event.result.value === 'string')
    const { event } = random.pick(
      reads.filter((later) => reads.some((earlier) => isLongAfter(later, earlier))),
    )
    return replaced(events, new Map([[event, { ...event, result: { value: null } }]]))
  },
  'a change that certainly failed was read': (events, random) => {
    const answers = answersIn(events)
    const seen = answers.flatMap(({ op, event }) =>
      event.result.value ? [`${op.key} ${event.result.value}`] : [],
    )
    const shows = ({ op }: Told): boolean => op.f === 'put' && seen.includes(`${op.key} ${op.value}`)
    const { event } = random.pick(answers.filter(shows))
    return replaced(events, new Map([[event, { type: 'fail', id: event.id, time: event.time, why: '' }]]))
  },
  'two answers about a key are exchanged, of which one was given long before the other': (events, random) => {
    const reads = answersIn(events).filter(({ event }) => typeof event.result.value === 'string')
    const pairs = reads.flatMap((one) =>
      reads.flatMap((other) =>
        isLongAfter(other, one) && other.event.result.value !== one.event.result.value
          ? [{ one, other }]
          : [],
      ),
    )
    const { one, other } = random.pick(pairs)
    return replaced(
      events,
      new Map<HistoryEvent, HistoryEvent>([
        [one.event, { ...one.event, result: other.event.result }],
        [other.event, { ...other.event, result: one.event.result }],
      ]),
    )
  },
}

test('right histories pass', () => {
  for (let seed = 0; seed < 20; seed++) expect(findings(right(400, `right ${seed}`))).toEqual([])
})

test.each(Object.entries(WRONGS))('%s', (name, wrong) => {
  for (let seed = 0; seed < 20; seed++) {
    const random = new Random(`${name} ${seed}`)
    const events = wrong(right(300, `${name} ${seed}`), random)
    expect(findings(events).length, `seed ${name} ${seed}`).toBeGreaterThan(0)
  }
})

test('thirty thousand transactions are no more work for each than a thousand', () => {
  const perTransaction = (transactions: number): number => {
    const { verdict, counts } = checkTransactions(buildHistory(right(transactions, 'large')))
    expect(verdict).toBe('pass')
    return counts.dependencies / counts.transactions
  }
  expect(perTransaction(30_000)).toBeLessThan(1.2 * perTransaction(1000))
})
