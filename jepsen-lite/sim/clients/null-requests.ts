// Requests of the simulator itself. They change nothing, so they need not be in a history.

import type { Driver } from '../../../src/server/node/driver.ts'
import type { ReadRequirements } from '../../../src/server/node/read/reads.ts'
import { bytes } from '../oracle/model-row.ts'
import type { SimCluster } from '../world/cluster.ts'
import { type ProposeResult, proposePermitted } from './permitted-requests.ts'

export const linearizable = (timeoutMs: number): ReadRequirements => ({
  consistency: 'linearizable',
  maxStalenessMs: undefined,
  minRevision: undefined,
  timeoutMs,
})

/** Deletes a key that does not exist: the log gets an entry without an effect. A principal is used once. */
export function proposeNothing(
  { invariants, time }: SimCluster,
  driver: Driver,
  principal: string,
  timeoutMs: number,
  done: (result: ProposeResult) => void = () => {},
): void {
  const command = { kind: 'delete', key: bytes('none'), condition: undefined, prev: false } as const
  const request = { command, idempotency: undefined, principal }
  invariants.requested(request)
  proposePermitted(time, driver, request, timeoutMs, done)
}
