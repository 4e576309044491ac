// Operations on the cluster: members, leadership, settings.

import type { ClusterResult } from '../../operations/documents/members.ts'
import { ApiError } from '../../operations/forms/index.ts'
import type { ChangeSettingsRequest, OperationOf } from '../../operations/index.ts'
import { isVoter } from '../../raft/index.ts'
import type { ChangeStep, LeaderLeaseSetting, RaftMember } from '../../raft/types.ts'
import { asReplicaId } from '../../raft/types.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { Problem, Result } from '../node/result.ts'
import { type AnswerTo, NO_HEAD, type Respond } from './answer.ts'
import type { Call } from './call.ts'
import { errorOfNode } from './errors.ts'
import { checkJoin, refusalNow } from './permit.ts'
import { timeLeftMs } from './read-options.ts'
import { describeCluster, describeSettings } from './status.ts'

/** `guarded` turns what a callback throws into the answer. */
export type ResponseGuard = <T>(run: (value: T) => void) => (value: T) => void

/** An operation that changes members. */
type MemberOperation = OperationOf<'add-member' | 'remove-member' | 'replace-member'>

/** The steps of the operation, given the members of that moment. */
function changeSteps(node: KvNode, operation: MemberOperation): readonly ChangeStep[] {
  if (operation.kind === 'remove-member')
    return [{ kind: 'remove', id: memberNamed(node, operation.name).id }]
  const member = memberFrom(operation)
  if (operation.kind === 'add-member') return stepsLeft(node, member) ?? [{ kind: 'add-learner', member }]
  const { name } = operation
  // The new member alone does not prove that the old one is removed.
  const mayRepeat = member.name === name || !listMembers(node).some((known) => known.name === name)
  const left = mayRepeat ? stepsLeft(node, member) : undefined
  return (
    left ?? [
      { kind: 'remove', id: memberNamed(node, name).id },
      { kind: 'add-learner', member },
    ]
  )
}

/** The member that is added. */
const memberFrom = ({
  member: { id, name, peer, url },
}: Exclude<MemberOperation, { kind: 'remove-member' }>): RaftMember => ({
  id: asReplicaId(id),
  name,
  peer,
  url,
})

const listMembers = (node: KvNode): readonly RaftMember[] => node.status().raft.configuration.members

/**
 * The steps that are left for a member that exists; undefined if there is none. A learner may have been restarted at
 * other addresses before the cluster reached it. Then only this request has the new addresses. A voter announces its
 * addresses itself.
 */
function stepsLeft(node: KvNode, member: RaftMember): readonly ChangeStep[] | undefined {
  const { id, name, peer, url } = member
  const known = listMembers(node).find((each) => each.id === id && each.name === name)
  if (known === undefined) return undefined
  if (known.peer === peer && known.url === url) return []
  if (!isVoter(node.status().raft.configuration, id)) return [{ kind: 'update', member }]
  throw new ApiError(
    'membership_refused',
    `${name} is a voter already, at ${known.peer} and ${known.url}; it announces its addresses by itself when it starts`,
  )
}

function memberNamed(node: KvNode, name: string): RaftMember {
  const member = listMembers(node).find((candidate) => candidate.name === name)
  if (member === undefined) throw new ApiError('not_found', `no member is named ${JSON.stringify(name)}`)
  return member
}

/**
 * Calls `then` when this node has applied all changes that were answered before, so that it knows the newest members
 * and settings.
 */
function whenNewest(
  node: KvNode,
  call: Call,
  guarded: ResponseGuard,
  then: () => void,
  problemOf = (problem: Problem): Problem => problem,
): void {
  call.withdraw = node.read(
    { consistency: 'linearizable', timeoutMs: timeLeftMs(call) },
    guarded((result) => {
      if (!result.ok) throw errorOfNode(problemOf(result.problem))
      then()
    }),
  )
}

/** Throws `ApiError` under the newest rights: a change of the core is not decided again when it is applied. */
function checkPermitted(node: KvNode, call: Call): void {
  const refusal = refusalNow(node, call)
  if (refusal !== undefined) throw refusal
}

/** `done`: the members are changed. */
export function changeMembers(
  node: KvNode,
  operation: MemberOperation,
  call: Call,
  guarded: ResponseGuard,
  done: (cluster: ClusterResult) => void,
): void {
  whenNewest(node, call, guarded, () => {
    checkPermitted(node, call)
    if (operation.kind !== 'remove-member') {
      const replaced = operation.kind === 'replace-member' ? operation.name : undefined
      checkJoin(call, memberFrom(operation), replaced, listMembers(node))
    }
    const steps = changeSteps(node, operation)
    // Without steps, an earlier copy of the same request has made the change.
    if (steps.length === 0) done(describeCluster(node))
    else
      node.change(
        { kind: 'change', steps },
        timeLeftMs(call),
        guarded((result) => {
          if (!result.ok) throw errorOfNode(result.problem)
          done(describeCluster(node))
        }),
      )
  })
}

export function transferLeadership(
  node: KvNode,
  { to }: OperationOf<'transfer-leadership'>,
  call: Call,
  guarded: ResponseGuard,
  respond: Respond<AnswerTo<'transfer-leadership'>>,
): void {
  const done = guarded((result: Result<{ readonly leader: string }>) => {
    if (!result.ok) throw errorOfNode(result.problem)
    respond({ kind: 'transfer-leadership', result: result.value, head: NO_HEAD })
  })
  whenNewest(node, call, guarded, () => {
    checkPermitted(node, call)
    node.transfer(to === undefined ? undefined : memberNamed(node, to).id, timeLeftMs(call), done)
  })
}

/** Changes leader leases. `isAfterSettings`: other settings of the same request were changed before. */
export function changeLeaderLeases(
  node: KvNode,
  leases: NonNullable<ChangeSettingsRequest['leases']>,
  isAfterSettings: boolean,
  call: Call,
  guarded: ResponseGuard,
  respond: Respond<AnswerTo<'change-settings'>>,
): void {
  const problemOf = isAfterSettings ? halfWritten : (problem: Problem) => problem
  const set = (): void => {
    // The other settings were permitted when they were applied.
    if (!isAfterSettings) checkPermitted(node, call)
    const { on, durationMs } = node.status().raft.leaderLeases
    const setting: LeaderLeaseSetting = { on: leases.on ?? on, durationMs: leases.durationMs ?? durationMs }
    node.setLeaderLeases(
      setting,
      timeLeftMs(call),
      guarded((result) => {
        if (!result.ok) throw errorOfNode(problemOf(result.problem))
        respond({ kind: 'change-settings', result: describeSettings(node), head: NO_HEAD })
      }),
    )
  }
  whenNewest(node, call, guarded, set, problemOf)
}

const halfWritten = ({ detail }: Problem): Problem => ({
  code: 'outcome_unknown',
  detail: `the limits were changed, the leases perhaps not: ${detail}`,
  written: 'unknown',
})
