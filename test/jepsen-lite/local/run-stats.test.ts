// When a store is taken to work again, and when a run proves nothing.

import { expect, test } from 'vitest'
import { type AnyOperation, type Operation, Recorder, type Result } from '../../../jepsen-lite/history.ts'
import { lackingFeatures, RunStats } from '../../../jepsen-lite/local/run-stats.ts'

/** Whether a store works that has answered this one operation. */
function worksAfter(op: AnyOperation, result: Result): boolean {
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

const cas: Operation = { f: 'cas', key: 'k', from: 'a', to: 'b' }

test('a store that only answers reads does not take writes: neither does a compare-and-set that met another value', () => {
  expect(worksAfter({ f: 'get', key: 'k' }, { value: 'c' })).toBe(false)
  expect(worksAfter(cas, { value: 'c', applied: false })).toBe(false)
  expect(worksAfter(cas, { modRevision: 3, revision: 3 })).toBe(true)
  expect(worksAfter({ f: 'put', key: 'k', value: 'b', ifAbsent: true }, { applied: false })).toBe(true)
  expect(worksAfter({ f: 'pop', queue: 'q' }, { value: null })).toBe(false)
  expect(worksAfter({ f: 'pop', queue: 'q' }, { value: 'v', item: 'i', token: 3 })).toBe(true)
})

test.each<[AnyOperation, Result, string]>([
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
