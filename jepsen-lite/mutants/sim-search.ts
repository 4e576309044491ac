// One search of the simulator, in a process of its own inside the copy with the bug: until a schedule breaks a rule.
//
// It prints the schedule before it runs it, so that a bug that hangs or crashes the simulator names its schedule. The
// last complete line counts.

import { type Rare, Search } from '../sim/index.ts'

export interface SearchOptions {
  readonly seed: number
  readonly schedules: number
  readonly ms: number
  /** Input of the first schedule in addition to its seed; by default, what the search has seen least. */
  readonly rare?: Rare | undefined
}

export interface SearchReport {
  /** The schedule that found a violation, or that runs now. Its number, counted from 1. */
  readonly schedule: number
  readonly seed: number
  readonly rare: Rare
  /** Null while the schedule runs. */
  readonly violation: { readonly rule: string; readonly detail: string } | null
}

const NODES = 5

const print = (report: SearchReport | null): void => void process.stdout.write(`${JSON.stringify(report)}\n`)

function search({ seed: first, schedules, ms, rare: given }: SearchOptions): void {
  const until = performance.now() + ms
  const search = new Search(NODES)
  while (search.schedules < schedules && performance.now() < until) {
    const seed = first + search.schedules
    const rare = given ?? search.coverage.rarest(search.schedules)
    const schedule = search.schedules + 1
    print({ schedule, seed, rare, violation: null })
    // A given schedule runs twice, since the violation may be that two runs differ.
    const found = search.run(seed, rare, given !== undefined)
    if (found === undefined) continue
    const { invariant: rule, detail } = found.violation
    print({ schedule, seed, rare, violation: { rule, detail } })
    return
  }
  print(null)
}

search(JSON.parse(process.argv[2] ?? ''))
