// Tools with which quorate itself is tested, for people who test their own services.
//
//   const history = await schedule.run(cluster, async (history) => {
//     const kv = recorded(cluster.client(), { history })
//     …                                                    use the service
//   })
//   checkLinearizable(history, { report: 'report.html' })
//
// `simulate` runs a service and a cluster in virtual time, with faults of `simulatedFaults()`. On an embedded cluster,
// `faultSchedules()` draws schedules of faults for fast-check, and `schedule.run` applies one while the body runs.
// `recorded(client)` records operations and their outcomes. The checks decide whether any order explains them.
//
// It is a thin layer: the checks, the format of histories and the report are those of the folders beside it. The rest
// of the package works without it.

import '../../src/system/require-node.ts'

export { RecordedHistory } from '../history/recorded-history.ts'
export { SimulationError, type SimulationErrorCode } from '../simulation/error.ts'
export { simulatedFaults } from '../simulation/schedule/arbitrary.ts'
export { SimulatedSchedule } from '../simulation/schedule/schedule.ts'
export type {
  SimulatedFault,
  SimulatedFaultKind,
  SimulatedFaultsOptions,
} from '../simulation/schedule/types.ts'
export type {
  Leftover,
  OutputLine,
  ProcessSelf,
  RequestServer,
  SimulatedCluster,
  SimulatedNode,
  SimulatedProcess,
  SimulatedProcessOptions,
  SimulationOptions,
  SimulationResult,
  World,
} from '../simulation/types.ts'
export { faultSchedules } from './arbitrary.ts'
export { type RecordedClient, type RecordedOptions, recorded } from './recorded.ts'
export { FaultSchedule, faultSchedule, type RunOptions } from './schedule.ts'
export { simulate } from './simulate.ts'
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
