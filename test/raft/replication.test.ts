// Appends and heartbeats of a leader, its handling of the responses, and the appends that a follower accepts. Each case
// also checks that no other message is sent: an extra message breaks nothing, but costs time.

import { describe, expect, test } from 'vitest'
import { ENTRY_LEADER_LEASES, encodeLeaderLeases } from '../../src/raft/index.ts'
import { InvariantError } from '../../src/raft/invariant.ts'
import { asIndex, asTerm, type LogIndex, type Message, type ProgressStatus } from '../../src/raft/types.ts'
import { append, Bench, heartbeatAnswer, type Incoming, leader } from './harness/bench.ts'
import { stepsOf } from './harness/changes.ts'
import { pastEntries, sealed, TEXT, textFrame } from './harness/frames.ts'
import { id, memberNamed, votersUpTo } from './harness/members.ts'
import { REFUSED_TEXT, TIMING } from './harness/node.ts'

const { heartbeatMs, electionMaxMs } = TIMING

/** Only an acknowledgement: nothing is stored or applied here. */
function accept(
  bench: Bench,
  from: number,
  index: LogIndex,
  more: { round?: number; applied?: number } = {},
) {
  const { round = bench.round, applied = 0 } = more
  const answer = { from, term: bench.raft.term, index, round, sentAt: 1, applied: asIndex(applied) }
  bench.receive({ type: 'append-accepted', ...answer })
}

const answer = (bench: Bench, from: number, applied = 0): void =>
  bench.receive(heartbeatAnswer(bench, from, { applied }))

const reject = (bench: Bench, from: number, index: number, hint: readonly [number, number]): void =>
  bench.receive({
    ...{ type: 'append-rejected', from, term: bench.raft.term, index: asIndex(index), round: 0, sentAt: 1 },
    ...{ hintIndex: asIndex(hint[0]), hintTerm: asTerm(hint[1]), lastIndex: asIndex(hint[0]) },
  })

const of = (bench: Bench, peer: number): ProgressStatus =>
  bench.raft.status().progress.find((one) => one.id === id(peer)) ?? expect.fail()

/** Appends to `peer` since the last call, each as the indexes of its entries. */
const appendsTo = (bench: Bench, peer: number): number[][] =>
  bench
    .takeOf('append')
    .filter(({ to }) => to === id(peer))
    .map(({ entries }) => entries.map(({ index }) => index))

const typesTo = (bench: Bench, peer: number): Message['type'][] =>
  bench.take().flatMap(({ to, type }) => (to === id(peer) ? [type] : []))

const plus = (index: LogIndex, more: number): LogIndex => asIndex(index + more)

describe('a follower that holds the whole log', () => {
  test('is sent nothing but heartbeats', () => {
    const bench = leader()
    bench.pass(heartbeatMs)
    answer(bench, 2)
    expect(typesTo(bench, 2)).toEqual(['heartbeat'])
    bench.step({
      kind: 'connected',
      peer: id(2),
      boot: 1,
      term: bench.raft.term,
      lastIndex: bench.raft.lastIndex,
    })
    expect(typesTo(bench, 2)).toEqual([])
  })

  test('is probed after a broken connection, and again with each heartbeat response', () => {
    const bench = leader()
    const connect = { peer: id(2), boot: 1, term: bench.raft.term, lastIndex: bench.raft.lastIndex }
    bench.step({ kind: 'disconnected', peer: id(2) })
    bench.step({ kind: 'connected', ...connect })
    expect(appendsTo(bench, 2)).toEqual([[]])
    for (let beat = 0; beat < 2; beat++) {
      bench.pass(heartbeatMs)
      answer(bench, 2)
      expect([of(bench, 2).state, appendsTo(bench, 2)]).toEqual(['probe', [[]]])
    }
    // A report from before the break proves nothing about messages that were lost with the connection.
    accept(bench, 2, asIndex(0))
    expect(of(bench, 2).state).toBe('probe')
    accept(bench, 2, bench.raft.lastIndex)
    expect(of(bench, 2).state).toBe('replicate')
  })
})

describe('a follower with entries under way', () => {
  test('gets none of them again after an acknowledgement of some, nor after a late one', () => {
    const bench = leader()
    const { lastIndex } = bench.raft
    for (const text of ['a', 'b', 'c']) bench.node.propose(text)
    bench.take()
    accept(bench, 2, plus(lastIndex, 2))
    accept(bench, 2, plus(lastIndex, 1))
    expect([of(bench, 2), appendsTo(bench, 2)]).toMatchObject([
      { state: 'replicate', match: lastIndex + 2, next: lastIndex + 4, inflightMessages: 1 },
      [],
    ])
  })

  test('gets no more than the window; after a heartbeat response only an empty append probes for them', () => {
    const bench = leader({ limits: { inflightMessagesMax: 1 } })
    const { lastIndex } = bench.raft
    for (const text of ['a', 'b']) bench.node.propose(text)
    expect(appendsTo(bench, 2)).toEqual([[lastIndex + 1]])
    bench.pass(heartbeatMs)
    answer(bench, 2)
    expect(appendsTo(bench, 2)).toEqual([[]])
    accept(bench, 2, plus(lastIndex, 1))
    expect(appendsTo(bench, 2)).toEqual([[lastIndex + 2]])
  })

  test('gets no more than the window also of entries that the leader itself makes', () => {
    const bench = leader({ limits: { inflightMessagesMax: 1 } })
    const { lastIndex } = bench.raft
    bench.node.change({ kind: 'change', steps: stepsOf('-3') })
    bench.node.propose('x')
    bench.settle()
    bench.take()
    accept(bench, 2, plus(lastIndex, 1))
    expect(appendsTo(bench, 2)).toEqual([[lastIndex + 2]])
    bench.settle()
    expect([bench.raft.lastIndex, appendsTo(bench, 2)]).toEqual([lastIndex + 3, []])
  })

  test('is probed when it is the target of a transfer', () => {
    const bench = leader()
    bench.node.propose('a')
    bench.take()
    bench.step({ kind: 'transfer', to: id(2) })
    expect(appendsTo(bench, 2)).toEqual([[]])
  })

  test('that rejects an append is probed at an earlier index, once', () => {
    const bench = new Bench({ terms: [1, 1, 1], term: 1 })
    bench.lead()
    bench.take()
    reject(bench, 2, 3, [1, 1])
    expect(bench.takeOf('append').map(({ to, prevIndex }) => [to, prevIndex])).toEqual([[id(2), 1]])
    reject(bench, 2, 3, [1, 1])
    expect(bench.take()).toEqual([])
  })

  test('that has compacted its log up to an index is probed there', () => {
    const bench = new Bench({ terms: [1, 1, 1, 4, 4, 5], term: 6 })
    bench.lead()
    bench.take()
    // The follower has no terms of compacted entries, but all of those are committed.
    reject(bench, 2, 6, [4, 0])
    expect(bench.takeOf('append')).toMatchObject([{ to: id(2), prevIndex: 4 }])
  })
})

describe('a follower whose disk is slow', () => {
  /** A leader with four more entries, of 55 bytes each, and a follower that has room for so many bytes. */
  function withRoom(room: number): { readonly bench: Bench; readonly last: LogIndex } {
    const bench = leader({ limits: { appendBytesMax: 110 } })
    bench.take()
    bench.receive(heartbeatAnswer(bench, 2, { matched: bench.raft.lastIndex, room }))
    const last = bench.raft.lastIndex
    bench.node.proposeAll(['a', 'b', 'c', 'd'])
    return { bench, last }
  }

  test.each([
    [0, []],
    [1, [[1]]],
    [110, [[1, 2]]],
    [111, [[1, 2], [3]]],
  ])('with room for %i bytes is sent no more, but one entry', (room, sent) => {
    const { bench, last } = withRoom(room)
    expect(appendsTo(bench, 2)).toEqual(sent.map((indexes) => indexes.map((more) => last + more)))
  })

  test('is sent more when it has received that and has room, before it has stored anything', () => {
    const { bench, last } = withRoom(110)
    bench.take()
    bench.receive(heartbeatAnswer(bench, 2, { matched: last + 2, room: 0 }))
    expect(appendsTo(bench, 2)).toEqual([[]])
    bench.receive(heartbeatAnswer(bench, 2, { matched: last + 2, room: 110 }))
    expect(appendsTo(bench, 2)).toEqual([[last + 3, last + 4]])
    expect(of(bench, 2).match).toBe(last)
  })

  test('is not probed any more when it says how much of the log it has', () => {
    const bench = new Bench()
    bench.lead()
    bench.node.proposeAll(['a', 'b'])
    bench.take()
    const first = asIndex(bench.raft.lastIndex - 2)
    bench.receive(heartbeatAnswer(bench, 2, { matched: first }))
    expect(appendsTo(bench, 2)).toEqual([[first + 1, first + 2]])
    expect(of(bench, 2)).toMatchObject({ state: 'replicate', match: 0 })
    // Less than what the next probe would show changes nothing.
    bench.receive(heartbeatAnswer(bench, 3, { matched: first - 1 }))
    expect(of(bench, 3).state).toBe('probe')
  })

  test('beyond the log of the leader is impossible', () => {
    const bench = leader()
    const matched = bench.raft.lastIndex + 1
    expect(() => bench.receive(heartbeatAnswer(bench, 2, { matched }))).toThrow(InvariantError)
  })

  test.each([
    [{ bytes: 1000, items: 10 }, 892],
    [{ bytes: 100, items: 10 }, 0],
    [{ bytes: 1000, items: 2 }, 0],
  ])('says how much it takes beyond what it has: with room for %o', (diskRoom, room) => {
    const bench = new Bench()
    bench.node.diskRoom = diskRoom
    bench.receive(append(2, 1, [0, 0], [1, 1]))
    const beat = { commit: asIndex(0), round: 1, confirmed: undefined, appliedByMajority: asIndex(0) }
    bench.receive({ type: 'heartbeat', from: 2, term: 1, ...beat })
    expect(bench.takeOf('heartbeat-answer')).toMatchObject([{ matched: 2, room, lastIndex: 2 }])
    bench.settle()
    bench.node.diskRoom = { bytes: 0, items: 0 }
    bench.receive({ type: 'heartbeat', from: 2, term: 1, ...beat })
    // One entry is always accepted.
    expect(bench.takeOf('heartbeat-answer')).toMatchObject([{ matched: 2, room: 1 }])
    // Another leader may have another log.
    bench.receive({ type: 'heartbeat', from: 3, term: 2, ...beat })
    expect(bench.takeOf('heartbeat-answer')).toMatchObject([{ matched: 0, lastIndex: 2 }])
  })
})

describe('what a follower answers', () => {
  test('with a round that never began stops the leader', () => {
    const bench = leader()
    expect(() => accept(bench, 2, bench.raft.lastIndex, { round: bench.round + 5 })).toThrow(InvariantError)
  })

  test('late does not lower its applied index', () => {
    const bench = leader()
    answer(bench, 2, 1)
    answer(bench, 2, 0)
    expect(of(bench, 2).applied).toBe(1)
  })

  test('keeps it active for an election timeout', () => {
    const bench = leader()
    const active = (): boolean => of(bench, 2).recentlyActive
    bench.nowMs += electionMaxMs - 1
    answer(bench, 3)
    expect(active()).toBe(true)
    bench.nowMs += 1
    answer(bench, 3)
    expect(active()).toBe(false)
    answer(bench, 2)
    expect(active()).toBe(true)
  })

  test('as a non-member does not count', () => {
    const bench = leader()
    accept(bench, 9, bench.raft.lastIndex)
    reject(bench, 9, 1, [0, 0])
    answer(bench, 9)
    bench.step({ kind: 'snapshot-sent', peer: id(9), index: asIndex(1), ok: true })
    expect(bench.take()).toEqual([])
  })
})

describe('a follower that needs a snapshot', () => {
  function behind(): Bench {
    const bench = new Bench({ base: 5, terms: [1, 1], term: 1 })
    bench.lead()
    for (const from of [2, 3]) answer(bench, from)
    reject(bench, 2, 7, [0, 0])
    expect(bench.takeSnapshots()).toEqual([{ to: id(2), atLeast: 5 }])
    expect(of(bench, 2).state).toBe('snapshot')
    bench.take()
    return bench
  }

  test('gets no entries until it has it, and no second snapshot', () => {
    const bench = behind()
    bench.node.propose('x')
    bench.pass(heartbeatMs)
    answer(bench, 2)
    expect([appendsTo(bench, 2), bench.takeSnapshots()]).toEqual([[], []])
    accept(bench, 2, asIndex(4))
    expect([of(bench, 2).state, appendsTo(bench, 2), bench.takeSnapshots()]).toEqual(['snapshot', [], []])
    accept(bench, 2, asIndex(5))
    expect([of(bench, 2).state, appendsTo(bench, 2)]).toEqual(['replicate', [[6, 7, 8, 9]]])
  })

  test('is probed at the end of a sent snapshot, and from the beginning after a failed one', () => {
    for (const ok of [true, false]) {
      const bench = behind()
      bench.step({ kind: 'snapshot-sent', peer: id(2), index: asIndex(6), ok })
      expect(of(bench, 2)).toMatchObject({ state: 'probe', match: 0, next: ok ? 7 : 1, paused: true })
      expect(bench.take()).toEqual([])
      answer(bench, 2)
      expect(appendsTo(bench, 2)).toEqual(ok ? [[7, 8]] : [])
      expect(bench.takeSnapshots()).toHaveLength(ok ? 0 : 1)
    }
    const bench = leader()
    bench.step({ kind: 'snapshot-sent', peer: id(2), index: asIndex(6), ok: true })
    expect(of(bench, 2).state).toBe('replicate')
  })

  test('is offered another one when the end of the first is not reported for a minute', () => {
    const bench = behind()
    const beat = (): void => {
      bench.pass(heartbeatMs)
      for (const from of [2, 3]) answer(bench, from)
    }
    for (let passed = 0; passed < 60_000 - heartbeatMs; passed += heartbeatMs) beat()
    expect([of(bench, 2).state, bench.takeSnapshots()]).toEqual(['snapshot', []])
    bench.pass(heartbeatMs)
    expect(of(bench, 2)).toMatchObject({ state: 'probe', next: 1 })
    for (const from of [2, 3]) answer(bench, from)
    expect(bench.takeSnapshots()).toEqual([{ to: id(2), atLeast: 5 }])
  })

  test('is not offered one while it is silent', () => {
    for (const [silentMs, offered] of [
      [electionMaxMs - 1, 1],
      [electionMaxMs, 0],
    ] as const) {
      const bench = behind()
      bench.step({ kind: 'snapshot-sent', peer: id(2), index: asIndex(7), ok: false })
      bench.nowMs += silentMs
      answer(bench, 3)
      bench.step({ kind: 'connected', peer: id(2), boot: 1, term: bench.raft.term, lastIndex: asIndex(0) })
      expect(bench.takeSnapshots()).toHaveLength(offered)
    }
  })
})

describe('a snapshot that comes too late for the log', () => {
  /** Count of late snapshots before each snapshot that was requested so far. */
  const late = (bench: Bench): number[] =>
    bench.outputs.flatMap(({ snapshots }) => snapshots.map((request) => request.late))

  /** Replica 2 has received a snapshot at 6, and the log was compacted up to 8 by then. */
  function tooLate(): Bench {
    const bench = new Bench({
      base: 5,
      terms: [1, 1],
      term: 1,
      limits: { tailBytesMax: 0, applyBytesMax: 1 },
    })
    bench.lead()
    for (const from of [2, 3]) answer(bench, from)
    reject(bench, 2, 7, [0, 0])
    for (const text of ['x', 'y']) {
      bench.node.propose(text)
      bench.acknowledge([3])
    }
    bench.node.compact(asIndex(8))
    bench.step({ kind: 'snapshot-sent', peer: id(2), index: asIndex(6), ok: true })
    answer(bench, 2)
    return bench
  }

  test('is counted until the follower is caught up, and needed tells it', () => {
    const bench = tooLate()
    expect([late(bench), of(bench, 2).lateSnapshots, bench.raft.needed.lateSnapshots]).toEqual([[0, 1], 1, 1])
    bench.step({ kind: 'snapshot-sent', peer: id(2), index: asIndex(9), ok: true })
    bench.nowMs += 2 * electionMaxMs
    answer(bench, 3)
    accept(bench, 2, asIndex(9))
    expect([of(bench, 2).state, of(bench, 2).lateSnapshots]).toEqual(['replicate', 1])
    // A short round of catching up.
    accept(bench, 2, bench.raft.lastIndex)
    accept(bench, 2, bench.raft.lastIndex)
    expect([of(bench, 2).lateSnapshots, bench.raft.needed.lateSnapshots]).toEqual([0, 0])
  })

  test('a snapshot that was not received is not late', () => {
    const bench = tooLate()
    for (let failed = 0; failed < 2; failed++) {
      bench.step({ kind: 'snapshot-sent', peer: id(2), index: asIndex(8), ok: false })
      answer(bench, 2)
    }
    expect(late(bench)).toEqual([0, 1, 1, 1])
  })

  test('no log is kept for a follower that needs a snapshot first', () => {
    const bench = tooLate()
    expect(bench.raft.needed.after).toBe(8)
    bench.step({ kind: 'snapshot-sent', peer: id(2), index: asIndex(8), ok: false })
    expect([of(bench, 2).next, bench.raft.needed.after]).toEqual([1, bench.raft.lastIndex])
  })
})

describe('a follower receives the commit index', () => {
  const COMMIT_DELAY_MS = 5
  const commitsSent = (bench: Bench): string[] =>
    bench.takeOf('heartbeat').map(({ to, commit }) => `${to}:${commit}`)
  const forward = (bench: Bench, from: number, seq: number): void =>
    bench.receive({
      ...{ type: 'forward', from, term: bench.raft.term, boot: 1 },
      proposals: [{ seq, frame: textFrame(id(from), 1, seq, 'x') }],
    })

  test('a little later, but not before, also by a new leader; at once only entries that it awaitedIndex', () => {
    const bench = new Bench({ timing: { commitDelayMs: COMMIT_DELAY_MS } })
    bench.lead()
    bench.acknowledge()
    bench.pass(COMMIT_DELAY_MS - 1)
    expect(commitsSent(bench)).toEqual([])
    bench.pass(1)
    expect(commitsSent(bench)).toEqual(['2:1', '3:1'])
    forward(bench, 3, 1)
    bench.acknowledge()
    expect(commitsSent(bench)).toEqual(['3:2'])
    bench.pass(COMMIT_DELAY_MS)
    bench.take()
    bench.node.propose('y')
    bench.acknowledge()
    expect(commitsSent(bench)).toEqual([])
  })

  test('not while entries are under way to it, or its position is unknown', () => {
    const bench = leader({ timing: { commitDelayMs: COMMIT_DELAY_MS } })
    bench.pass(COMMIT_DELAY_MS)
    const { lastIndex } = bench.raft
    for (const text of ['x', 'y']) bench.node.propose(text)
    bench.take()
    for (const from of [2, 3]) accept(bench, from, plus(lastIndex, 1))
    bench.pass(COMMIT_DELAY_MS)
    expect([bench.raft.commit, commitsSent(bench)]).toEqual([lastIndex + 1, []])
    bench.step({ kind: 'disconnected', peer: id(2) })
    bench.step({ kind: 'tick' })
    accept(bench, 3, plus(lastIndex, 2))
    bench.settle()
    bench.pass(COMMIT_DELAY_MS)
    expect(commitsSent(bench)).toEqual([`3:${lastIndex + 2}`])
  })
})

describe('a follower takes', () => {
  const entriesWith = (indexes: readonly number[], terms: readonly number[]) =>
    indexes.flatMap((index, at) => pastEntries(index, [terms[at] ?? 1]))
  const receive = (
    bench: Bench,
    prev: readonly [number, number],
    entries: ReturnType<typeof pastEntries>,
  ): void => bench.receive({ ...(append(2, 1, prev) as Incoming & { type: 'append' }), entries })

  test('no entries out of order, or of a later term than the append', () => {
    const have = { terms: [1, 1, 1], term: 1 }
    const wrong: [string, readonly number[], readonly number[]][] = [
      ['twice the same', [2, 2], [1, 1]],
      ['one left out', [2, 4], [1, 1]],
      ['one too far', [3], [1]],
      ['of a later term', [2, 3], [1, 2]],
    ]
    for (const [what, indexes, terms] of wrong) {
      const receiving = () => receive(new Bench(have), [1, 1], entriesWith(indexes, terms))
      expect(receiving, what).toThrow(/holds a wrong entry/)
      expect(receiving, what).toThrow(InvariantError)
    }
  })

  test('no commit index beyond its log: it has lost acknowledged entries', () => {
    const bench = new Bench({ terms: [1], term: 1 })
    const heartbeat = {
      from: 2,
      term: 1,
      commit: asIndex(2),
      round: 1,
      confirmed: undefined,
      appliedByMajority: asIndex(0),
    }
    bench.receive({ type: 'heartbeat', ...heartbeat })
    expect(bench.outputs.at(-1)?.fatal).toMatch(/lost durable state/)
    expect(bench.node.running).toBe(false)
  })
})

describe('proposals at a leader', () => {
  let seq = 100
  const propose = (bench: Bench, frame: Uint8Array): unknown => {
    bench.step({ kind: 'propose', proposals: [{ seq: ++seq, frame }] })
    const [outcome] = bench.outputs.at(-1)?.outcomes ?? []
    return outcome?.outcome === 'refused' ? outcome.refusal : 'appended'
  }
  const ofBytes = (bytes: number): Uint8Array => {
    const empty = sealed(TEXT, id(1), 1, seq + 1, new Uint8Array()).length
    return sealed(TEXT, id(1), 1, seq + 1, new Uint8Array(bytes - empty))
  }

  test('are refused when the own node refuses them, also forwarded ones; entries of the core are not checked', () => {
    const refused = { reason: 'disk-full', detail: 'no space' }
    const bench = leader()
    expect(propose(bench, sealed(REFUSED_TEXT, id(1), 1, seq + 1, new Uint8Array(8)))).toEqual(refused)
    expect(propose(bench, sealed(TEXT, id(1), 1, seq + 1, new Uint8Array(8)))).toBe('appended')
    const leases = encodeLeaderLeases({ on: false, durationMs: 0 })
    expect(propose(bench, sealed(ENTRY_LEADER_LEASES, id(1), 1, seq + 1, leases))).toBe('appended')
    const frame = sealed(REFUSED_TEXT, id(2), 1, 1, new Uint8Array(8))
    bench.receive({
      type: 'forward',
      from: 2,
      term: bench.raft.term,
      boot: 1,
      proposals: [{ seq: 1, frame }],
    })
    expect(bench.takeOf('forward-refused')).toMatchObject([{ refused: [{ seq: 1, refusal: refused }] }])
  })

  test('may be as large as an entry may be', () => {
    const bench = leader({ limits: { entryBytesMax: 100 } })
    expect(propose(bench, ofBytes(100))).toBe('appended')
    const detail = 'an entry may have 100 bytes, this one has 101'
    expect(propose(bench, ofBytes(101))).toEqual({ reason: 'too-large', detail })
  })

  test('that are not entries stop it', () => {
    expect(() => propose(leader(), new Uint8Array(3))).toThrow(InvariantError)
  })

  test('that are forwarded get an answer only if they are refused, and only entries are forwarded', () => {
    const bench = leader()
    const { lastIndex } = bench.raft
    const forward = (number: number): void =>
      bench.receive({
        ...{ type: 'forward', from: 3, term: bench.raft.term, boot: 1 },
        proposals: [{ seq: number, frame: textFrame(id(3), 1, number, 'x') }],
      })
    forward(1)
    expect(bench.take().map(({ type, to }) => [type, to])).toEqual([
      ['append', id(2)],
      ['append', id(3)],
    ])
    accept(bench, 2, plus(lastIndex, 1))
    bench.step({ kind: 'transfer', to: id(2) })
    bench.take()
    forward(2)
    expect(bench.take().map(({ type, to }) => [type, to])).toEqual([['forward-refused', id(3)]])
  })
})

describe('changes of members that a leader makes by itself', () => {
  const withLearner = (voters: number) => ({
    ...votersUpTo(voters + 1),
    voters: votersUpTo(voters).voters,
    learners: [id(voters + 1)],
  })

  test('a learner is not promoted while leadership is handed over', () => {
    const bench = new Bench({ configuration: withLearner(2) })
    bench.lead()
    bench.acknowledge([2])
    bench.step({ kind: 'transfer', to: id(2) })
    const { lastIndex } = bench.raft
    accept(bench, 3, lastIndex)
    expect(bench.raft.lastIndex).toBe(lastIndex)
    for (let passed = 0; passed < electionMaxMs; passed += heartbeatMs) {
      bench.pass(heartbeatMs)
      for (const from of [2, 3]) answer(bench, from)
    }
    expect([bench.raft.status().transferTarget, bench.raft.lastIndex]).toEqual([undefined, lastIndex + 1])
  })

  test('a learner is not promoted by a leader without contact to a majority', () => {
    const bench = new Bench({ configuration: withLearner(3) })
    bench.lead()
    bench.acknowledge([2, 3])
    bench.node.change({ kind: 'change', steps: [{ kind: 'update', member: memberNamed('two', id(2)) }] })
    const { lastIndex } = bench.raft
    bench.node.store()
    for (const from of [2, 3]) accept(bench, from, lastIndex)
    while (bench.node.process.pending.length > 0) bench.node.store()
    for (const ms of [400, 400, 200]) {
      accept(bench, 4, lastIndex)
      bench.nowMs += ms
    }
    bench.node.apply()
    expect(bench.raft.configuration.members.map(({ name }) => name)).toContain('two')
    answer(bench, 4)
    expect(bench.raft.lastIndex).toBe(lastIndex)
    for (const from of [2, 3]) accept(bench, from, lastIndex)
    expect(bench.raft.lastIndex).toBe(lastIndex + 1)
  })

  test("a joint configuration is left when an entry of the leader's term is committed, and not before", () => {
    const configuration = { ...votersUpTo(3), votersOutgoing: [1, 2].map(id) }
    const bench = new Bench({ configuration })
    bench.lead()
    expect(bench.raft.lastIndex).toBe(1)
    bench.acknowledge()
    expect(bench.raft.lastIndex).toBe(2)
  })

  test('when it is left, entries of the new majority are committed, and reads that it confirms are served', () => {
    const configuration = {
      ...votersUpTo(5),
      voters: [1, 2].map(id),
      votersOutgoing: [1, 2, 3, 4, 5].map(id),
    }
    const bench = new Bench({ configuration })
    bench.lead()
    bench.acknowledge()
    const leave = bench.raft.lastIndex
    bench.node.propose('x')
    while (bench.node.process.pending.length > 0) bench.node.store()
    accept(bench, 2, plus(leave, 1))
    for (const from of [3, 4]) accept(bench, from, leave)
    while (bench.node.process.pending.length > 0) bench.node.store()
    bench.node.read(false)
    answer(bench, 2)
    const before = bench.outputs.length
    expect([bench.raft.commit, bench.raft.inspect().readers]).toEqual([leave, 1])
    bench.node.apply()
    expect(bench.raft.configuration.votersOutgoing).toEqual([])
    expect(bench.raft.commit).toBe(leave + 1)
    expect(bench.outputs.slice(before).flatMap(({ reads }) => reads)).toMatchObject([
      { outcome: 'confirmed' },
    ])
  })

  test('a leader that has removed a follower continues with the others', () => {
    const bench = leader()
    bench.node.change({ kind: 'change', steps: stepsOf('-3') })
    for (let turns = 0; turns < 3; turns++) bench.acknowledge()
    expect([bench.role, bench.raft.configuration.voters]).toEqual(['leader', [1, 2].map(id)])
    expect(bench.raft.inspect()).toMatchObject({ retiring: 0 })
  })
})
