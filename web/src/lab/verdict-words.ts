// The verdict in words. Pure functions.

import type { VerdictView } from '../../../jepsen-lite/lab/fold-views.ts'
import type { OperationView } from '../../../jepsen-lite/lab/view.ts'
import { plural } from '../design/numbers.ts'

export const VERDICT_MARKS = {
  linearizable: { mark: 'written', text: 'Linearizable so far' },
  violation: { mark: 'down', text: 'Not linearizable' },
  undecided: { mark: 'unknown', text: 'Not decided yet' },
} as const

/** Whether the verdict says something. */
export const isJudged = ({ verdict, judged }: Pick<VerdictView, 'verdict' | 'judged'>): boolean =>
  judged > 0 || verdict !== 'linearizable'

export function verdictText(
  { verdict, judged, unordered }: VerdictView,
  operations: readonly Pick<OperationView, 'isLock' | 'until'>[],
): string {
  if (unordered !== undefined) return unordered.text
  if (verdict === 'undecided')
    return 'So many operations overlap that the search for an order would take too long.'
  if (judged === 0) {
    const isLockAnswered = operations.some(({ isLock, until }) => isLock && until !== undefined)
    return `There is nothing to judge yet${isLockAnswered ? ': requests about a lock are not judged' : ''}.`
  }
  return `${plural(judged, 'answer has', 'answers have')} an order in which each operation takes effect at one moment, between its call and its answer: the mark on its bar.`
}

/** The words of the verdict about one operation; undefined: none. */
export function operationVerdict(
  { unordered, staleReads }: VerdictView,
  id: number,
  areStaleJudged: boolean,
): string | undefined {
  const stale = staleReads.find(({ operation }) => operation === id)
  const age = stale && `${areStaleJudged ? 'stale read' : 'stale read, not judged'}: ${stale.text}`
  const role =
    unordered?.operation === id ? 'fits nowhere' : unordered?.missed === id ? 'was missed' : undefined
  return [role, age].filter((part) => part !== undefined).join('; ') || undefined
}
