// Schedules that are simpler than a given one: with fewer faults, or with one fault that begins earlier or at a rounder
// time, is of a simpler kind, strikes fewer names, is shorter or less strong. Shrinking takes the first one that still
// fails, and continues from there.

import { NODES_MAX, nodeNames } from '../../../src/local/directory/plan.ts'
import { isNode, LEADING_NODE, RATE_STEPS, rulesOf, SIMULATED_KINDS } from './fault.ts'
import { SimulatedSchedule } from './schedule.ts'
import type { SimulatedFault, SimulatedFaultKind } from './types.ts'

export interface SimplerSchedule {
  readonly schedule: SimulatedSchedule
  /** Where to continue if this schedule fails. */
  readonly next: ShrinkPosition
}

export interface ShrinkPosition {
  /** Index of the way in which schedules become simpler, and of the fault that it changes. */
  readonly way: number
  readonly fault: number
  /** Numbers up to this one have been tried, and do not fail. */
  readonly above?: number | undefined
}

const START: ShrinkPosition = { way: 0, fault: 0 }
/** Rates of clocks differ from 1 by at least one percent. */
const RATE_DIFFERENCE_MIN = RATE_STEPS / 100

/** Begins with the way in which the schedule last became simpler. All other ways follow. */
export function* simplerSchedules(
  { faults }: SimulatedSchedule,
  kinds: readonly SimulatedFaultKind[] = SIMULATED_KINDS,
  from: ShrinkPosition = START,
): Generator<SimplerSchedule> {
  const ways = waysOf(kinds)
  const positions = ways.flatMap((_, way) => faults.map((_, fault): ShrinkPosition => ({ way, fault })))
  const first = positions.findIndex(({ way, fault }) => way === from.way && fault === from.fault)
  const others = [...positions.slice(first + 1), ...positions.slice(0, Math.max(0, first))]
  // Another fault may have the index since the last change, so all numbers of that fault come at the end.
  const again = from.above === undefined ? [] : [{ ...from, above: undefined }]
  for (const { way, fault, above } of [from, ...others, ...again])
    for (const { faults: simpler, above: next } of ways[way]?.(faults, fault, above) ?? [])
      yield { schedule: new SimulatedSchedule(simpler), next: { way, fault, above: next } }
}

interface SimplerFaults {
  readonly faults: readonly SimulatedFault[]
  readonly above?: number | undefined
}
type Way = (
  faults: readonly SimulatedFault[],
  at: number,
  above: number | undefined,
) => Iterable<SimplerFaults>

const waysOf = (kinds: readonly SimulatedFaultKind[]): readonly Way[] => [
  fewer,
  earlierTogether,
  ofNumber(
    ({ at }) => at,
    0,
    (fault, at) => ({ ...fault, at }),
  ),
  of((fault) => simplerKinds(fault, kinds)),
  of(fewerNames),
  ofNumber(
    (fault) => fault.for,
    1,
    (fault, duration) => ({ ...fault, for: duration }),
  ),
  ofNumber(delayOf, 1, (fault, by) => ({ ...fault, by })),
  ofNumber(rateDifferenceOf, RATE_DIFFERENCE_MIN, (fault, difference) => ({
    ...fault,
    by: (RATE_STEPS + Math.sign((fault.by ?? 1) - 1) * difference) / RATE_STEPS,
  })),
]

/** None, then without a half of them, a quarter, …, without one. */
function* fewer(faults: readonly SimulatedFault[], at: number): Generator<SimplerFaults> {
  if (at > 0) return
  for (let size = faults.length; size >= 1; size = Math.floor(size / 2))
    for (let from = 0; from < faults.length; from += size)
      yield { faults: [...faults.slice(0, from), ...faults.slice(from + size)] }
}

/** Faults may matter by the time between them. */
function* earlierTogether(
  faults: readonly SimulatedFault[],
  at: number,
  above: number | undefined,
): Generator<SimplerFaults> {
  const begin = faults[0]?.at ?? 0
  if (at > 0 || faults.length < 2) return
  for (const { value, above: next } of simplerNumbers(begin, 0, above))
    yield { faults: faults.map((fault) => ({ ...fault, at: fault.at - begin + value })), above: next }
}

const of = (simpler: (fault: SimulatedFault) => Iterable<SimulatedFault>): Way =>
  function* (faults, at) {
    const fault = faults[at]
    if (fault === undefined) return
    for (const one of simpler(fault)) yield { faults: faults.with(at, one) }
  }

const ofNumber = (
  read: (fault: SimulatedFault) => number | undefined,
  min: number,
  write: (fault: SimulatedFault, value: number) => SimulatedFault,
): Way =>
  function* (faults, at, above) {
    const fault = faults[at]
    const value = fault && read(fault)
    if (fault === undefined || value === undefined) return
    for (const { value: smaller, above: next } of simplerNumbers(value, min, above))
      yield { faults: faults.with(at, write(fault, smaller)), above: next }
  }

/** The smallest one, then those of fewer digits, then by bisection those of as many. */
function* simplerNumbers(
  value: number,
  min: number,
  above: number | undefined,
): Generator<{ readonly value: number; readonly above: number }> {
  if (value <= min) return
  const digits = digitsOf(value)
  if (above === undefined) {
    yield { value: min, above: min }
    for (let fewer = 1; fewer < digits; fewer++) {
      const rounded = roundedDown(value, fewer)
      if (rounded > min) yield { value: rounded, above: min }
    }
  }
  for (let low = above ?? min; ; ) {
    const middle = roundedDown(Math.floor((low + value) / 2), digits)
    if (middle <= low) return
    yield { value: middle, above: low }
    low = middle
  }
}

/** Digits before the zeros at the end. */
const digitsOf = (value: number): number => String(value).replace(/0+$/, '').length

function roundedDown(value: number, digits: number): number {
  const unit = 10 ** Math.max(0, String(value).length - digits)
  return Math.floor(value / unit) * unit
}

/** Kinds before that of the fault, which may strike the same names by the same amount. */
function simplerKinds(fault: SimulatedFault, kinds: readonly SimulatedFaultKind[]): SimulatedFault[] {
  const rules = rulesOf(fault.fault)
  const nodes = fault.on.filter(isNode).length
  return SIMULATED_KINDS.slice(0, SIMULATED_KINDS.indexOf(fault.fault))
    .filter((kind) => kinds.includes(kind))
    .filter((kind) => {
      const { strikesProcesses, downsNodes, by } = rulesOf(kind)
      const strikesAll = strikesProcesses || nodes === fault.on.length
      const leavesMajority = !downsNodes || rules.downsNodes || nodes <= 1
      return strikesAll && leavesMajority && (by === undefined || by === rules.by)
    })
    .map((kind) => {
      const { by, ...rest } = fault
      return { ...rest, fault: kind, ...(rulesOf(kind).by !== undefined && { by }) }
    })
}

/** Without one of several names. One node alone may be the leader, or one with a smaller number. */
function* fewerNames(fault: SimulatedFault): Generator<SimulatedFault> {
  const { on } = fault
  if (on.length > 1) {
    for (const name of on) yield { ...fault, on: [name] }
    if (on.length > 2) for (const name of on) yield { ...fault, on: on.filter((other) => other !== name) }
  }
  const [name = ''] = on
  if (on.length > 1 || !isNode(name) || name === LEADING_NODE) return
  yield { ...fault, on: [LEADING_NODE] }
  for (const other of nodeNames(NODES_MAX)) {
    if (other === name) return
    yield { ...fault, on: [other] }
  }
}

const delayOf = ({ fault, by }: SimulatedFault): number | undefined =>
  rulesOf(fault).by === 'ms' ? by : undefined

const rateDifferenceOf = ({ fault, by }: SimulatedFault): number | undefined =>
  rulesOf(fault).by === 'rate' && by !== undefined ? Math.round(Math.abs(by - 1) * RATE_STEPS) : undefined
