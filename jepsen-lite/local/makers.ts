// Who made each revision? The clients of a run are the only ones who change its store, and each change makes one revision; so every revision that no
// answer accounts for was made by an operation of unknown outcome. Where there are more such revisions than such operations, something was
// written that the store said was not, or was written twice, though nobody has read it.
//
// (In general the checker cannot ask this: a history need not hold all that was ever written.)

import type { Call, History } from '../history.ts'

/** Revision of an empty store. */
const FIRST = 1
const CHANGES: ReadonlySet<Call['op']['f']> = new Set(['put', 'del', 'cas', 'append', 'acquire', 'release'])

/** A sentence when the revisions and their makers do not add up. */
export function checkMakers({ calls, finals }: History): string | undefined {
  const told = calls.flatMap((call) => {
    const revision = call.outcome.kind === 'ok' ? call.outcome.result.revision : undefined
    return revision === undefined ? [] : [{ call, revision }]
  })
  const made = new Set(told.filter(({ call }) => isMade(call)).map(({ revision }) => revision))
  const last = Math.max(FIRST, ...finals.map(({ revision }) => revision), ...made)
  const candidates = unknownRequests(calls).map((start) => newestBefore(start, told))
  candidates.sort((a, b) => a - b)
  // An operation can have made any revision above all those that were told before it began. So these sets only grow, and it is enough to count.
  let able = 0
  let missing = 0
  for (let revision = FIRST + 1; revision <= last; revision++) {
    if (made.has(revision)) continue
    missing++
    while (able < candidates.length && (candidates[able] ?? revision) < revision) able++
    if (missing > able)
      return (
        `revision ${revision} has no maker: of the revisions up to it ${missing} belong to no answer, and only ${able} operations of ` +
        'unknown outcome can have made them'
      )
  }
  return undefined
}

function isMade({ op, outcome }: Call): boolean {
  if (!CHANGES.has(op.f) || outcome.kind !== 'ok') return false
  return outcome.result.applied !== false && outcome.result.deleted !== 0
}

/** Where each request began of whose fate nobody was told. All operations under one token are one request. */
function unknownRequests(calls: readonly Call[]): number[] {
  const changes = calls.filter(({ op }) => CHANGES.has(op.f))
  const known = new Set(changes.filter(({ outcome }) => outcome.kind === 'ok').map(tokenOf))
  const begun = new Map<string | Call, number>()
  for (const call of changes) {
    const request = tokenOf(call) ?? call
    if (call.outcome.kind !== 'unknown' || (request !== call && known.has(tokenOf(call)))) continue
    if (!begun.has(request)) begun.set(request, call.start)
  }
  return [...begun.values()]
}

const tokenOf = ({ op }: Call): string | undefined => ('idempotency' in op ? op.idempotency : undefined)

/** The highest revision told by an answer that had come before `start`. */
function newestBefore(
  start: number,
  told: readonly { readonly call: Call; readonly revision: number }[],
): number {
  return told.reduce(
    (newest, { call, revision }) => (call.end < start && revision > newest ? revision : newest),
    FIRST,
  )
}
