// The known or possible changes of each request of a history, to be compared with the log of the store. The steps
// of a transaction are one request.

import {
  type CallOutcome,
  type History,
  type HistoryCall,
  HistoryError,
  type StoreCall,
} from '../../workload/history.ts'
import { contains, type KeyInterval } from '../keys.ts'
import { listedInterval } from '../list-range.ts'
import type { LoggedEvent } from '../watch/index.ts'

export interface LogRequest {
  /** Ids of its calls. */
  readonly ids: readonly number[]
  readonly start: number
  /** Infinity: the outcome is unknown. */
  readonly end: number
  readonly kind: CallOutcome['kind']
  /** The revision that it made, if known. */
  readonly revision: number | undefined
  /** Whether it says that it has changed something. undefined: it may have. */
  readonly changed: boolean | undefined
  readonly puts: ReadonlyMap<string, Put>
  readonly deletes: ReadonlySet<string>
  /** The keys that existed according to the answer. */
  readonly deleted: ReadonlySet<string>
  /** The mod revision that each of these keys must have had; null: it must not have existed. */
  readonly conditions: ReadonlyMap<string, number | null>
  readonly ranges: readonly KeyInterval[]
  /** All keys of this lease. */
  readonly lease: string | undefined
  /** The number of deleted keys, if known. */
  readonly removed: number | undefined
}

interface Put {
  readonly value: string
  readonly version: number | undefined
  readonly lease: string | undefined
  readonly ttlMs: number | undefined
}

/** Every request that changes something, by its start. */
export function collectLogRequests({ calls, storeCalls }: History): LogRequest[] {
  const changes = calls.filter(({ op }) => op.f !== 'get' && op.f !== 'range')
  // A call without a number is alone.
  const groups = Map.groupBy(changes, (call) => call.transaction ?? call)
  const ofStore = storeCalls.flatMap((call) => logRequestFromStoreCall(call) ?? [])
  return [...[...groups.values()].map(logRequestFrom), ...ofStore].sort((a, b) => a.start - b.start)
}

const resultIfOk = ({ outcome }: Pick<HistoryCall, 'outcome'>) =>
  outcome.kind === 'ok' ? outcome.result : undefined

function logRequestFrom(calls: readonly HistoryCall[]): LogRequest {
  const puts = new Map<string, Put>()
  const deletes = new Set<string>()
  const deleted = new Set<string>()
  const conditions = new Map<string, number | null>()
  let [start, end] = [Number.POSITIVE_INFINITY, 0]
  let changed: boolean | undefined = false
  let revision: number | undefined
  let kind: CallOutcome['kind'] = 'fail'
  for (const call of calls) {
    const { op, outcome } = call
    start = Math.min(start, call.start)
    end = Math.max(end, outcome.kind === 'unknown' ? Number.POSITIVE_INFINITY : call.end)
    if (outcome.kind !== 'fail') kind = outcome.kind
    const result = resultIfOk(call)
    if (op.f !== 'put' && op.f !== 'del') throw new HistoryError(`a history with a log knows no ${op.f}`)
    if (op.idempotency !== undefined)
      throw new HistoryError('a history with a log knows no idempotency tokens')
    const isRefused = result?.applied === false
    const answeredRevision = result?.revision ?? result?.modRevision
    const isConditional = op.ifAbsent === true || op.ifRevision !== undefined
    if (isConditional && outcome.kind !== 'fail') conditions.set(op.key, op.ifRevision ?? null)
    if (op.f === 'put') {
      const { value, lease, ttlMs } = op
      puts.set(op.key, { value, version: result?.version, lease, ttlMs })
    } else {
      if (result?.deleted === 0) continue
      deletes.add(op.key)
      if (result?.deleted === 1) deleted.add(op.key)
    }
    if (result === undefined || isRefused) continue
    revision = answeredRevision ?? revision
    // A delete that does not tell whether there was something to delete may have changed nothing.
    if (op.f === 'put' || result.deleted === 1) changed = true
    else if (changed === false) changed = undefined
  }
  if (kind === 'unknown') changed = undefined
  const ids = calls.map(({ id }) => id)
  return {
    ids,
    start,
    end,
    kind,
    revision,
    changed,
    puts,
    deletes,
    deleted,
    conditions,
    ranges: [],
    lease: undefined,
    removed: undefined,
  }
}

const NONE = {
  puts: new Map<string, Put>(),
  deletes: new Set<string>(),
  deleted: new Set<string>(),
  conditions: new Map<string, number | null>(),
  ranges: [],
  lease: undefined,
} as const

function logRequestFromStoreCall(call: StoreCall): LogRequest | undefined {
  const { op, outcome, start } = call
  const result = resultIfOk(call)
  const end = outcome.kind === 'unknown' ? Number.POSITIVE_INFINITY : call.end
  const answer = { ids: [call.id], start, end, kind: outcome.kind, revision: result?.revision }
  const removed = result?.removed
  const removedSome = removed === undefined ? undefined : removed > 0
  const changed = outcome.kind === 'unknown' ? undefined : result !== undefined && result.applied !== false
  switch (op.f) {
    case 'del-range':
      return {
        ...answer,
        ...NONE,
        ranges: [listedInterval({ ...op, f: 'range' })],
        removed,
        changed: changed === true ? removedSome : changed,
      }
    case 'revoke':
      return {
        ...answer,
        ...NONE,
        lease: op.lease,
        removed,
        changed: changed === true ? removedSome : changed,
      }
    case 'guarded-put':
      return {
        ...answer,
        ...NONE,
        removed: undefined,
        changed,
        puts: new Map([
          [op.key, { value: op.value, version: undefined, lease: undefined, ttlMs: undefined }],
        ]),
      }
    default:
      return undefined
  }
}

/** Requests that were answered as having found nothing to delete, and the revision of the store at that time. */
export function collectUnchanging(
  history: History,
): { readonly request: LogRequest; readonly revision: number }[] {
  const { calls, storeCalls } = history
  return [...calls, ...storeCalls].flatMap((call) => {
    const { op } = call
    const result = resultIfOk(call)
    const revision = result?.revision
    if (revision === undefined || result?.applied === false) return []
    if (op.f === 'del' && result?.deleted === 0) {
      const request = { ...NONE, ids: [call.id], start: call.start, end: call.end, kind: call.outcome.kind }
      const deletion = {
        ...request,
        deletes: new Set([op.key]),
        revision,
        changed: false,
        removed: undefined,
      }
      return [{ request: deletion, revision }]
    }
    if ((op.f !== 'del-range' && op.f !== 'revoke') || result?.removed !== 0) return []
    const request = logRequestFromStoreCall({ ...call, op })
    return request === undefined ? [] : [{ request, revision }]
  })
}

/** The keys that it would change in this state. */
export function keysChangedBy(
  request: LogRequest,
  rows: ReadonlyMap<string, NonNullable<LoggedEvent['record']>>,
): Set<string> {
  const keys = new Set<string>(request.puts.keys())
  for (const key of request.deletes) if (rows.has(key)) keys.add(key)
  if (request.ranges.length === 0 && request.lease === undefined) return keys
  for (const [key, row] of rows) {
    const isOfLease = request.lease !== undefined && row.lease === request.lease
    if (isOfLease || request.ranges.some((range) => contains(range, key))) keys.add(key)
  }
  return keys
}
