// The coverage of a search of the simulator: as a table, and complete in JSON.

import { EVENTS, STATES, type StateCoverage } from '../sim/index.ts'

interface CoverageReport {
  readonly states: readonly string[]
  /** How often each event met a node in each state, in the order of `states`. */
  readonly events: Readonly<Record<string, readonly number[]>>
  /** Pairs of an event and a state. */
  readonly reached: number
  readonly of: number
  readonly never: readonly string[]
  /** Two faults at one trigger. */
  readonly fault_pairs: {
    readonly reached: number
    readonly of: number
    readonly times: Readonly<Record<string, number>>
    readonly never: readonly string[]
  }
}

export function summarizeStateCoverage(coverage: StateCoverage): CoverageReport {
  const cells = EVENTS.flatMap((event) =>
    STATES.map((state) => ({ name: `${event}: ${state}`, times: coverage.times(event, state) })),
  )
  const pairs = coverage.pairs().map(({ pair, times }) => ({ name: pair.join(' + '), times }))
  return {
    states: STATES,
    events: Object.fromEntries(
      EVENTS.map((event) => [event, STATES.map((state) => coverage.times(event, state))]),
    ),
    ...summary(cells),
    fault_pairs: {
      ...summary(pairs),
      times: Object.fromEntries(
        pairs.flatMap(({ name, times }) => (times > 0 ? [[name, times] as const] : [])),
      ),
    },
  }
}

type CoverageCount = { readonly name: string; readonly times: number }

function summary(list: readonly CoverageCount[]) {
  const never = list.filter(({ times }) => times === 0).map(({ name }) => name)
  return { reached: list.length - never.length, of: list.length, never }
}

const NAME = 24
const CELL = 5

/** One line per event, one column per state; `.` means never. */
export function coverageTable({ states, events }: CoverageReport): string[] {
  const letters = states.map((_, at) => String.fromCharCode('A'.charCodeAt(0) + at))
  return [
    `states: ${states.map((state, at) => `${letters[at]} ${state}`).join(', ')}`,
    `${''.padEnd(NAME)}${letters.map((letter) => letter.padStart(CELL)).join('')}`,
    ...Object.entries(events).map(
      ([event, counts]) =>
        `${event.padEnd(NAME)}${counts.map((count) => brief(count).padStart(CELL)).join('')}`,
    ),
  ]
}

/** A count in at most four characters. */
function brief(count: number): string {
  if (count === 0) return '.'
  if (count < 10_000) return String(count)
  if (count < 1_000_000) return `${Math.floor(count / 1000)}k`
  return `${Math.floor(count / 1_000_000)}M`
}
