// The search: schedule after schedule, each from a seed of its own, until the budget is used up.

import { check } from '../checker/index.ts'
import { historyOf } from '../history.ts'
import { generate } from './generate.ts'
import { type Result, runSchedule } from './run.ts'
import type { Schedule } from './schedule.ts'
import { Tally } from './tally.ts'
import { Trace } from './trace.ts'

/** One schedule in so many runs twice, to show that it runs alike … */
const REPEATED_EVERY = 100
/** … and of one in so many the history is given to the checker as well, which knows nothing of the log. */
const CHECKED_EVERY = 20
const CONFIGURATIONS_MAX = 200_000

export interface Found {
  readonly seed: number
  readonly schedule: Schedule
  readonly result: Result
  readonly violation: NonNullable<Result['violation']>
}

/** Runs a schedule and lets the checker judge what its clients saw. */
export function judged(schedule: Schedule): Result {
  const result = runSchedule(schedule)
  if (result.violation !== undefined || forgetsTokens(schedule)) return result
  const verdict = check(historyOf(result.history), { configurationsMax: CONFIGURATIONS_MAX })
  const [finding] = verdict.findings
  if (finding === undefined) return result
  const { check: name, message } = finding
  return { ...result, violation: { invariant: `CHECK-${name}`, detail: message, atMs: result.virtualMs } }
}

/** Where settings make the store forget tokens early, a repeated request is a new one: the history does not tell. */
const forgetsTokens = ({ ops }: Schedule): boolean =>
  ops.some(({ kind }) => kind === 'settings') && ops.some(({ kind }) => kind === 'again')

export class Search {
  readonly #nodes: number
  readonly #trace = new Trace()
  readonly tally = new Tally()
  readonly found: Found[] = []
  schedules = 0
  repeated = 0
  checked = 0
  events = 0
  virtualMs = 0
  ok = 0
  failed = 0
  unknown = 0

  constructor(nodes: number) {
    this.#nodes = nodes
  }

  get trace(): string {
    return this.#trace.value
  }

  run(seed: number): Found | undefined {
    const schedule = generate(seed, this.#nodes)
    const number = this.schedules++
    const isChecked = number % CHECKED_EVERY === CHECKED_EVERY / 2
    if (isChecked) this.checked++
    const result = isChecked ? judged(schedule) : runSchedule(schedule)
    this.#count(result)
    const violation =
      result.violation ??
      (number % REPEATED_EVERY === REPEATED_EVERY / 2 ? this.#repeat(schedule, result) : undefined)
    if (violation === undefined) return undefined
    const found = { seed, schedule, result, violation }
    this.found.push(found)
    return found
  }

  #repeat(schedule: Schedule, { trace, events }: Result): Result['violation'] {
    this.repeated++
    const again = runSchedule(schedule)
    if (again.trace === trace && again.events === events) return undefined
    const detail = `two runs of seed ${schedule.seed} differ: ${trace} (${events} events) and ${again.trace} (${again.events})`
    return { invariant: 'SIM-1', detail, atMs: again.virtualMs }
  }

  #count(result: Result): void {
    this.#trace.text(result.trace)
    for (const [kind, count] of Object.entries(result.faults))
      this.tally.faults[kind] = (this.tally.faults[kind] ?? 0) + count
    for (const [probe, count] of Object.entries(result.probes))
      this.tally.probes[probe] = (this.tally.probes[probe] ?? 0) + count
    this.events += result.events
    this.virtualMs += result.virtualMs
    this.ok += result.ok
    this.failed += result.failed
    this.unknown += result.unknown
  }
}
