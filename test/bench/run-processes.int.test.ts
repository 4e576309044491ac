// Clusters whose nodes are processes, which the benchmark stops and resumes.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, onTestFinished, test, vi } from 'vitest'
import { run } from '../../bench/run.ts'
import type { Scenario } from '../../bench/scenarios/scenario.ts'
import { processState } from '../../src/local/processes.ts'
import { fakeCluster, SETTING, sideOf } from './fake-cluster.ts'

/** A process that waits. Its end is awaited, since it may be stopped. */
async function waitingProcess(): Promise<number> {
  const child = spawn('sleep', ['600'])
  await once(child, 'spawn')
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  return child.pid ?? 0
}

test('while one cluster is measured, the processes of all others are stopped', async () => {
  const names = ['quorate', 'etcd', 'nats']
  const pids = await Promise.all(names.map(waitingProcess))
  const clusters = names.map((name, at) => fakeCluster(name, pids[at]))
  const isStopped = (): readonly boolean[] => pids.map((pid) => processState(pid) === 'T')
  const seen: (readonly boolean[])[] = []
  const scenario = (name: string): Scenario => ({
    ...{ name, about: '', store: 'empty', per: 'protocol' },
    async measure({ cluster }) {
      const expected = clusters.map((other) => other !== cluster)
      // The state of a process follows its signal.
      await vi.waitFor(() => expect(isStopped()).toEqual(expected), { timeout: 2_000 }).catch(() => {})
      seen.push(isStopped())
      return { figures: {} }
    },
  })
  const sides = clusters.map((cluster) => sideOf(cluster.system, cluster))
  const measured = await run({
    ...{
      scenarios: [scenario('one'), scenario('two')],
      sides,
      rounds: 2,
      setting: SETTING,
      progress: () => {},
    },
  })
  expect(seen).toEqual(measured.map(({ system }) => names.map((name) => name !== system)))
  expect(seen.length).toBe(12)
})
