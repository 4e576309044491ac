// Reads and deadlines of calls.

import { compactedUpTo } from '../../kv/index.ts'
import {
  ApiError,
  type FreshnessOptions,
  type ReadGrant,
  type Revision,
} from '../../operations/forms/index.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { ReadRequirements } from '../node/read/reads.ts'
import type { Call } from './call.ts'

/** Time until the deadline of a call, at least 1 ms. */
export const timeLeftMs = ({ deadline }: Pick<Call, 'deadline'>): number =>
  Math.max(1, deadline - performance.now())

export function readOptions(freshness: FreshnessOptions, timeoutMs: number): ReadRequirements {
  const { consistency, maxStalenessMs, minRevision } = freshness
  if (maxStalenessMs !== undefined && consistency !== 'stale')
    throw new ApiError('bad_request', 'max_staleness is for stale reads: add consistency=stale')
  return { consistency: consistency ?? 'linearizable', maxStalenessMs, minRevision, timeoutMs }
}

/** Throws `ApiError` if the store cannot be read as it was at `revision`. */
export function checkRevision(node: KvNode, revision: Revision | undefined, grant: ReadGrant): void {
  if (revision === undefined) return
  const { history } = node
  if (revision > grant.revision)
    throw new ApiError(
      'future_revision',
      `the store is at revision ${grant.revision}, not yet at ${revision}: ` +
        'min_revision waits for a revision',
      { grant },
    )
  const from = compactedUpTo(revision, history)
  if (from !== undefined)
    throw new ApiError(
      'compacted',
      `revision ${revision} is compacted: the store can be read from revision ${from} on`,
      { grant, members: { compact_revision: from } },
    )
}
