// When a store is taken to work again.

import { expect, test } from 'vitest'
import { type Operation, Recorder, type Result } from '../../../jepsen-lite/history.ts'
import { RunStats } from '../../../jepsen-lite/local/run-stats.ts'

/** Whether a store works that has answered this one operation. */
function worksAfter(op: Operation, result: Result): boolean {
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
})
