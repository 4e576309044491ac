// Linearizability of a whole history, key by key, with the explanation for a report.

import type { History } from '../workload/history.ts'
import type { KeyModel } from './models/model.ts'
import { type KeyCall, partition } from './partition.ts'
import { CONFIGURATIONS_MAX, type SearchResult, search } from './search.ts'
import { shrink, unnoticedAmong } from './shrink.ts'

export interface Linearizability {
  readonly verdict: SearchResult['verdict']
  readonly model: string
  readonly keys: readonly KeyVerdict[]
  readonly configurations: number
}

interface KeyVerdict {
  readonly key: string
  readonly verdict: SearchResult['verdict']
  readonly operations: number
  readonly unknown: number
  /** An order that explains this key; if there is none, the longest beginning of one. */
  readonly points: readonly Point[]
  /** Why there is no such order. */
  readonly failure: UnexplainedKey | undefined
}

/** When an operation may have happened, and the state of the key then. */
interface Point {
  readonly call: KeyCall<unknown>
  readonly timeMs: number
  /** Text of the state for people. Long states are shortened. */
  readonly state: string
}

interface UnexplainedKey {
  /**
   * The first operation that fits nowhere. Everything that ended before it can be explained, but not together with it.
   */
  readonly blocked: KeyCall<unknown>
  /** A few operations of this key that cannot be explained even alone, by their start. Computed when called. */
  readonly witness: () => readonly KeyCall<unknown>[]
}

/** Limit for each key that is judged after one that cannot be explained. */
const CONFIGURATIONS_AFTER_VIOLATION_MAX = 50_000

export function checkLinearizability(
  history: History,
  model: KeyModel<unknown>,
  configurationsMax: number = CONFIGURATIONS_MAX,
): Linearizability {
  const first = history.header.initial ?? null
  const keys: KeyVerdict[] = []
  let configurations = 0
  let budget = configurationsMax
  for (const [key, calls] of partition(history, model)) {
    // Leaves out writes that no operation noticed: they need not have happened, and finding that out again for each
    // makes searches long.
    const isUnnoticed = unnoticedAmong(calls)
    const needed = calls.filter((call) => call.end !== Number.POSITIVE_INFINITY || !isUnnoticed(call))
    const found = search(needed, model, model.initial(first), budget)
    const { verdict, order } = found
    const blocked = found.blocked === undefined ? undefined : needed[found.blocked]
    configurations += found.configurations
    // The store is wrong. Further errors are less important.
    if (verdict === 'impossible') budget = Math.min(budget, CONFIGURATIONS_AFTER_VIOLATION_MAX)
    keys.push({
      key,
      verdict,
      operations: calls.length,
      unknown: calls.filter(({ end }) => end === Number.POSITIVE_INFINITY).length,
      // Only a report needs them.
      get points() {
        return linearizationPoints(needed, order, model, model.initial(first))
      },
      failure: blocked && { blocked, witness: () => shrink(calls, blocked, model, first) },
    })
  }
  return { verdict: worst(keys), model: model.name, keys, configurations }
}

/** One wrong key makes the store wrong, even if others are undecided. */
function worst(keys: readonly KeyVerdict[]): SearchResult['verdict'] {
  const verdicts = new Set(keys.map(({ verdict }) => verdict))
  if (verdicts.has('impossible')) return 'impossible'
  return verdicts.has('undecided') ? 'undecided' : 'linearizable'
}

/** Points at which the calls take effect, as early as the order allows. */
function linearizationPoints(
  calls: readonly KeyCall<unknown>[],
  order: readonly number[],
  model: KeyModel<unknown>,
  initial: unknown,
): Point[] {
  let state = initial
  let timeMs = Number.NEGATIVE_INFINITY
  const points: Point[] = []
  for (const place of order) {
    const call = calls[place]
    if (call === undefined) continue
    state = call.step.apply(state)
    timeMs = Math.max(timeMs, call.startMs)
    points.push({ call, timeMs, state: shortened(model.formatState(state)) })
  }
  return points
}

const STATE_SHOWN_MAX = 120

/** The end of a long value tells more than its beginning. */
function shortened(text: string): string {
  return text.length <= STATE_SHOWN_MAX ? text : `…${text.slice(-STATE_SHOWN_MAX)}`
}
