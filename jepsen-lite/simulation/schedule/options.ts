// The range that schedules are drawn from, with fast-check or without.

import { type Check, checkOptions, listCheck, positiveCheck } from '../../../src/client/validators.ts'
import { kindsCheck, nodesCheck } from '../../schedule-checks.ts'
import { atCheck, durationCheck, processCheck, SIMULATED_KINDS } from './fault.ts'
import type { SimulatedFaultKind, SimulatedFaultsOptions } from './types.ts'

export interface DrawRange {
  readonly nodes: number
  readonly processes: readonly string[]
  readonly kinds: readonly SimulatedFaultKind[]
  readonly steps: number
  readonly ms: number
  readonly durationMaxMs: number
}

const processesCheck: Check = (value) =>
  listCheck(processCheck, '')(value) === undefined &&
  Array.isArray(value) &&
  new Set(value).size === value.length
    ? undefined
    : `a list of different names, each ${processCheck(undefined)}`

/** The options with their defaults. */
export function drawRange(where: string, options: SimulatedFaultsOptions): DrawRange {
  checkOptions(where, options, {
    nodes: nodesCheck,
    processes: processesCheck,
    kinds: kindsCheck(SIMULATED_KINDS),
    steps: positiveCheck,
    ms: atCheck,
    durationMaxMs: durationCheck,
  })
  const { nodes = 3, processes = [], kinds = SIMULATED_KINDS, steps = 4 } = options
  const { ms = 10_000, durationMaxMs = 15_000 } = options
  return { nodes, processes, kinds, steps, ms, durationMaxMs }
}
