// The faults of one run of a simulation, in the order in which they begin.

import { checkValue } from '../../../src/client/validators.ts'
import { checkFault } from './fault.ts'
import { formatSchedule, parseSchedule } from './text.ts'
import type { SimulatedFault } from './types.ts'

export class SimulatedSchedule {
  /** In the order in which they begin. Those that begin at the same time stay in the order that was given. */
  readonly faults: readonly SimulatedFault[]

  /**
   * A text as `toString` prints it, or faults.
   *
   * @throws RangeError when the text is no schedule
   */
  constructor(faults: string | readonly SimulatedFault[]) {
    const where = 'SimulatedSchedule'
    checkValue(where, 'faults', faults, (value) =>
      typeof value === 'string' || Array.isArray(value) ? undefined : 'a text or a list of faults',
    )
    const given = typeof faults === 'string' ? parseSchedule(faults) : faults
    for (const fault of given) checkFault(where, fault)
    this.faults = given.map(copy).sort((a, b) => a.at - b.at)
  }

  /** For a command line. */
  get text(): string {
    return formatSchedule(this.faults)
  }

  /** Code: a literal that `simulate` takes as its schedule. Names and numbers need no escapes. */
  toString(): string {
    return `'${this.text}'`
  }
}

/** A fault of our own: a caller may change its object later. */
const copy = ({ at, fault, on, for: duration, by }: SimulatedFault): SimulatedFault => ({
  at,
  fault,
  on: [...on],
  for: duration,
  ...(by !== undefined && { by }),
})
