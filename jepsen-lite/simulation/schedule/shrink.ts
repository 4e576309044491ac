// Shrinks a schedule of which the caller can tell whether it fails.

import { checkOptions, checkValue, functionCheck, positiveCheck } from '../../../src/client/validators.ts'
import { SimulatedSchedule } from './schedule.ts'
import { type ShrinkPosition, simplerSchedules } from './simpler.ts'

export interface ShrinkOptions {
  /** The largest number of calls of `stillFails`. Default: 500. */
  readonly triesMax?: number | undefined
}

/**
 * The simplest schedule that was found to fail as `schedule` does. `stillFails` is called with one schedule after the
 * other, and never twice with the same one. The result and the order of the calls depend on its answers only.
 */
export async function shrinkSchedule(
  schedule: SimulatedSchedule,
  stillFails: (schedule: SimulatedSchedule) => Promise<boolean>,
  options: ShrinkOptions = {},
): Promise<SimulatedSchedule> {
  const where = 'shrinkSchedule'
  checkValue(where, 'schedule', schedule, (value) =>
    value instanceof SimulatedSchedule ? undefined : 'a SimulatedSchedule',
  )
  checkValue(where, 'stillFails', stillFails, functionCheck)
  checkOptions(where, options, { triesMax: positiveCheck })
  const { triesMax = 500 } = options
  const tried = new Set([schedule.text])
  let best = schedule
  for (let from: ShrinkPosition | undefined, isSimpler = true; isSimpler; ) {
    isSimpler = false
    for (const { schedule: candidate, next } of simplerSchedules(best, undefined, from)) {
      if (tried.has(candidate.text)) continue
      if (tried.size > triesMax) return best
      tried.add(candidate.text)
      isSimpler = await stillFails(candidate)
      if (!isSimpler) continue
      best = candidate
      from = next
      break
    }
  }
  return best
}
