// Which change made each revision? If a history says that it holds every change, each change makes one revision. So a
// revision that no answer names was made by a request whose revision no client knows. If there are more such
// revisions than such requests, the store wrote something that it reported as not written, or wrote something twice,
// even if no client has read it.
//
// Other histories need not hold every write; this check is skipped for them.

import { FIRST_REVISION, type History, type HistoryCall, type RecordedResult } from '../workload/history.ts'
import type { Anomaly } from './anomaly.ts'
import { newestBefore } from './order.ts'
import { collectRequests } from './partition.ts'
import { reportedRevision } from './revision-history.ts'

export function checkRevisionAccounting(history: History): readonly Anomaly[] {
  if (history.header.complete !== true) return []
  const early = history.calls.find(isTooEarly)
  if (early !== undefined) return [beforeTheBeginning(early)]
  const requests = collectRequests(history)
  const answered = answeredRevisions(history)
  const newestAt = newestBefore(answered)
  const made = new Set<number>()
  /** Lower bounds, one for each request whose revision no client knows: it made a higher revision than this. */
  const candidates: number[] = []
  for (const { calls, result, start } of requests) {
    const [call] = calls
    if (call === undefined || !mayChange(call, result)) continue
    const revision = result && reportedRevision(call, result)
    if (revision === undefined) candidates.push(Math.max(newestAt(start), requiredRevision(call)))
    else made.add(revision)
  }
  let last = FIRST_REVISION
  for (const { revision } of history.finals) last = Math.max(last, revision)
  for (const { revision } of answered) last = Math.max(last, revision)
  // A request can have made any revision above all those that were known before it began. So these sets only grow, and
  // counting is enough.
  candidates.sort((a, b) => a - b)
  let able = 0
  let missing = 0
  for (let revision = FIRST_REVISION + 1; revision <= last; revision++) {
    if (made.has(revision)) continue
    missing++
    while (able < candidates.length && (candidates[able] ?? revision) < revision) able++
    if (missing <= able) continue
    const message =
      `revision ${revision} is not accounted for: of the revisions up to it ${missing} belong to no answer, and only ${able} operations ` +
      'whose revision no client received can have made them'
    return [{ check: 'revision-accounting', key: undefined, message, calls: [] }]
  }
  return []
}

function mayChange({ op }: HistoryCall, result: RecordedResult | undefined): boolean {
  if (op.f === 'get' || op.f === 'range') return false
  return result?.applied !== false && result?.deleted !== 0
}

/** A change with the condition that its key is at some revision makes a higher one. */
function requiredRevision({ op }: HistoryCall): number {
  if (op.f === 'release') return op.token
  return (op.f === 'put' || op.f === 'del') && op.ifRevision !== undefined ? op.ifRevision : 0
}

/** The store is empty at the first revision. The first change makes the next one. */
function isTooEarly(call: HistoryCall): boolean {
  const { outcome } = call
  const revision = outcome.kind === 'ok' ? reportedRevision(call, outcome.result) : undefined
  if (outcome.kind !== 'ok' || revision === undefined) return false
  // A delete that does not tell may have found no key.
  const isOpen = call.op.f === 'del' && outcome.result.deleted === undefined
  const hasMade = !isOpen && mayChange(call, outcome.result)
  return revision < FIRST_REVISION + (hasMade ? 1 : 0)
}

const beforeTheBeginning = ({ id }: HistoryCall): Anomaly => ({
  check: 'revision-accounting',
  key: undefined,
  message: `operation ${id} was answered at a revision from before the store began: it is empty at ${FIRST_REVISION}, and the first change makes ${FIRST_REVISION + 1}`,
  calls: [id],
})

/** Every revision in an answer, and where. */
const answeredRevisions = ({ calls }: History): { readonly end: number; readonly revision: number }[] =>
  calls.flatMap((call) => {
    const revision = call.outcome.kind === 'ok' ? reportedRevision(call, call.outcome.result) : undefined
    return revision === undefined ? [] : [{ end: call.end, revision }]
  })
