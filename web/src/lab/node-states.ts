// The state of a node: the mark of the design that it has, and its words.

import type { MachineView } from '../../../jepsen-lite/lab/view.ts'
import type { NodeState } from '../design/mark.tsx'

export function roleOf({ state, role, member }: MachineView): NodeState {
  if (state === 'paused') return 'paused'
  if (state !== 'running') return 'down'
  if (role === 'leader') return 'leader'
  if (role === 'candidate' || role === 'pre-candidate') return 'candidate'
  return member === 'learner' ? 'learner' : 'follower'
}

/** The clock of a node that a fault has changed. */
export function clockText({ clock: { aheadMs, rate } }: MachineView): string | undefined {
  const ahead = `${Math.abs(aheadMs / 1000).toFixed(2)} s ${aheadMs < 0 ? 'behind' : 'ahead of'} the others`
  if (rate !== 1) return `Its clock counts ${rate.toFixed(1)} s in a second, and is ${ahead}.`
  return aheadMs === 0 ? undefined : `Its clock is ${ahead}.`
}

/** `isStale`: another node leads a newer term, and this leader does not know it yet. */
export function stateText(node: MachineView, isStale = false): string {
  const { name, state, role, member, isRemoved, voters } = node
  if (state === 'opening') return 'opens its disk'
  if (state === 'down') return isRemoved ? 'removed' : 'down'
  if (state === 'paused') return `paused ${role}`
  if (role === 'pre-candidate') return 'asks first'
  if (isStale) return 'stale leader'
  if (role !== 'follower') return role
  if (member === 'none') return isRemoved ? 'removed' : 'joins'
  if (member === 'learner') return 'learner'
  return voters.includes(name) ? role : 'follower, leaves'
}
