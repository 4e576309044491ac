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

/** The bar of an operation in pixels. */
export interface LaneBar {
  readonly operation: OperationView
  readonly from: number
  readonly to: number
  /** In the bar or behind it, where there is room. */
  readonly label: { readonly text: string; readonly isInside: boolean } | undefined
}

/** An answer at once is still seen. */
const BAR_MIN = 8
/** Space of a character of a label, and around a label. */
const LABEL = { character: 6.4, around: 14 }

/** The bars of the operations in this window, over this width, by start. One without an answer lasts until now. */
export function laneBars(
  operations: readonly OperationView[],
  shown: TimeWindow,
  now: number,
  width: number,
): LaneBar[] {
  const x = (time: number): number =>
    Math.round(((time - shown.from) / (shown.to - shown.from)) * width * 10) / 10
  const bars = operations
    .filter(({ from, until = now }) => until >= shown.from && from <= shown.to)
    .map((operation) => {
      const from = Math.max(0, x(operation.from))
      return { operation, from, to: Math.min(width, Math.max(from + BAR_MIN, x(operation.until ?? now))) }
    })
  return bars.map((bar, at) => {
    const next = bars.slice(at + 1).find(({ operation }) => operation.client === bar.operation.client)
    return { ...bar, label: labelOf(bar, (next?.from ?? width) - bar.to) }
  })
}

function labelOf({ operation, from, to }: Omit<LaneBar, 'label'>, behind: number): LaneBar['label'] {
  const { text } = operation
  const needs = text.length * LABEL.character + LABEL.around
  if (to - from >= needs) return { text, isInside: true }
  return behind >= needs ? { text, isInside: false } : undefined
}

export function outcomeText({ kind, outcome }: Pick<OperationView, 'kind' | 'outcome'>): string {
  if (outcome === 'waits') return 'waits for an answer'
  if (kind === 'read') return outcome === 'ok' ? 'answered' : 'not answered'
  if (outcome === 'ok') return 'applied'
  return outcome === 'failed' ? 'certainly not applied' : 'unknown whether it was applied'
}
