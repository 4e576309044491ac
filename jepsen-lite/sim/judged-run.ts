// A run whose history the checker judges, which does not know the log.

import { check, type Verdict } from '../checker/index.ts'
import { checkTransactions } from '../checker/transactions/index.ts'
import { buildHistory } from '../workload/history.ts'
import { type RunResult, runSchedule } from './run.ts'
import type { Schedule } from './schedule/schedule.ts'
import type { SimCluster } from './world/cluster.ts'

/** Limit of the checker. If a key needs more time than that, more schedules are a better use of the time. */
const CONFIGURATIONS_MAX = 20_000

export interface CheckedRun extends RunResult {
  /**
   * The judgement of the checker, which does not know the log, on the history; undefined: the simulator had found a
   * violation itself.
   */
  readonly verdict: Verdict | undefined
}

/** Runs a schedule and lets the checker judge what its clients saw. `prepare`: see `runSchedule`. */
export function judged(schedule: Schedule, prepare?: (cluster: SimCluster) => void): CheckedRun {
  const result = runSchedule(schedule, undefined, prepare)
  if (result.violation !== undefined) return { ...result, verdict: undefined }
  const [cycle] = checkTransactions(buildHistory(result.transactions)).findings
  if (cycle !== undefined) {
    const violation = { invariant: 'CHECK-transactions', detail: cycle.message, atMs: result.virtualMs }
    return { ...result, verdict: 'violation', violation }
  }
  const { verdict, findings } = check(buildHistory(result.history), { configurationsMax: CONFIGURATIONS_MAX })
  const [finding] = findings
  if (finding === undefined) return { ...result, verdict }
  const { check: name, message } = finding
  const violation = { invariant: `CHECK-${name}`, detail: message, atMs: result.virtualMs }
  return { ...result, verdict, violation }
}
