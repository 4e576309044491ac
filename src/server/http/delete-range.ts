// DELETE /v1/kv of a range: all its keys at one revision.

import type { KeyRange } from '../../kv/index.ts'
import type { NodeApi } from '../node/types.ts'
import { type ApiRequest, jsonAnswer, type Respond } from './answer.ts'
import { readConditions } from './conditions.ts'
import { readIdentity } from './idempotency-headers.ts'
import { checkedBound } from './key.ts'
import { bytes, flag, type ParameterValues, readQuery } from './parameters.ts'
import { ApiError } from './problem.ts'
import { propose, unexpected } from './propose.ts'
import { countRows, type Instant, type RangeReader, wholeBounds } from './range-reading.ts'

export const DELETE_RANGE_PARAMETERS = {
  prefix: bytes('Keys that begin with it'),
  start: bytes('From this key on, inclusive'),
  end: bytes('Up to this key, exclusive'),
  all: flag('Needed if the range has all keys'),
}

export type Values = ParameterValues<typeof DELETE_RANGE_PARAMETERS>

export function deleteRange(node: NodeApi, ranges: RangeReader, asked: ApiRequest, respond: Respond): void {
  const range = rangeOf(readQuery(asked.pairs, DELETE_RANGE_PARAMETERS))
  if (readConditions(asked.headers) !== undefined)
    throw new ApiError('bad_request', 'If-Match and If-None-Match are for one key, not for a range')
  const idempotency = readIdentity(asked.headers)
  const answer: Respond = (result) => {
    if (result instanceof ApiError && result.code === 'range_too_large')
      withCount(result, ranges, asked, range, respond)
    else respond(result)
  }
  propose(
    node,
    asked,
    { command: { kind: 'delete-range', range }, idempotency },
    answer,
    (outcome, headers) => {
      if (outcome.kind !== 'delete-range') throw unexpected(outcome)
      const { deleted, revision } = outcome
      respond(jsonAnswer(`{"deleted":${deleted},"revision":${revision}}`, headers, revision))
    },
  )
}

/** The range to delete. Throws `Refused`. */
export function rangeOf({ prefix, start, end, all = false }: Values): KeyRange {
  if (prefix === undefined && start === undefined && end === undefined)
    throw new ApiError('key_empty', 'name a key, or a range by prefix, or by start and end')
  for (const [name, bound] of Object.entries({ prefix, start, end }))
    if (bound !== undefined) checkedBound(bound, name)
  const range = wholeBounds({ prefix, start, end })
  if (range.start.length === 0 && range.end === undefined && !all)
    throw new ApiError('bad_request', 'this would delete all keys: add all=true if that is meant')
  return range
}

/**
 * The keys are counted after the refusal. Before it, the first copy of a request with a token may have deleted them,
 * and then a refusal by their number would be wrong.
 */
export function withCount(
  refusal: ApiError,
  ranges: RangeReader,
  asked: Instant['asked'],
  { start, end }: KeyRange,
  refuse: (refusal: ApiError) => void,
): void {
  const values = {
    ...{ prefix: undefined, start, end, after: undefined, order: undefined, revision: undefined },
    ...{ limit: undefined, keys_only: true, count: true, count_only: true },
  }
  const { code, message, headers, revision } = refusal
  const freshness = { consistency: 'stale', max_staleness: undefined, min_revision: revision } as const
  ranges.read(
    { asked, values, freshness, limit: 1, counts: true },
    async (reading) => {
      const count = await countRows(reading)
      const detail = `${message}: ${count} keys when they were counted`
      refuse(new ApiError(code, detail, { headers, revision, members: { count } }))
    },
    () => refuse(refusal),
  )
}
