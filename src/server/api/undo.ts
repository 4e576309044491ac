// Undoes what an earlier operation of a call has made, when its client has lost the right to do so. That operation was
// permitted, so no right is checked now. Each promise resolves in any case: a lease that remains expires with its keys.

import { type Command, type Request, SYSTEM_PRINCIPAL } from '../../kv/index.ts'
import type { LeaseId } from '../../operations/forms/index.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { CommandResult } from '../node/result.ts'
import type { Call } from './call.ts'
import { whenNewest } from './permit.ts'
import { isUnpermitted } from './propose.ts'
import { timeLeftMs } from './read-options.ts'

type UndoNode = Pick<KvNode, 'auth' | 'lease' | 'propose' | 'read'>
type UndoCall = Pick<Call, 'deadline' | 'principal'>

/** Ends a lease with its keys, in the name of the node. The call was granted it. */
export async function undoGrant(node: UndoNode, id: LeaseId, call: Pick<Call, 'deadline'>): Promise<void> {
  const lease = node.lease(id)
  if (lease === undefined) return
  const { deadlineMs } = lease
  await propose(node, { kind: 'expire', leases: [{ id, deadlineMs }] }, { principal: SYSTEM_PRINCIPAL }, call)
}

/**
 * Makes a change that removes a key of the call, in the name of its user. Nodes have no such change of their own. A
 * client without a user made its key before rights were checked: nobody keeps its lease alive any more.
 */
export async function undoPut(node: UndoNode, command: Command, call: UndoCall): Promise<void> {
  const user = call.principal?.user
  if (user === undefined || user === SYSTEM_PRINCIPAL) return
  for (let isTooOld = true; isTooOld && performance.now() < call.deadline; ) {
    const { enabled, revision, state } = node.auth
    const madeAt = state.users.get(user)?.madeAt ?? 0
    const origin = enabled ? { principal: user, authRevision: revision, madeAt } : { principal: '' }
    isTooOld = isUnpermitted(await propose(node, command, origin, call)) && (await isNewest(node, call))
  }
}

const propose = (
  node: UndoNode,
  command: Command,
  origin: Pick<Request, 'principal' | 'authRevision' | 'madeAt'>,
  call: Pick<Call, 'deadline'>,
): Promise<CommandResult> =>
  new Promise((resolve) =>
    node.propose({ command, idempotency: undefined, ...origin }, timeLeftMs(call), resolve),
  )

/** Resolves when the node knows the newest rights; to false, if it cannot know them. */
const isNewest = (node: UndoNode, call: Pick<Call, 'deadline'>): Promise<boolean> =>
  new Promise((resolve) => whenNewest(node, timeLeftMs(call), (error) => resolve(error === undefined)))
