// The nodes as the page shows them, and the way in which its parts break them.

import type { ControlAction } from '../../../../src/operations/documents/control.ts'
import { members } from '../../cluster/cluster-view.ts'
import { controlState } from '../../cluster/control.ts'
import { findLeader, memberState, readLag } from '../../cluster/member-state.ts'
import type { NodeState } from '../../design/mark.tsx'

/** Makes the supervisor do something. The page shows an error. */
export type Act = (action: ControlAction, body?: object) => void

/** The state that the mark of a node shows: that of its process, else that of the replica. */
export function shownState(name: string): NodeState {
  const node = controlState.value?.nodes.find((each) => each.name === name)
  if (node?.state === 'paused') return 'paused'
  if (node !== undefined && node.state !== 'running') return 'down'
  const member = members.value.find((each) => each.name === name)
  if (member === undefined) return 'down'
  return memberState(member, readLag(member, findLeader(members.value)?.status?.commitIndex))
}
