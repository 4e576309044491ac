// Votes, terms, time-outs (paper §5.2, §5.4.1; thesis §4.2.3, §6.2, §9.6).

import type { Mutant } from '../mutant.ts'
import {
  DRIVER_TESTS,
  edit,
  RAFT,
  RAFT_PROPOSALS,
  RAFT_TESTS,
  SIM,
  SIM_UNIT,
  STORE_TESTS,
  TRANSFER,
  UNIT,
} from './edit.ts'

export const ELECTIONS: readonly Mutant[] = [
  {
    id: 'M474',
    title: 'a candidate campaigns again while its own vote is being written',
    why: 'With slow disks each election makes the next one wait for one more write: for minutes there is no winner.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(RAFT, 'if (this.#termWrite > this.#log.storedWrite) this.#arm', 'if (this.#now < 0) this.#arm'),
    ],
  },
  {
    id: 'M477',
    title: 'a replica that has voted campaigns while its vote is being written',
    why: 'If disks are slower than elections, no candidate has enough time to win.',
    layers: UNIT,
    tests: ['test/raft/elections.test.ts'],
    edits: [
      edit(
        RAFT,
        'if (this.#termWrite > this.#log.storedWrite) this.#arm',
        "if (this.#role === 'candidate' && !this.#votes.has(this.id)) this.#arm",
      ),
    ],
  },
  {
    id: 'M478',
    title:
      'only a replica that fails over gives the others as much time for their votes as its own disk took',
    why: 'If disks are slower than elections, the next election begins before the votes can arrive.',
    layers: UNIT,
    tests: ['test/raft/elections.test.ts'],
    edits: [
      edit(RAFT, 'Math.max(patienceMs, electionMinMs, apartMs / 2)', 'Math.max(electionMinMs, apartMs / 2)'),
    ],
  },
  {
    id: 'M481',
    title: 'elections without a winner follow one another as fast as before',
    why: 'If a replica whose disk is slower than elections must vote, each election makes it write once more, and no leader is ever elected.',
    layers: SIM_UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        RAFT,
        'Math.max(electionMinMs, Math.min(sinceMs, SLOW_DISK_MAX * electionMaxMs))',
        'electionMinMs',
      ),
    ],
  },
  {
    id: 'M482',
    title: 'only a candidate waits longer after an election without a winner',
    why: 'Two replicas with fast disks take turns in making the slow voter write.',
    layers: UNIT,
    tests: ['test/raft/elections.test.ts'],
    edits: [
      edit(
        RAFT,
        '        this.#hardStateChanged = true\n        this.#electionsSince ??= this.#now\n',
        '        this.#hardStateChanged = true\n',
      ),
    ],
  },
  {
    id: 'M483',
    title: 'elections without a winner are remembered although there is a leader',
    why: 'When that leader dies, its followers wait for seconds.',
    layers: UNIT,
    tests: ['test/raft/elections.test.ts'],
    edits: [
      edit(
        RAFT,
        '    this.#electionsSince = undefined\n    this.#armElection()\n',
        '    this.#armElection()\n',
      ),
    ],
  },
  {
    id: 'M484',
    title: 'elections without a winner count by their number, however quickly they followed one another',
    why: 'With 80 ms between two sites and back, a fail-over makes several in half a second; then there is no election for many seconds.',
    layers: UNIT,
    tests: ['test/raft/elections.test.ts'],
    edits: [
      edit(
        RAFT,
        'const sinceMs = this.#now - (',
        'const sinceMs = 4 * this.#timing.electionMaxMs + this.#now - (',
      ),
    ],
  },
  {
    id: 'M485',
    title: 'the further apart elections are, the less their distance varies',
    why: 'With slow messages, replicas that campaigned together do so again.',
    layers: UNIT,
    tests: ['test/raft/elections.test.ts'],
    edits: [
      edit(
        RAFT,
        'random * Math.max(electionMaxMs - electionMinMs, apartMs)',
        'random * (electionMaxMs - electionMinMs)',
      ),
    ],
  },
  {
    id: 'M475',
    title: 'the time for the votes of others begins before the own vote is durable',
    why: 'With slow disks it is over before they can answer.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        RAFT,
        '      this.#armElection(\n        timeForDisk(Math.max(this.#timing.failoverDelayMaxMs, tookMs), this.#timing),\n        this.#electionsApartMs(),\n      )\n',
        '',
      ),
    ],
  },
  {
    id: 'M01',
    title: 'a vote leaves before it is durable',
    why: 'After a crash the voter has forgotten it and votes again in the same term: two leaders.',
    layers: SIM,
    edits: [
      edit(
        RAFT,
        `      case 'pre-vote-answer':
        return 0`,
        `      case 'pre-vote-answer':
      case 'vote-answer':
        return 0`,
      ),
    ],
  },
  {
    id: 'M02',
    title: 'a vote does not bind the replica that gave it',
    why: 'A replica votes for two candidates of one term.',
    layers: SIM,
    edits: [
      edit(
        RAFT,
        'const free = this.#vote === from || (this.#vote === undefined && this.#leader === undefined)',
        'const free = this.#leader === undefined',
      ),
    ],
  },
  {
    id: 'M03',
    title: 'only the length of the log decides which candidate may be elected',
    why: 'A long log of an old term wins over a shorter one that holds committed entries.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'lastTerm > this.#log.lastTerm || (lastTerm === this.#log.lastTerm && lastIndex >= this.#log.last)',
        'lastTerm >= 0 && lastIndex >= this.#log.last',
      ),
    ],
  },
  {
    id: 'M04',
    title: 'the commit index decides which candidate may be elected',
    why: 'Entries that are committed and not yet known to be are lost with the election.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'lastTerm > this.#log.lastTerm || (lastTerm === this.#log.lastTerm && lastIndex >= this.#log.last)',
        'lastTerm >= (this.#log.termAt(this.#log.commit) ?? 0) && lastIndex >= this.#log.commit',
      ),
    ],
  },
  {
    id: 'M05',
    title: 'votes of an earlier term are counted',
    why: 'Two elections in quick succession add up to one majority (Xraft 33).',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        `    if (message.term < this.#term) {
      this.#onOldTerm(message)`,
        `    if (message.term < this.#term && message.type !== 'vote-answer') {
      this.#onOldTerm(message)`,
      ),
      edit(
        RAFT,
        'if (this.#role !== wanted || term !== expected) return',
        'if (this.#role !== wanted || term > expected) return',
      ),
    ],
  },
  {
    id: 'M07',
    title: 'votes are counted whichever replica they come from',
    why: 'Within a joint configuration a majority of one half counts for both.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        'src/raft/quorum.ts',
        `  for (const id of ids) {
    const vote = votes.get(id)`,
        '  for (const vote of votes.values()) {',
      ),
    ],
  },
  {
    id: 'M08',
    title: 'half of the voters elects a leader',
    why: 'A quorum of half of them: two halves, two leaders.',
    layers: SIM,
    edits: [
      edit(
        'src/raft/quorum.ts',
        'const majority = (ids.length >> 1) + 1',
        'const majority = Math.max(1, ids.length >> 1)',
      ),
    ],
  },
  {
    id: 'M09',
    title: 'a candidate that hears the leader of its term stays a candidate',
    why: 'It never follows, and knows no leader.',
    layers: SIM,
    edits: [
      edit(
        RAFT,
        'if (this.#leader === undefined) {',
        "if (this.#role === 'follower' && this.#leader === undefined) {",
      ),
    ],
  },
  {
    id: 'M10',
    title: 'a pre-vote is granted while a leader is heard',
    why: 'One replica that hears no leader deposes a leader that all others hear, again and again (DaosRaft 70).',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'const sticky = !transfer && this.#hearsLeader()',
        'const sticky = !transfer && !pre && this.#hearsLeader()',
      ),
    ],
  },
  {
    id: 'M11',
    title: 'a leader grants votes and pre-votes',
    why: 'It helps to depose itself.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [edit(RAFT, "    if (this.#role === 'leader') return true\n", '')],
  },
  {
    id: 'M12',
    title: 'a leader that hears no majority stays leader',
    why: 'Its clients wait for it, and followers that still hear it elect no other.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'if (this.#now - heard >= electionMaxMs) {',
        'if (this.#now - heard === Number.POSITIVE_INFINITY) {',
      ),
    ],
  },
  {
    id: 'M13',
    title: 'there is no pre-vote',
    why: 'A replica that hears no leader raises the term again and again, and disturbs every replica that hears it.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [edit(RAFT, 'else this.#preVote()', 'else this.#elect(false)')],
  },
  {
    id: 'M14',
    title: 'every replica has the same election time-out',
    why: 'All of them become candidates together, again and again.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'random * Math.max(electionMaxMs - electionMinMs, apartMs)',
        '(electionMaxMs - electionMinMs) / 2',
      ),
    ],
  },
  {
    id: 'M15',
    title: 'a snapshot overwrites term and vote',
    why: 'The stored term falls below one that was answered (WRaft 118.4).',
    layers: SIM_UNIT,
    tests: [...STORE_TESTS, 'test/storage/storage.prop.test.ts'],
    edits: [
      edit(
        'src/storage/store.ts',
        `          hardState,
          logStart`,
        `          hardState: install === undefined ? hardState : { ...hardState, term: install.applied.term, vote: undefined },
          logStart`,
      ),
    ],
  },
  {
    id: 'M80',
    title: 'a process that was stopped for a while campaigns before it has read its messages',
    why: 'The messages of the leader from that time are still in the sockets, so a stall becomes an election.',
    layers: SIM_UNIT,
    tests: ['test/server/node/driver.test.ts'],
    edits: [
      edit(
        'src/server/node/driver.ts',
        'if (mayElect || late > this.#options.timing.heartbeatMs) this.#clock.soon(() => this.#clock.soon(tick))\n    else tick()',
        'if (late > Number.MAX_VALUE) this.#clock.soon(() => this.#clock.soon(tick))\n    else tick()',
      ),
    ],
  },
  {
    id: 'M641',
    title: 'a stall that ends just after an election time-out is not noticed',
    why: 'The same when the timer fires in time: a process continues with timers before it reads. Our own.',
    layers: SIM_UNIT,
    tests: ['test/server/node/driver.test.ts'],
    edits: [edit('src/server/node/driver.ts', 'if (mayElect || late', 'if (late')],
  },
  {
    id: 'M643',
    title: 'a follower whose disk has no room answers as if the cluster had none',
    why: 'Its clients consider that final: every third change fails, although any other node would accept it. Our own.',
    layers: UNIT,
    tests: ['test/server/node/disk-space.test.ts'],
    edits: [
      edit(
        RAFT_PROPOSALS,
        "{ reason: 'overloaded', detail: 'the disk of this node is nearly full' }",
        "{ reason: 'storage-full', detail: 'the disk of this node is nearly full' }",
      ),
    ],
  },
  {
    id: 'M81',
    title: 'leadership is handed to a replica that lacks entries',
    why: 'It cannot win, and the cluster is without a leader for an election time-out.',
    layers: UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        TRANSFER,
        'if (follower.match < this.#replica.log.last) {\n      this.#actions.replicate(follower)',
        'if (follower.match < 0) {\n      this.#actions.replicate(follower)',
      ),
    ],
  },
  {
    id: 'M117',
    title: 'a restart takes the term from the log',
    why: 'Terms without an entry are repeated, with another vote.',
    layers: SIM,
    edits: [
      edit(
        RAFT,
        '    this.#term = hardState.term\n',
        '    this.#term = log.termAt(log.lastIndex()) ?? hardState.term\n',
      ),
    ],
  },
  {
    id: 'M346',
    title: 'all replicas that granted a pre-vote after their leader broke off wait equally long',
    why: 'They campaign at the same moment if the first does not win, and two of them do so again and again.',
    layers: UNIT,
    tests: ['test/raft/connections.test.ts'],
    edits: [edit(RAFT, 'failoverDelayMaxMs * (1 + this.#random())\n', 'failoverDelayMaxMs\n')],
  },
]
