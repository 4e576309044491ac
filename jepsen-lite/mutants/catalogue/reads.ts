// Read indexes, leases, bounds on age (thesis §6.4; RAFT-21, RAFT-22, RAFT-25).

import type { Mutant } from '../mutant.ts'
import {
  ASKED_READS,
  DRIVER_TESTS,
  edit,
  LEADER_STATE,
  LEASES,
  RAFT,
  RAFT_TESTS,
  READ_INDEX,
  SIM,
  SIM_UNIT,
  TRANSFER,
  UNIT,
} from './edit.ts'

export const READS: readonly Mutant[] = [
  {
    id: 'M34',
    title: 'a leader answers reads without asking other replicas',
    why: 'A leader that was deposed and does not know it serves old data (etcd and Consul, 2014).',
    layers: SIM,
    edits: [
      edit(
        READ_INDEX,
        'if (inRound.length > 0) this.#actions.beginRound(lead, inRound)',
        'for (const reader of inRound) this.#confirm(reader, index, false)',
      ),
    ],
  },
  {
    id: 'M35',
    title: 'a new leader answers reads before it has committed anything',
    why: 'It may not know everything that is committed (etcd 7331).',
    layers: SIM,
    edits: [
      edit(
        READ_INDEX,
        'if (!lead.knowsCommit(index)) {\n      for (const read',
        'if (lead.firstIndex === 0) {\n      for (const read',
      ),
      edit(
        RAFT,
        'const readIndex = lead.knowsCommit(this.#log.commit) ? this.#log.commit : undefined',
        'const readIndex = this.#log.commit',
      ),
    ],
  },
  {
    id: 'M716',
    title: 'a leader that lacks one commit considers itself complete',
    why: 'The entry before its first one may have been committed and answered by the previous leader.',
    layers: ['sim', 'unit'],
    tests: ['test/raft/pending.test.ts'],
    edits: [edit(LEADER_STATE, 'commit >= this.firstIndex - 1', 'commit >= this.firstIndex - 2')],
  },
  {
    id: 'M36',
    title: 'read requests share one id',
    why: 'The answer to an old one confirms a newer read (etcd 20418).',
    layers: SIM,
    edits: [edit(ASKED_READS, 'const request = this.#nextRequest++', 'const request = this.#nextRequest')],
  },
  {
    id: 'M37',
    title: 'an earlier round confirms a read',
    why: 'Its answers were given before the read began, perhaps to a leader that has been deposed since.',
    layers: SIM,
    edits: [edit(RAFT, 'of lead.rounds.confirm(confirmed)) {', 'of lead.rounds.confirm(confirmed + 1)) {')],
  },
  {
    id: 'M38',
    title: 'a lease counts from the answers',
    why: 'The promise of the followers began when they were asked.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        LEASES,
        'if (round.number <= number) this.#since = round.startedAt',
        'if (round.number <= number) this.#since = now',
      ),
    ],
  },
  {
    id: 'M39',
    title: 'a lease treats all clocks as equal',
    why: 'A leader with a slow clock serves beyond the promise.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [edit(LEASES, 'now < this.#since + trustMs / (1 + driftMax)', 'now < this.#since + trustMs')],
  },
  {
    id: 'M40',
    title: 'a lease continues during a transfer',
    why: 'The successor is elected despite all promises while the old leader serves reads.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [edit(TRANSFER, '    lead.lease.end()\n', '')],
  },
  {
    id: 'M41',
    title: 'a follower answers a read at its own commit index',
    why: 'That index may be below the one that the leader has confirmed.',
    layers: SIM,
    edits: [
      edit(
        READ_INDEX,
        "for (const id of ids) this.#outcomes.push({ id, outcome: 'confirmed', index, lease })",
        "for (const id of ids) this.#outcomes.push({ id, outcome: 'confirmed', index: this.#replica.log.commit, lease })",
      ),
    ],
  },
  {
    id: 'M42',
    title: 'a confirmed read does not wait until its index is applied',
    why: 'It sees the state from before.',
    layers: SIM,
    edits: [
      edit(
        'src/server/node/reads.ts',
        'const isApplied = this.#state.appliedIndex >= outcome.index',
        'const isApplied = outcome.index >= 0',
      ),
    ],
  },
  {
    id: 'M87',
    title: 'a lease counts promises that are not durable',
    why: 'A follower that restarts without the setting has promised nothing. Our own, found by review.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'const keepsPromise = applied >= since && follower.match >= since',
        'const keepsPromise = applied >= since',
      ),
    ],
  },
  {
    id: 'M88',
    title: 'the start of a process does not count as contact with a leader',
    why: 'The process before it may have promised a lease a moment ago. Our own, in an early version.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'this.#contactAt = this.#leases.promiseMs > 0 ? now : Number.NEGATIVE_INFINITY',
        'this.#contactAt = Number.NEGATIVE_INFINITY',
      ),
    ],
  },
  {
    id: 'M89',
    title: 'a round that began before an answer confirms it',
    why: 'Another replica may have led when the answer was given, so the state is older than is claimed. Our own, found by review.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [edit(RAFT, 'const next = lead.rounds.newest + 1', 'const next = lead.rounds.newest')],
  },
  {
    id: 'M90',
    title: 'the age of the state is proven before the state is applied',
    why: 'The bound belongs to the commit index, not to what is applied.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        'src/raft/freshness.ts',
        'while (this.#first !== undefined && this.#first.readIndex <= index) {',
        'while (this.#first !== undefined && index >= 0) {',
      ),
    ],
  },
  {
    id: 'M91',
    title: 'leases that were switched off are trusted until the change is applied',
    why: 'A replica that has applied it earlier no longer keeps the promise.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        'src/raft/leader-lease.ts',
        '    for (const { setting } of this.#pending) trust = Math.min(trust, setting.on ? setting.durationMs : 0)\n',
        '',
      ),
    ],
  },
  {
    id: 'M382',
    title: 'a confirmation for the previous process counts for this one',
    why: 'The clocks of both begin near zero, so its times look like own ones. Our own, found by the simulator.',
    layers: SIM_UNIT,
    tests: ['test/raft/freshness.test.ts'],
    edits: [
      edit(
        'src/raft/freshness.ts',
        'this.#epoch = (boot % EPOCHS) * EPOCH_MS',
        'this.#epoch = 0 * boot * EPOCHS * EPOCH_MS',
      ),
    ],
  },
  {
    id: 'M380',
    title: 'a lease that is made shorter is trusted as long as before until that is applied',
    why: 'A replica that has applied it earlier promises less. Of two durations in one log the shorter one counts.',
    layers: SIM_UNIT,
    tests: ['test/raft/leader-lease.test.ts'],
    edits: [
      edit(
        'src/raft/leader-lease.ts',
        'trust = Math.min(trust, setting.on ? setting.durationMs : 0)',
        'trust = setting.on ? trust : 0',
      ),
    ],
  },
  {
    id: 'M381',
    title: 'the answer to a read index that was asked for again is ignored',
    why: 'If answers take longer than the pause before asking again, reads at a follower never end.',
    layers: SIM_UNIT,
    tests: ['test/server/node/reads.test.ts'],
    edits: [
      edit(
        'src/server/node/reads.ts',
        '        question.askedAt = now\n        this.#repeated.push(question)\n',
        '        for (const id of question.ids) this.#asked.delete(id)\n        question.ids = []\n        question.askedAt = now\n        this.#repeated.push(question)\n',
      ),
    ],
  },
  {
    id: 'M92',
    title: 'a replica that is bound by a lease may campaign against it',
    why: 'The promise would bind its votes, but not its own campaign.',
    layers: SIM_UNIT,
    tests: [...RAFT_TESTS, ...DRIVER_TESTS],
    edits: [
      edit(
        RAFT,
        'return this.#now - this.#contactAt < this.#leases.promiseMs',
        'return this.#now < this.#contactAt',
      ),
    ],
  },
  {
    id: 'M330',
    title: 'read requests of two processes of one replica have equal ids',
    why: 'An answer to the process before the restart, with an older index, counts for the process after it.',
    layers: UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(ASKED_READS, 'this.#nextRequest = (boot % 2 ** 16) * 2 ** 36', 'this.#nextRequest = boot * 0'),
    ],
  },
  {
    id: 'M331',
    title: 'a lease continues when its setting changes',
    why: 'The leader trusts an answer for the new duration that its sender gave for the old, shorter one.',
    layers: UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(RAFT, 'if (this.#leases.appliedTo(index)) this.#restartLease()', 'this.#leases.appliedTo(index)'),
    ],
  },
  {
    id: 'M332',
    title: 'a longer promise counts from when it is applied',
    why: 'A replica that has acknowledged it, and restarts before it has applied it again, votes too soon.',
    layers: UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        'src/raft/leader-lease.ts',
        '    for (const { setting } of this.#pending) if (setting.on) promise = Math.max(promise, setting.durationMs)\n',
        '',
      ),
    ],
  },
  {
    id: 'M333',
    title: 'echoes of the times of a process count for the next process of its replica',
    why: 'Its clock begins anew, so an old time may lie in its future: it considers its state fresh until then.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        'if (isOther) follower.forgetContact()',
        'if (follower.heardAt === 0) follower.forgetContact()',
      ),
    ],
  },
]
