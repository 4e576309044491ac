// The order of operations on a key that is only appended to and read. The longest value that any client read is a
// sequence of appended pieces. If that sequence can be read in one way only, the pieces and the reads have a known
// order, and no search is needed. An append of unknown outcome whose piece was read did happen, before the end of the
// first read of it.

import type { KeyCall } from './partition.ts'

/** The same calls, with an `order` where that sequence gives one. Unchanged if nothing is certain. */
export function orderAppends<State>(
  calls: readonly KeyCall<State>[],
  initial: string | null,
): readonly KeyCall<State>[] {
  if (calls.some(({ op, result }) => (op.f !== 'append' && op.f !== 'get') || result?.applied === false))
    return calls
  // A read that received a revision and no value may have seen an append that no other read saw.
  if (calls.some(({ op, result }) => op.f === 'get' && result?.value === undefined)) return calls
  const reads = calls.flatMap((call) => (typeof call.result?.value === 'string' ? [call.result.value] : []))
  const longest = reads.reduce((long, value) => (value.length > long.length ? value : long), '')
  if (longest.length * calls.length > CHARACTERS_MAX) return calls
  const ends = tile(calls, longest, (initial ?? '').length)
  if (ends === undefined) return calls
  const deadlines = firstSeen(calls)
  // If one call does not tell its revision, the revisions of the others give no order between them and it.
  const areOrdered = calls.every(({ step, result }) => result === undefined || step.order !== undefined)
  const place = (call: KeyCall<State>, order: number): KeyCall<State> =>
    withOrder(call, order, areOrdered ? (call.step.order ?? 0) : 0)
  return calls.flatMap((call) => {
    if (call.op.f !== 'append') {
      const value = call.result?.value ?? ''
      return longest.startsWith(value) ? [place(call, 2 * value.length + 1)] : [call]
    }
    const end = ends.get(call)
    if (end !== undefined) return [place({ ...call, end: Math.min(call.end, deadlines(end)) }, 2 * end)]
    // An acknowledged append that is not in the longest value came after it, and no read saw it. An append of unknown
    // outcome may never have happened, so it is left out.
    return call.result === undefined ? [] : [place(call, 2 * longest.length + 2)]
  })
}

/** Where the sequence leaves the order open, revisions decide. */
function withOrder<State>(call: KeyCall<State>, order: number, byRevision: number): KeyCall<State> {
  return { ...call, step: { ...call.step, order: order + byRevision / REVISIONS_MAX } }
}

/** The limit for looking for every piece. The search has a separate budget. */
const CHARACTERS_MAX = 2_000_000_000

/** More than twice any revision, so that dividing by it gives a fraction of 1. */
const REVISIONS_MAX = 2 ** 40

/**
 * Where each append ends in `text`; undefined unless they cover the whole text, each piece at the first place where it
 * is found. In that case there is no other order: the length needs every piece that can be found, and at the first
 * place where another order differed, that piece would have been found earlier.
 */
function tile<State>(
  calls: readonly KeyCall<State>[],
  text: string,
  from: number,
): Map<KeyCall<State>, number> | undefined {
  const pieces: { readonly call: KeyCall<State>; readonly start: number; readonly end: number }[] = []
  for (const call of calls) {
    if (call.op.f !== 'append') continue
    const start = text.indexOf(call.op.value, from)
    if (start < 0) continue
    if (call.op.value === '') return undefined
    pieces.push({ call, start, end: start + call.op.value.length })
  }
  pieces.sort((a, b) => a.start - b.start)
  let covered = from
  for (const { start, end } of pieces) {
    if (start !== covered) return undefined
    covered = end
  }
  return covered === text.length ? new Map(pieces.map(({ call, end }) => [call, end])) : undefined
}

/** The end of the first call that received a value of at least this length. */
function firstSeen(calls: readonly KeyCall<unknown>[]): (length: number) => number {
  const seen = calls
    .flatMap(({ result, end }) =>
      typeof result?.value === 'string' ? [{ length: result.value.length, end }] : [],
    )
    .sort((a, b) => b.length - a.length)
  // From the longest down: a client that saw more saw this too.
  for (const [at, one] of seen.entries()) {
    const longer = seen[at - 1]
    if (longer !== undefined && longer.end < one.end) seen[at] = { ...one, end: longer.end }
  }
  return (length) => {
    let from = 0
    let to = seen.length
    while (from < to) {
      const middle = (from + to) >> 1
      if ((seen[middle]?.length ?? 0) >= length) from = middle + 1
      else to = middle
    }
    return seen[from - 1]?.end ?? Number.POSITIVE_INFINITY
  }
}
