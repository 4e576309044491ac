// Schedules whose end no test looks at.

import { type EventObserver, Run, type RunResult } from '../../../jepsen-lite/sim/run.ts'
import type { Schedule } from '../../../jepsen-lite/sim/schedule/schedule.ts'

/** Runs a schedule up to the end of its faults. The liveness phase, which takes longer than all before, is left out. */
export function runFaults(schedule: Schedule, watch?: EventObserver): RunResult {
  const run = new Run(schedule, watch)
  run.cluster.runUntil(schedule.config.ms)
  return run.result()
}
