// The run of the lab as a schedule of jepsen-lite, with all checks. A run of a person goes to its present moment, and
// then without faults. A schedule that has an end of its own stays as it is.

import { judged } from '../sim/judged-run.ts'
import type { Schedule } from '../sim/schedule/schedule.ts'
import { breakingMoment } from './breaking-moment.ts'
import type { Lab } from './lab.ts'
import { LAB_MS_MAX } from './lab-schedule.ts'

interface FinishedRun {
  readonly schedule: Schedule
  /** Hash of all events: that which `jepsen-lite replay` prints. */
  readonly trace: string
  readonly violation: string | undefined
  /** The moment at which a person can begin to see how a rule is broken; undefined: none is. */
  readonly breaksAt: number | undefined
}

export function finishedRun({ schedule, now }: Pick<Lab, 'schedule' | 'now'>): FinishedRun {
  const { config, ops, faults } = schedule
  const lastAt = Math.max(...[...ops, ...faults].map(({ at }) => at), 0)
  const ms = config.ms < LAB_MS_MAX ? config.ms : Math.min(Math.max(Math.ceil(now), lastAt + 1), LAB_MS_MAX)
  const finished = { ...schedule, config: { ...config, ms } }
  const result = judged(finished)
  const { trace, violation } = result
  return {
    ...{ schedule: finished, trace, violation: violation?.detail },
    breaksAt: breakingMoment(result, finished.config),
  }
}
