// Reduces thousands of operations without an explanation to the few that show why. Each step keeps the proof: if the
// rest has no explanation, the whole has none.
//
// - cut: operations that began after the end of the blocked one are removed. Those in flight at that end become
// unknown.
// - begin: operations that ended before a plain write are removed, if nothing else was concurrent with it. It overwrote
//   everything before.
// - reads: reads are removed, as many at a time as possible. An order of the whole, without them, explains the rest.
// - writes: writes that no operation can have noticed are removed (`unnoticedAmong`).

import type { KeyModel } from './models/model.ts'
import type { KeyCall } from './partition.ts'
import { search } from './search.ts'

/** A witness is for people. All searches for it together get this limit. */
const SEARCHES_MAX = 400
const CONFIGURATIONS_MAX = 100_000
/** The rest is easier to search than the whole. */
const CONFIGURATIONS_OF_ONE_MAX = 20_000

export function shrink<State>(
  calls: readonly KeyCall<State>[],
  blocked: KeyCall<State>,
  model: KeyModel<State>,
  initial: string | null,
): KeyCall<State>[] {
  let searches = 0
  let configurations = 0
  const mayGoOn = (): boolean => searches < SEARCHES_MAX && configurations < CONFIGURATIONS_MAX
  const isImpossible = (left: readonly KeyCall<State>[]): boolean => {
    searches += 1
    const found = search(left, model, model.initial(initial), CONFIGURATIONS_OF_ONE_MAX)
    configurations += found.configurations
    return found.verdict === 'impossible'
  }
  let left = cut(calls, blocked.end, model)
  // The blocked operation fits nowhere, whatever comes later. If the budget is too small to see that, all calls are
  // shown.
  if (!isImpossible(left)) return [...calls]

  for (let before = Number.POSITIVE_INFINITY; left.length < before; ) {
    before = left.length
    left = beginnings(left).find((rest) => mayGoOn() && isImpossible(rest)) ?? left
    const spared = [...left.filter(isObservation), ...left.filter(unnoticedAmong(left))]
    for (let size = spared.length; size >= 1; size = Math.floor(size / 2)) {
      for (let from = 0; from < spared.length && mayGoOn(); ) {
        const dropped = new Set(spared.slice(from, from + size))
        const rest = left.filter((call) => !dropped.has(call))
        if (dropped.size > 0 && isImpossible(rest)) {
          left = rest
          spared.splice(from, size)
        } else {
          from += size
        }
      }
    }
  }
  return left
}

function cut<State>(calls: readonly KeyCall<State>[], end: number, model: KeyModel<State>): KeyCall<State>[] {
  const left: KeyCall<State>[] = []
  for (const call of calls) {
    if (call.start > end) continue
    if (call.end <= end) {
      left.push(call)
      continue
    }
    const step = model.computeStep(call.op, undefined)
    if (step === undefined) continue
    left.push({ ...call, step, result: undefined, end: Number.POSITIVE_INFINITY, endMs: undefined })
  }
  return left
}

/**
 * Shortest first. An operation of unknown outcome may still come after the write, so it stays. The last plain write of
 * each value that is read or compared later stays too, because the rest is hard to understand without it.
 */
function beginnings<State>(calls: readonly KeyCall<State>[]): KeyCall<State>[][] {
  return calls
    .filter((call) => blindlyPut(call) !== undefined && call.end !== Number.POSITIVE_INFINITY)
    .filter((put) =>
      calls.every(
        ({ start, end }) => start >= put.start || end < put.start || end === Number.POSITIVE_INFINITY,
      ),
    )
    .filter((put) => calls.every((call) => call === put || call.start < put.start || call.start > put.end))
    .map((put) => calls.filter((call) => call.end >= put.start || isReadAfter(call, put.start, calls)))
    .filter((rest) => rest.length < calls.length)
    .sort((a, b) => a.length - b.length)
}

function isReadAfter(call: KeyCall<unknown>, position: number, calls: readonly KeyCall<unknown>[]): boolean {
  const value = blindlyPut(call)
  if (value === undefined) return false
  const isRead = calls.some(
    ({ op, result, end }) =>
      end >= position && (result?.value === value || (op.f === 'cas' && op.from === value)),
  )
  return (
    isRead &&
    !calls.some((other) => other.start > call.start && other.start < position && blindlyPut(other) === value)
  )
}

const isObservation = ({ op, result }: KeyCall<unknown>): boolean =>
  op.f === 'get' || result?.applied === false

/**
 * A plain write whose value no operation reads or compares, among operations that do not depend on what else was there
 * before. If it is taken out of an order that explains everything, the rest is still explained. (A read right after it
 * would have seen it.)
 */
export function unnoticedAmong(among: readonly KeyCall<unknown>[]): (call: KeyCall<unknown>) => boolean {
  const noticed = new Set<string>()
  for (const call of among) {
    const { op, result } = call
    if (op.f === 'get' && result?.value !== undefined) {
      if (result.value !== null) noticed.add(result.value)
    } else if (op.f === 'cas' && result?.applied !== false) {
      if (op.from !== null) noticed.add(op.from)
    } else if (blindlyPut(call) === undefined) return () => false
  }
  return (call) => {
    const value = blindlyPut(call)
    return value !== undefined && !noticed.has(value)
  }
}

function blindlyPut({ op }: KeyCall<unknown>): string | undefined {
  return op.f === 'put' && !op.ifAbsent && op.ifRevision === undefined ? op.value : undefined
}
