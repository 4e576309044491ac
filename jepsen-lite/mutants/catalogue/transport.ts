// Frames, and which process may use a connection. The simulator has simulated wires. So errors in sockets and frames
// are found by tests with real ones; errors in links by both.

import type { Mutant } from '../mutant.ts'
import { DRIVER_TESTS, edit, PEERS, RAFT, RAFT_PROPOSALS, SIM_UNIT, UNIT } from './edit.ts'

const HANDSHAKE_TESTS = [
  'test/server/peers/tcp/handshake.int.test.ts',
  'test/server/peers/tcp/link.int.test.ts',
]
const CONNECTIONS_TESTS = ['test/raft/connections.test.ts']
const DRIVER = 'src/server/node/driver.ts'
const LINKS = 'src/server/peers/links.ts'
const PEER = 'src/server/peers/peer.ts'
const SENDER = 'src/server/peers/snapshot-sender.ts'
const RECEIVER = 'src/server/peers/snapshot-receiver.ts'
const LINKS_TESTS = ['test/server/peers/links.test.ts']
const CONNECTION = 'src/server/peers/tcp/connection.ts'
const WIRES = 'src/server/peers/tcp/wires.ts'
const JOIN = 'src/server/join.ts'
const JOIN_TESTS = ['test/server/join.int.test.ts']
const PROCESSES = 'src/server/peers/processes.ts'

export const TRANSPORT: readonly Mutant[] = [
  {
    id: 'M71',
    title: 'a frame is accepted whatever its checksum',
    why: 'A bit that flipped on the way is replicated.',
    layers: UNIT,
    tests: ['test/server/peers/tcp/codec.prop.test.ts', ...HANDSHAKE_TESTS],
    edits: [
      edit(
        'src/server/peers/tcp/frames.ts',
        'if (crc32(body) !== frame.readUInt32BE(4))',
        'if (crc32(body) < 0)',
      ),
    ],
  },
  {
    id: 'M72',
    title: 'messages of an older process of a replica are accepted',
    why: 'They describe its state before the restart.',
    layers: UNIT,
    tests: HANDSHAKE_TESTS,
    edits: [
      edit(
        PROCESSES,
        'if (known === undefined || boot > known.boot || known.incarnation',
        'if (known === undefined || boot !== known.boot || known.incarnation',
      ),
    ],
  },
  {
    id: 'M401',
    title: 'a boot counter that jumps far ahead is accepted',
    why: 'A made-up counter keeps the real replica from starting.',
    layers: UNIT,
    tests: HANDSHAKE_TESTS,
    edits: [edit(PROCESSES, 'if (boot > (known?.boot ?? 0) + this.#bootJumpMax) {', 'if (boot < 0) {')],
  },
  {
    id: 'M402',
    title: 'proposals are forwarded while the connection to the leader is broken',
    why: 'They arrive before those that were lost with the connection, which the leader then treats as old: their clients get no answer.',
    layers: SIM_UNIT,
    tests: CONNECTIONS_TESTS,
    edits: [edit(RAFT, 'leader === undefined || raft.#peers.isDisconnected(leader)', 'leader === undefined')],
  },
  {
    id: 'M450',
    title: 'forwarded proposals are not forwarded again to a leader that was lost and is heard again',
    why: 'They were lost with the connection: their clients wait until the term is over.',
    layers: SIM_UNIT,
    tests: CONNECTIONS_TESTS,
    edits: [edit(RAFT, '      this.#proposals.forwardAgain(from)\n', '')],
  },
  {
    id: 'M403',
    title: 'the greeting combines a durable term with the end of a log that is being truncated',
    why: 'A healthy replica is told that it has lost acknowledged entries, and stops.',
    layers: ['sim', 'unit'],
    tests: DRIVER_TESTS,
    edits: [
      edit(
        DRIVER,
        '...this.#commits.durable,',
        'term: this.#commits.durable.term,\n      lastIndex: this.#storage.log.lastIndex(),',
      ),
    ],
  },
  {
    id: 'M404',
    title: 'lost state is reported on the first connection of a process only',
    why: 'If that breaks first, a replica that has forgotten its vote takes part.',
    layers: UNIT,
    tests: CONNECTIONS_TESTS,
    edits: [
      edit(
        PEERS,
        'this.#disconnected.delete(id)\n',
        'this.#disconnected.delete(id)\n    if (newest.boot === known) this.#lostState.delete(id)\n',
      ),
    ],
  },
  {
    id: 'M710',
    title: 'a process that has lost durable state gets the messages for its replica',
    why: 'With the commit index of a heartbeat it applies entries of its forgotten log before it is told to stop.',
    layers: UNIT,
    tests: CONNECTIONS_TESTS,
    edits: [
      edit(
        RAFT,
        'if (lost !== undefined) this.#tellLostState(to, lost)',
        'if (lost === null) this.#tellLostState(to, lost)',
      ),
    ],
  },
  {
    id: 'M711',
    title: 'a process that has lost durable state is offered a snapshot',
    why: 'The process installs it and begins anew, as if it had never promised anything.',
    layers: UNIT,
    tests: CONNECTIONS_TESTS,
    edits: [edit(RAFT, 'if (this.#peers.lostState(follower.id) !== undefined) return', '')],
  },
  {
    id: 'M405',
    title: 'chunks that were under way when a connection broke count on the next one',
    why: 'The transfer waits for acknowledgements that never come, until it is given up.',
    layers: SIM_UNIT,
    tests: LINKS_TESTS,
    edits: [edit(SENDER, '    this.inflight = 0\n', '')],
  },
  {
    id: 'M406',
    title: 'a transfer that failed stays registered',
    why: 'The peer is never sent a snapshot again.',
    layers: SIM_UNIT,
    tests: LINKS_TESTS,
    edits: [edit(LINKS, '      this.#transfers.delete(to)\n', '      if (ok) this.#transfers.delete(to)\n')],
  },
  {
    id: 'M407',
    title: 'bytes that the kernel has taken still count as queued',
    why: 'After enough of them all messages to that peer are dropped.',
    layers: UNIT,
    tests: HANDSHAKE_TESTS,
    edits: [edit(CONNECTION, '    this.#ownBytes -= bytes\n', '')],
  },
  {
    id: 'M408',
    title: 'a call is repeated only once in the life of a process',
    why: 'A peer that is away for longer is lost permanently.',
    layers: SIM_UNIT,
    tests: LINKS_TESTS,
    edits: [
      edit(
        PEER,
        '    this.#context.logger.debug({ peer: this.#member.name, address, why },',
        '    if (this.#retry !== undefined) return\n    this.#context.logger.debug({ peer: this.#member.name, address, why },',
      ),
      edit(PEER, '      this.#retry = undefined\n      this.#dial()', '      this.#dial()'),
    ],
  },
  {
    id: 'M409',
    title: 'a leader does not refuse the same proposal again',
    why: 'If the answer was lost with the connection, the client gets no answer, and the room of its proposal is never given back.',
    layers: SIM_UNIT,
    tests: CONNECTIONS_TESTS,
    edits: [
      edit(
        RAFT_PROPOSALS,
        '        if (before !== undefined) refused.push({ seq, refusal: before })\n',
        '        if (before !== undefined) continue\n',
      ),
    ],
  },
  {
    id: 'M410',
    title: 'messages of a peer are accepted while our own connection to it is down',
    why: 'Answers to its messages are lost, and it never learns that.',
    layers: SIM_UNIT,
    tests: LINKS_TESTS,
    edits: [
      edit(
        PEER,
        "    if (this.#inbound?.held === false) this.#inbound.wire.close('our connection to the peer broke')\n",
        '',
      ),
    ],
  },
  {
    id: 'M115',
    title: 'a node of another cluster is admitted',
    why: 'Two clusters mix because an address was reused.',
    layers: UNIT,
    tests: HANDSHAKE_TESTS,
    edits: [
      edit(
        'src/server/peers/accept.ts',
        'if (greeting.clusterId !== clusterId) {',
        "if (greeting.clusterId === '') {",
      ),
    ],
  },
  {
    id: 'M116',
    title: 'a replica that was removed is admitted',
    why: 'It never learns of its removal, and calls again and again.',
    layers: ['sim', 'unit'],
    tests: DRIVER_TESTS,
    edits: [
      edit(
        DRIVER,
        'if (!this.#configuration.removed.includes(replicaId)) return undefined',
        'if (!this.#configuration.removed.includes(this.#replicaId)) return undefined',
      ),
    ],
  },
  {
    id: 'M415',
    title: 'a peer that is slow to reach is treated as silent',
    why: 'The ping waits behind earlier messages. The queue is lost, sent again, and lost again.',
    layers: UNIT,
    tests: HANDSHAKE_TESTS,
    edits: [
      edit(CONNECTION, '    else if (this.#owesPong && this.#between !== undefined) this.#sendPong()\n', ''),
    ],
  },
  {
    id: 'M416',
    title: 'the memory of frames is reused while some of them wait in the socket',
    why: 'Frames are overwritten on their way, and their checksums are wrong.',
    layers: UNIT,
    tests: HANDSHAKE_TESTS,
    edits: [edit(CONNECTION, 'if (queued === 0) this.#writer.allSent()', 'this.#writer.allSent()')],
  },
  {
    id: 'M417',
    title: 'a joining replica does not check which cluster it asks',
    why: 'It is added to another cluster, where it never catches up.',
    layers: UNIT,
    tests: JOIN_TESTS,
    edits: [edit(JOIN, 'if (seen.clusterId !== joiner.clusterId)', "if (seen.clusterId === '')")],
  },
  {
    id: 'M418',
    title: 'a node that lags decides whether a name is in use',
    why: 'The name of a removed member is refused permanently, and the node ends.',
    layers: UNIT,
    tests: JOIN_TESTS,
    edits: [
      edit(JOIN, 'if (status === MEMBERSHIP_REFUSED && namesake', 'if (namesake'),
      edit(
        JOIN,
        '  if (status === 200) return\n',
        '  if (status === 200 && namesake === undefined) return\n',
      ),
    ],
  },
  {
    id: 'M620',
    title: 'any refusal means that the name is in use, if a node that lagged had it',
    why: 'The leader is busy with another change; the node considers that final and ends.',
    layers: UNIT,
    tests: JOIN_TESTS,
    edits: [
      edit(
        JOIN,
        'if (members.some((member) => member.replicaId === namesake.replicaId)) throw',
        'if (members) throw',
      ),
    ],
  },
  {
    id: 'M621',
    title: 'a joining replica also asks itself',
    why: 'It knows no leader: every other try takes five seconds, and the log says that it may be cut off.',
    layers: UNIT,
    tests: JOIN_TESTS,
    edits: [edit(JOIN, "url !== '' && url !== joiner.url", "url !== ''")],
  },
  {
    id: 'M419',
    title: 'stop() of a node that is already ending returns at once',
    why: 'Its directory is still locked when the node is started again.',
    layers: UNIT,
    tests: ['test/server/node-ending.int.test.ts'],
    edits: [
      edit(
        'src/server/start-node.ts',
        '    await this.#stopping\n    // The node may have failed or crashed meanwhile, and is ending for that reason.\n    await this.ended\n',
        '    await this.#stopping\n',
      ),
    ],
  },
  {
    id: 'M420',
    title: 'a snapshot is reported as received after the links were closed',
    why: 'The owner has already closed the storage for it.',
    layers: UNIT,
    tests: LINKS_TESTS,
    edits: [
      edit(
        'src/server/peers/snapshot-receiver.ts',
        'if (!this.#closed) this.#context.events',
        'this.#context.events',
      ),
    ],
  },
  {
    id: 'M421',
    title: 'a peer is reported as refused after one failed call',
    why: 'A peer that is back within milliseconds costs an election.',
    layers: UNIT,
    tests: LINKS_TESTS,
    edits: [edit(PEER, '!this.#grace.over || !this.#grace.failed', '!this.#grace.failed')],
  },
  {
    id: 'M422',
    title: 'a connection to an older process is kept when the newer one calls',
    why: 'After a loss of power nothing closes it: messages on it are lost until its silence is noticed.',
    layers: UNIT,
    tests: HANDSHAKE_TESTS,
    edits: [edit(PEER, 'if (this.#answeredBy !== incarnation)', 'if (this.#answeredBy === 0n)')],
  },
  {
    id: 'M423',
    title: 'an address with a null byte is dialled',
    why: 'The call throws: a node that learns of a member with such an address ends, at each start again.',
    layers: UNIT,
    tests: HANDSHAKE_TESTS,
    edits: [edit(WIRES, '([^\\]\\p{Cc}]+)', '([^\\]]+)')],
  },
  {
    id: 'M424',
    title: 'a transfer that continues is refused because of the broken one',
    why: 'If the receiver has not noticed the break, the follower waits until silence ends it, and for another snapshot.',
    layers: UNIT,
    tests: LINKS_TESTS,
    edits: [edit(RECEIVER, 'older.offer.term > offer.term', 'older.offer.term >= offer.term')],
  },
  {
    id: 'M451',
    title: 'a connection on hold is never given up',
    why: 'A replica that joins, cannot be called back and dies without notice is called without end; places of callers stay taken while a node opens.',
    layers: UNIT,
    tests: ['test/server/peers/tcp/link.int.test.ts'],
    edits: [
      edit(
        CONNECTION,
        'if (this.#silentTicks > SILENT_TICKS) this.close(',
        'if (!this.#onHold && this.#silentTicks > SILENT_TICKS) this.close(',
      ),
    ],
  },
  {
    id: 'M460',
    title: 'a peer that is removed while it is being called is called again and again',
    why: 'Its machine is deleted, and a later machine at that address is called by a forgotten link.',
    layers: UNIT,
    tests: ['test/server/peers/links.test.ts'],
    edits: [
      edit(
        'src/server/peers/peer.ts',
        '    this.#endGrace()\n    this.#abandonDial?.()\n',
        '    this.#endGrace()\n',
      ),
    ],
  },
]
