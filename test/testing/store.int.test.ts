// The store itself, under a schedule of faults, with clients of every kind: no check reports anything.

import { expect, test } from 'vitest'
import { parseHistory } from '../../jepsen-lite/workload/history.ts'
import { QuorateError, startCluster } from '../../src/index.ts'
import {
  checkLinearizable,
  checkTransactions,
  faultSchedule,
  type RecordedClient,
  type RecordedHistory,
  recorded,
} from '../../src/testing/index.ts'

const schedule = faultSchedule([
  { at: 30, fault: 'partition', nodes: ['leader'], for: 30 },
  { at: 100, fault: 'crash', nodes: ['n1'], for: 30 },
  { at: 120, fault: 'partition', nodes: ['n2'], for: 20 },
  { at: 160, fault: 'stop', nodes: ['n3'], for: 10 },
])
const CLIENTS = 6
const STEPS = 40

async function use(kv: RecordedClient, history: RecordedHistory, client: number): Promise<void> {
  const steps = [
    (key: string, value: string) => kv.put(key, value),
    (key: string) => kv.get(key, { consistency: 'stale' }),
    (key: string) => kv.get(key),
    async () => {
      for await (const _ of kv.list({ consistency: client % 2 === 0 ? 'stale' : 'linearizable' }));
    },
    (key: string, value: string) =>
      history.transaction(async () => {
        const record = await kv.get(key)
        await kv.put(
          key,
          value,
          record === undefined ? { ifAbsent: true } : { ifRevision: record.modRevision },
        )
      }),
  ]
  for (let step = 0; step < STEPS; step++) {
    try {
      await steps[(step + client) % steps.length]?.(`k${step % 3}`, `${client}.${step}`)
    } catch (error) {
      // Operations that failed, or may have failed, are in the history.
      if (!(error instanceof QuorateError)) throw error
    }
  }
}

test('nothing is reported, and the cluster is whole afterwards', async () => {
  const timing = { heartbeatMs: 30, electionMinMs: 200, electionMaxMs: 400 }
  const cluster = await startCluster({ nodes: 3, timing })
  try {
    const history = await schedule.run(cluster, async (history) => {
      const clients = Array.from({ length: CLIENTS }, (_, client) => {
        // Half of them use one node only, whatever its state.
        const endpoints = [cluster.endpoints[client % 3] ?? '']
        return recorded(cluster.client({ endpoints, discover: client >= 3, timeoutMs: 400 }), { history })
      })
      await Promise.all(clients.map((kv, client) => use(kv, history, client)))
    })
    expect(cluster.nodes.map(({ running }) => running)).toEqual([true, true, true])
    await cluster.client().put('afterwards', 'yes')
    const { notes } = parseHistory(history.toString())
    expect(notes.flatMap(({ what, fault }) => (what === 'inject' ? [fault] : []))).toEqual([
      'partition',
      'crash',
      'partition',
      'stop',
    ])
    const { operations } = checkLinearizable(history)
    expect(operations).toBeGreaterThanOrEqual(CLIENTS * STEPS)
    expect(checkTransactions(history).operations).toBe(operations)
  } finally {
    await cluster.close()
  }
})
