// Tools with which quorate itself is tested, for people who test their own services.
//
//   const history = await schedule.run(cluster, async (history) => {
//     const kv = recorded(cluster.client(), { history })
//     …                                                    use the service
//   })
//   checkLinearizable(history, { report: 'report.html' })
//
// `faultSchedules()` draws schedules of faults for fast-check, and `schedule.run` applies one while the body runs.
// `recorded(client)` records operations and their outcomes. The checks decide whether any order explains them.
//
// It is a thin layer: the checks, the format of histories and the report are those of the folders beside it. The rest
// of the package works without it.

import '../../src/system/require-node.ts'

export { faultSchedules } from './arbitrary.ts'
export { RecordedHistory } from './history.ts'
export { type RecordedClient, type RecordedOptions, recorded } from './recorded.ts'
export { FaultSchedule, faultSchedule, type RunOptions } from './schedule.ts'
export type { Fault, FaultKind, ScheduleOptions } from './types.ts'
export {
  AnomalyError,
  type CheckedHistory,
  type CheckOptions,
  checkLinearizable,
  checkTransactions,
  type LinearizableOptions,
  type TransactionOptions,
} from './verdict.ts'
