// How a watch begins on a multiplexed connection.

import { answerWithinMs } from '../http/parameters.ts'
import { type ApiError, refusedByNode } from '../http/problem.ts'
import { readOptions } from '../http/read-options.ts'
import {
  beginWatch,
  PROGRESS_MS_DEFAULT,
  PROGRESS_MS_MAX,
  PROGRESS_MS_MIN,
  watchedWhere,
} from '../http/watch-limits.ts'
import type { NodeApi } from '../node/types.ts'
import type { WatchRequest } from '../node/watch/index.ts'
import {
  checkLength,
  type Fields,
  invalid,
  isNil,
  readBytes,
  readFlag,
  readMap,
  readOneOf,
  readRevision,
  readTimeout,
} from './fields.ts'
import type { Item } from './messages.ts'
import type { Operation } from './operation.ts'
import { SUCCESS } from './protocol.ts'

interface WatchOptions {
  readonly node: NodeApi
  /** The problem for an error. Reports the error if it is not the client's fault. */
  readonly refused: (error: unknown) => ApiError
}

/** Answers the operation when the watch has begun. Throws `Refused`. */
export function watch({ node, refused }: WatchOptions, operation: Operation, item: Item): void {
  checkLength(item, 6)
  const timeoutMs = answerWithinMs(readTimeout(item[2]))
  const request = readWatch(item[3], item[4], item[5])
  node.read(readOptions(timeoutMs, LINEARIZABLE), (result) => {
    if (operation.isAbandoned) {
      operation.end(0, [])
      return
    }
    try {
      if (!result.ok) throw refusedByNode(result.problem)
      const opened = operation.openWatch()
      opened.begin(beginWatch(node, request, opened))
      operation.end(200, [operation.id, SUCCESS, result.value.revision])
    } catch (error) {
      operation.refuse(refused(error), 'no')
    }
  })
}

const LINEARIZABLE = { consistency: undefined, max_staleness: undefined, min_revision: undefined }

const WHERE = ['key', 'prefix', 'start', 'end'] as const
const OPTIONS = ['prev', 'only', 'values', 'progress_ms'] as const

function readWatch(range: unknown, from: unknown, options: unknown): WatchRequest {
  const named: Fields<(typeof WHERE)[number]> = isNil(range) ? new Map() : readMap(range, 'the range', WHERE)
  const bytes = (name: (typeof WHERE)[number]): Uint8Array | undefined =>
    isNil(named.get(name)) ? undefined : readBytes(named.get(name), name)
  const where = watchedWhere({
    key: bytes('key'),
    prefix: bytes('prefix'),
    start: bytes('start'),
    end: bytes('end'),
  })
  const given: Fields<(typeof OPTIONS)[number]> = isNil(options)
    ? new Map()
    : readMap(options, 'options', OPTIONS)
  return {
    where,
    from: isNil(from) ? undefined : readRevision(from, 'from'),
    only: readOneOf(given.get('only'), 'only', ['put', 'delete']),
    prev: readFlag(given.get('prev'), 'prev') ?? false,
    values: readFlag(given.get('values'), 'values') ?? true,
    progressMs: readProgress(given.get('progress_ms')),
  }
}

function readProgress(field: unknown): number {
  if (isNil(field)) return PROGRESS_MS_DEFAULT
  if (typeof field === 'number' && field >= PROGRESS_MS_MIN && field <= PROGRESS_MS_MAX) return field
  throw invalid('progress_ms', `a number from ${PROGRESS_MS_MIN} to ${PROGRESS_MS_MAX}`)
}
