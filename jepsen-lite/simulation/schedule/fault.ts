// A fault of a simulation: what happens to which nodes and processes, when, and for how long. The words are those of
// the schedules of embedded clusters. Times are virtual.

import {
  type Check,
  checkFields,
  checkOptions,
  checkValue,
  choiceCheck,
} from '../../../src/client/validators.ts'
import type { SimulatedFault, SimulatedFaultKind } from './types.ts'

/** Stands for the node that leads when a fault begins. */
export const LEADING_NODE = 'leader'

interface KindRules {
  /** Whether it may name processes, not only nodes. */
  readonly strikesProcesses: boolean
  /** Unit of `by`. */
  readonly by?: 'ms' | 'rate'
  /** Its nodes are no use to the cluster. */
  readonly downsNodes: boolean
}

/** Kinds, simple ones first: shrinking replaces a kind by one before it. */
const RULES: Readonly<Record<SimulatedFaultKind, KindRules>> = {
  crash: { strikesProcesses: true, downsNodes: true },
  stop: { strikesProcesses: false, downsNodes: true },
  pause: { strikesProcesses: true, downsNodes: true },
  partition: { strikesProcesses: true, downsNodes: false },
  'one-way': { strikesProcesses: false, downsNodes: false },
  'power-loss': { strikesProcesses: false, downsNodes: true },
  'slow-link': { strikesProcesses: true, downsNodes: false, by: 'ms' },
  'slow-disk': { strikesProcesses: false, downsNodes: false, by: 'ms' },
  skew: { strikesProcesses: true, downsNodes: false, by: 'rate' },
}

export const SIMULATED_KINDS = Object.keys(RULES) as readonly SimulatedFaultKind[]

export const rulesOf = (kind: SimulatedFaultKind): KindRules => RULES[kind]

/** A rate of a clock has so many steps from 0 to 1, so that its decimal form is short. */
export const RATE_STEPS = 10_000

const MS_MAX = 1_000_000_000
const RATE_MAX = 100

/** Words of the text between names and numbers. */
const RESERVED = ['for', 'by']

export const isNode = (name: string): boolean => name === LEADING_NODE || /^n[1-9]\d*$/.test(name)

const msCheck =
  (min: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= MS_MAX
      ? undefined
      : `a whole number of milliseconds from ${min} to ${MS_MAX.toLocaleString('en')}`

export const atCheck = msCheck(0)
export const durationCheck = msCheck(1)
export const kindCheck: Check = choiceCheck(...SIMULATED_KINDS)

/** The name of a process. */
export const processCheck: Check = (value) =>
  isName(value) && !isNode(value)
    ? undefined
    : `the name of a process: letters, digits, ., _, - and /, a letter first, and not ${[...RESERVED, LEADING_NODE, 'n1'].join(', ')} …`

/** A name that a fault of this kind may have. */
export const targetCheck =
  (kind: SimulatedFaultKind): Check =>
  (value) => {
    if (rulesOf(kind).strikesProcesses) return isName(value) ? undefined : 'a node, a process or leader'
    return isName(value) && isNode(value) ? undefined : 'a node (n1, n2, …) or leader'
  }

const isName = (value: unknown): value is string =>
  typeof value === 'string' && /^[A-Za-z][\w./-]*$/.test(value) && !RESERVED.includes(value)

/** undefined: a fault of this kind has no `by`. */
export function amountCheck(kind: SimulatedFaultKind): Check | undefined {
  const { by } = rulesOf(kind)
  return by && { ms: durationCheck, rate: rateCheck }[by]
}

const rateCheck: Check = (value) =>
  isRate(value) ? undefined : `a rate above 0 and up to ${RATE_MAX}, of at most four decimals`

const isRate = (value: unknown): boolean =>
  typeof value === 'number' &&
  value > 0 &&
  value <= RATE_MAX &&
  Math.round(value * RATE_STEPS) / RATE_STEPS === value

const listOf = (kind: SimulatedFaultKind): Check => {
  const check = targetCheck(kind)
  return (value) => {
    const isList =
      Array.isArray(value) && value.length > 0 && value.every((name) => check(name) === undefined)
    return isList && new Set(value).size === value.length
      ? undefined
      : `a list of different names, each ${check(undefined)}`
  }
}

/** Checks what a caller without types may pass. */
export function checkFault(where: string, fault: SimulatedFault): void {
  checkOptions(where, fault, { at: anything, fault: anything, on: anything, for: anything, by: anything })
  checkValue(where, 'fault', fault.fault, kindCheck)
  const by = amountCheck(fault.fault)
  checkFields(where, fault, {
    at: atCheck,
    fault: kindCheck,
    on: listOf(fault.fault),
    for: durationCheck,
    by: by ?? ((value) => (value === undefined ? undefined : `undefined with ${fault.fault}`)),
  })
}

const anything: Check = () => undefined
