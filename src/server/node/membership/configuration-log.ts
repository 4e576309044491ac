// Descriptions of configuration changes for an operator, with the names of the members: "n4 is a voter".

import { type Configuration, isJoint, type RaftMember, type ReplicaId } from '../../../raft/index.ts'

interface ConfigurationLog {
  readonly message: string
  readonly voters: readonly string[]
  /** The voters before the change, during a joint configuration. */
  readonly votersOutgoing: readonly string[]
  readonly learners: readonly string[]
}

export function configurationLog(before: Configuration, after: Configuration): ConfigurationLog {
  const names = new Map([...before.members, ...after.members].map(({ id, name }) => [id, name]))
  const memberNames = (ids: readonly ReplicaId[]): string[] => ids.map((id) => names.get(id) ?? id).sort()
  const voters = memberNames(after.voters)
  const votersOutgoing = memberNames(after.votersOutgoing)
  const message = isJoint(after)
    ? `the voters change from ${votersOutgoing.join(', ')} to ${voters.join(', ')}`
    : describeChange(before, after)
  return { message, voters, votersOutgoing, learners: memberNames(after.learners) }
}

function describeChange(before: Configuration, after: Configuration): string {
  const isNew = ({ id }: RaftMember): boolean => findRole(before, id) !== findRole(after, id)
  const isGone = ({ id }: RaftMember): boolean => findRole(after, id) === undefined
  const isReplaced = (gone: RaftMember): boolean =>
    after.members.some(({ id, name }) => name === gone.name && id !== gone.id)
  const goneName = (member: RaftMember): string =>
    isReplaced(member) ? `the former replica of ${member.name}` : member.name
  const became = (role: Role): string[] =>
    after.members.flatMap((member) =>
      isNew(member) && findRole(after, member.id) === role ? member.name : [],
    )
  const facts = [
    describeMembers(became('voter'), 'is a voter', 'are voters'),
    describeMembers(became('learner'), 'is a learner', 'are learners'),
    describeMembers(
      before.members.filter(isGone).map(goneName),
      'is no member any more',
      'are no members any more',
    ),
  ].filter((text) => text !== '')
  return facts.length > 0 ? facts.join('; ') : 'names or addresses of members changed'
}

type Role = 'voter' | 'learner'

/** In a joint configuration, a replica that is a voter of one half only has no role yet. */
function findRole({ voters, votersOutgoing, learners }: Configuration, id: ReplicaId): Role | undefined {
  if (learners.includes(id)) return 'learner'
  const isInAll = voters.includes(id) && (votersOutgoing.length === 0 || votersOutgoing.includes(id))
  return isInAll ? 'voter' : undefined
}

function describeMembers(names: readonly string[], one: string, several: string): string {
  if (names.length === 0) return ''
  return `${[...names].sort().join(', ')} ${names.length === 1 ? one : several}`
}
