// A key that is only appended to and read tells its own order: the longest value that anybody read is a row of appended
// pieces. Where that can be read in one way only, the pieces and the reads have an order that no search need find, and
// an append of unknown outcome that was read did happen, before the first who read it was answered.

import type { KeyCall } from './partition.ts'

/** The same calls, with an `order` where that row gives one; unchanged where nothing is certain. */
export function orderAppends<State>(
  calls: readonly KeyCall<State>[],
  initial: string | null,
): readonly KeyCall<State>[] {
  if (calls.some(({ op, result }) => (op.f !== 'append' && op.f !== 'get') || result?.applied === false))
    return calls
  // A read that was told a revision and no value may have seen an append that nobody else did.
  if (calls.some(({ op, result }) => op.f === 'get' && result?.value === undefined)) return calls
  const reads = calls.flatMap((call) => (typeof call.result?.value === 'string' ? [call.result.value] : []))
  const longest = reads.reduce((long, value) => (value.length > long.length ? value : long), '')
  if (longest.length * calls.length > CHARACTERS_MAX) return calls
  const ends = tile(calls, longest, (initial ?? '').length)
  if (ends === undefined) return calls
  const deadlines = firstSeen(calls)
  // Where one does not tell its revision, those of the others say nothing about the order between them and it.
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
    // What the longest value does not show came behind it, where nobody saw it; or never, if that is possible.
    return call.result === undefined ? [] : [place(call, 2 * longest.length + 2)]
  })
}

/** Where the row leaves it open, the order is that by revision. */
function withOrder<State>(call: KeyCall<State>, order: number, byRevision: number): KeyCall<State> {
  return { ...call, step: { ...call.step, order: order + byRevision / REVISIONS_MAX } }
}

/** To look for every piece costs that much at most; the search has a budget of its own. */
const CHARACTERS_MAX = 2_000_000_000

/** Above twice any revision: it makes a fraction of one. */
const REVISIONS_MAX = 2 ** 40

/**
 * Where each append that is in `text` ends there; undefined unless they cover it piece by piece, each where it is found
 * first. Then there is no other way: all that can be found is needed for the length, and the first place at which
 * another order differed would be an earlier find.
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

/** The end of the first call that was told a value of at least this length. */
function firstSeen(calls: readonly KeyCall<unknown>[]): (length: number) => number {
  const seen = calls
    .flatMap(({ result, end }) =>
      typeof result?.value === 'string' ? [{ length: result.value.length, end }] : [],
    )
    .sort((a, b) => b.length - a.length)
  // From the longest down: whoever saw more saw this too.
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
