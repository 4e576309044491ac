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
import { kindsCheck, nodesCheck } from '../schedule-checks.ts'
import type { Fault, ScheduleOptions } from './types.ts'

export const KINDS = ['partition', 'crash', 'stop'] as const

const NAMES = "a list of names, such as ['n1', 'leader']"
const namesCheck: Check = (value) =>
  Array.isArray(value) && value.length === 0 ? NAMES : listCheck(textCheck, NAMES)(value)

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
