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

/** `isStale`: another node leads a newer term, and this leader does not know it yet. */
export function stateText(node: MachineView, isStale = false): string {
  const { state, role, member } = node
  if (state === 'opening') return 'opens its disk'
  if (state === 'down') return member === 'none' ? 'removed' : 'down'
  if (state === 'paused') return `paused ${role}`
  if (role === 'pre-candidate') return 'asks for votes'
  if (member === 'none') return 'joins'
  if (isStale) return 'stale leader'
  return role === 'follower' && member === 'learner' ? 'learner' : role
}
