// The result of a run, as it is written to the file.

import type { Figures, Measured } from '../scenarios/scenario.ts'
import { median } from './median.ts'

export interface Measurement extends Measured {
  readonly scenario: string
  readonly side: string
  readonly system: string
  readonly round: number
}

export interface Result {
  readonly started: string
  readonly machine: {
    readonly cores: number
    readonly processor: string
    readonly memory_gb: number
    readonly kernel: string
    readonly file_system: string
    /** Median of an append of 4 KiB with its fdatasync. */
    readonly fdatasync_ms: number
  }
  readonly versions: Readonly<Record<string, string>>
  /** By side: how it was run, in sentences. */
  readonly given: Readonly<Record<string, string>>
  /** Scenarios that a system did not take part in. */
  readonly left_out: readonly {
    readonly system: string
    readonly scenario: string
    readonly reason: string
  }[]
  readonly settings: Readonly<Record<string, number>>
  readonly measurements: readonly Measurement[]
}

/** A scenario on one side: the median of each figure over the rounds. */
export interface Summary {
  readonly scenario: string
  readonly side: string
  readonly system: string
  readonly figures: Figures
}

export function summariesOf(measurements: readonly Measurement[]): Summary[] {
  const groups = Map.groupBy(measurements, ({ scenario, side }) => `${scenario} ${side}`)
  return [...groups.values()].flatMap((rounds) => {
    const [first] = rounds
    if (first === undefined) return []
    const { scenario, side, system } = first
    const names = new Set(rounds.flatMap(({ figures }) => Object.keys(figures)))
    const medians = [...names].map((name) => {
      const values = rounds.flatMap(({ figures }) => figures[name] ?? [])
      return [name, median(values)] as const
    })
    return [{ scenario, side, system, figures: Object.fromEntries(medians) }]
  })
}
