// Appending, committing, acknowledging (paper §5.3, §5.4.2).

import type { Mutant } from '../mutant.ts'
import { edit, LOG, RAFT, RAFT_TESTS, SIM, SIM_UNIT, UNIT } from './edit.ts'

const PROGRESS = 'src/raft/progress.ts'

export const REPLICATION: readonly Mutant[] = [
  {
    id: 'M17',
    title: 'entries of earlier terms are committed by counting',
    why: 'Figure 8 of the paper: a majority holds them, and they are overwritten all the same (LogCabin 44, PySyncObj 169).',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'if (index <= this.#log.commit || this.#log.termAt(index as LogIndex) !== this.#term) return',
        'if (index <= this.#log.commit) return',
      ),
    ],
  },
  {
    id: 'M18',
    title: 'a new leader appends no entry',
    why: 'Entries of earlier terms are not committed, and reads wait, until a client writes.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [edit(RAFT, '    this.#appendOwn(lead, ENTRY_NOOP, new Uint8Array(0))\n', '')],
  },
  {
    id: 'M19',
    title: 'an append truncates the log without a conflict',
    why: 'A late append deletes entries that were acknowledged since (willemt 37, RaftOS 26, CCF 5991).',
    layers: SIM,
    edits: [edit(RAFT, '        if (this.#log.matches(entry.index, entry.term)) continue\n', '')],
  },
  {
    id: 'M20',
    title: 'committed entries are truncated, and nothing prevents that',
    why: 'Like M19, without the check of the commit index and without the assertions after it.',
    layers: SIM,
    edits: [
      edit(RAFT, '        if (this.#log.matches(entry.index, entry.term)) continue\n', ''),
      edit(RAFT, 'if (prevIndex < this.#log.commit) {', 'if (prevIndex < 0) {'),
      edit(LOG, 'invariant(from > this.#commit, () =>', 'invariant(from > 0, () =>'),
    ],
  },
  {
    id: 'M21',
    title: 'a follower commits up to the end of its log, not to the last compared entry',
    why: 'The entries after that may be of another leader (ScyllaDB 9965, WRaft 118.2, etcd raft 139).',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'const commit = Math.min(message.commit, verified) as LogIndex',
        'const commit = Math.min(message.commit, this.#log.last) as LogIndex',
      ),
    ],
  },
  {
    id: 'M22',
    title: 'an old message lowers the commit index',
    why: 'Applied entries count as uncommitted again (PySyncObj 166).',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'if (commit > this.#log.commit) this.#log.commitTo(commit)\n    this.#accept',
        'if (commit !== this.#log.commit) this.#log.commitTo(commit)\n    this.#accept',
      ),
    ],
  },
  {
    id: 'M23',
    title: 'an append without entries is not compared with the log',
    why: 'A probe is accepted that should have been refused (c5 43).',
    layers: SIM,
    edits: [
      edit(
        RAFT,
        'if (!this.#log.matches(prevIndex, prevTerm)) {\n      this.#reject',
        'if (entries.length > 0 && !this.#log.matches(prevIndex, prevTerm)) {\n      this.#reject',
      ),
    ],
  },
  {
    id: 'M25',
    title: 'a follower acknowledges its whole log instead of the compared part',
    why: 'The rest may be of another leader, and is counted (RaftOS 25, PySyncObj 167).',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [edit(RAFT, 'this.#accept(from, verified, round)', 'this.#accept(from, this.#log.last, round)')],
  },
  {
    id: 'M26',
    title: 'the next index to send is the last acknowledged one',
    why: 'Every append repeats an entry, which breaks match < next.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        PROGRESS,
        'this.next = (this.match + 1) as LogIndex\n  }\n\n  becomeSnapshot',
        'this.next = this.match\n  }\n\n  becomeSnapshot',
      ),
    ],
  },
  {
    id: 'M27',
    title: 'a leader counts itself before its own disk has finished',
    why: 'An entry is committed on one disk less than a majority.',
    layers: SIM,
    edits: [edit(RAFT, 'id === this.id ? this.#log.stable :', 'id === this.id ? this.#log.last :')],
  },
  {
    id: 'M28',
    title: 'an acknowledgement of an earlier term counts in this term',
    why: 'It is about entries that may have been replaced since.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        `    if (message.term < this.#term) {
      this.#onOldTerm(message)`,
        `    if (message.term < this.#term && message.type !== 'append-accepted') {
      this.#onOldTerm(message)`,
      ),
    ],
  },
  {
    id: 'M29',
    title: 'a refused append is tried again at the same place',
    why: 'Logs that differ never meet (openraft 1501, Nebula 2419).',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        PROGRESS,
        'this.next = Math.max(Math.min(refused, hint + 1), this.match + 1) as LogIndex',
        'this.next = Math.max(this.next, hint - refused, this.match + 1) as LogIndex',
      ),
      edit(
        RAFT,
        'if (follower.rejected(index, hint)) this.#replicate(follower, true)',
        'follower.rejected(index, hint)',
      ),
    ],
  },
  {
    id: 'M30',
    title: 'a deposed leader appends once more, under the new term',
    why: 'Two replicas write the same term (Camunda 5360).',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        '    this.#lead = undefined\n    if (lost !== undefined)',
        '    if (lost !== undefined) this.#appendOwn(lost, ENTRY_NOOP, new Uint8Array(0))\n    this.#lead = undefined\n    if (lost !== undefined)',
      ),
    ],
  },
  {
    id: 'M33',
    title: 'an append after a gap is not refused',
    why: 'Appends sent ahead of their answers overtake each other and leave a gap.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'if (!this.#log.matches(prevIndex, prevTerm)) {\n      this.#reject',
        'if (prevIndex <= this.#log.last && !this.#log.matches(prevIndex, prevTerm)) {\n      this.#reject',
      ),
    ],
  },
  {
    id: 'M46',
    title: 'everything on the disk of the leader counts as committed',
    why: 'It is acknowledged on one disk, and lost with the next election.',
    layers: SIM,
    edits: [
      edit(
        RAFT,
        'if (index <= this.#log.commit || this.#log.termAt(index as LogIndex) !== this.#term) return\n    this.#log.commitTo(index as LogIndex)',
        'if (Math.max(index, this.#log.stable) <= this.#log.commit) return\n    this.#log.commitTo(this.#log.stable)',
      ),
    ],
  },
  {
    id: 'M78',
    title: 'the window of appends under way has no limit',
    why: 'A slow follower fills the memory of its leader.',
    layers: UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        PROGRESS,
        'return this.inflight.messages >= inflightMessagesMax || this.inflight.bytes >= inflightBytesMax',
        'return this.inflight.messages + inflightMessagesMax + inflightBytesMax < 0',
      ),
    ],
  },
  {
    id: 'M82',
    title: 'half of the voters commits',
    why: 'One replica less than a majority: the others elect a leader that has never heard of the entry.',
    layers: SIM,
    edits: [
      edit(
        'src/raft/quorum.ts',
        'return descending[ids.length >> 1] ?? 0',
        'return descending[Math.max(0, (ids.length >> 1) - 1)] ?? 0',
      ),
    ],
  },
  {
    id: 'M83',
    title: 'an entry is acknowledged before it is durable',
    why: 'It is counted on a disk that does not have it.',
    layers: SIM,
    edits: [
      edit(
        RAFT,
        'return Math.max(this.#termWrite, this.#log.writeCovering(message.index))',
        'return this.#termWrite',
      ),
    ],
  },
  {
    id: 'M84',
    title: 'a late answer lowers the acknowledged index',
    why: 'The leader forgets what it knows of a follower.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(PROGRESS, 'if (index <= this.match) return false', 'if (index === this.match) return false'),
    ],
  },
  {
    id: 'M85',
    title: 'a follower is told of a commit beyond what it holds',
    why: 'Its log may differ there: it applies entries of a deposed leader. Our own, in an early version.',
    layers: SIM,
    edits: [
      edit(
        RAFT,
        'commit: Math.min(this.#commitFor(follower), follower.match) as LogIndex,\n      round,',
        'commit: this.#log.commit,\n      round,',
      ),
    ],
  },
  {
    id: 'M86',
    title: 'a truncation does not affect older writes under way',
    why: 'An overtaken write marks other entries of the same index as durable (the ABA of parallel writes).',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [edit(LOG, 'for (const write of this.#pending) if (write.upTo > last) write.upTo = last', '')],
  },
  {
    id: 'M855',
    title: 'entries that left the tail stay in its array',
    why: 'Up to a thousand entries of a batch each were kept, and every one until the next full collection. Our own.',
    layers: UNIT,
    tests: ['test/raft/log.prop.test.ts'],
    edits: [edit(LOG, '      this.#entries[this.#head] = EVICTED\n', '')],
  },
]
