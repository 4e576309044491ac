// Real time: an answer reflects no lower revision than any that was known before its request, and a change is above all
// of these. A stale read may reflect less, but what it shows has happened. At the end each node has everything.

import { FIRST_REVISION, type History } from '../workload/history.ts'
import { countWhile } from '../workload/sorted.ts'
import type { Anomaly } from './anomaly.ts'

/** A revision of the store that a client received. */
export interface KnownRevision {
  /** Where in the history. */
  readonly end: number
  readonly revision: number
  readonly what: string
  readonly calls: readonly number[]
}

export interface OrderedAnswer extends KnownRevision {
  readonly check: Anomaly['check']
  readonly start: number
  readonly isChange: boolean
  /** Whether the answer may reflect less than earlier answers. */
  readonly isStale?: boolean
  readonly key: string | undefined
}

/** `told`: revisions that clients received, but not in answers. */
export function outOfOrder(
  answers: readonly OrderedAnswer[],
  told: readonly KnownRevision[] = [],
): Anomaly[] {
  const byEnd = [...answers, ...told].sort((a, b) => a.end - b.end)
  const findings: Anomaly[] = []
  let newest: KnownRevision | undefined
  let next = 0
  for (const answer of [...answers].sort((a, b) => a.start - b.start)) {
    for (let one = byEnd[next]; one !== undefined && one.end < answer.start; one = byEnd[++next])
      if (newest === undefined || one.revision > newest.revision) newest = one
    if (newest === undefined || answer.isStale) continue
    if (answer.revision >= newest.revision + (answer.isChange ? 1 : 0)) continue
    const { check, key, what, isChange, revision, calls } = answer
    const how = isChange ? 'made' : 'reflects'
    const message = `${what} ${how} revision ${revision}, and before it was requested ${newest.what} had shown ${newest.revision}`
    findings.push({ check, key, message, calls: [...newest.calls, ...calls] })
  }
  return findings
}

/** The content of each node at the end. */
export const finalAnswers = ({ finals }: History, check: Anomaly['check']): OrderedAnswer[] =>
  finals.map(({ node, revision, position }) => ({
    check,
    what: `the content of ${node} at the end`,
    calls: [],
    key: undefined,
    start: position,
    end: position,
    revision,
    isChange: false,
  }))

/** The highest revision that was known before a position of the history. */
export function newestBefore(
  known: readonly Pick<KnownRevision, 'end' | 'revision'>[],
): (position: number) => number {
  let newest = FIRST_REVISION
  const rising = [...known]
    .sort((a, b) => a.end - b.end)
    .map(({ end, revision }) => {
      newest = Math.max(newest, revision)
      return { end, newest }
    })
  return (position) => rising[countWhile(rising, ({ end }) => end < position) - 1]?.newest ?? FIRST_REVISION
}
