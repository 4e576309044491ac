import { describeVoters } from '../../../../src/operations/forms/members.ts'
import { removeMember } from '../../../../src/operations/remove-member.ts'
import { type ClusterMember, members } from '../../cluster/cluster-view.ts'
import { run } from '../../cluster/connection.ts'
import { findLeader } from '../../cluster/member-state.ts'
import { Confirmation } from '../../design/dialog.tsx'
import { failedChange } from './outcome.tsx'

interface RemovalProps {
  readonly member: ClusterMember
  readonly onClose: () => void
  readonly onDone: (text: string) => void
}

/** Removes a member. For a voter, its name must be typed. */
export function MemberRemoval({ member, onClose, onDone }: RemovalProps) {
  const { name, isLearner } = member
  const left = members.value.filter((each) => !each.isLearner && each.name !== name).length
  const isLeader = findLeader(members.value)?.name === name
  const confirm = async (): Promise<void> => {
    try {
      await run(removeMember, { kind: 'remove-member', name })
      onDone(`${name} is no longer a member. Its node ends.`)
    } catch (error) {
      throw failedChange(error)
    }
  }
  return (
    <Confirmation
      title={`Remove ${name}?`}
      action={`Remove ${name}`}
      typed={isLearner ? undefined : name}
      onConfirm={confirm}
      onClose={onClose}
    >
      {isLearner ? (
        <p>{name} is a learner: the majority does not change.</p>
      ) : (
        <p>
          {name} is a voter. Without it there {left === 1 ? 'is' : 'are'} {describeVoters(left)}.
        </p>
      )}
      {isLeader && <p>{name} leads: another voter is elected first, and changes wait meanwhile.</p>}
      <p>
        It needs a leader and a majority. A change that would cost the majority is refused. The node ends when
        it learns of its removal.
      </p>
      <p>
        To bring the machine back, delete its data directory and let it join again as a new replica. The old
        directory cannot come back.
      </p>
    </Confirmation>
  )
}
