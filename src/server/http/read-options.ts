// What all reads share: the parameters for how fresh an answer must be, and the headers that tell how fresh it is.

import type { Revision } from '../../kv/index.ts'
import type { NodeApi, ReadGrant, ReadOptions } from '../node/types.ts'
import type { ParameterValues, READ_PARAMETERS } from './parameters.ts'
import { ApiError } from './problem.ts'

export type Freshness = ParameterValues<typeof READ_PARAMETERS>

export function readOptions(timeoutMs: number, values: Freshness): ReadOptions {
  const { consistency, max_staleness } = values
  if (max_staleness !== undefined && consistency !== 'stale')
    throw new ApiError('bad_request', 'max_staleness is for stale reads: add consistency=stale')
  return {
    consistency: consistency ?? 'linearizable',
    maxStalenessMs: max_staleness,
    minRevision: values.min_revision,
    timeoutMs,
  }
}

/** Throws `Refused` if the store cannot be read as it was at `revision`. */
export function checkRevision(node: NodeApi, revision: Revision | undefined, grant: ReadGrant): void {
  if (revision === undefined) return
  const { compactRevision } = node
  const answer = { headers: freshnessHeaders(grant), revision: grant.revision }
  if (revision > grant.revision)
    throw new ApiError(
      'future_revision',
      `the store is at revision ${grant.revision}, not yet at ${revision}: ` +
        'min_revision waits for a revision',
      answer,
    )
  if (revision < compactRevision)
    throw new ApiError(
      'compacted',
      `revision ${revision} is compacted: the store can be read from revision ${compactRevision} on`,
      { ...answer, members: { compact_revision: compactRevision } },
    )
}

export function freshnessHeaders({ served, stalenessMs }: ReadGrant): string[] {
  // Without this header a shared cache may keep an answer, even "not found", and use it for the next linearizable read.
  const headers = ['Cache-Control', 'no-cache', 'Kv-Consistency', served]
  // Rounded up, because a bound must not become smaller.
  if (stalenessMs !== undefined) headers.push('Kv-Staleness-Ms', String(Math.ceil(stalenessMs)))
  return headers
}
