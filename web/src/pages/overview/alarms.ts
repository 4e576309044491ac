// Alarms: sentences about what an operator should look at, each with the command that mends it.

import type { ControlledNode, ControlState } from '../../../../src/operations/documents/control.ts'
import type { ClusterMember } from '../../cluster/cluster-view.ts'
import { findLeader, readLag } from '../../cluster/member-state.ts'
import { formatBytes, formatCount, formatDuration, plural } from '../../design/numbers.ts'

export interface Alarm {
  readonly kind: 'problem' | 'warning'
  readonly text: string
  readonly command?: string | undefined
}

const DAY_MS = 86_400_000
const CERTIFICATE_DAYS_MIN = 21
/** Share of a disk below which its free room is an alarm. */
export const DISK_SHARE_MIN = 0.1
const LAG_ENTRIES = 1_000

/** `now`: of `Date.now()`. `local`: nodes and links of a local cluster, as its supervisor knows them. */
export function findAlarms(
  members: readonly ClusterMember[],
  now: number,
  local: ControlState = { nodes: [], links: [] },
): readonly Alarm[] {
  const voters = members.filter(({ isLearner }) => !isLearner)
  const alive = voters.filter(({ error }) => error === undefined)
  const leader = findLeader(members)
  const alarms: Alarm[] = []
  if (leader === undefined && members.length > 0)
    alarms.push({
      kind: 'problem',
      text:
        alive.length * 2 > voters.length
          ? 'No leader: an election is in progress. Changes wait until it ends.'
          : `No majority: ${alive.length} of ${voters.length} voters answer. Nothing can be written until ${formatCount(Math.floor(voters.length / 2) + 1)} do.`,
    })
  const cut = local.links.filter(({ state }) => state !== 'open')
  if (cut.length > 0)
    alarms.push({ kind: 'warning', text: `${describeCut(cut)}.`, command: 'quorate cluster heal' })
  for (const member of members) {
    const node = local.nodes.find(({ name }) => name === member.name)
    alarms.push(...memberAlarms(member, leader, now, node?.state))
  }
  const spare = alive.length - Math.floor(voters.length / 2) - 1
  if (leader !== undefined && spare === 0 && voters.length > 2)
    alarms.push({
      kind: 'warning',
      text: `No voter can be spared: with one more down, nothing can be written.`,
    })
  if (voters.length === 2)
    alarms.push({
      kind: 'warning',
      text: 'Two voters survive no failure. Add a third member.',
      command: 'quorate member add NAME --help',
    })
  return alarms
}

/** Links that are named one by one. */
const LINKS_NAMED = 4

/** `No message passes from n1 to n2, from n2 to n1`. */
function describeCut(links: ControlState['links']): string {
  const named = links.slice(0, LINKS_NAMED).map(({ from, to }) => `from ${from} to ${to}`)
  const left = links.length - named.length
  return `No message passes ${named.join(', ')}${left > 0 ? ` and on ${plural(left, 'other link')}` : ''}`
}

const START_AGAIN =
  'If its process has ended, start it on its machine as before: it has its data. Replace it (Operation) only if its data is lost.'

const PROCESSES = { paused: 'is paused', stopped: 'was stopped', killed: 'was killed' } as const

function* memberAlarms(
  member: ClusterMember,
  leader: ClusterMember | undefined,
  now: number,
  process: ControlledNode['state'] | undefined,
): Generator<Alarm> {
  const { name, status, error, silentSince } = member
  if (error !== undefined) {
    const ms = silentSince === undefined ? undefined : formatDuration(now - silentSince)
    // How long it was silent before, nobody here knows.
    const silence =
      ms === undefined
        ? 'does not answer'
        : status === undefined
          ? `has not answered since this page was opened ${ms} ago`
          : `has not answered for ${ms}`
    yield {
      kind: 'problem',
      text:
        process === undefined || process === 'running'
          ? `${name} ${silence}: ${error}. ${process === undefined ? START_AGAIN : ''}`.trimEnd()
          : `${name} ${silence}: its process ${PROCESSES[process]}.`,
      command: process && `quorate cluster ${process === 'paused' ? 'resume' : 'restart'} ${name}`,
    }
    return
  }
  if (status === undefined) return
  const { entries } = readLag(member, leader?.status?.commitIndex)
  if (entries !== undefined && entries >= LAG_ENTRIES)
    yield { kind: 'warning', text: `${name} lags ${plural(entries, 'entry', 'entries')} behind the leader.` }
  for (const text of status.errors) yield { kind: 'problem', text: `${name}: ${text}` }
  const { diskFreeBytes: free, diskTotalBytes: total } = status
  if (free !== undefined && total !== undefined && free / total < DISK_SHARE_MIN)
    yield {
      kind: 'warning',
      text: `${name} has ${formatBytes(free)} of its disk left. Compaction of old revisions frees some.`,
      command: `quorate compact ${Math.max(0, status.revision - 1)}`,
    }
  for (const { file, expiresInMs } of status.certificates) {
    const days = Math.floor(expiresInMs / DAY_MS)
    if (days >= CERTIFICATE_DAYS_MIN) continue
    yield {
      kind: days < 0 ? 'problem' : 'warning',
      text:
        days < 0
          ? `${name}: the certificate in ${file} has expired.`
          : `${name}: the certificate in ${file} ends in ${plural(days, 'day')}.`,
      command: `quorate cert renew ${name}`,
    }
  }
}
