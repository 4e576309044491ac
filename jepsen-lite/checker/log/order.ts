// Real time: an answer reflects no lower revision than any that was told before it was asked for, and a change is above
// all of these. Stale reads promise less.

import type { History } from '../../history.ts'
import type { Anomaly } from '../anomaly.ts'
import { isStaleRead } from '../partition.ts'
import { requestsIn } from './requests.ts'

interface Answer {
  readonly id: number
  readonly start: number
  readonly end: number
  readonly revision: number
  readonly isChange: boolean
  readonly key: string | undefined
}

export function checkOrder(history: History): Anomaly[] {
  const answers = answersIn(history)
  const byEnd = [...answers].sort((a, b) => a.end - b.end)
  const findings: Anomaly[] = []
  let told: Answer | undefined
  let next = 0
  for (const answer of answers.sort((a, b) => a.start - b.start)) {
    for (let one = byEnd[next]; one !== undefined && one.end < answer.start; one = byEnd[++next])
      if (told === undefined || one.revision > told.revision) told = one
    if (told === undefined || answer.revision >= told.revision + (answer.isChange ? 1 : 0)) continue
    const what = answer.isChange ? 'made' : 'reflects'
    const message = `operation ${answer.id} ${what} revision ${answer.revision}, and before it was asked for operation ${told.id} had told ${told.revision}`
    findings.push({ check: 'log', key: answer.key, message, calls: [told.id, answer.id] })
  }
  return findings
}

function answersIn(history: History): Answer[] {
  const changes = requestsIn(history).flatMap(({ ids: [id], start, end, changed, revision }): Answer[] =>
    changed === true && revision !== undefined && id !== undefined
      ? [{ id, start, end, revision, isChange: true, key: undefined }]
      : [],
  )
  const made = new Set(changes.map(({ id }) => id))
  const others = [...history.calls, ...history.storeCalls].flatMap((call): Answer[] => {
    const { id, start, end, outcome, op } = call
    if (outcome.kind !== 'ok' || made.has(id)) return []
    // A get that belongs to a transaction that changes something tells the revision before.
    const { revision } = outcome.result
    const isStale = (op.f === 'get' || op.f === 'range') && isStaleRead({ ...call, op })
    if (revision === undefined || isStale) return []
    return [{ id, start, end, revision, isChange: false, key: 'key' in op ? op.key : undefined }]
  })
  return [...changes, ...others]
}
