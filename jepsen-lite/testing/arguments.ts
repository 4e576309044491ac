// Checks the arguments of the public functions of this folder.

import {
  type Check,
  type Checks,
  checkFields,
  checkOptions,
  checkValue,
  choiceCheck,
  listCheck,
  positiveCheck,
  textCheck,
  wholeNumberCheck,
} from '../../src/client/validators.ts'
import { NODES_MAX } from '../../src/local/directory/plan.ts'
import type { Fault, ScheduleOptions } from './types.ts'

export const KINDS = ['partition', 'crash', 'stop'] as const

/** The size of a cluster. */
export const nodesCheck: Check = (value) =>
  positiveCheck(value) === undefined && Number(value) <= NODES_MAX
    ? undefined
    : `a number from 1 to ${NODES_MAX}`
const NAMES = "a list of names, such as ['n1', 'leader']"
const namesCheck: Check = (value) =>
  Array.isArray(value) && value.length === 0 ? NAMES : listCheck(textCheck, NAMES)(value)
/** A list of kinds of faults that is not empty. */
export const kindsCheck =
  (kinds: readonly string[]): Check =>
  (value) =>
    Array.isArray(value) && value.length > 0 && value.every((kind) => kinds.includes(kind))
      ? undefined
      : `a list of some of ${kinds.join(', ')}`

const FAULT: Checks<Fault> = {
  at: wholeNumberCheck,
  fault: choiceCheck(...KINDS),
  nodes: namesCheck,
  for: wholeNumberCheck,
}
const SCHEDULE: Checks<ScheduleOptions> = {
  nodes: nodesCheck,
  steps: positiveCheck,
  kinds: kindsCheck(KINDS),
  operations: positiveCheck,
  durationMax: positiveCheck,
}

export function checkFaults(faults: readonly Fault[]): void {
  checkValue('faultSchedule', 'faults', faults, (value) =>
    Array.isArray(value) ? undefined : 'a list of faults',
  )
  for (const fault of faults) checkFields('faultSchedule', fault, FAULT)
}

export function checkSchedules(options: ScheduleOptions): void {
  checkOptions('faultSchedules', options, SCHEDULE)
}
