// Changes of the configuration (paper §6, thesis §4), and identities of replicas.

import type { Mutant } from '../mutant.ts'
import { DRIVER_TESTS, edit, MEMBERSHIP, PEERS, RAFT, RAFT_TESTS, SIM_UNIT, UNIT } from './edit.ts'

const QUORUM = 'src/raft/quorum.ts'

export const MEMBERSHIP_CHANGES: readonly Mutant[] = [
  {
    id: 'M64',
    title: 'a second change is accepted before the first is applied',
    why: 'It was judged by an old configuration.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        MEMBERSHIP,
        'if (unapplied !== undefined) return `another',
        'if (unapplied === 0) return `another',
      ),
    ],
  },
  {
    id: 'M343',
    title: 'a new leader treats replicas that it has not heard of yet as gone',
    why: 'A change of voters right after an election is refused permanently, because a running replica "cannot be reached".',
    layers: UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        MEMBERSHIP,
        'if (!isLost(away.filter((id) => !isUnheard(id)).length)) {',
        'if (!isLost(away.length)) {',
      ),
    ],
  },
  {
    id: 'M65',
    title: 'a change is accepted before an entry of the term is committed',
    why: 'The leader may not know the newest configuration (Ongaro, raft-dev 2015).',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [edit(MEMBERSHIP, 'if (!committedInTerm) return', 'if (committedInTerm === undefined) return')],
  },
  {
    id: 'M66',
    title: 'within a joint configuration the new majority alone commits',
    why: 'The old one can still elect another leader.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        QUORUM,
        'return Math.min(incoming, majorityCommitted(configuration.votersOutgoing, reached))',
        'return incoming',
      ),
    ],
  },
  {
    id: 'M67',
    title: 'a removed leader stays leader',
    why: 'It is not a voter and never hands over.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        '    lead.retiring = { deadline: this.#now + this.#timing.electionMaxMs }\n',
        '    if (index < 0) lead.retiring = { deadline: this.#now }\n',
      ),
    ],
  },
  {
    id: 'M68',
    title: 'a leader removes voters until the remaining ones cannot be reached',
    why: 'The cluster loses its quorum by its own doing (Redis-Raft 17, 44).',
    layers: UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        MEMBERSHIP,
        'if (!isLost(away.length)) return undefined',
        'if (away.length >= 0) return undefined',
      ),
    ],
  },
  {
    id: 'M69',
    title: 'a replica that has lost its vote takes part',
    why: 'It votes a second time in a term in which it has voted (NATS and RethinkDB had that).',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [edit(PEERS, 'if (term < heard)\n', 'if (term < heard - heard)\n')],
  },
  {
    id: 'M70',
    title: 'learners count as voters',
    why: 'They have no vote: a leader that they never heard of is elected without them.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        QUORUM,
        'const incoming = majorityCommitted(configuration.voters, reached)',
        'const incoming = majorityCommitted([...configuration.voters, ...configuration.learners], reached)',
      ),
    ],
  },
  {
    id: 'M104',
    title: 'within a joint configuration the new majority alone elects',
    why: 'The old one can elect another leader of the same term.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        QUORUM,
        "return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending'",
        "return incoming === 'won' ? 'won' : 'pending'",
      ),
    ],
  },
  {
    id: 'M105',
    title: 'a replica that is not a voter campaigns',
    why: 'A removed one disturbs the others.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [edit(RAFT, "    if (!isVoter(this.configuration, this.id)) return 'not a voter'\n", '')],
  },
  {
    id: 'M106',
    title: 'a replica campaigns with a configuration that it knows to be old',
    why: 'A change is committed and not applied here: it counts the wrong voters.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'if ((this.#membership.unapplied.oldest ?? Number.POSITIVE_INFINITY) <= this.#log.commit) {',
        'if ((this.#membership.unapplied.oldest ?? Number.POSITIVE_INFINITY) < 0) {',
      ),
    ],
  },
  {
    id: 'M107',
    title: 'a truncated change stays recorded',
    why: 'It counts as a change that waits, and as one that is applied later.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [edit(RAFT, '    this.#membership.unapplied.truncatedFrom(from)\n', '')],
  },
  {
    id: 'M320',
    title: 'a pre-candidate that learns of a committed change continues with the old configuration',
    why: 'Votes must be counted by the last committed configuration, once that is known.',
    layers: UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        '      this.#log.commitTo(commit)\n      this.#giveUpCampaign()\n',
        '      this.#log.commitTo(commit)\n',
      ),
    ],
  },
  {
    id: 'M321',
    title: 'followers disconnect from a removed leader before it has handed over',
    why: 'It is told to stop, and there is no leader until an election time-out has passed.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        'src/server/node/driver.ts',
        '    this.#keepOutgoing(before)\n    this.#setPeers()\n',
        '    this.#setPeers()\n',
      ),
    ],
  },
  {
    id: 'M430',
    title: 'the end of a joint configuration is told and applied before it is durable',
    why: 'A crash forgets it, and the only remaining voter waits without end for the vote of the removed one.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'return leave !== undefined && leave <= commit ? ((leave - 1) as LogIndex) : commit',
        'return leave === undefined ? commit : commit',
      ),
    ],
  },
  {
    id: 'M431',
    title: 'a removed leader ends although perhaps no remaining voter knows of the removal',
    why: 'Without its vote they cannot leave the joint configuration: the cluster never has a leader again.',
    layers: SIM_UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        'src/server/node/driver.ts',
        'if (this.#endsSoon || !settled || leader === undefined || leader === this.#replicaId) return',
        "if (this.#endsSoon || this.#raft.role === 'leader') return",
      ),
    ],
  },
  {
    id: 'M432',
    title: 'the removal of a leader is answered before the others know of it',
    why: 'The operator deletes the node, and the others still need its vote.',
    layers: SIM_UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        'src/server/node/driver.ts',
        '!isJoint(this.#configuration) && this.#raft.settled',
        '!isJoint(this.#configuration)',
      ),
    ],
  },
  {
    id: 'M433',
    title: 'a candidate learns of commits only from votes that are refused',
    why: 'Of the remaining voters, the one with the longest log waits without end for the votes of the removed ones.',
    layers: UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'if (isNews && this.#lead === undefined) {',
        'if (!granted && isNews && this.#lead === undefined) {',
      ),
    ],
  },
  {
    id: 'M434',
    title:
      'a removed replica is told, and its removal answered, while only the leader knows that the joint configuration is left',
    why: 'If the leader is lost, the remaining voters wait without end for the vote of the removed one.',
    layers: SIM_UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        MEMBERSHIP,
        'return this.#appliedByMajority >= this.#leftJointAt',
        'return this.#leftJointAt >= 0',
      ),
    ],
  },
  {
    id: 'M435',
    title: 'a removed replica is told before the others no longer need it',
    why: 'It ends, and the operator deletes it.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        RAFT,
        'if (lead === undefined) return commit',
        'if (lead === undefined || lead.firstIndex >= 0) return commit',
      ),
    ],
  },
  {
    id: 'M448',
    title: 'a removed replica is told while the leader has not applied the removal',
    why: 'The next message of the leader takes that back: its commit index is lower.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'if (leave !== undefined && leave <= commit && !this',
        'if (leave !== undefined && leave < 0 && !this',
      ),
    ],
  },
  {
    id: 'M470',
    title: 'a node that knows of a removal tells the removed one to stop, even if the others may need it',
    why: 'If the nodes that know of it are lost, a majority that does not know waits without end for the vote of the stopped one.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        'src/server/node/driver.ts',
        'return { refuse, stop: this.#raft.settled }',
        'return { refuse, stop: true }',
      ),
    ],
  },
  {
    id: 'M471',
    title: 'a snapshot counts as applied before it is durable',
    why: 'A crash takes it back, and the replicas that it had removed are gone.',
    layers: UNIT,
    tests: ['test/raft/pitfalls.test.ts'],
    edits: [
      edit(
        RAFT,
        'applied: this.#log.visible,\n      lastIndex',
        'applied: this.#log.applied,\n      lastIndex',
      ),
    ],
  },
  {
    id: 'M436',
    title: 'a leader disconnects from a removed replica while the others may need it',
    why: 'The replica calls again, and is told to stop.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        'src/server/node/driver.ts',
        '(leader === this.#replicaId ? !settled : id === leader) &&',
        '(!settled || settled) && id === leader &&',
      ),
    ],
  },
]
