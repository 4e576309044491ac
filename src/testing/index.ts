// What we use to break quorate ourselves, for people who test their own services.
//
//   const history = await schedule.run(cluster, async (history) => {
//     const kv = recorded(cluster.client(), { history })
//     …                                                    use the service
//   })
//   checkLinearizable(history, { report: 'report.html' })
//
// `faultSchedules()` draws schedules of faults for fast-check, `schedule.run` applies one while the body runs,
// `recorded(client)` writes down what a client asked and was told, and the checks say whether any order explains it.
//
// It is a thin layer: the checks, the format of histories and the report are those of jepsen-lite. This is the only
// folder of src/ that imports from there. The rest of the package works without it.

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
