// Checks of options from which schedules of faults are drawn, for an embedded cluster or a simulation.

import { type Check, positiveCheck } from '../src/client/validators.ts'
import { NODES_MAX } from '../src/local/directory/plan.ts'

/** The size of a cluster. */
export const nodesCheck: Check = (value) =>
  positiveCheck(value) === undefined && Number(value) <= NODES_MAX
    ? undefined
    : `a number from 1 to ${NODES_MAX}`

/** A list of kinds of faults that is not empty. */
export const kindsCheck =
  (kinds: readonly string[]): Check =>
  (value) =>
    Array.isArray(value) && value.length > 0 && value.every((kind) => kinds.includes(kind))
      ? undefined
      : `a list of some of ${kinds.join(', ')}`
