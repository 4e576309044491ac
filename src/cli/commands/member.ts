// kv member list | add | remove | replace

import { Command } from '@commander-js/extra-typings'
import type { ClusterInfo, Member } from '../../client/index.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { MemberDocument } from '../../operations/documents/members.ts'
import { describeVoters } from '../../operations/forms/members.ts'
import { type CommandContext, checkedByClient, withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { parseText } from '../flags/flag-values.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { byName, say } from '../terminal/output.ts'
import { confirm } from '../terminal/questions.ts'
import { printList } from '../terminal/table.ts'

export const command = ({ flags }: ProgramContext) =>
  new Command('member')
    .description('see and change who belongs to the cluster')
    .addCommand(
      withExamples(new Command('list'), ['kv member list'])
        .description('name, role and addresses of every member')
        .action(() => listMembers(flags())),
    )
    .addCommand(
      withReplicaFlags(
        withExamples(new Command('add'), [
          'kv member add n4 --replica-id 1234 --peer 127.0.0.1:9104 --url http://127.0.0.1:7304',
        ]),
      )
        .description('add a node as a learner; it becomes a voter once it has caught up')
        .argument('<name>', '', parseText)
        .action((name, options) => addMember(flags(), name, options)),
    )
    .addCommand(
      withExamples(new Command('remove'), ['kv member remove n4', 'kv member remove n4 --yes'])
        .description('remove a node; asks first if it is a voter; refused without a quorum')
        .argument('<name>', '', parseText)
        .option('--yes', 'do not ask; needed without a terminal when the node is a voter')
        .action((name, { yes }) => removeMember(flags(), name, yes === true)),
    )
    .addCommand(
      withReplicaFlags(
        withExamples(new Command('replace'), [
          'kv member replace n3 --replica-id 5678 --peer 127.0.0.1:9103 --url http://127.0.0.1:7303',
        ]),
      )
        .description('drop a lost replica and add a new one in its place, in one change')
        .argument('<name>', '', parseText)
        .option('--name <name>', 'a new name for it', parseText)
        .action((name, options) => replaceMember(flags(), name, options)),
    )

function withReplicaFlags(command: Command) {
  return command
    .requiredOption('--replica-id <id>', 'the id that its data directory was formatted with', parseText)
    .requiredOption('--peer <host:port>', 'its peer listener', parseText)
    .requiredOption('--url <url>', 'its HTTP API', parseText)
}

const LEADER_MS_MAX = 500
const CHANGE = { kind: 'write', check: `${PROGRAM} member list` } as const

interface NewMemberFlags {
  readonly replicaId: string
  readonly peer: string
  readonly url: string
}

async function listMembers(global: GlobalFlags): Promise<void> {
  await withContext(global, { kind: 'read' }, async (context) => {
    const { format } = context
    const { leader, members } = await viewOfLeader(context)
    await printList<Member>(
      format,
      byName(members),
      MemberDocument.encode,
      [
        { title: 'NAME', cell: (member) => member.name },
        { title: 'ROLE', cell: (member) => member.role },
        { title: 'LEADER', cell: (member) => (member.name === leader ? 'leader' : undefined) },
        { title: 'REPLICA ID', cell: (member) => member.replicaId, wide: true },
        { title: 'URL', cell: (member) => member.url, keepsEnd: true },
        { title: 'PEER', cell: (member) => member.peer, keepsEnd: true },
        { title: 'MATCH', cell: (member) => member.matchIndex || undefined, alignRight: true },
      ],
      (member) => (member.name === leader ? 'green' : undefined),
    )
  })
}

/**
 * Only the leader knows how far each log matches. If the leader does not answer, the answer of another node is used.
 */
async function viewOfLeader({ client, endpoints, signal }: CommandContext): Promise<ClusterInfo> {
  const known = await client.cluster({ signal })
  const leader = known.members.find((member) => member.name === known.leader)
  const isLeader = known.members.some((member) => member.matchIndex !== undefined)
  const isGiven = leader !== undefined && client.endpoints.includes(leader.url)
  if (leader === undefined || isLeader || (endpoints.explicit && !isGiven)) return known
  return client.cluster({ endpoint: leader.url, timeoutMs: LEADER_MS_MAX, signal }).catch(() => known)
}

async function addMember(global: GlobalFlags, name: string, flags: NewMemberFlags): Promise<void> {
  await withContext(global, CHANGE, async ({ client, signal }) => {
    await checkedByClient(() => client.addMember({ name, ...flags }, { signal }))
    say(`${name} is a member now: a learner until it has caught up, then a voter; see ${PROGRAM} member list`)
  })
}

async function removeMember(global: GlobalFlags, name: string, yes: boolean): Promise<void> {
  await withContext(global, CHANGE, async ({ client, signal, contextName }) => {
    if (!yes) {
      const { members } = await client.cluster({ signal })
      const voters = members.filter(({ role }) => role === 'voter')
      const left = voters.filter((voter) => voter.name !== name).length
      if (left < voters.length)
        await confirm(`this removes ${name}, a voter, and leaves ${describeVoters(left)}`, contextName)
    }
    await client.removeMember(name, { signal })
    say(`${name} is no longer a member`)
  })
}

async function replaceMember(
  global: GlobalFlags,
  name: string,
  flags: NewMemberFlags & { readonly name?: string | undefined },
): Promise<void> {
  await withContext(global, CHANGE, async ({ client, signal }) => {
    const { replicaId, peer, url } = flags
    const member = { name: flags.name ?? name, replicaId, peer, url }
    await checkedByClient(() => client.replaceMember(name, member, { signal }))
    say(`${member.name} is now the replica ${replicaId}`)
  })
}
