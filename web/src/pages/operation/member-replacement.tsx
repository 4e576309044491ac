import { describeVoters, type NewReplica } from '../../../../src/operations/forms/members.ts'
import { replaceMember } from '../../../../src/operations/replace-member.ts'
import { type ClusterMember, members } from '../../cluster/cluster-view.ts'
import { run } from '../../cluster/connection.ts'
import { failedChange } from './outcome.tsx'
import { ReplicaDialog } from './replica-form.tsx'

interface ReplacementProps {
  readonly member: ClusterMember
  readonly onClose: () => void
  readonly onDone: (text: string) => void
}

/** Drops a replica whose data is lost, and adds another one in its place. For a voter, its name must be typed. */
export function MemberReplacement({ member, onClose, onDone }: ReplacementProps) {
  const { name, isLearner } = member
  const left = members.value.filter((each) => !each.isLearner && each.name !== name).length
  const confirm = async (added: NewReplica): Promise<void> => {
    try {
      await run(replaceMember, { kind: 'replace-member', name, member: added })
      onDone(`${name} is gone, and the replica ${added.id} has come in its place.`)
    } catch (error) {
      throw failedChange(error)
    }
  }
  return (
    <ReplicaDialog
      title={`Replace ${name}`}
      replaced={name}
      action={`Replace ${name}`}
      typed={isLearner ? undefined : name}
      onConfirm={confirm}
      onClose={onClose}
    >
      <p>
        For a node that has lost its data: a replica that has forgotten its votes must come back as a new one.
        The old replica goes and the new one comes in one change, which needs a leader and a majority.
      </p>
      {!isLearner && (
        <p>
          Until the new one has caught up, there {left === 1 ? 'is' : 'are'} {describeVoters(left)}. The data
          of the old replica cannot be used any more.
        </p>
      )}
    </ReplicaDialog>
  )
}
