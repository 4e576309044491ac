import { addMember } from '../../../../src/operations/add-member.ts'
import type { NewReplica } from '../../../../src/operations/forms/members.ts'
import { run } from '../../cluster/connection.ts'
import { failedChange } from './outcome.tsx'
import { ReplicaDialog } from './replica-form.tsx'

interface AdditionProps {
  readonly onClose: () => void
  readonly onDone: (text: string) => void
}

/** Adds a member as a learner. */
export function MemberAddition({ onClose, onDone }: AdditionProps) {
  const confirm = async (member: NewReplica): Promise<void> => {
    try {
      await run(addMember, { kind: 'add-member', member })
      onDone(`${member.name} is a member now: a learner until it has caught up, then a voter.`)
    } catch (error) {
      throw failedChange(error)
    }
  }
  return (
    <ReplicaDialog title="Add a member" action="Add" onConfirm={confirm} onClose={onClose}>
      <p>
        It joins as a learner, which counts for no majority, and becomes a voter by itself when it has caught
        up. The leader sends it the whole store once. Use an odd number of voters: three survive one failure,
        five survive two, and four no more than three.
      </p>
    </ReplicaDialog>
  )
}
