import { type ClusterMember, members } from '../../cluster/cluster-view.ts'
import { findLeader, memberState, readLag } from '../../cluster/member-state.ts'
import { SafeText } from '../../design/bytes-text.tsx'
import { Mark } from '../../design/mark.tsx'
import {
  formatBytes,
  formatCount,
  formatLatency,
  formatPercent,
  formatRate,
  plural,
} from '../../design/numbers.ts'
import { Table, type TableColumn } from '../../design/table.tsx'
import { DISK_SHARE_MIN } from './alarms.ts'

const DAY_MS = 86_400_000

/** One line for each member: what it is, how far behind, and what may end soon. */
export function MemberTable() {
  const leaderCommit = findLeader(members.value)?.status?.commitIndex
  const columns: readonly TableColumn<ClusterMember>[] = [
    { head: 'Name', cell: ({ name }) => <span class="member-name">{name}</span> },
    { head: 'Role', cell: (member) => <Mark of={memberState(member, readLag(member, leaderCommit))} /> },
    { head: 'Term', isNumber: true, cell: whileUp(({ status }) => status && formatCount(status.term)) },
    { head: 'Behind', isNumber: true, cell: (member) => behind(member, leaderCommit) },
    {
      head: 'Age of state',
      isNumber: true,
      cell: whileUp((member) => {
        const { seconds } = readLag(member, leaderCommit)
        return seconds === undefined ? undefined : `≤ ${formatLatency(seconds)}`
      }),
    },
    { head: 'Writes', isNumber: true, cell: whileUp(({ load }) => load && formatRate(load.writesPerSecond)) },
    { head: 'Reads', isNumber: true, cell: whileUp(({ load }) => load && formatRate(load.readsPerSecond)) },
    { head: 'Disk free', isNumber: true, cell: whileUp(diskFree) },
    { head: 'Memory', isNumber: true, cell: whileUp(memory) },
    { head: 'Certificate', isNumber: true, cell: whileUp(certificate) },
    { head: 'Version', cell: ({ status }) => <span class="dim">{status?.version ?? '–'}</span> },
    { head: 'Address', cell: ({ url }) => <Dim text={url.replace(/^https?:\/\//, '')} /> },
  ]
  return <Table caption="Members" columns={columns} rows={members.value} rowKey={({ name }) => name} />
}

/** A cell that is empty while the member is down: its last answer is not of now. */
const whileUp =
  (cell: (member: ClusterMember) => preact.ComponentChild) =>
  (member: ClusterMember): preact.ComponentChild =>
    (member.error === undefined ? cell(member) : undefined) ?? <span class="dim">–</span>

/** A member that is down had applied at least what its last answer says. */
function behind(member: ClusterMember, leaderCommit: number | undefined) {
  const { entries } = readLag({ ...member, error: undefined }, leaderCommit)
  if (entries === undefined) return <span class="dim">–</span>
  const text = entries === 0 ? '0' : plural(entries, 'entry', 'entries')
  return member.error === undefined ? text : <span class="dim">≤ {text}</span>
}

function diskFree({ status }: ClusterMember) {
  const { diskFreeBytes: free, diskTotalBytes: total } = status ?? {}
  if (free === undefined || total === undefined) return undefined
  const share = free / total
  return (
    <span title={`${formatPercent(share)} of ${formatBytes(total)} is free`}>
      {formatBytes(free)}
      <span class={share < DISK_SHARE_MIN ? 'bar bar-low' : 'bar'} aria-hidden="true">
        <span style={{ width: formatPercent(share).replace(' ', '') }} />
      </span>
    </span>
  )
}

function memory({ metrics }: ClusterMember) {
  const bytes = metrics?.get('process_resident_memory_bytes')?.[0]?.value
  return bytes === undefined ? undefined : formatBytes(bytes)
}

function certificate({ status }: ClusterMember) {
  const first = status?.certificates.map(({ expiresInMs }) => expiresInMs).sort((a, b) => a - b)[0]
  return first === undefined ? undefined : plural(Math.floor(first / DAY_MS), 'day')
}

const Dim = ({ text }: { readonly text: string }) => (
  <span class="dim">
    <SafeText text={text} />
  </span>
)
