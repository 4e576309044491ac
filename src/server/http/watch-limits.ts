// What watches over HTTP and on multiplexed connections share: how they begin, how much waits for their clients, and
// what their clients are told at the end.

import type { Revision } from '../../kv/index.ts'
import type { NodeApi } from '../node/types.ts'
import type { Watch, WatchEnd, WatchRequest, WatchSink } from '../node/watch/index.ts'
import { checkedBound, checkedKey } from './key.ts'
import type { HttpLimits } from './limits.ts'
import { ApiError, refusedByNode } from './problem.ts'
import { wholeBounds } from './range-reading.ts'

export const PROGRESS_MS_DEFAULT = 10_000
export const PROGRESS_MS_MIN = 100
export const PROGRESS_MS_MAX = 3_600_000

interface WhereValues {
  readonly key: Uint8Array | undefined
  readonly prefix: Uint8Array | undefined
  readonly start: Uint8Array | undefined
  readonly end: Uint8Array | undefined
}

/** What is to be watched: all keys if none is named. Throws `Refused`. */
export function watchedWhere({ key, prefix, start, end }: WhereValues): WatchRequest['where'] {
  if (key !== undefined) {
    if (prefix !== undefined || start !== undefined || end !== undefined)
      throw new ApiError('bad_request', 'key cannot be combined with prefix, start or end')
    return { key: checkedKey(key) }
  }
  for (const [name, bound] of Object.entries({ prefix, start, end }))
    if (bound !== undefined) checkedBound(bound, name)
  const range = wholeBounds({ prefix, start, end })
  if (range.end !== undefined && Buffer.compare(range.start, range.end) >= 0)
    throw new ApiError('bad_request', 'no key is in this range: its start is not before its end')
  return range
}

/**
 * Begins a watch. To be called when a linearizable read is granted: then the revision of the store is one that includes
 * all changes answered before the request. Throws `Refused`.
 */
export function beginWatch(node: NodeApi, request: WatchRequest, sink: WatchSink): Watch {
  const begun = node.watch(request, sink)
  if (!begun.ok) throw refusedByNode(begun.problem)
  const { from } = begun.value
  const { compactRevision } = node
  if (from > compactRevision) return begun.value
  begun.value.cancel()
  throw compacted(from, compactRevision)
}

/** The problem that ends a watch. */
export function endOfWatch(end: WatchEnd): ApiError {
  if (end.kind === 'compacted') return compacted(end.next, end.compactRevision)
  if (end.kind === 'too-large') return tooLarge(end)
  return new ApiError(
    end.kind === 'no-leader' ? 'no_leader' : 'not_ready',
    `${end.reason}: watch from revision ${end.resumeFrom} on, on another node`,
    {
      members: { resume_from: end.resumeFrom },
    },
  )
}

const compacted = (next: Revision, compactRevision: Revision): ApiError =>
  new ApiError(
    'compacted',
    `the events of revision ${next} are compacted: read the keys, and watch from the revision after that read. ` +
      `Events are kept from revision ${compactRevision + 1} on`,
    { members: { compact_revision: compactRevision, resume_from: compactRevision + 1 } },
  )

/** To the client it is the same as if the events were compacted. */
const tooLarge = ({
  next,
  bytes,
  bytesMax,
  resumeFrom,
}: WatchEnd & { readonly kind: 'too-large' }): ApiError =>
  new ApiError(
    'compacted',
    `the events of revision ${next} are too large for one message (${bytes} bytes of keys, at most ${bytesMax}): ` +
      'read the keys, and watch from the revision after that read; or watch fewer keys',
    { members: { compact_revision: next, resume_from: resumeFrom } },
  )

/** Bytes that wait for clients of watches, all clients together. */
export class WatchBuffers {
  readonly #limits: HttpLimits
  bytes = 0

  constructor(limits: HttpLimits) {
    this.#limits = limits
  }

  /** Whether a client for whom so much waits must take it first. `least`: so much may always wait for it. */
  isFull(own: number, least = 0): boolean {
    const { watchBufferBytesMax, watchBuffersBytesMax } = this.#limits
    return own >= watchBufferBytesMax || (own > least && this.bytes >= watchBuffersBytesMax)
  }
}
