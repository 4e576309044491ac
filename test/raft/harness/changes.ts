// Configurations and changes in one line of text: `+4 4 -1 ~2` adds learner 4, promotes 4, removes 1, demotes 2; `2:db`
// renames 2.

import type { ChangeStep, Configuration, ReplicaId } from '../../../src/raft/types.ts'
import { id, memberNamed } from './members.ts'

export function stepsOf(text: string): ChangeStep[] {
  return text.split(' ').map((word): ChangeStep => {
    const [who = '', name] = word.replace(/^[+~-]/, '').split(':')
    const replica = id(Number(who))
    const member = memberNamed(name ?? `n${who}`, replica)
    if (word.startsWith('+')) return { kind: 'add-learner', member }
    if (word.startsWith('~')) return { kind: 'demote', id: replica }
    if (word.startsWith('-')) return { kind: 'remove', id: replica }
    return name === undefined ? { kind: 'promote', id: replica } : { kind: 'update', member }
  })
}

/** `voters=1,2 outgoing=1 learners=3`, without empty parts. */
export function showConfiguration(
  configuration: Configuration,
  nameOf: (id: ReplicaId) => string = String,
): string {
  const { voters, votersOutgoing, learners, learnersNext, demoted, removed } = configuration
  return Object.entries({ voters, outgoing: votersOutgoing, learners, next: learnersNext, demoted, removed })
    .filter(([, ids]) => ids.length > 0)
    .map(([key, ids]) => `${key}=${ids.map(nameOf).join(',')}`)
    .join(' ')
}
