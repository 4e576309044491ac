// Places of operations in the lanes of their clients, and the words for their outcomes. Pure functions.

import type { OperationView } from '../../../jepsen-lite/lab/view.ts'

export interface TimeWindow {
  readonly from: number
  readonly to: number
}

/** Virtual time that the lanes show, at least and at most. */
const SHOWN_MS = { min: 1000, max: 8000 }

/** From shortly before the first operation, or as much as there is room for, until now. */
export function laneWindow(operations: readonly OperationView[], now: number): TimeWindow {
  const first = Math.min(now, ...operations.map(({ from }) => from))
  const ms = Math.min(SHOWN_MS.max, Math.max(SHOWN_MS.min, (now - first) * 1.1))
  return { from: Math.max(0, now - ms), to: Math.max(now, ms) }
}

/** From 0 to 1; undefined: it is outside. */
export function barOf(
  { from, until }: Pick<OperationView, 'from' | 'until'>,
  shown: TimeWindow,
  now: number,
): TimeWindow | undefined {
  const end = until ?? now
  if (end < shown.from || from > shown.to) return undefined
  const part = (time: number): number => (time - shown.from) / (shown.to - shown.from)
  return { from: Math.max(0, part(from)), to: Math.min(1, part(end)) }
}

export function outcomeText({ kind, outcome }: Pick<OperationView, 'kind' | 'outcome'>): string {
  if (outcome === 'waits') return 'waits for an answer'
  if (kind === 'read') return outcome === 'ok' ? 'answered' : 'not answered'
  if (outcome === 'ok') return 'applied'
  return outcome === 'failed' ? 'certainly not applied' : 'unknown whether it was applied'
}
