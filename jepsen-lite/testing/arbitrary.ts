// Schedules of faults for fast-check. A schedule is drawn from independent parts, so it shrinks well: first to fewer
// faults, then each to an earlier beginning, a simpler kind, fewer nodes and a shorter duration.

import type { Arbitrary } from 'fast-check'
import { nodeNames } from '../../src/local/directory/plan.ts'
import { fastCheck } from '../fast-check.ts'
import { checkSchedules, KINDS } from './arguments.ts'
import { FaultSchedule, LEADER } from './schedule.ts'
import type { Fault, ScheduleOptions } from './types.ts'

/**
 * Schedules of faults for a cluster of so many nodes.
 *
 * @throws Error when fast-check is not installed
 * @example
 * await fc.assert(fc.asyncProperty(faultSchedules({ nodes: 3 }), async (schedule) => {
 *   await using cluster = await startCluster({ nodes: 3 })
 *   checkLinearizable(await schedule.run(cluster, body))
 * }))
 */
export function faultSchedules(options: ScheduleOptions = {}): Arbitrary<FaultSchedule> {
  checkSchedules(options)
  const { nodes = 3, steps = 4, kinds = KINDS, operations = 20, durationMax = 10 } = options
  const fc = fastCheck('faultSchedules')
  // Unlike fc.subarray, it shrinks by leaving out any one of them. None stands for the leader.
  const some = fc.uniqueArray(fc.constantFrom(...nodeNames(nodes)), { maxLength: nodes - 1, size: 'max' })
  const fault: Arbitrary<Fault> = fc.record<Fault>({
    at: fc.nat(operations),
    fault: fc.constantFrom(...kinds),
    nodes: some.map<readonly string[]>(
      (names) => (names.length === 0 ? [LEADER] : names),
      (names) => {
        if (Array.isArray(names)) return names.filter((name) => name !== LEADER)
        throw new Error('not a list of nodes')
      },
    ),
    for: fc.integer({ min: 1, max: durationMax }),
  })
  return fc.array(fault, { maxLength: steps, size: 'max' }).map(
    (faults) => new FaultSchedule(faults),
    (schedule) => {
      if (schedule instanceof FaultSchedule) return [...schedule.faults]
      throw new Error('not a schedule')
    },
  )
}
