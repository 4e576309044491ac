// Resources that are taken and not given back, and waits for something that never comes. No answer is wrong, but a long
// run ends.

import type { Mutant } from '../mutant.ts'
import {
  DISK_ROOM,
  DRIVER_TESTS,
  edit,
  MEMBERSHIP,
  RAFT,
  RAFT_PROPOSALS,
  RAFT_TESTS,
  SIM,
  SIM_UNIT,
  SLOW_DISK,
  TRANSFER,
  UNIT,
} from './edit.ts'

const ROOM_TESTS = ['test/raft/disk-room.test.ts', 'test/server/node/disk-space.test.ts']
const DRIVER = 'src/server/node/driver.ts'
const OUTCOMES = 'src/raft/outcomes.ts'
const PROPOSALS = 'src/server/node/proposals.ts'
const READS = 'src/server/node/reads.ts'

export const REST: readonly Mutant[] = [
  {
    id: 'M300',
    title: 'a proposal that timed out without a leader stays parked',
    why: 'A minority node under load keeps every frame until it finds a leader, and runs out of memory.',
    layers: SIM_UNIT,
    tests: DRIVER_TESTS,
    edits: [edit(PROPOSALS, '    this.#parked.delete(waiter)\n    this.#bytes', '    this.#bytes')],
  },
  {
    id: 'M488',
    title: 'a node gives the core all requested changes at once',
    why: 'Heartbeats and their answers wait behind them: over slow wires the leader loses its majority. Our own.',
    layers: SIM_UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(DRIVER, 'this.#options.limits.proposedBytesMax - proposedBytes', 'Number.POSITIVE_INFINITY'),
    ],
  },
  {
    id: 'M486',
    title: 'held-back proposals still wait when those under way are done',
    why: 'Without other requests they time out.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(DRIVER, '    if (this.#proposals.isHeldBack && this.#roomToPropose > 0) this.#wake()\n', ''),
    ],
  },
  {
    id: 'M487',
    title: 'held-back proposals are kept after their time has run out',
    why: 'If the leader commits nothing for long, every frame of a node under load stays in its memory.',
    layers: UNIT,
    tests: ['test/server/node/proposals.test.ts'],
    edits: [
      edit(
        PROPOSALS,
        '    this.#fresh = this.#fresh.filter((waiter) => this.#waiters.get(waiter.seq) === waiter)\n',
        '',
      ),
    ],
  },
  {
    id: 'M301',
    title: 'a read that timed out without a leader stays parked',
    why: 'The same with reads.',
    layers: SIM_UNIT,
    tests: DRIVER_TESTS,
    edits: [edit(READS, '    if (this.#expired > this.#open.size) this.#forgetAnswered()\n', '')],
  },
  {
    id: 'M302',
    title: 'the bytes of a forwarded proposal are not given back',
    why: 'After 64 MiB a follower refuses every write, until the next term, and then again.',
    layers: SIM,
    edits: [
      edit(
        OUTCOMES,
        '    if (forwarded !== undefined) this.#forwardedBytes -= bytes\n',
        '    if (forwarded !== undefined && seq < 0) this.#forwardedBytes -= bytes\n',
      ),
    ],
  },
  {
    id: 'M303',
    title: 'parked requests are not tried again when a leader is known',
    why: 'Every write and read that came during an election fails at its deadline.',
    layers: SIM_UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(DRIVER, '    if (change.leader !== undefined) this.#unpark()\n', ''),
      edit(DRIVER, '        this.#proposals.unparkDue()\n        this.#askAgain()\n', ''),
    ],
  },
  {
    id: 'M304',
    title: 'a failed hand-over stays open',
    why: 'After one failed transfer the leader refuses every write for the rest of the term.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(TRANSFER, '    lead.transfer = undefined\n    lead.noHandOverUntil', '    lead.noHandOverUntil'),
    ],
  },
  {
    id: 'M305',
    title: 'a request to hand over that was given up stays registered',
    why: 'It keeps a set entry and a closure for each, as long as the process lives.',
    layers: SIM,
    edits: [edit(DRIVER, '        this.#transferRefused.delete(refuse)\n', '')],
  },
  {
    id: 'M340',
    title: 'a refused request to hand over ends all waiting requests',
    why: 'A caller is told that leadership stays while it moves as requested.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [edit(DRIVER, "if (outcome !== 'aborted') return", "if (outcome === 'done') return")],
  },
  {
    id: 'M341',
    title: 'a request to hand over that replaces another is itself told that it was replaced',
    why: 'It is refused because of itself, and carried out.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [edit(DRIVER, 'if (refuse !== asking) refuse(detail)', 'refuse(detail)')],
  },
  {
    id: 'M342',
    title: 'a follower without room is offered a snapshot with every heartbeat',
    why: 'It refuses all of them; each costs the leader a view of its rows, a connection and two lines of log.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(RAFT, "    if (follower.room !== 'enough') return\n", '')],
  },
  {
    id: 'M344',
    title: 'proposals that are tried again go before new ones, with a later seq',
    why: 'The leader has received a later seq, so all new ones are refused, and come again a pause later.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        PROPOSALS,
        'if (waiter.refusal !== undefined || waiter.seq < last)',
        'if (waiter.refusal !== undefined)',
      ),
    ],
  },
  {
    id: 'M345',
    title: 'a difference between replicas is reported forever',
    why: 'An operator searches for a problem that ended long ago.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [edit(DRIVER, '        this.#hashError = undefined\n', '')],
  },
  {
    id: 'M472',
    title: 'a write that waits behind another one counts as a stalling disk',
    why: 'With slow disks leadership moves from node to node under load, and no change is accepted meanwhile.',
    layers: UNIT,
    tests: ['test/raft/hand-over.test.ts'],
    edits: [edit('src/raft/log.ts', 'Math.max(oldest.since, this.#storedAt)', 'oldest.since')],
  },
  {
    id: 'M473',
    title: 'a disk that has written only rows counts as stalling',
    why: 'The write after them waits for two, and with slow disks leadership moves from node to node.',
    layers: UNIT,
    tests: ['test/raft/hand-over.test.ts'],
    edits: [
      edit(
        'src/raft/log.ts',
        '    this.#storedAt = now\n    if (number <= this.#storedWrite) return\n',
        '    if (number <= this.#storedWrite) return\n    this.#storedAt = now\n',
      ),
    ],
  },
  {
    id: 'M476',
    title: 'a disk counts as stalling after an election time-out, even if every write on it takes that long',
    why: 'If all disks are slow, each write makes the leader hand over, and nothing is committed.',
    layers: SIM_UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        SLOW_DISK,
        'Math.max(timing.electionMinMs, timeForDisk(log.usualIdleMs, timing))',
        'timing.electionMinMs',
      ),
    ],
  },
  {
    id: 'M479',
    title: 'a disk that was slow or stalled once may take twice as long again',
    why: 'After a minute without a write a leader waits for two minutes before another may lead.',
    layers: UNIT,
    tests: ['test/raft/elections.test.ts'],
    edits: [edit(SLOW_DISK, 'Math.min(2 * ms, SLOW_DISK_MAX * electionMaxMs)', '2 * ms')],
  },
  {
    id: 'M480',
    title: 'the usual time of a disk is that of its last write',
    why: 'That write may have ended together with an earlier one, and the next one counts as a stall.',
    layers: UNIT,
    tests: ['test/raft/hand-over.test.ts'],
    edits: [
      edit(
        'src/raft/log.ts',
        'Math.max(this.idleMs(now), IDLE_DECAY * this.#usualIdleMs)',
        'this.idleMs(now)',
      ),
    ],
  },
  {
    id: 'M347',
    title: 'a node whose disk stalls keeps its answer to every heartbeat',
    why: 'After hours these are more than a connection accepts, and proposals forwarded after them are lost.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        'src/server/node/group-commit.ts',
        "  return newer.type === 'heartbeat-answer' && older.type === newer.type\n",
        '  return false\n',
      ),
    ],
  },
  {
    id: 'M348',
    title: 'a follower whose term is not durable because its disk stalls still forwards requests',
    why: 'The message leaves when the disk works again, and the change is made long after its client was told that the outcome is unknown.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        RAFT,
        'raft.#termWrite > raft.#log.storedWrite && diskStalls(this) ? undefined : leader',
        'leader',
      ),
    ],
  },
  {
    id: 'M349',
    title: 'the pauses before a refused proposal is forwarded again do not grow',
    why: 'While leadership is handed over, a thousand clients of one follower make tens of thousands of messages.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [edit(PROPOSALS, '      waiter.retries++\n', '')],
  },
  {
    id: 'M310',
    title: 'a follower without room writes the entries that it receives',
    why: 'The write fails for lack of space, and the node ends: with equal disks all of them do.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(RAFT, "    if (this.#room === 'none' && !entries.every(isOfCore)) return\n", '')],
  },
  {
    id: 'M639',
    title: 'a follower without room does not write the first entry of a term',
    why: 'If the disks of two of three are full, no reads are served after a change of leaders. Our own.',
    layers: SIM_UNIT,
    tests: ROOM_TESTS,
    edits: [edit(RAFT, '!entries.every(isOfCore)) return', 'entries.length > 0) return')],
  },
  {
    id: 'M642',
    title: 'a leader without room hands over to a replica that has not reported its room',
    why: 'That one may be as short of room, and hands over again. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(DISK_ROOM, 'hasToldRoom && rank(room)', 'rank(room)')],
  },
  {
    id: 'M700',
    title: 'a leader stays leader although the others have no room for a change before its first entry',
    why: 'No reads are served until there is room, although another replica could lead without that change. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(RAFT, 'couldOthersCommit(this.#replica, lead)', 'this.#now < lead.electedAt')],
  },
  {
    id: 'M717',
    title: 'a leader without room hands over although no majority has more room',
    why: 'Where a shorter log could commit, the two lead in turn. Found by the simulator. Elsewhere the next leader does not know the room of the others yet, and accepts changes whose outcome stays unknown. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(TRANSFER, '    if (!hasMajorityMoreRoom(this.#replica, lead)) return false\n', '')],
  },
  {
    id: 'M718',
    title: 'a replica that stood back campaigns again as soon as it has heard another leader',
    why: 'Two replicas whose logs are too long lead in turn, and nobody commits. Found by the simulator. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [
      edit(
        RAFT,
        'Math.max(this.#now + delay, boundUntil, this.#standBackUntil)',
        'Math.max(this.#now + delay, boundUntil)',
      ),
    ],
  },
  {
    id: 'M719',
    title:
      'a new leader without room refuses entries although it may hand over to a replica that accepts them',
    why: 'With one short disk of five, one fail-over of four refuses what waited for a leader. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(DISK_ROOM, "if (hasMajority && mayHandOver) return { reason: 'transferring' }\n", '\n')],
  },
  {
    id: 'M723',
    title: 'the core is told the room that was found, and not the room that there is when it is told',
    why: 'If a report is late, and the next one is not, the core goes on without room. Found by the simulator.',
    layers: UNIT,
    tests: ['test/jepsen-lite/sim/search.prop.test.ts'],
    edits: [edit('src/server/node/driver.ts', 'room: this.#space.room })', 'room })')],
  },
  {
    id: 'M720',
    title: 'a leader without room refuses entries of the core for its own lack of room',
    why: 'With one full disk of three and another node lost, that one cannot be replaced. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(DISK_ROOM, '(ofCore || !isShort)', '!isShort')],
  },
  {
    id: 'M721',
    title:
      'a leader believes what a silent replica reported when it asks whether an entry of the core could be committed',
    why: 'A lost node whose disk was full cannot be replaced while the disk of the leader is. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(DISK_ROOM, 'follower.hasToldRoom && !isSilent', 'follower.hasToldRoom')],
  },
  {
    id: 'M701',
    title: 'a leader steps down because others lack room although no other could be elected',
    why: 'It is elected again, and again. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(DISK_ROOM, 'isMajority(couldElect, false) && ', '')],
  },
  {
    id: 'M707',
    title: 'a leader that waits for room does not count on the votes of replicas that lack committed entries',
    why: 'If one disk was full before the others, no reads are served until there is room, although its vote would be enough for another leader. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [
      edit(
        DISK_ROOM,
        "room === 'none' && match + 1 < lead.firstIndex",
        "room === 'none' && match >= view.log.commit && match + 1 < lead.firstIndex",
      ),
    ],
  },
  {
    id: 'M708',
    title: 'a leader that waits for room steps down although the next one could not commit more',
    why: 'It is elected again, and again. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(DISK_ROOM, ' && isMajority(({ match }) => match >= log.commit, true)', '')],
  },
  {
    id: 'M568',
    title: 'a leader that steps down because others lack room campaigns again while they are bound to it',
    why: 'With leases it campaigns first, and is elected again. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [
      edit(
        RAFT,
        'const turnMs = 2 * this.#timing.electionMaxMs + this.#leases.promiseMs',
        'const turnMs = 2 * this.#timing.electionMaxMs',
      ),
    ],
  },
  {
    id: 'M709',
    title: 'all replicas that leases bind to a leader campaign at the same moment',
    why: 'Votes are split, and with leases longer than an election time-out each fail-over takes one more. Our own.',
    layers: UNIT,
    tests: ['test/raft/elections.test.ts'],
    edits: [edit(RAFT, 'this.#leases.promiseMs + random * failoverDelayMaxMs', 'this.#leases.promiseMs')],
  },
  {
    id: 'M702',
    title: 'a leader counts on the reported room of silent replicas',
    why: 'With one full disk of three and another node down, each change times out, and its outcome is unknown. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(DISK_ROOM, '(isSilent || cannotCatchUp(follower, log))', 'cannotCatchUp(follower, log)')],
  },
  {
    id: 'M712',
    title: 'a leader counts on the little room of a replica that needs a snapshot first',
    why: 'With another disk full or another node down, each delete times out, and its outcome is unknown. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(DISK_ROOM, '(isSilent || cannotCatchUp(follower, log))', 'isSilent')],
  },
  {
    id: 'M713',
    title: 'a change of voters counts on a replica that has no room for the entries it lacks',
    why: 'The joint configuration is never left, and no change is made until there is room on that disk. Our own.',
    layers: UNIT,
    tests: ['test/server/node/disk-space.test.ts'],
    edits: [
      edit(
        MEMBERSHIP,
        'follower.heardAt > activeSince && !cannotCatchUp(follower, log)',
        'follower.heardAt > activeSince',
      ),
    ],
  },
  {
    id: 'M569',
    title: 'a leader that was stopped for a while considers the others silent',
    why: 'With one short disk it refuses changes for which a majority has room. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(DISK_ROOM, 'Math.min(now, lead.heartbeatAt) - ', 'now - ')],
  },
  {
    id: 'M703',
    title: 'a leader without any room hands over only to a replica with enough',
    why: 'Deletes are refused that another leader could accept, and the space that they would free is missing. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(DISK_ROOM, 'rank(room) > rank(replica.room)', "room === 'enough'")],
  },
  {
    id: 'M704',
    title: 'a learner that is short of room is promoted',
    why: 'The only voter accepted all changes; with a second one without room every change is refused. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [
      edit(MEMBERSHIP, "if (!hasToldRoom || room !== 'enough') continue", 'if (!hasToldRoom) continue'),
    ],
  },
  {
    id: 'M714',
    title: 'a node with too little room for the snapshot that it needs forwards requests',
    why: 'It never learns the outcome of a change, and never has what a read needs: its clients wait until their time is over. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [
      edit(
        RAFT,
        "this.#room === 'none' || stalenessMs > this.#timing.electionMaxMs",
        "this.#room === 'none'",
      ),
    ],
  },
  {
    id: 'M498',
    title:
      'a node with little room refuses what waits for a leader before it can be proven to follow that one',
    why: 'After each fail-over and partition it refuses changes that the cluster takes. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [
      edit(RAFT_PROPOSALS, "    if (room === 'low' && isNewLeader) return { reason: 'no-leader' }\n", ''),
    ],
  },
  {
    id: 'M706',
    title: 'a read on a node without room waits until its time is over for a revision that does not come',
    why: 'Another node could have served it. Our own.',
    layers: UNIT,
    tests: ['test/server/node/reads.test.ts'],
    edits: [edit(READS, '      if (this.#state.endsAt !== undefined) this.#giveUpSoon([waiter])\n', '')],
  },
  {
    id: 'M705',
    title:
      'a read on a node without room waits until its time is over for an index that the node cannot write',
    why: 'Another node could have served it. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(READS, 'else if (this.#state.endsAt !== undefined) this', 'else if (!open) this')],
  },
  {
    id: 'M640',
    title: 'a follower without room gets no entries at all',
    why: 'The same, if it reported this before the leader knew where their logs meet. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [
      edit(
        RAFT,
        "if (follower.state === 'snapshot' || follower.probing) return",
        "if (follower.state === 'snapshot' || follower.probing || follower.room === 'none') return",
      ),
    ],
  },
  {
    id: 'M495',
    title: 'entries that a follower without room lacks are read for each change of the others',
    why: 'One full disk of three makes the leader read half a MiB of its log for each write, for nothing. Our own.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [edit(RAFT, "    if (follower.room === 'none' && !force) return\n", '')],
  },
  {
    id: 'M311',
    title: 'a leader considers only its own disk',
    why: 'A change that two of three cannot write ends without an outcome instead of a refusal.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [
      edit(
        DISK_ROOM,
        'if (hasMajority && (ofCore || !isShort)) return undefined',
        'if (ofCore || !isShort) return undefined',
      ),
    ],
  },
  {
    id: 'M312',
    title: 'a leader that is short of room does not hand over',
    why: 'One full disk of three refuses every change, although two have room.',
    layers: UNIT,
    tests: ROOM_TESTS,
    edits: [
      edit(
        TRANSFER,
        "if (room === 'enough' || lead.retiring !== undefined) return false",
        'if (now > 0) return false',
      ),
    ],
  },
  {
    id: 'M306',
    title: 'commits are not counted again when a configuration is applied',
    why: 'Entries that the new majority holds already wait for the next acknowledgement, which may never come.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        RAFT,
        '    // The new configuration may need fewer replicas than before.\n    this.#commitByCounting()\n',
        '',
      ),
    ],
  },
  {
    id: 'M307',
    title: 'the newest contact replaces the one that waits for its index',
    why: 'A replica that lags never proves the age of its state, although it applies all the time.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit(
        'src/raft/freshness.ts',
        'if (this.#first === undefined) this.#first = contact',
        'if (this.#first === undefined || contact.at > this.#first.at) this.#first = contact',
      ),
    ],
  },
]
