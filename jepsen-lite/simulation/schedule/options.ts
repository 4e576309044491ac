// The range that schedules are drawn from, with fast-check or without.

import { type Check, checkOptions, listCheck, positiveCheck } from '../../../src/client/validators.ts'
import { kindsCheck, nodesCheck } from '../../schedule-checks.ts'
import { atCheck, durationCheck, processCheck, SIMULATED_KINDS, type SimulatedFaultKind } from './fault.ts'

export interface SimulatedFaultsOptions {
  /** Size of the cluster. Default: 3. */
  readonly nodes?: number | undefined
  /** Names of the processes that faults may strike. Default: none. */
  readonly processes?: readonly string[] | undefined
  /** Default: all. */
  readonly kinds?: readonly SimulatedFaultKind[] | undefined
  /** The largest number of faults. Default: 4. */
  readonly steps?: number | undefined
  /** Faults begin up to this time, in milliseconds. Choose about as long as the body runs. Default: 10,000. */
  readonly ms?: number | undefined
  /** The longest duration of a fault, in milliseconds. Default: 5,000. */
  readonly durationMaxMs?: number | undefined
}

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
  const { ms = 10_000, durationMaxMs = 5_000 } = options
  return { nodes, processes, kinds, steps, ms, durationMaxMs }
}
