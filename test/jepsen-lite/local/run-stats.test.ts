// When a store is taken to work again, and when a run proves nothing.

import { expect, test } from 'vitest'
import { concludeFrom } from '../../../jepsen-lite/finding.ts'
import { lackingFeatures, RunStats } from '../../../jepsen-lite/local/run-stats.ts'
import {
  type AnyOperation,
  type HistoryOperation,
  type RecordedResult,
  Recorder,
} from '../../../jepsen-lite/workload/history.ts'

/** Whether a store works that has answered this one operation. */
function worksAfter(op: AnyOperation, result: RecordedResult): boolean {
  const stats = new RunStats()
  let time = 0
  const recorder = new Recorder(
    { workload: 'cas', command: 'a test' },
    () => ++time,
    (event) => stats.add(event),
  )
  recorder.ok(recorder.invoke(1, 'n1', op), result)
  return stats.worksSince(0)
}

const cas: HistoryOperation = { f: 'cas', key: 'k', from: 'a', to: 'b' }

test('a store that only answers reads does not take writes: neither does a compare-and-set that met another value', () => {
  expect(worksAfter({ f: 'get', key: 'k' }, { value: 'c' })).toBe(false)
  expect(worksAfter(cas, { value: 'c', applied: false })).toBe(false)
  expect(worksAfter(cas, { modRevision: 3, revision: 3 })).toBe(true)
  expect(worksAfter({ f: 'put', key: 'k', value: 'b', ifAbsent: true }, { applied: false })).toBe(true)
  expect(worksAfter({ f: 'pop', queue: 'q' }, { value: null })).toBe(false)
  expect(worksAfter({ f: 'pop', queue: 'q' }, { value: 'v', item: 'i', token: 3 })).toBe(true)
  // A lock that is not taken may not even have been asked for, and the cluster need not have heard of an unlock.
  expect(worksAfter({ f: 'lock', name: 'a' }, { applied: false })).toBe(false)
  expect(worksAfter({ f: 'unlock', name: 'a', token: 3 }, {})).toBe(false)
  expect(worksAfter({ f: 'lock', name: 'a' }, { token: 3 })).toBe(true)
})

test.each<[AnyOperation, RecordedResult, string]>([
  [{ f: 'lock', name: 'a' }, { token: 1 }, 'lock that changes something'],
  [{ f: 'push', queue: 'q', value: 'v', priority: 0 }, { item: 'i' }, 'push that changes something'],
  [{ f: 'del-range', prefix: 'k' }, { removed: 2, revision: 9 }, 'del-range that changes something'],
  [{ f: 'keep-alive', lease: '7' }, { ttlMs: 2_000 }, 'keep-alive that shows something'],
  [{ f: 'put', key: 'k', value: 'v', ttlMs: 2_000 }, { revision: 9 }, 'put with a time to live'],
  [{ f: 'get', key: 'k', at: 2 }, { value: 'v', revision: 9 }, 'get of the past'],
])('%j made twenty times and never answered proves nothing', (op, result, lacking) => {
  const stats = new RunStats()
  let time = 0
  const recorder = new Recorder(
    { workload: 'any', command: 'a test' },
    () => ++time,
    (event) => stats.add(event),
  )
  for (let times = 0; times < 20; times++) recorder.fail(recorder.invoke(1, 'n1', op), 'no_leader')
  expect(lackingFeatures(stats).join('; ')).toContain(lacking)
  for (let times = 0; times < 2; times++) recorder.ok(recorder.invoke(1, 'n1', op), result)
  expect(lackingFeatures(stats)).toEqual([])
})

function statsOf(tell: (recorder: Recorder) => void): RunStats {
  const stats = new RunStats()
  let time = 0
  const header = { workload: 'any', command: 'a test' }
  tell(
    new Recorder(
      header,
      () => ++time,
      (event) => stats.add(event),
    ),
  )
  return stats
}

test('locks that were never taken prove nothing, although each client was told so', () => {
  const tries = (times: number, last: RecordedResult): string[] =>
    lackingFeatures(
      statsOf((recorder) => {
        for (let at = 1; at < times; at++)
          recorder.ok(recorder.invoke('p1.0', 'any', { f: 'lock', name: 'a' }), { applied: false })
        recorder.ok(recorder.invoke('p1.0', 'any', { f: 'lock', name: 'a' }), last)
      }),
    )
  expect(tries(20, { applied: false })).toEqual([
    'there was no lock that changes something: all 20 tries failed, are of unknown outcome, or found nothing to do',
  ])
  expect(tries(20, { token: 3 })).toEqual([])
  expect(tries(19, { applied: false })).toEqual([])
})

test('clients that are stopped or killed, and never while they hold something, prove nothing of fencing', () => {
  const struck = (act: (recorder: Recorder, at: number) => void): RunStats =>
    statsOf((recorder) => {
      const lock = recorder.invoke('p1.0', 'any', { f: 'lock', name: 'a' })
      for (let at = 0; at < 5; at++) {
        if (at === 3) recorder.ok(lock, { token: 5 })
        act(recorder, at)
      }
    })
  const holders = struck((recorder) => recorder.note('clients stopped', { clients: 'p1' }))
  expect(holders.holders).toMatchObject({ faults: 5, faultsWhileHolding: 2 })
  expect(lackingFeatures(holders)).toEqual([])
  const others = struck((recorder) => recorder.note('clients killed', { clients: 'p2' }))
  expect(lackingFeatures(others)).toEqual([
    'clients were stopped or killed 5 times, and never while one of them held anything',
  ])
  const released = struck((recorder, at) => {
    if (at === 3) recorder.ok(recorder.invoke('p1.0', 'any', { f: 'unlock', name: 'a', token: 5 }), {})
    recorder.note('clients stopped', { clients: 'p1' })
  })
  expect(released.holders).toMatchObject({ faults: 5, faultsWhileHolding: 0 })
})

test('a run that proves nothing fails, and so does one that was interrupted', () => {
  for (const kind of ['proves-nothing', 'interrupted'] as const) {
    const undecided = { kind: 'undecided', message: 'the search has ended' } as const
    expect(concludeFrom([undecided, { kind, message: 'a reason' }])).toMatchObject({
      verdict: 'failed',
      exit_code: 3,
    })
  }
})
