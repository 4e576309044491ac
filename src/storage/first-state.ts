// The first state of a new replica.

import type { HardState } from '../raft/types.ts'
import type { EngineBatch } from './engine.ts'
import { APPLIED_KEY, META_KEY } from './keys.ts'
import { encodeAppliedRecord, encodeMeta } from './records.ts'
import type { AppliedRecord } from './types.ts'

/** The log is empty and begins after the applied record. */
export interface InitialState {
  readonly hardState: HardState
  readonly applied: AppliedRecord
}

/** Rows that are in the database already. */
interface FirstRows {
  /** The sequence number at the end of the last of them. */
  readonly sequence: number
  readonly stateHash: bigint
}

const NO_ROWS: FirstRows = { sequence: 0, stateHash: 0n }

/** The generation of the first rows. */
export const FIRST_GENERATION = 1

/** Number of operations in the batch that makes a directory a replica. */
export const FORMAT_OPERATIONS = 2

export function formatEngine(
  batch: EngineBatch,
  { hardState, applied }: InitialState,
  { sequence, stateHash }: FirstRows = NO_ROWS,
): void {
  const { index, term } = applied
  const at = { index, term }
  batch.put(APPLIED_KEY, encodeAppliedRecord({ applied, stateHash }, 0))
  const meta = {
    boot: 0,
    hardState,
    logStart: at,
    logEnd: at,
    generation: FIRST_GENERATION,
    nextGeneration: FIRST_GENERATION + 1,
    dead: [],
    appliedAt: 0,
  }
  batch.put(META_KEY, encodeMeta(meta, sequence + FORMAT_OPERATIONS))
}
