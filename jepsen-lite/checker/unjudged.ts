// Answers that contain too little to be judged. A recorder leaves out what it does not know, so a history may hold some
// of these. A history full of them proves little, and the verdict says so.

import type { History, HistoryCall, RecordedResult } from '../workload/history.ts'
import { isStaleRead } from './partition.ts'
import { reportedRevision } from './revision-history.ts'

/** How many answers could not be judged, by the missing field. */
export function countUnjudged(history: History): Readonly<Record<string, number>> {
  const tellsRevisions = history.calls.some(
    (call) => call.outcome.kind === 'ok' && reportedRevision(call, call.outcome.result) !== undefined,
  )
  const counts: Record<string, number> = {}
  for (const call of history.calls) {
    if (call.outcome.kind !== 'ok') continue
    for (const what of missingFields(call, call.outcome.result, tellsRevisions))
      counts[what] = (counts[what] ?? 0) + 1
  }
  return counts
}

function* missingFields(
  call: HistoryCall,
  result: RecordedResult,
  tellsRevisions: boolean,
): Generator<string> {
  const { op } = call
  const hasRevision = reportedRevision(call, result) !== undefined
  if (op.f === 'range') {
    if (result.rows === undefined && op.countOnly !== true) yield 'lists without rows'
    if (!hasRevision) yield 'lists without a revision'
  } else if (op.f === 'get') {
    const { value, modRevision, version } = result
    if ([value, modRevision, version].every((seen) => seen === undefined)) yield 'reads without a value'
    else if (isStaleRead(call) && !hasRevision) yield 'stale reads without a revision'
    else if (tellsRevisions && !hasRevision) yield 'reads without a revision'
  } else if (tellsRevisions && !hasRevision) yield 'changes without a revision'
  if (op.f !== 'get' && op.f !== 'range') return
  if (op.minRevision !== undefined && !hasRevision) yield 'reads from a revision on that tell none'
  if (op.consistency !== undefined && result.served === undefined)
    yield 'reads that do not tell what was served'
}
