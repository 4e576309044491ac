// The faults that last: the links that they cut, and what ends them.

import type { FaultView, LinkView } from '../../../jepsen-lite/lab/view.ts'

/** Word of the button that ends the fault. */
export function healWord({ kind }: FaultView): string {
  if (kind === 'crash' || kind === 'crash-many' || kind === 'stop') return 'Start again'
  return kind === 'pause' ? 'Continue' : 'Heal'
}

/** Whether the fault keeps messages from that node from arriving at the other. */
export function cutsLink({ kind, nodes, fields }: FaultView, { from, to }: LinkView): boolean {
  switch (kind) {
    case 'isolate':
    case 'partition':
      return nodes.includes(from) !== nodes.includes(to)
    case 'one-way':
      return nodes[0] === from && nodes[1] === to
    case 'deaf':
      return nodes[0] === (fields.direction === 'in' ? to : from)
    default:
      return false
  }
}
