// The counter of docs/guides/testing-your-service.md on a real cluster: the schedule that shows that it loses visits,
// and the counter that loses none.

import { rmSync } from 'node:fs'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import {
  checkLinearizable,
  checkTransactions,
  type FaultSchedule,
  faultSchedule,
  faultSchedules,
  recorded,
} from '../../../../jepsen-lite/testing/index.ts'
import { type Client, startCluster } from '../../../../src/index.ts'
import { Counter, FailOver, SafeCounter } from './counter.ts'

afterAll(() => rmSync('counter.html', { force: true }))

const timing = { heartbeatMs: 30, electionMinMs: 200, electionMaxMs: 400 }

async function countVisits(schedule: FaultSchedule, create: (kv: Client) => Pick<Counter, 'increment'>) {
  await using cluster = await startCluster({ nodes: 3, timing })
  const history = await schedule.run(cluster, async (history) => {
    const begun: Promise<unknown>[] = []
    const instances = ['n1', 'n2'].map((name) => {
      const kv = cluster.client({ endpoints: [cluster.node(name).url], discover: false })
      const counter = create(recorded(kv, { history }))
      return () => {
        const answer = history.transaction(() => counter.increment())
        begun.push(answer)
        return answer
      }
    })
    const visits = new FailOver(instances)
    for (let visit = 0; visit < 10; visit++) await visits.increment()
    await Promise.allSettled(begun)
  })
  checkLinearizable(history)
  checkTransactions(history, { report: 'counter.html' })
}

const isRight = (create: (kv: Client) => Pick<Counter, 'increment'>) =>
  fc.asyncProperty(faultSchedules({ nodes: 3 }), (schedule) => countVisits(schedule, create))

const shrunk = faultSchedule([{ at: 0, fault: 'partition', nodes: ['leader'], for: 3 }])

// On a busy machine a visit can fail over without a fault: then the schedule shrinks to none.
test('faults are found under which the counter loses visits', async () => {
  const found = await fc.check(
    isRight((kv) => new Counter(kv)),
    { numRuns: 20, interruptAfterTimeLimit: 20_000, markInterruptAsFailure: true },
  )
  expect(found.failed).toBe(true)
  expect(found.errorInstance).toMatchObject({ name: 'AnomalyError', verdict: 'violation' })
})

test('the shrunk schedule shows it again', async () => {
  const counted = countVisits(shrunk, (kv) => new Counter(kv))
  await expect(counted).rejects.toThrow('the transactions are not strict serializable')
})

test('a put under a condition loses none', async () => {
  await countVisits(shrunk, (kv) => new SafeCounter(kv))
  await fc.assert(
    isRight((kv) => new SafeCounter(kv)),
    { numRuns: 5 },
  )
})
