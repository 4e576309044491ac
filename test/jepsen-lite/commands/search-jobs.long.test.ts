// Two searches at once, in worker threads.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type JobsPlan, merged, runJobs } from '../../../jepsen-lite/commands/search-jobs.ts'
import { runSearch, type SimResult } from '../../../jepsen-lite/commands/search-run.ts'

/** With one node, the schedules of this seed and the next are short. */
const SEED = 49
const PLAN: JobsPlan = {
  ...{ nodes: 1, workload: 'kv', seed: SEED, schedulesMax: 2 },
  ...{ secondsMax: Number.POSITIVE_INFINITY, violationsMax: 20, out: '.' },
}

test('two workers find what two separate searches find', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-jobs-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const alone: SimResult[] = []
  for (const seed of [SEED, SEED + 1])
    alone.push(await runSearch({ ...PLAN, out: dir, seed, step: 2, schedulesMax: 1 }, () => {}))
  const progress: number[] = []
  const together = await runJobs({ ...PLAN, out: dir }, 2, ({ schedules }) => progress.push(schedules))
  const [first, second] = alone
  expect(together).toEqual({ ...merged(alone), wallSeconds: together.wallSeconds })
  expect(together.events).toBe((first?.events ?? 0) + (second?.events ?? 0))
  expect(together.trace).not.toBe(first?.trace)
  expect(progress).toEqual([1, 2])
})
