// Checks the arguments of the methods of a world, its processes and its nodes. A time that is no number would have no
// place among the events of a run.

import { type Check, type Checks, flagCheck, listCheck, textCheck } from '../../src/client/validators.ts'
import type { SimulatedProcessOptions } from './types.ts'

/** A time that has passed is now. */
export const msCheck: Check = (value) =>
  Number.isFinite(value) ? undefined : 'a number of milliseconds that is finite'

export const durationCheck: Check = (value) =>
  Number.isFinite(value) && Number(value) >= 0 ? undefined : 'a number of milliseconds from 0 on'

export const rateCheck: Check = (value) =>
  Number.isFinite(value) && Number(value) > 0 ? undefined : 'a number above 0'

export const PROCESS: Checks<SimulatedProcessOptions> = {
  clock: rateCheck,
  reaches: listCheck(textCheck, 'a list of names'),
}

export const CRASH: Checks<{ losesUnsynced?: boolean }> = { losesUnsynced: flagCheck }
