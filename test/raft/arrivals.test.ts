// Inputs of a replica other than appends: snapshots, connections of processes with more or less state than before, and
// echoes of its own times. And its reports: the next deadline, work in flight, and freshness.

import { describe, expect, test } from 'vitest'
import { InvariantError } from '../../src/raft/invariant.ts'
import {
  type AppliedRaftState,
  asIndex,
  asTerm,
  type ConfigurationChange,
  type Entry,
  type LeaderLeaseSetting,
  type Message,
} from '../../src/raft/types.ts'
import {
  append,
  Bench,
  follower,
  heartbeatAnswer,
  type Incoming,
  leader,
  voteRequest,
} from './harness/bench.ts'
import { pastChange, pastEntries, pastLeases, textFrame } from './harness/frames.ts'
import { id, LEASES_OFF, votersUpTo } from './harness/members.ts'
import { type InputWithoutTime, TIMING } from './harness/node.ts'

const { heartbeatMs, electionMinMs, electionMaxMs } = TIMING
const drawnElectionMs = (electionMinMs + electionMaxMs) / 2
const DEMOTE: ConfigurationChange = { kind: 'change', steps: [{ kind: 'demote', id: id(3) }] }

const answer = (bench: Bench, from: number, round = bench.round): void =>
  bench.receive(heartbeatAnswer(bench, from, { round }))

const appendOf = (
  prev: readonly [number, number],
  entries: readonly Entry[],
  commit = 0,
  term = 1,
): Incoming => {
  const sent = append(2, term, prev, [], commit) as Incoming & { type: 'append' }
  return { ...sent, entries }
}

const waits = (bench: Bench): number => bench.raft.deadline() - bench.nowMs
const propose = (bench: Bench, seq: number): void =>
  bench.step({ kind: 'propose', proposals: [{ seq, frame: textFrame(id(1), 1, seq, 'x') }] })
const ask = (bench: Bench, one: number, leaderLease = false): void =>
  bench.step({ kind: 'read', reads: [{ id: one, leaderLease }] })
const reads = (bench: Bench): string[] =>
  bench.outputs.flatMap((output) => output.reads.map((read) => `${read.id} ${read.outcome}`))
const typesTo = (messages: readonly Message[], peer: number): string[] =>
  messages.flatMap(({ to, type }) => (to === id(peer) ? [type] : []))

describe('a snapshot', () => {
  interface Arrival {
    readonly index: number
    readonly term: number
    readonly at?: number
    readonly from?: number
    readonly state?: Partial<AppliedRaftState>
    readonly clusterTimeMs?: number
  }

  function arrives(bench: Bench, { index, term, at, from = 2, state, clusterTimeMs = 0 }: Arrival): void {
    const whole = { configuration: votersUpTo(3), leaderLeases: LEASES_OFF, ...state }
    const meta = { index: asIndex(index), term: asTerm(term), state: whole }
    const snapshotId = `at ${index}`
    bench.node.disk.staged.set(snapshotId, { meta, clusterTimeMs, machine: [] })
    bench.receive({ type: 'snapshot', from, term: at ?? bench.raft.term, meta, snapshotId, clusterTimeMs })
  }

  test('of the leader of this term, or a newer one, is contact with it', () => {
    for (const at of [3, 4]) {
      const bench = new Bench({ terms: [1], term: 3 })
      bench.nowMs += 100
      arrives(bench, { index: 5, term: 2, at })
      expect([bench.raft.leader, bench.raft.term, waits(bench)]).toEqual([id(2), at, drawnElectionMs])
      expect(bench.outputs.at(-1)?.roleChange?.why).toBe(`message from the leader of term ${at}`)
    }
  })

  test('of another leader in the term in which it leads stops it; one of an older term is ignored by a leader', () => {
    const bench = new Bench({ terms: [1], term: 1 })
    bench.lead()
    arrives(bench, { index: 9, term: 1, at: 1 })
    expect([bench.raft.commit, bench.raft.installing, bench.role]).toEqual([0, false, 'leader'])
    expect(() => arrives(bench, { index: 9, term: 1 })).toThrow(InvariantError)
  })

  test('of an older term ends a campaign: its entries are committed, and not yet applied here', () => {
    const bench = new Bench({ terms: [1], term: 1 })
    bench.campaign()
    arrives(bench, { index: 9, term: 1, at: 1 })
    expect([bench.role, bench.raft.leader, bench.raft.installing]).toEqual(['follower', undefined, true])
    expect(bench.outputs.at(-1)?.roleChange?.why).toBe('a snapshot arrived')
  })

  test('that ends at the commit index changes nothing', () => {
    const bench = new Bench({ terms: [1, 1], term: 1, commit: 2 })
    bench.settle()
    arrives(bench, { index: 2, term: 1 })
    expect([bench.raft.installing, bench.takeOf('append-accepted')]).toMatchObject([false, [{ index: 2 }]])
  })

  test('may contain the end of a joint configuration: removed replicas are needed until a majority has applied it', () => {
    const bench = new Bench({ terms: [1], term: 1 })
    expect(bench.raft.settled).toBe(true)
    arrives(bench, { index: 5, term: 1 })
    bench.settle()
    const heartbeat = { type: 'heartbeat', from: 2, term: 1, commit: asIndex(5), round: 1 } as const
    const settled = [4, 5].map((index) => {
      bench.receive({ ...heartbeat, confirmed: undefined, appliedByMajority: asIndex(index) })
      return bench.raft.settled
    })
    expect(settled).toEqual([false, true])
  })

  test('cannot be of a later term than its leader', () => {
    expect(() => arrives(new Bench({ term: 3 }), { index: 5, term: 4 })).toThrow(InvariantError)
  })

  test('replaces the changes and settings that it covers; those after it stay if it keeps the log', () => {
    const on: LeaderLeaseSetting = { on: true, durationMs: 300 }
    const entries = [
      ...[pastChange(1, 1, DEMOTE), pastLeases(2, 1, on)],
      ...[...pastEntries(3, [1]), pastChange(4, 1, DEMOTE), pastLeases(5, 1, on)],
    ]
    const underWay = (term: number): unknown => {
      const bench = new Bench()
      bench.receive(appendOf([0, 0], entries))
      bench.settle()
      expect(bench.raft.inspect()).toMatchObject({ unappliedChanges: 2, unappliedLeaderLeases: 2 })
      arrives(bench, { index: 3, term, at: 2, state: { leaderLeases: { on: true, durationMs: 700 } } })
      const { unappliedChanges, unappliedLeaderLeases } = bench.raft.inspect()
      return [
        bench.raft.lastIndex,
        unappliedChanges,
        unappliedLeaderLeases,
        bench.raft.leaderLeases.durationMs,
      ]
    }
    expect(underWay(1)).toEqual([5, 1, 1, 700])
    expect(underWay(2)).toEqual([3, 0, 0, 700])
  })

  test('is visible when it is stored; the freshness of the state is known then', () => {
    const bench = new Bench({ terms: [1], term: 1, commit: 1 })
    bench.settle()
    const heartbeat = { from: 2, term: 1, commit: asIndex(1), round: 1, appliedByMajority: asIndex(0) }
    bench.receive({ ...heartbeat, type: 'heartbeat', confirmed: undefined })
    const [{ sentAt } = expect.fail()] = bench.takeOf('heartbeat-answer')
    bench.nowMs += 50
    const confirmed = { at: sentAt, readIndex: asIndex(5) }
    bench.receive({ ...heartbeat, type: 'heartbeat', confirmed })
    arrives(bench, { index: 5, term: 1 })
    expect(bench.raft.stalenessMs(bench.nowMs)).toBeUndefined()
    bench.settle()
    expect(bench.raft.stalenessMs(bench.nowMs)).toBe(50)
  })

  test('has its cluster time, and a leader continues from the latest that it knows and its arrival', () => {
    const stamped = (entry: Entry, ms: number): Entry => {
      new DataView(entry.frame.buffer, entry.frame.byteOffset).setBigUint64(24, BigInt(ms))
      return entry
    }
    /** The cluster time of its first entry, and how long ago the newest one before it arrived. */
    const first = (bench: Bench): { readonly ms: number; readonly waitedMs: number } => {
      const arrivedAt = bench.nowMs
      bench.nowMs += 700
      bench.lead()
      const entry = bench.node.process.log.list.at(-1) ?? expect.fail()
      const ms = Number(new DataView(entry.frame.buffer, entry.frame.byteOffset).getBigUint64(24))
      return { ms, waitedMs: bench.nowMs - arrivedAt }
    }
    const expectFirst = (bench: Bench, stampedMs: number): void => {
      const { ms, waitedMs } = first(bench)
      expect(ms).toBe(stampedMs + waitedMs)
    }
    const bySnapshot = new Bench({ term: 1 })
    arrives(bySnapshot, { index: 9, term: 1, clusterTimeMs: 7000 })
    bySnapshot.settle()
    expectFirst(bySnapshot, 7000)

    const [entry = expect.fail()] = pastEntries(1, [1])
    const byLog = new Bench()
    byLog.receive(appendOf([0, 0], [stamped(entry, 5000)]))
    byLog.settle()
    expectFirst(byLog, 5000)

    const compacted = new Bench()
    compacted.receive(appendOf([0, 0], [stamped(entry, 5000)], 1))
    compacted.settle()
    compacted.node.flush()
    compacted.node.compact(asIndex(1))
    expectFirst(compacted, 5000)
  })
})

test('the freshness of the state is known when it is applied', () => {
  const bench = new Bench({ terms: [1], term: 1 })
  const heartbeat = { from: 2, term: 1, commit: asIndex(0), round: 1, appliedByMajority: asIndex(0) }
  bench.receive({ ...heartbeat, type: 'heartbeat', confirmed: undefined })
  const [{ sentAt } = expect.fail()] = bench.takeOf('heartbeat-answer')
  const confirmed = { at: sentAt, readIndex: asIndex(1) }
  bench.nowMs += 20
  bench.receive({ ...heartbeat, type: 'heartbeat', confirmed })
  bench.receive(append(2, 1, [1, 1], [], 1))
  expect(bench.raft.stalenessMs(bench.nowMs)).toBeUndefined()
  bench.node.apply()
  expect(bench.raft.stalenessMs(bench.nowMs)).toBe(20)
})

describe('a process that connects', () => {
  const connected = (peer: number, boot: number, term: number, lastIndex = 1): InputWithoutTime => ({
    ...{ kind: 'connected', peer: id(peer), boot, term: asTerm(term), lastIndex: asIndex(lastIndex) },
  })
  const lostStateMessages = (bench: Bench): number => bench.takeOf('lost-state').length

  test('has not lost the term of a pre-vote, which has never begun', () => {
    const bench = new Bench({ terms: [1], term: 5 })
    bench.step(connected(3, 1, 5))
    bench.receive({ ...voteRequest(3, 6), type: 'pre-vote-request' } as Incoming)
    bench.step(connected(3, 2, 5))
    const campaign = new Bench({ terms: [1], term: 5, voters: 5 })
    campaign.timeout()
    campaign.receive({ type: 'pre-vote-answer', from: 3, term: 6, granted: true })
    campaign.step(connected(3, 2, 5))
    expect([lostStateMessages(bench), lostStateMessages(campaign)]).toEqual([0, 0])
  })

  test('must start with the highest term seen from it, in any order', () => {
    const bench = new Bench({ terms: [1], term: 5 })
    bench.receive(voteRequest(3, 5))
    bench.receive(voteRequest(3, 3))
    bench.step(connected(3, 1, 4))
    expect(lostStateMessages(bench)).toBe(1)
  })

  test('is judged once: neither a later term on the same process nor an old connection changes that', () => {
    const bench = new Bench({ terms: [1], term: 5 })
    bench.receive(voteRequest(3, 5))
    bench.step(connected(3, 2, 4))
    bench.step(connected(3, 2, 5))
    bench.step(connected(3, 1, 5))
    expect(lostStateMessages(bench)).toBe(3)
    bench.step(connected(3, 3, 5))
    expect(lostStateMessages(bench)).toBe(0)
  })

  test('must have what it acknowledged in the term that it names, but not what it acknowledged in an earlier term', () => {
    const lost = (term: number, lastIndex: number): number => {
      const bench = new Bench({ terms: [1], term: 1 })
      bench.lead()
      bench.acknowledge()
      bench.take()
      bench.step(connected(2, 2, bench.raft.term + term, lastIndex))
      return lostStateMessages(bench)
    }
    expect([lost(0, 2), lost(0, 1), lost(1, 1)]).toEqual([0, 1, 0])
  })

  test('gets again what was forwarded to it, and no other replica does', () => {
    const bench = follower()
    propose(bench, 1)
    bench.take()
    bench.step(connected(3, 1, 1))
    expect(bench.take()).toEqual([])
    bench.step(connected(2, 1, 1))
    expect(bench.take()).toMatchObject([{ type: 'forward', to: id(2) }])
    bench.receive(append(2, 1, [0, 0]))
    expect(bench.take().map(({ type }) => type)).toEqual(['append-accepted'])
  })

  test('still gets echoes of its times when only the connection was broken', () => {
    const bench = leader()
    const hello = { peer: id(2), boot: 1, term: bench.raft.term, lastIndex: bench.raft.lastIndex }
    bench.step({ ...hello, kind: 'connected' })
    for (let round = 0; round < 3; round++) {
      bench.pass(heartbeatMs)
      bench.acknowledge()
    }
    bench.step({ kind: 'disconnected', peer: id(2) })
    bench.step({ ...hello, kind: 'connected' })
    bench.take()
    bench.pass(heartbeatMs)
    expect(bench.takeOf('heartbeat').find(({ to }) => to === id(2))?.confirmed).toMatchObject({ at: 1 })
  })

  test('a replica that receives a lost-state message stops permanently', () => {
    const bench = new Bench({ term: 1 })
    const { raft } = bench
    bench.receive({ type: 'lost-state', from: 2, term: 1, detail: 'gone' })
    expect([bench.outputs.at(-1)?.fatal, bench.node.running]).toEqual(['gone', false])
    expect(() => raft.step({ kind: 'tick', now: bench.nowMs })).toThrow(InvariantError)
  })

  test('after a broken connection to a follower, a leader only probes it', () => {
    const bench = leader()
    bench.step({ kind: 'unreachable', peer: id(2) })
    expect([bench.role, bench.raft.leader]).toEqual(['leader', id(1)])
    const other = follower()
    other.step({ kind: 'unreachable', peer: id(3) })
    expect([other.raft.leader, waits(other)]).toEqual([id(2), drawnElectionMs])
  })
})

describe('a request of a follower to its leader', () => {
  test('has a deadline at which the replica wakes, and not before', () => {
    const bench = follower({ random: () => 0.99 })
    bench.nowMs += 10
    ask(bench, 1)
    bench.nowMs += 400
    ask(bench, 2)
    bench.receive(append(2, 1, [0, 0]))
    bench.nowMs += 400
    bench.receive(append(2, 1, [0, 0]))
    expect(waits(bench)).toBe(electionMaxMs - 800)
    bench.pass(electionMaxMs - 801)
    expect([reads(bench), bench.raft.inspect().pendingReads]).toEqual([[], 2])
    bench.pass(1)
    expect([reads(bench), bench.raft.inspect().pendingReads]).toEqual([['1 refused'], 1])

    const transfer = follower({ random: () => 0.99 })
    transfer.step({ kind: 'transfer', to: id(3) })
    const asked = transfer.nowMs
    for (let beat = 0; beat < 3; beat++) {
      transfer.nowMs += 500
      transfer.receive(append(2, 1, [0, 0]))
    }
    expect(transfer.raft.deadline()).toBe(asked + 2 * electionMaxMs)
    transfer.nowMs += 400
    transfer.receive(append(2, 1, [0, 0]))
    transfer.pass(99)
    expect(transfer.raft.inspect().pendingTransfer).toBe(1)
    transfer.pass(1)
    expect(transfer.raft.inspect().pendingTransfer).toBe(0)
  })

  test('stays open when the same leader leads the next term, or is live again', () => {
    const elected = follower()
    ask(elected, 1)
    elected.receive(append(2, 2, [0, 0]))
    expect([reads(elected), elected.raft.inspect().pendingReads]).toEqual([[], 1])

    const heard = follower()
    heard.step({ kind: 'transfer', to: id(3) })
    heard.step({ kind: 'unreachable', peer: id(2) })
    heard.receive(append(2, 1, [0, 0]))
    expect(heard.raft.inspect().pendingTransfer).toBe(1)
    expect(heard.outputs.flatMap(({ transfer }) => transfer ?? [])).toEqual([])
  })

  test('is sent even if its disk stalls, and before its term is durable', () => {
    const slow = follower()
    slow.receive(append(2, 1, [0, 0], [1]))
    slow.nowMs += electionMinMs
    propose(slow, 1)
    ask(slow, 1)
    expect(slow.take().map(({ type }) => type)).toEqual(['forward', 'read-index'])

    const unsure = new Bench()
    unsure.receive(append(2, 1, [0, 0]))
    unsure.nowMs += electionMinMs
    propose(unsure, 1)
    ask(unsure, 1)
    unsure.step({ kind: 'transfer', to: id(3) })
    const beat = { commit: asIndex(0), round: 1, confirmed: undefined, appliedByMajority: asIndex(0) }
    unsure.receive({ type: 'heartbeat', from: 2, term: 1, ...beat })
    // Its acknowledgement of the append waits.
    expect(unsure.take().map(({ type }) => type)).toEqual([
      ...['forward', 'read-index', 'transfer-request', 'heartbeat-answer'],
    ])
    unsure.settle()
    expect(unsure.take().map(({ type }) => type)).toEqual(['append-accepted'])
  })

  test('is refused while its disk stalls and has no room: it would not learn the outcome', () => {
    const slow = follower()
    slow.node.diskRoom = { bytes: 10, items: 1 }
    slow.receive(append(2, 1, [0, 0], [1]))
    propose(slow, 1)
    slow.nowMs += electionMinMs
    propose(slow, 2)
    ask(slow, 1)
    expect(slow.take().map(({ type }) => type)).toEqual(['forward'])
    expect(slow.outputs.flatMap(({ outcomes }) => outcomes)).toEqual([
      { seq: 2, outcome: 'refused', refusal: { reason: 'no-leader' } },
    ])
    expect(reads(slow)).toEqual(['1 refused'])
  })

  test('has a number that differs from those of other processes', () => {
    const bench = follower()
    const numbers: number[] = []
    for (const boot of [1, 2, 3, 65_537, 65_540, 2 ** 32 - 1]) {
      bench.node.crash()
      bench.node.disk.boot = boot - 1
      bench.node.start()
      bench.receive(append(2, 1, [0, 0]))
      for (const one of [1, 2]) ask(bench, one)
      bench.settle()
      numbers.push(...bench.takeOf('read-index').map(({ request }) => request))
    }
    expect(numbers.length).toBe(12)
    expect(numbers.every(Number.isSafeInteger)).toBe(true)
    expect(new Set(numbers.slice(0, 6)).size).toBe(6)
    expect(new Set(numbers.slice(-4)).size).toBe(4)
  })
})

describe('reads at a leader', () => {
  test('ask the voters alone, and nobody where a lease serves them', () => {
    const configuration = { ...votersUpTo(3), voters: [1, 2].map(id), learners: [id(3)] }
    const bench = new Bench({ configuration })
    bench.lead()
    bench.acknowledge([2])
    bench.take()
    ask(bench, 1)
    const sent = bench.take()
    expect([typesTo(sent, 2), typesTo(sent, 3)]).toEqual([['heartbeat'], []])

    const leased = leader({ leases: { on: true, durationMs: 400 } })
    leased.pass(heartbeatMs)
    leased.acknowledge()
    leased.take()
    ask(leased, 1, true)
    expect([reads(leased), leased.take()]).toEqual([['1 confirmed'], []])
  })

  test('of a follower are answered with what is committed of what it holds', () => {
    const bench = leader()
    const { lastIndex, term } = bench.raft
    bench.node.propose('x')
    bench.acknowledge([2])
    bench.take()
    for (const from of [2, 3])
      bench.receive({ type: 'read-index', from, term, request: from, leaderLease: false })
    for (const from of [2, 3]) answer(bench, from)
    const answers = bench.takeOf('read-index-answer').map(({ to, index, commit }) => [to, index, commit])
    expect(answers).toEqual([
      [id(2), lastIndex + 1, lastIndex + 1],
      [id(3), lastIndex + 1, lastIndex],
    ])
  })
})

describe('a lease', () => {
  const valid = (bench: Bench): boolean => bench.raft.status().leaderLeaseValid

  test('ends at the exact millisecond', () => {
    const bench = leader({ leases: { on: true, durationMs: 500 }, timing: { driftMax: 0.25 } })
    bench.pass(heartbeatMs)
    for (const from of [2, 3]) answer(bench, from)
    bench.nowMs += 399
    bench.step({ kind: 'read', reads: [] })
    expect(valid(bench)).toBe(true)
    bench.nowMs += 1
    bench.step({ kind: 'read', reads: [] })
    expect(valid(bench)).toBe(false)
  })

  test('does not exist before the leader has committed an entry of its term', () => {
    const bench = new Bench({ leases: { on: true, durationMs: 500 } })
    bench.lead()
    bench.pass(heartbeatMs)
    for (const from of [2, 3]) answer(bench, from)
    expect(valid(bench)).toBe(false)
    bench.acknowledge()
    expect(valid(bench)).toBe(true)
  })

  test('does not exist while leases are off', () => {
    const bench = leader({ leases: LEASES_OFF })
    bench.pass(heartbeatMs)
    for (const from of [2, 3]) answer(bench, from)
    expect(valid(bench)).toBe(false)
  })

  test('counts the newest round that each follower has echoed, in whatever order its answers arrive', () => {
    const bench = leader({ voters: 5, leases: { on: true, durationMs: 500 }, timing: { driftMax: 0.25 } })
    bench.pass(heartbeatMs)
    const first = bench.round
    bench.pass(300)
    const second = bench.round
    answer(bench, 2, second)
    answer(bench, 2, first)
    answer(bench, 3, second)
    bench.nowMs += 200
    bench.step({ kind: 'read', reads: [] })
    expect(valid(bench)).toBe(true)
  })

  test('continues from round to round while they are echoed', () => {
    const bench = leader({ leases: { on: true, durationMs: 120 } })
    for (let beat = 0; beat < 100; beat++) {
      bench.pass(heartbeatMs)
      for (const from of [2, 3]) answer(bench, from)
      expect([valid(bench), bench.raft.inspect().leaderLeaseRounds]).toEqual([true, 0])
    }
  })
})

describe('whether the voters no longer need the replicas that a change has removed', () => {
  const applied = (bench: Bench, from: number, index: number): boolean => {
    bench.receive(heartbeatAnswer(bench, from, { applied: index }))
    return bench.raft.settled
  }

  test('a leader knows when a majority says what it has applied, and says so with its heartbeats', () => {
    const bench = new Bench({ base: 5, term: 1 })
    const said = (): number[] => {
      bench.take()
      bench.pass(heartbeatMs)
      return bench.takeOf('heartbeat').map(({ appliedByMajority }) => appliedByMajority)
    }
    expect(bench.raft.settled).toBe(false)
    bench.lead()
    expect([bench.raft.settled, applied(bench, 2, 4), said()]).toEqual([false, false, [4, 4]])
    expect([applied(bench, 2, 5), said()]).toEqual([true, [5, 5]])
    bench.acknowledge()
    applied(bench, 3, 6)
    expect([bench.raft.applied, said()]).toEqual([6, [6, 6]])
  })

  test('others know when their leader says so, and keep that knowledge', () => {
    const bench = new Bench({ base: 5, term: 1 })
    const heartbeat = { type: 'heartbeat', from: 2, term: 1, commit: asIndex(5), round: 1 } as const
    const settled = [4, 5, 0].map((index) => {
      bench.receive({ ...heartbeat, confirmed: undefined, appliedByMajority: asIndex(index) })
      return bench.raft.settled
    })
    expect([bench.raft.leader, settled]).toEqual([id(2), [false, true, true]])
    bench.lead()
    expect([bench.role, bench.raft.settled]).toEqual(['leader', true])
  })

  test('other changes remove no replica, and a promoted one need not have applied an earlier change', () => {
    const configuration = { ...votersUpTo(2), voters: [id(1)], learners: [id(2)] }
    const bench = new Bench({ base: 5, term: 1, configuration })
    bench.lead()
    expect([bench.role, bench.raft.settled]).toEqual(['leader', true])
    bench.acknowledge()
    answer(bench, 2)
    bench.settle()
    expect(bench.raft.configuration.votersOutgoing).toEqual([id(1)])
    expect(bench.raft.settled).toBe(true)
  })
})

describe('what is under way', () => {
  const nonZero = (bench: Bench) =>
    Object.fromEntries(Object.entries(bench.raft.inspect()).filter(([, count]) => count !== 0))

  test('to a follower is reported while it answers', () => {
    const bench = leader()
    propose(bench, 1)
    const keys = (): string[] => Object.keys(nonZero(bench)).filter((key) => key.endsWith('of 2'))
    expect(keys()).toEqual(['inflightMessages of 2', 'inflightBytes of 2'])
    bench.nowMs += electionMaxMs - 1
    answer(bench, 3)
    expect(keys()).toEqual(['inflightMessages of 2', 'inflightBytes of 2'])
    bench.nowMs += 1
    answer(bench, 3)
    expect(keys()).toEqual([])
  })

  test("includes that the end of a follower's log is unknown", () => {
    const bench = leader()
    const ended = (): unknown => nonZero(bench)['notReplicating of 2']
    expect(ended()).toBeUndefined()
    bench.step({ kind: 'disconnected', peer: id(2) })
    expect(ended()).toBe(1)
    const hello = { peer: id(2), boot: 1, term: bench.raft.term, lastIndex: bench.raft.lastIndex }
    bench.step({ kind: 'connected', ...hello })
    bench.acknowledge([2])
    expect(ended()).toBeUndefined()
  })
})
