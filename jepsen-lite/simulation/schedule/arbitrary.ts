// Schedules for fast-check, which shrinks them as `shrinkSchedule` does.

import type { Arbitrary, Random as FastCheckRandom, Stream, Value } from 'fast-check'
import { fastCheck } from '../../fast-check.ts'
import { Random } from '../../workload/random.ts'
import { drawSchedule } from './draw.ts'
import { drawRange } from './options.ts'
import { SimulatedSchedule } from './schedule.ts'
import { type ShrinkPosition, simplerSchedules } from './simpler.ts'
import type { SimulatedFaultsOptions } from './types.ts'

/**
 * Schedules of faults for `simulate`.
 *
 * @throws Error when fast-check is not installed
 * @example
 * await fc.assert(fc.asyncProperty(simulatedFaults({ processes: ['worker'] }), async (schedule) => {
 *   await simulate({ seed: 1, schedule }, body)
 * }))
 */
export function simulatedFaults(options: SimulatedFaultsOptions = {}): Arbitrary<SimulatedSchedule> {
  const { kinds } = drawRange('simulatedFaults', options)
  const fc = fastCheck('simulatedFaults')

  class ScheduleArbitrary extends fc.Arbitrary<SimulatedSchedule> {
    override generate(random: FastCheckRandom): Value<SimulatedSchedule> {
      return new fc.Value(drawSchedule(new Random(random.nextInt()), options), undefined)
    }

    override canShrinkWithoutContext(value: unknown): value is SimulatedSchedule {
      return value instanceof SimulatedSchedule
    }

    override shrink(value: SimulatedSchedule, context: unknown): Stream<Value<SimulatedSchedule>> {
      return fc.stream(simplerValues(value, context as ShrinkPosition | undefined))
    }
  }

  function* simplerValues(value: SimulatedSchedule, from: ShrinkPosition | undefined) {
    for (const { schedule, next } of simplerSchedules(value, kinds, from)) yield new fc.Value(schedule, next)
  }

  return new ScheduleArbitrary()
}
