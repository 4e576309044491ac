// Who made each revision? Where a history says that it holds every change, each change makes one revision; so every revision that no answer accounts for
// was made by a request of which nobody was told the revision. Where there are more such revisions than such requests, something was
// written that the store said was not, or was written twice, though nobody has read it.
//
// (Of other histories the checker cannot ask this: they need not hold all that was ever written.)

import type { History } from '../history.ts'
import { revisionOf } from './chronicle.ts'
import type { Finding } from './finding.ts'
import { type Request, requestsOf } from './partition.ts'

/** Revision of an empty store. */
const FIRST = 1

export function checkMakers(history: History): readonly Finding[] {
  if (history.header.complete !== true) return []
  const requests = requestsOf(history)
  const told = toldIn(history)
  const newestBefore = newestTold(told)
  const made = new Set<number>()
  const starts: number[] = []
  for (const request of requests) {
    if (!isChange(request)) continue
    const revision = madeBy(request)
    if (revision === undefined) starts.push(request.start)
    else made.add(revision)
  }
  let last = FIRST
  for (const { revision } of history.finals) last = Math.max(last, revision)
  for (const { revision } of told) last = Math.max(last, revision)
  // A request can have made any revision above all those that were told before it began. So these sets only grow, and it is enough to count.
  const candidates = starts.map(newestBefore).sort((a, b) => a - b)
  let able = 0
  let missing = 0
  for (let revision = FIRST + 1; revision <= last; revision++) {
    if (made.has(revision)) continue
    missing++
    while (able < candidates.length && (candidates[able] ?? revision) < revision) able++
    if (missing <= able) continue
    const message =
      `revision ${revision} has no maker: of the revisions up to it ${missing} belong to no answer, and only ${able} operations ` +
      'whose revision nobody was told can have made them'
    return [{ check: 'makers', key: undefined, message, calls: [] }]
  }
  return []
}

/** It may have changed something. */
function isChange({ calls: [call], result }: Request): boolean {
  if (call === undefined || call.op.f === 'get' || call.op.f === 'range') return false
  return result?.applied !== false && result?.deleted !== 0
}

const madeBy = ({ calls: [call], result }: Request): number | undefined =>
  call && result && revisionOf(call, result)

interface Told {
  readonly end: number
  readonly revision: number
}

/** Every revision that an answer told, in the order of the answers. */
const toldIn = ({ calls }: History): readonly Told[] =>
  calls
    .flatMap((call) => {
      const revision = call.outcome.kind === 'ok' ? revisionOf(call, call.outcome.result) : undefined
      return revision === undefined ? [] : [{ end: call.end, revision }]
    })
    .sort((a, b) => a.end - b.end)

/** The highest revision that had been told before a position of the history. */
function newestTold(told: readonly Told[]): (start: number) => number {
  let newest = FIRST
  const rising = told.map(({ end, revision }) => {
    newest = Math.max(newest, revision)
    return { end, newest }
  })
  return (start) => {
    let from = 0
    let to = rising.length
    while (from < to) {
      const middle = (from + to) >> 1
      if ((rising[middle]?.end ?? 0) < start) from = middle + 1
      else to = middle
    }
    return rising[from - 1]?.newest ?? FIRST
  }
}
