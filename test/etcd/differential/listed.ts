// Differences between Debian's etcd 3.4 and quorate that remain, each with its reason and where it is documented.

import { EVENT_DELETE } from '../../../src/etcd/messages/watch.ts'
import type { Exchange } from './comparison.ts'
import type { Step } from './conversation.ts'
import { FIRST_REVISION, type Json, type JsonObject } from './frame.ts'

export interface ListedDifference {
  readonly name: string
  readonly why: string
  /** The document, or the source of etcd. */
  readonly source: string
  /** Whether it shows itself in this exchange. The rest of the conversation is not compared. */
  readonly shows: (exchange: Exchange) => boolean
}

const isRefused = (answer: Json, text: string): boolean =>
  typeof answer === 'object' && answer !== null && 'text' in answer && answer.text === `etcdserver: ${text}`

const TOO_MANY = 'too many operations in txn request'
const DUPLICATE = 'duplicate key given in txn request'

/**
 * Watched events without those that etcd 3.4 leaves out: deletions at the compact revision from which a watch begins.
 * etcd has them since 3.6 (https://github.com/etcd-io/etcd/issues/19179).
 */
export function withoutCompactedDeletes(watched: Json, steps: readonly Step[]): Json {
  const compacted = new Set<Json | undefined>([
    FIRST_REVISION,
    ...steps.filter(({ rpc }) => rpc === 'compact').map(({ request }) => request.revision),
  ])
  const isKept = (item: Json): boolean =>
    !isObject(item) || item.type !== EVENT_DELETE || !isObject(item.kv) || !compacted.has(item.kv.modRevision)
  const filtered = (json: Json): Json => {
    if (Array.isArray(json)) return json.filter(isKept)
    if (!isObject(json)) return json
    return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, filtered(value)]))
  }
  return filtered(watched)
}

const isObject = (json: Json | undefined): json is JsonObject =>
  typeof json === 'object' && json !== null && !Array.isArray(json)

export const LISTED: readonly ListedDifference[] = [
  {
    name: 'a lease of more than ten years',
    why: 'times to live are checked in one place for all wires; etcd refuses those above 285 years',
    source: 'docs/reference/limits.md',
    shows: ({ step, etcd, quorate }) =>
      step.rpc === 'leaseGrant' &&
      Number(step.request.ttl) > 315_360_000 &&
      !isRefused(etcd, 'too large lease TTL') &&
      isRefused(quorate, 'too large lease TTL'),
  },
  {
    name: 'a watch from a negative revision',
    why: 'it ends at once with a reason; 3.4 creates it, and then says that its revision is compacted',
    source: 'https://github.com/etcd-io/etcd/pull/20693',
    shows: ({ step }) =>
      step.rpc === 'watch' &&
      Number((step.request.createRequest as JsonObject | undefined)?.startRevision) < 0,
  },
  {
    name: 'operations of a transaction',
    why: '128 over all branches and nested transactions; etcd counts each list for itself',
    source: 'docs/reference/limits.md',
    shows: ({ etcd, quorate }) => !isRefused(etcd, TOO_MANY) && isRefused(quorate, TOO_MANY),
  },
  {
    name: 'a put within a deletion to the end of all keys',
    why: 'quorate refuses it as any put within a deletion; etcd reads the end as the key that it stands for',
    source: 'checkIntervals of etcd in server/etcdserver/api/v3rpc/key.go',
    shows: ({ step, etcd, quorate }) =>
      !isRefused(etcd, DUPLICATE) &&
      isRefused(quorate, DUPLICATE) &&
      JSON.stringify(step.request).includes('"rangeEnd":"\\u0000"'),
  },
]
