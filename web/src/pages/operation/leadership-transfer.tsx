import { useState } from 'preact/hooks'
import { transferLeadership } from '../../../../src/operations/transfer-leadership.ts'
import { members } from '../../cluster/cluster-view.ts'
import { run } from '../../cluster/connection.ts'
import { findLeader } from '../../cluster/member-state.ts'
import { Confirmation } from '../../design/dialog.tsx'
import { Select } from '../../design/field.tsx'
import { failedChange } from './outcome.tsx'

interface TransferProps {
  /** The member that shall lead; undefined: the user chooses. */
  readonly to: string | undefined
  readonly onClose: () => void
  readonly onDone: (text: string) => void
}

const ANY = ''

/** Hands the leadership over to a voter. */
export function LeadershipTransfer({ to, onClose, onDone }: TransferProps) {
  const leader = findLeader(members.value)?.name
  const [chosen, setChosen] = useState(to ?? ANY)
  const others = members.value.filter(({ name, isLearner }) => !isLearner && name !== leader)
  const confirm = async (): Promise<void> => {
    try {
      const request = { kind: 'transfer-leadership' as const, to: chosen === ANY ? undefined : chosen }
      const { result } = await run(transferLeadership, request)
      onDone(`${result.leader} leads now.`)
    } catch (error) {
      throw failedChange(error)
    }
  }
  return (
    <Confirmation
      title={to === undefined ? 'Transfer leadership' : `Make ${to} the leader?`}
      action="Transfer leadership"
      onConfirm={confirm}
      onClose={onClose}
    >
      {to === undefined && (
        <Select
          label="To"
          value={chosen}
          onChange={setChosen}
          options={[
            { value: ANY, text: 'the voter whose log is the most complete' },
            ...others.map(({ name }) => ({ value: name, text: name })),
          ]}
        />
      )}
      <p>
        It needs a leader, and a voter that is connected to it. {leader ?? 'The leader'} sends the rest of its
        log, then lets the other node be elected.
      </p>
      <p>
        Changes and linearizable reads wait meanwhile, usually for a few milliseconds. No acknowledged change
        is lost. If the other node does not catch up in time, {leader ?? 'the leader'} leads on.
      </p>
    </Confirmation>
  )
}
