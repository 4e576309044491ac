// The search: schedule after schedule, each from a separate seed, until the budget is used up.

import { check, type Verdict } from '../checker/index.ts'
import { checkTransactions } from '../checker/transactions/index.ts'
import { buildHistory } from '../workload/history.ts'
import { type Rare, StateCoverage } from './coverage.ts'
import { ProbeCoverage } from './probe-coverage.ts'
import { type RunResult, runSchedule } from './run.ts'
import { generate } from './schedule/generate.ts'
import type { Schedule } from './schedule/schedule.ts'
import { Trace } from './trace.ts'
import type { SimCluster } from './world/cluster.ts'

/** One schedule in this many runs twice, to show that both runs are the same. */
export const REPEATED_EVERY = 100
/** Limit of the checker. If a key needs more time than that, more schedules are a better use of the time. */
const CONFIGURATIONS_MAX = 20_000

export interface FoundViolation {
  readonly seed: number
  /** Together with the seed it determines the schedule. */
  readonly rare: Rare
  readonly schedule: Schedule
  readonly result: RunResult
  readonly violation: NonNullable<RunResult['violation']>
}

export interface CheckedRun extends RunResult {
  /**
   * The judgement of the checker, which does not know the log, on the history; undefined: the simulator had found a
   * violation itself.
   */
  readonly verdict: Verdict | undefined
}

/** Runs a schedule and lets the checker judge what its clients saw. `prepare`: see `runSchedule`. */
export function judged(schedule: Schedule, prepare?: (cluster: SimCluster) => void): CheckedRun {
  const result = runSchedule(schedule, undefined, prepare)
  if (result.violation !== undefined) return { ...result, verdict: undefined }
  const [cycle] = checkTransactions(buildHistory(result.transactions)).findings
  if (cycle !== undefined) {
    const violation = { invariant: 'CHECK-transactions', detail: cycle.message, atMs: result.virtualMs }
    return { ...result, verdict: 'violation', violation }
  }
  const { verdict, findings } = check(buildHistory(result.history), { configurationsMax: CONFIGURATIONS_MAX })
  const [finding] = findings
  if (finding === undefined) return { ...result, verdict }
  const { check: name, message } = finding
  const violation = { invariant: `CHECK-${name}`, detail: message, atMs: result.virtualMs }
  return { ...result, verdict, violation }
}

export class Search {
  protected readonly nodes: number
  readonly #trace = new Trace()
  readonly probeCoverage = new ProbeCoverage()
  readonly coverage = new StateCoverage()
  readonly found: FoundViolation[] = []
  schedules = 0
  repeated = 0
  /** How many histories the checker has decided, and how many not. */
  checked = 0
  undecided = 0
  events = 0
  virtualMs = 0
  ok = 0
  failed = 0
  unknown = 0

  constructor(nodes: number) {
    this.nodes = nodes
  }

  get trace(): string {
    return this.#trace.value
  }

  /**
   * `guide`: what was rare when this seed was run before; by default, what has been rare until now. `twice`: runs the
   * schedule twice to show that both runs are the same. By default this is done for one in many.
   */
  run(seed: number, guide?: Rare, twice = false): FoundViolation | undefined {
    const number = this.schedules++
    const rare = guide ?? this.coverage.rarest(number)
    const schedule = generate(seed, this.nodes, rare)
    const result = judged(schedule)
    this.count(result)
    const violation =
      result.violation ??
      (twice || number % REPEATED_EVERY === REPEATED_EVERY / 2 ? this.#repeat(schedule, result) : undefined)
    if (violation === undefined) return undefined
    return this.find({ seed, rare, schedule, result, violation })
  }

  protected find(found: FoundViolation): FoundViolation {
    this.found.push(found)
    return found
  }

  #repeat(schedule: Schedule, result: RunResult): RunResult['violation'] {
    this.repeated++
    return describeDifference(schedule, result, runSchedule(schedule))
  }

  protected count(result: CheckedRun): void {
    if (result.verdict === 'undecided') this.undecided++
    else if (result.verdict !== undefined) this.checked++
    this.#trace.text(result.trace)
    this.coverage.add(result.coverage.counts)
    for (const [kind, count] of Object.entries(result.faults))
      this.probeCoverage.faults[kind] = (this.probeCoverage.faults[kind] ?? 0) + count
    for (const [probe, count] of Object.entries(result.probes))
      this.probeCoverage.probes[probe] = (this.probeCoverage.probes[probe] ?? 0) + count
    this.events += result.events
    this.virtualMs += result.virtualMs
    this.ok += result.ok
    this.failed += result.failed
    this.unknown += result.unknown
  }
}

export function describeDifference(
  { seed }: Schedule,
  { trace, events }: RunResult,
  again: RunResult,
): RunResult['violation'] {
  if (again.trace === trace && again.events === events) return undefined
  const detail = `two runs of seed ${seed} differ: ${trace} (${events} events) and ${again.trace} (${again.events})`
  return { invariant: 'SIM-1', detail, atMs: again.virtualMs }
}
