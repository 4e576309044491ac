// Members of the cluster: add, replace and remove them, and hand the leadership over.

import { useState } from 'preact/hooks'
import type { MemberDescription } from '../../../../src/operations/documents/members.ts'
import { describeVoters } from '../../../../src/operations/forms/members.ts'
import { type ClusterMember, members, newest } from '../../cluster/cluster-view.ts'
import { findLeader, memberState, readLag } from '../../cluster/member-state.ts'
import { Button } from '../../design/button.tsx'
import { SafeText } from '../../design/bytes-text.tsx'
import { Mark } from '../../design/mark.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatCount, plural } from '../../design/numbers.ts'
import { Table, type TableColumn } from '../../design/table.tsx'
import type { TabProps } from './admin-right.ts'
import { LeadershipTransfer } from './leadership-transfer.tsx'
import { MemberAddition } from './member-addition.tsx'
import { MemberRemoval } from './member-removal.tsx'
import { MemberReplacement } from './member-replacement.tsx'
import { OutcomeLine } from './outcome.tsx'

type Dialog =
  | { readonly kind: 'add' }
  | { readonly kind: 'transfer'; readonly to?: string }
  | { readonly kind: 'replace' | 'remove'; readonly member: ClusterMember }

export function MembersTab({ mayChange }: TabProps) {
  const [dialog, setDialog] = useState<Dialog>()
  const [outcome, setOutcome] = useState<string>()
  const all = members.value
  const leader = findLeader(all)
  const voters = all.filter(({ isLearner }) => !isLearner)
  const learners = all.filter(({ isLearner }) => isLearner)
  const silent = voters.filter(({ error }) => error !== undefined).length
  const open = (next: Dialog): void => {
    setOutcome(undefined)
    setDialog(next)
  }
  // Nothing is known yet, or not without a login.
  if (all.length === 0) return <section class="operation" />
  const props = { onClose: () => setDialog(undefined), onDone: setOutcome }
  return (
    <section class="operation">
      <header class="operation-head">
        <p>
          {voters.length > 0 && `${describeVoters(voters.length)}. `}
          {silent > 0 && `Now ${silent} of them ${silent === 1 ? 'does' : 'do'} not answer. `}
          {leader === undefined
            ? 'There is no leader: members cannot be changed until one is elected.'
            : `${leader.name} leads in term ${formatCount(leader.status?.term ?? 0)}.`}
        </p>
        {mayChange && (
          <div class="page-actions">
            <Button onClick={() => open({ kind: 'transfer' })} disabled={voters.length < 2}>
              Transfer leadership
            </Button>
            <Button kind="primary" onClick={() => open({ kind: 'add' })}>
              Add a member
            </Button>
          </div>
        )}
      </header>
      <OutcomeLine text={outcome} />
      <MemberList leader={leader} open={mayChange ? open : undefined} />
      {learners.length > 0 && (
        <Notice kind="note">
          {learners.length === 1 ? `${learners[0]?.name} is a learner: it` : 'Learners'} cannot vote yet, and
          count for no majority. A learner becomes a voter by itself when its log has caught up with the
          leader’s and its disk is not nearly full.
        </Notice>
      )}
      {dialog?.kind === 'add' && <MemberAddition {...props} />}
      {dialog?.kind === 'transfer' && <LeadershipTransfer to={dialog.to} {...props} />}
      {dialog?.kind === 'remove' && <MemberRemoval member={dialog.member} {...props} />}
      {dialog?.kind === 'replace' && <MemberReplacement member={dialog.member} {...props} />}
    </section>
  )
}

interface MemberListProps {
  readonly leader: ClusterMember | undefined
  /** undefined: nothing can be changed. */
  readonly open: ((dialog: Dialog) => void) | undefined
}

function MemberList({ leader, open }: MemberListProps) {
  const described = new Map(newest.value?.members.map((member) => [member.replicaId, member]))
  const commit = leader?.status?.commitIndex
  const state = (member: ClusterMember) => memberState(member, readLag(member, commit))
  const columns: readonly TableColumn<ClusterMember>[] = [
    { head: 'Name', cell: ({ name }) => <strong class="operation-name">{name}</strong> },
    { head: 'State', cell: (member) => <Mark of={state(member)} /> },
    { head: 'Votes', cell: ({ isLearner }) => (isLearner ? 'not yet' : 'yes') },
    { head: 'Match index', isNumber: true, cell: (member) => matchIndex(described.get(member.replicaId)) },
    { head: 'Behind', isNumber: true, cell: (member) => behind(readLag(member, commit).entries) },
    { head: 'Clients', cell: ({ url }) => <Dim text={url} /> },
    {
      head: 'Other nodes',
      cell: ({ replicaId }) => <Dim text={described.get(replicaId)?.peer ?? '–'} />,
    },
    ...(open === undefined
      ? []
      : [
          {
            head: <span class="visually-hidden">Changes</span>,
            cell: (member: ClusterMember) => (
              <MemberActions
                member={member}
                mayLead={!member.isLearner && member.error === undefined && state(member) !== 'leader'}
                open={open}
              />
            ),
          },
        ]),
  ]
  return (
    <Table caption="Members" columns={columns} rows={members.value} rowKey={({ replicaId }) => replicaId} />
  )
}

interface MemberActionsProps {
  readonly member: ClusterMember
  readonly mayLead: boolean
  readonly open: (dialog: Dialog) => void
}

function MemberActions({ member, mayLead, open }: MemberActionsProps) {
  const { name } = member
  return (
    <div class="operation-row-actions">
      {mayLead && (
        <Button
          kind="quiet"
          label={`Make leader: ${name}`}
          onClick={() => open({ kind: 'transfer', to: name })}
        >
          Make leader
        </Button>
      )}
      <Button kind="quiet" label={`Replace ${name}`} onClick={() => open({ kind: 'replace', member })}>
        Replace
      </Button>
      <Button kind="quiet" label={`Remove ${name}`} onClick={() => open({ kind: 'remove', member })}>
        Remove
      </Button>
    </div>
  )
}

const matchIndex = (member: MemberDescription | undefined) =>
  member?.matchIndex === undefined ? (
    <span class="dim" title="Only the leader knows it.">
      –
    </span>
  ) : (
    formatCount(member.matchIndex)
  )

const behind = (entries: number | undefined) =>
  entries === undefined ? (
    <span class="dim">–</span>
  ) : entries === 0 ? (
    '0'
  ) : (
    plural(entries, 'entry', 'entries')
  )

const Dim = ({ text }: { readonly text: string }) => (
  <span class="dim operation-address">
    <SafeText text={text} />
  </span>
)
