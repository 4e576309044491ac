// Checks revisions in time n log n, for histories that are too long to search and for operations on many keys. Every
// answer tells the revision of the store that it reflects. So the order is known, and only two questions remain:
//
//   real time    no answer reflects a revision below one that was answered before the operation began (order.ts)
//   content      what was seen at a revision is what the changes up to it left (revision-history.ts)
//
// A store whose revisions are wrong cannot satisfy both. The search (search.ts) is the second opinion: it asks the same
// of values.

import type { History, HistoryCall } from '../workload/history.ts'
import type { Anomaly } from './anomaly.ts'
import type { SortedKeys } from './keys.ts'
import { coveredBy } from './list-range.ts'
import { checkList } from './lists.ts'
import { finalAnswers, type OrderedAnswer, outOfOrder } from './order.ts'
import { ALL, type CheckedRequest, collectKeys, collectRequests, isStaleRead } from './partition.ts'
import {
  type Observation,
  observationsFrom,
  observationsOfRows,
  RevisionHistory,
  reportedRevision,
} from './revision-history.ts'

interface Revisions {
  readonly findings: readonly Anomaly[]
  /** Number of answers with a revision. Without any, nothing was checked. */
  readonly answers: number
}

export function checkRevisions(history: History): Revisions {
  const requests = collectRequests(history)
  const stale = history.calls.filter((call) => isStaleRead(call) && call.outcome.kind === 'ok').map(asRequest)
  const names = collectKeys(history)
  const revisionHistory = new RevisionHistory(history, requests, names)
  // There are many observations, because lists read every key. They are generated twice rather than stored.
  const observations = (): Generator<CheckedObservation> =>
    collectObservations([...requests, ...stale], history, names)
  for (const { observation, check } of observations()) revisionHistory.observe(observation, check)
  revisionHistory.explain()
  for (const { observation } of observations()) revisionHistory.observeAgain(observation)
  const lists = [...requests, ...stale].flatMap(({ calls: [call], result, end }) =>
    call?.op.f === 'range' && result !== undefined
      ? checkList(call, call.op, result, end, revisionHistory)
      : [],
  )
  const answered = collectAnswers([...requests, ...stale])
  return {
    findings: [
      ...lists,
      ...revisionHistory.findings,
      ...contradictions(requests),
      ...outOfOrder([...answered, ...finalAnswers(history, 'durability')]),
    ],
    answers: answered.length,
  }
}

interface CheckedObservation {
  readonly observation: Observation
  readonly check: Anomaly['check']
}

/** All observations of all keys, with their revisions. */
function* collectObservations(
  requests: readonly CheckedRequest[],
  { finals }: History,
  names: SortedKeys,
): Generator<CheckedObservation> {
  for (const request of requests) {
    for (const observation of observationsFrom(request)) yield { observation, check: 'revisions' }
    const { calls, result, end } = request
    const [call] = calls
    if (call?.op.f !== 'range' || result?.rows === undefined || result.revision === undefined) continue
    const covered = coveredBy(call.op, result)
    if (covered === undefined) continue
    const base = { at: result.revision, end, call: call.id, by: `operation ${call.id}` }
    for (const observation of observationsOfRows(result.rows, covered, names, base))
      yield { observation, check: 'revisions' }
  }
  for (const { node, revision, position, rows } of finals) {
    const base = { at: revision, end: position, call: undefined, by: `at the end ${node}` }
    for (const observation of observationsOfRows(rows, ALL, names, base))
      yield { observation, check: 'durability' }
  }
}

function asRequest(call: HistoryCall): CheckedRequest {
  const result = call.outcome.kind === 'ok' ? call.outcome.result : undefined
  return { calls: [call], result, start: call.start, end: call.end, endMs: call.endMs }
}

function collectAnswers(requests: readonly CheckedRequest[]): OrderedAnswer[] {
  return requests.flatMap((request): OrderedAnswer[] => {
    const { calls, result, start, end } = request
    const [call] = calls
    const revision = call && result && reportedRevision(call, result)
    if (call === undefined || revision === undefined) return []
    const { id, op } = call
    const key = op.f === 'range' ? undefined : op.key
    return [
      {
        check: 'revisions',
        what: `operation ${id}`,
        calls: [id],
        key,
        start,
        end,
        revision,
        isChange: isChange(call, request),
        isStale: isStaleRead(call),
      },
    ]
  })
}

function isChange({ op }: HistoryCall, { result }: CheckedRequest): boolean {
  if (op.f === 'get' || op.f === 'range' || result?.applied === false) return false
  return op.f !== 'del' || result?.deleted === 1
}

/** Answers that contradict themselves. */
function contradictions(requests: readonly CheckedRequest[]): Anomaly[] {
  return requests.flatMap((request) => {
    const [call] = request.calls
    const what = call && (conditionHeld(call, request) ?? twoRevisions(call, request))
    if (call === undefined || what === undefined) return []
    const message = `operation ${call.id} ${what}`
    return [
      { check: 'revisions', key: 'key' in call.op ? call.op.key : undefined, message, calls: [call.id] },
    ]
  })
}

/** An answer says that a condition did not hold, and proves that it did. */
export function conditionHeld(
  { op }: Pick<HistoryCall, 'op'>,
  { result }: Pick<CheckedRequest, 'result'>,
): string | undefined {
  if (result?.applied !== false || result.current === undefined) return undefined
  const expected = op.f === 'release' ? op.token : 'ifRevision' in op ? op.ifRevision : undefined
  const ifAbsent = op.f === 'acquire' || ('ifAbsent' in op && op.ifAbsent === true)
  const held =
    (!ifAbsent || result.current === null) &&
    (expected === undefined || result.current === expected) &&
    (ifAbsent || expected !== undefined)
  return held ? 'was refused because of its condition, but the answer shows that it held' : undefined
}

/** The revision of a change is the one that it made. */
function twoRevisions(call: HistoryCall, request: CheckedRequest): string | undefined {
  const { modRevision, revision } = request.result ?? {}
  if (!isChange(call, request) || modRevision === undefined || revision === undefined) return undefined
  return modRevision === revision ? undefined : `made revision ${revision} and left its key at ${modRevision}`
}
