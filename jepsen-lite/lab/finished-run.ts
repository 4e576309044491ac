// The run of the lab as a schedule of jepsen-lite: to its present moment, then without faults, with all checks.

import type { Schedule } from '../sim/schedule/schedule.ts'
import { judged } from '../sim/search.ts'
import type { Lab } from './lab.ts'

interface FinishedRun {
  readonly schedule: Schedule
  /** Hash of all events: that which `jepsen-lite replay` prints. */
  readonly trace: string
  readonly violation: string | undefined
}

export function finishedRun({ schedule, now }: Pick<Lab, 'schedule' | 'now'>): FinishedRun {
  const { config, ops, faults } = schedule
  const lastAt = Math.max(...[...ops, ...faults].map(({ at }) => at), 0)
  const finished = { ...schedule, config: { ...config, ms: Math.max(Math.ceil(now), lastAt + 1) } }
  const { trace, violation } = judged(finished)
  return { schedule: finished, trace, violation: violation?.detail }
}
