// The search: schedule after schedule, each from a separate seed, until the budget is used up.

import { type Rare, StateCoverage } from './coverage.ts'
import { type CheckedRun, judged } from './judged-run.ts'
import { ProbeCoverage } from './probe-coverage.ts'
import { type RunResult, runSchedule } from './run.ts'
import { generate } from './schedule/generate.ts'
import type { Schedule } from './schedule/schedule.ts'
import { Trace } from './trace.ts'

/** One schedule in this many runs twice, to show that both runs are the same. */
export const REPEATED_EVERY = 100
export interface FoundViolation {
  readonly seed: number
  /** Together with the seed it determines the schedule. */
  readonly rare: Rare
  readonly schedule: Schedule
  readonly result: RunResult
  readonly violation: NonNullable<RunResult['violation']>
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
