// The first state of a new replica.

import type { HardState } from '../raft/types.ts'
import type { EngineBatch } from './engine.ts'
import { APPLIED_KEY, META_KEY } from './keys.ts'
import { encodeAppliedRecord, encodeMeta } from './records.ts'
import type { AppliedRecord } from './types.ts'

/** The log is empty and begins after the applied record; there are no rows. */
export interface InitialState {
  readonly hardState: HardState
  readonly applied: AppliedRecord
}

/** Number of operations in the first batch of a database. */
export const FORMAT_OPERATIONS = 2

export function formatEngine(batch: EngineBatch, { hardState, applied }: InitialState): void {
  const { index, term } = applied
  const at = { index, term }
  batch.put(APPLIED_KEY, encodeAppliedRecord({ applied, stateHash: 0n }, 0))
  const meta = {
    boot: 0,
    hardState,
    logStart: at,
    logEnd: at,
    generation: 1,
    nextGeneration: 2,
    dead: [],
    appliedAt: 0,
  }
  batch.put(META_KEY, encodeMeta(meta, FORMAT_OPERATIONS))
}
