// kv member list | add | remove | replace

import type { ClusterInfo, Member } from '../../client/index.ts'
import { PROGRAM } from '../../local/program-name.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { byName, RowWriter, say, toJson, writeLine } from '../output.ts'
import { inSession, type Session } from '../session.ts'
import { memberJson } from '../shapes.ts'

const LEADER_MS_MAX = 500
const CHANGE = { kind: 'write', check: `${PROGRAM} member list` } as const

export interface NewMemberFlags {
  readonly replicaId: string
  readonly peer: string
  readonly url: string
}

export async function listMembers(global: GlobalFlags): Promise<void> {
  await inSession(global, { kind: 'read' }, async (session) => {
    const { format } = session
    const { leader, members } = await asTheLeaderKnows(session)
    const sorted = byName(members)
    if (format === 'json') return writeLine(toJson(sorted.map(memberJson)))
    if (format === 'ndjson') {
      for (const member of sorted) await writeLine(JSON.stringify(memberJson(member)))
      return
    }
    const table = new RowWriter<Member>(
      [
        { title: 'NAME', cell: (member) => member.name },
        { title: 'ROLE', cell: (member) => member.role },
        { title: 'LEADER', cell: (member) => (member.name === leader ? 'leader' : undefined) },
        { title: 'REPLICA ID', cell: (member) => member.replicaId, wide: true },
        { title: 'URL', cell: (member) => member.url },
        { title: 'PEER', cell: (member) => member.peer },
        { title: 'MATCH', cell: (member) => member.matchIndex, alignRight: true },
      ],
      format,
      (member) => (member.name === leader ? 'green' : undefined),
    )
    for (const member of sorted) await table.add(member)
    await table.end()
  })
}

/**
 * Only the leader knows how far each log matches. If the leader does not answer, the answer of another node is used.
 */
async function asTheLeaderKnows({ client, endpoints, signal }: Session): Promise<ClusterInfo> {
  const known = await client.cluster({ signal })
  const leader = known.members.find((member) => member.name === known.leader)
  const isLeader = known.members.some((member) => member.matchIndex !== undefined)
  if (endpoints.explicit || leader === undefined || isLeader) return known
  return client.cluster({ endpoint: leader.url, timeoutMs: LEADER_MS_MAX, signal }).catch(() => known)
}

export async function addMember(global: GlobalFlags, name: string, flags: NewMemberFlags): Promise<void> {
  await inSession(global, CHANGE, async ({ client, signal }) => {
    await client.addMember({ name, ...flags }, { signal })
    say(`${name} is a learner now, and becomes a voter once it has caught up; see ${PROGRAM} member list`)
  })
}

export async function removeMember(global: GlobalFlags, name: string): Promise<void> {
  await inSession(global, CHANGE, async ({ client, signal }) => {
    await client.removeMember(name, { signal })
    say(`${name} is no member any more`)
  })
}

export async function replaceMember(
  global: GlobalFlags,
  name: string,
  flags: NewMemberFlags & { readonly name?: string | undefined },
): Promise<void> {
  await inSession(global, CHANGE, async ({ client, signal }) => {
    const { replicaId, peer, url } = flags
    await client.replaceMember(name, { name: flags.name ?? name, replicaId, peer, url }, { signal })
    say(`${name} is now the replica ${replicaId}`)
  })
}
