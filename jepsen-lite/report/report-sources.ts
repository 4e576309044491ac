// Content of a report.

import type { CheckResult } from '../checker/index.ts'
import type { TransactionsResult } from '../checker/transactions/index.ts'
import type { History } from '../workload/history.ts'
import type { FailedSimulation } from './failed-simulation.ts'
import type { RunResults } from './run-finder.ts'

export interface ReportSources {
  readonly history: History
  readonly verdict: CheckResult
  /** Result for the transactions of the history, if they were checked too. */
  readonly transactions?: TransactionsResult | undefined
  /** The results of a run (local/results.ts). */
  readonly run?: RunResults | undefined
  /** The failure of a simulation of a service. */
  readonly failure?: FailedSimulation | undefined
  /** Situations that a simulated schedule reached, and how often. */
  readonly probes?: Readonly<Record<string, number>> | undefined
}
