// Places of operations in the lanes of their clients, and the words for their outcomes. Pure functions.

import type { OperationView } from '../../../jepsen-lite/lab/view.ts'
import { type LaneAxis, placeOn } from './lane-axis.ts'

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

/** The bars of the operations on this axis, by start. One without an answer lasts until now. */
export function laneBars(operations: readonly OperationView[], axis: LaneAxis, now: number): LaneBar[] {
  const begin = axis[0]?.from ?? now
  const width = axis.at(-1)?.x2 ?? 0
  const x = (time: number): number => Math.round(placeOn(axis, time) * 10) / 10
  const bars = operations
    .filter(({ until = now }) => until >= begin)
    .map((operation) => {
      const from = x(operation.from)
      return { operation, from, to: Math.max(from + BAR_MIN, x(operation.until ?? now)) }
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
