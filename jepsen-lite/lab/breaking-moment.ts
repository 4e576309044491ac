// The moment at which a person can begin to see how a run breaks a rule.

import { check } from '../checker/index.ts'
import { checkTransactions } from '../checker/transactions/index.ts'
import type { RunResult } from '../sim/run.ts'
import type { SimConfig } from '../sim/schedule/config.ts'
import { buildHistory, type HistoryEvent } from '../workload/history.ts'

/** Before the violation, by a message, its answer and a write. undefined: the run breaks no rule. */
export function breakingMoment(
  { violation, history, transactions }: RunResult,
  { delayMs, jitterMs, writeMs, writeJitterMs }: SimConfig,
): number | undefined {
  if (violation === undefined) return undefined
  const at = firstWrongAnswer(history, transactions) ?? violation.atMs
  return Math.max(0, at - Math.max(1, 2 * (delayMs + jitterMs) + writeMs + writeJitterMs))
}

/**
 * The time of the first answer that no order explains. The simulator finds most violations at once, and the checker
 * finds others at the end of the run.
 */
function firstWrongAnswer(
  history: readonly HistoryEvent[],
  transactions: readonly HistoryEvent[],
): number | undefined {
  return (
    firstWrong(transactions, (events) => checkTransactions(buildHistory(events)).findings.length > 0) ??
    firstWrong(history, (events) => check(buildHistory(events)).findings.length > 0)
  )
}

/** The time of the event with which a history becomes wrong. */
function firstWrong(
  events: readonly HistoryEvent[],
  isWrong: (events: readonly HistoryEvent[]) => boolean,
): number | undefined {
  if (!isWrong(events)) return undefined
  let [right, wrong] = [1, events.length]
  while (wrong - right > 1) {
    const half = (right + wrong) >> 1
    if (isWrong(events.slice(0, half))) wrong = half
    else right = half
  }
  const event = events[wrong - 1]
  return event !== undefined && 'time' in event && typeof event.time === 'number' ? event.time : undefined
}
