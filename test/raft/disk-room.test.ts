// A disk that is nearly full: what a leader accepts, which replica it hands over to, and what a follower writes.

import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { ENTRY_CONFIGURATION, ENTRY_LEASES, encodeChange, encodeLeases } from '../../src/raft/index.ts'
import { asIndex, asTerm, type DiskRoom } from '../../src/raft/types.ts'
import { append, Bench, type Incoming } from './harness/bench.ts'
import { TestLog } from './harness/disk.ts'
import { pastEntry, sealed, TEXT } from './harness/frames.ts'
import { id, LEASES_OFF, votersUpTo } from './harness/members.ts'
import { TIMING } from './harness/node.ts'

/** Of the harness's two kinds of commands the second makes room. */
const [GROWS, SHRINKS] = [TEXT, TEXT + 1]

function leader(): Bench {
  const bench = new Bench()
  bench.lead()
  bench.acknowledge()
  bench.take()
  return bench
}

const answer = (bench: Bench, from: number, room: DiskRoom): Incoming => ({
  type: 'heartbeat-answer',
  from,
  term: bench.raft.term,
  round: bench.round,
  sentAt: 1,
  applied: asIndex(1),
  lastIndex: bench.raft.lastIndex,
  room,
})

let seq = 0

/** The immediate result of a proposal of this kind. */
function propose(bench: Bench, kind: number, body: Uint8Array = new Uint8Array(8)): string {
  const number = ++seq
  const last = bench.raft.lastIndex
  bench.step({
    kind: 'propose',
    proposals: [{ seq: number, frame: sealed(kind, id(1), 1, number, body) }],
  })
  const [outcome] = bench.outputs.at(-1)?.outcomes ?? []
  if (outcome?.outcome === 'refused') return outcome.refusal.reason
  return bench.raft.lastIndex > last ? 'appended' : 'nothing'
}

const setRoom = (bench: Bench, room: DiskRoom): void => bench.step({ kind: 'disk-room', room })

test('a leader whose disk is low accepts entries that make room and refuses others; without any room it accepts none', () => {
  const bench = leader()
  for (const from of [2, 3]) bench.receive(answer(bench, from, 'low'))
  const seen = (room: DiskRoom): string[] => {
    setRoom(bench, room)
    return [propose(bench, GROWS), propose(bench, SHRINKS)]
  }
  expect(seen('low')).toEqual(['storage-full', 'appended'])
  for (const from of [2, 3]) bench.receive(answer(bench, from, 'none'))
  expect(seen('none')).toEqual(['storage-full', 'storage-full'])
  for (const from of [2, 3]) bench.receive(answer(bench, from, 'enough'))
  expect(seen('enough')).toEqual(['appended', 'appended'])
})

test('a leader refuses entries that a majority could not write, and accepts entries that a minority could not', () => {
  const bench = leader()
  bench.receive(answer(bench, 2, 'low'))
  expect(propose(bench, GROWS)).toBe('appended')
  bench.receive(answer(bench, 3, 'low'))
  expect([propose(bench, GROWS), propose(bench, SHRINKS)]).toEqual(['storage-full', 'appended'])
  bench.receive(answer(bench, 3, 'none'))
  expect(propose(bench, SHRINKS)).toBe('appended')
  bench.receive(answer(bench, 2, 'none'))
  expect(propose(bench, SHRINKS)).toBe('storage-full')
  bench.receive(answer(bench, 2, 'enough'))
  expect(propose(bench, GROWS)).toBe('appended')
})

test('a leader whose disk is low hands over only if a majority has room, and only to a replica that has', () => {
  const bench = new Bench({ configuration: votersUpTo(5) })
  bench.lead()
  bench.acknowledge([2, 3, 4, 5])
  setRoom(bench, 'low')
  for (const [from, room] of [
    [2, 'low'],
    [5, 'enough'],
    [4, 'enough'],
  ] as const) {
    bench.receive(answer(bench, from, room))
    bench.pass(TIMING.heartbeatMs)
    expect(bench.raft.status().transferTarget).toBeUndefined()
  }
  bench.receive(answer(bench, 3, 'enough'))
  bench.pass(TIMING.heartbeatMs)
  expect(bench.takeOf('timeout-now').map(({ to }) => to)).toEqual([id(3)])
  // Proposals in the meantime are not refused for lack of room: the successor accepts them.
  expect(propose(bench, GROWS)).toBe('transferring')
})

test('a leader whose disk is low does not hand over while one of two with more room is silent', () => {
  const bench = leader()
  for (const from of [2, 3]) bench.receive(answer(bench, from, 'enough'))
  for (let passed = 0; passed <= TIMING.electionMaxMs; passed += TIMING.heartbeatMs) {
    bench.pass(TIMING.heartbeatMs)
    bench.receive(answer(bench, 3, 'enough'))
  }
  setRoom(bench, 'low')
  expect(bench.raft.status().transferTarget).toBeUndefined()
  bench.receive(answer(bench, 2, 'enough'))
  bench.pass(TIMING.heartbeatMs)
  expect(bench.raft.status().transferTarget).toBeDefined()
})

test('a change of members does not count on a replica that has no room for what it lacks', () => {
  const bench = leader()
  const remove = encodeChange({ kind: 'change', steps: [{ kind: 'remove', id: id(3) }] })
  expect(propose(bench, GROWS)).toBe('appended')
  bench.acknowledge([3])
  const seen = (room: DiskRoom): string => {
    bench.receive(answer(bench, 2, room))
    return propose(bench, ENTRY_CONFIGURATION, remove)
  }
  expect(seen('none')).toBe('membership-pending')
  bench.acknowledge([2])
  expect(seen('none')).toBe('appended')

  const other = leader()
  expect(propose(other, GROWS)).toBe('appended')
  other.acknowledge([3])
  other.receive(answer(other, 2, 'low'))
  expect(propose(other, ENTRY_CONFIGURATION, remove)).toBe('appended')
})

test('a leader whose disk is low hands over only to a replica that has reported its room', () => {
  const bench = new Bench({ configuration: votersUpTo(5) })
  bench.lead()
  bench.acknowledge([2, 3, 4, 5])
  setRoom(bench, 'low')
  for (const from of [3, 4, 5]) bench.receive(answer(bench, from, 'enough'))
  bench.pass(TIMING.heartbeatMs)
  expect(bench.takeOf('timeout-now').map(({ to }) => to)).toEqual([id(3)])
})

describe('what a new leader whose disk is low cannot accept itself', () => {
  const newLeader = (): Bench => {
    const bench = new Bench()
    setRoom(bench, 'low')
    bench.lead()
    return bench
  }

  test('waits for the followers to report their room', () => {
    const bench = newLeader()
    expect([propose(bench, GROWS), propose(bench, SHRINKS)]).toEqual(['transferring', 'appended'])
    bench.receive(answer(bench, 2, 'enough'))
    expect(propose(bench, GROWS)).toBe('transferring')
  })

  test('is refused once they have reported that they have none either', () => {
    const bench = newLeader()
    bench.receive(answer(bench, 2, 'low'))
    expect(propose(bench, GROWS)).toBe('storage-full')
  })

  test('is refused when none of those that have room took over', () => {
    const bench = newLeader()
    bench.acknowledge()
    for (const from of [2, 3]) bench.receive(answer(bench, from, 'enough'))
    const began = bench.nowMs
    while (bench.nowMs <= began + TIMING.electionMaxMs) {
      expect(propose(bench, GROWS)).toBe('transferring')
      bench.pass(TIMING.heartbeatMs)
      for (const from of [2, 3]) bench.receive(answer(bench, from, 'enough'))
    }
    expect(propose(bench, GROWS)).toBe('storage-full')
  })

  test('is refused when an election time-out is over and all that have room are behind', () => {
    const bench = new Bench({ base: 5, commit: 5, term: 1 })
    setRoom(bench, 'low')
    bench.lead()
    const elected = bench.nowMs
    while (bench.nowMs <= elected + TIMING.electionMaxMs) {
      expect(propose(bench, GROWS)).toBe('transferring')
      bench.pass(TIMING.heartbeatMs)
      for (const from of [2, 3]) bench.receive(answer(bench, from, 'enough'))
    }
    expect(bench.raft.status().transferTarget).toBeUndefined()
    expect(propose(bench, GROWS)).toBe('storage-full')
  })
})

test('a new leader hands over only once a majority has reported room: with all disks full, leadership would move without end', () => {
  const bench = leader()
  setRoom(bench, 'low')
  bench.pass(TIMING.heartbeatMs)
  expect(bench.takeOf('timeout-now')).toEqual([])
  for (const from of [2, 3]) bench.receive(answer(bench, from, 'low'))
  bench.pass(TIMING.heartbeatMs)
  expect(bench.takeOf('timeout-now')).toEqual([])
})

test('without any room it hands over also to a replica with little: there deletes are accepted', () => {
  const bench = leader()
  for (const from of [2, 3]) bench.receive(answer(bench, from, 'low'))
  setRoom(bench, 'none')
  expect(bench.takeOf('timeout-now').map(({ to }) => to)).toEqual([id(2)])
})

test('a leader does not count on a silent replica: with another one without room nothing would be committed', () => {
  const bench = leader()
  const pass = (room: DiskRoom): void => {
    for (let passed = 0; passed < TIMING.electionMaxMs; passed += TIMING.heartbeatMs) {
      bench.pass(TIMING.heartbeatMs)
      bench.receive(answer(bench, 2, room))
    }
  }
  bench.receive(answer(bench, 2, 'low'))
  expect(propose(bench, GROWS)).toBe('appended')
  bench.settle()
  pass('low')
  expect([propose(bench, GROWS), propose(bench, SHRINKS)]).toEqual(['storage-full', 'appended'])
  bench.receive(answer(bench, 2, 'none'))
  expect(propose(bench, SHRINKS)).toBe('storage-full')
  // That one may still be able to write it, and the entry may remove the silent one from the cluster.
  expect(propose(bench, ENTRY_LEASES, encodeLeases({ on: false, durationMs: 0 }))).toBe('appended')
  bench.receive(answer(bench, 3, 'enough'))
  expect(propose(bench, GROWS)).toBe('appended')
})

test('a leader without any room accepts entries of the core if a majority has room: they may replace a silent replica', () => {
  const bench = leader()
  // The silent one had none itself, when it was heard last.
  bench.receive(answer(bench, 3, 'none'))
  const seen = (room: DiskRoom): string[] => {
    setRoom(bench, 'enough')
    for (let passed = 0; passed < 2 * TIMING.electionMaxMs; passed += TIMING.heartbeatMs) {
      bench.pass(TIMING.heartbeatMs)
      bench.receive(answer(bench, 2, room))
    }
    setRoom(bench, 'none')
    const leases = encodeLeases({ on: false, durationMs: 0 })
    const results = [propose(bench, SHRINKS), propose(bench, ENTRY_LEASES, leases)]
    bench.settle()
    return results
  }
  expect(seen('enough')).toEqual(['storage-full', 'appended'])
  expect(seen('none')).toEqual(['storage-full', 'storage-full'])
})

test('a leader does not count on a replica with little room that needs a snapshot: it takes none, and writes nothing until then', () => {
  const bench = new Bench({ base: 5, commit: 5, term: 1 })
  bench.lead()
  bench.acknowledge([3])
  bench.receive(answer(bench, 2, 'low'))
  bench.receive(answer(bench, 3, 'none'))
  const isBehind = behind(bench, 2, 'low')
  expect(propose(bench, SHRINKS)).toBe('appended')
  for (const message of isBehind) bench.receive(message)
  expect(propose(bench, SHRINKS)).toBe('storage-full')
  bench.receive(answer(bench, 2, 'enough'))
  expect(propose(bench, SHRINKS)).toBe('appended')
})

test('a replica that had nothing to answer is not silent: a leader that was stopped for a while refuses nothing for that', () => {
  const bench = leader()
  bench.receive(answer(bench, 2, 'low'))
  bench.receive(answer(bench, 3, 'enough'))
  bench.nowMs += 2 * TIMING.electionMaxMs
  expect(propose(bench, GROWS)).toBe('appended')
})

test('for a leader that has just been elected no replica is silent yet', () => {
  const bench = new Bench()
  bench.lead()
  bench.receive(answer(bench, 2, 'low'))
  expect(propose(bench, GROWS)).toBe('appended')
})

describe("an uncommitted change lies before the leader's first entry", () => {
  const { heartbeatMs, electionMaxMs } = TIMING
  const why = 'too few others have room for what its log holds'

  /** It leads for an election time-out. Followers that answer hold this much of its log. */
  function lead(
    voters: number,
    rooms: readonly (readonly [from: number, room: DiskRoom, match: number])[],
    leases = LEASES_OFF,
  ): Bench {
    const bench = new Bench({ voters, terms: [1, 1, 1], commit: 2, leases })
    bench.lead()
    for (const [from, , match] of rooms) bench.acknowledge([from], asIndex(match))
    for (let passed = 0; passed < electionMaxMs; passed += heartbeatMs) {
      bench.pass(heartbeatMs)
      if (bench.role === 'leader') for (const [from, room] of rooms) bench.receive(answer(bench, from, room))
    }
    return bench
  }

  test('for which too few others have room: a replica without it should lead, or no reads are served', () => {
    const rooms = [
      [2, 'none', 2],
      [3, 'none', 2],
    ] as const
    const bench = lead(3, rooms)
    const change = bench.outputs.findLast(({ roleChange }) => roleChange !== undefined)?.roleChange
    expect(change).toMatchObject({ role: 'follower', why })
    expect(bench.raft.deadline() - bench.nowMs).toBeGreaterThanOrEqual(electionMaxMs)
    // They may not campaign before that.
    const durationMs = 10 * electionMaxMs
    const bound = lead(3, rooms, { on: true, durationMs })
    expect(bound.role).toBe('follower')
    expect(bound.raft.deadline() - bound.nowMs).toBeGreaterThanOrEqual(durationMs + electionMaxMs)
  })

  test('one of the two without it has fallen silent: it could not be elected, so the leader leads on', () => {
    const bench = new Bench({ voters: 3, terms: [1, 1, 1], commit: 2 })
    bench.lead()
    for (const from of [2, 3]) {
      bench.acknowledge([from], asIndex(2))
      bench.receive(answer(bench, from, 'none'))
    }
    for (let passed = 0; passed < 2 * electionMaxMs; passed += heartbeatMs) {
      bench.pass(heartbeatMs)
      expect(bench.role).toBe('leader')
      bench.receive(answer(bench, 2, 'none'))
    }
  })

  test('it is not handed to a replica that holds the change, however much room that one has', () => {
    const rooms = [
      [2, 'enough', 4],
      [3, 'none', 2],
      [4, 'none', 2],
      [5, 'none', 2],
    ] as const
    const bench = new Bench({ voters: 5, terms: [1, 1, 1], commit: 2 })
    bench.lead()
    for (const [from, , match] of rooms) bench.acknowledge([from], asIndex(match))
    setRoom(bench, 'none')
    for (let passed = 0; passed < electionMaxMs; passed += heartbeatMs) {
      expect(bench.role).toBe('leader')
      for (const [from, room] of rooms) bench.receive(answer(bench, from, room))
      bench.pass(heartbeatMs)
    }
    expect(bench.takeOf('timeout-now')).toEqual([])
    expect(bench.role).toBe('follower')
  })

  test('the replica that stepped down stands back although another leader is heard meanwhile', () => {
    const bench = lead(3, [
      [2, 'none', 2],
      [3, 'none', 2],
    ])
    const until = bench.nowMs + 2 * electionMaxMs
    bench.receive(append(2, bench.raft.term + 1, [2, 1]))
    expect(bench.raft.leader).toBe(id(2))
    expect(bench.raft.deadline()).toBeGreaterThanOrEqual(until)
  })

  test('for which too few have room, and one whose disk was full before lacks committed entries: it may vote for the other', () => {
    const bench = lead(3, [
      [2, 'none', 2],
      [3, 'none', 1],
    ])
    expect(bench.role).toBe('follower')
  })

  test.each([
    [
      'one of two has room for it',
      3,
      [
        [2, 'none', 2],
        [3, 'low', 2],
      ],
    ],
    [
      'one of two holds it',
      3,
      [
        [2, 'none', 3],
        [3, 'none', 2],
      ],
    ],
    ['nobody else could be elected without one that is silent', 3, [[2, 'none', 2]]],
    [
      'those without it are no majority: one that holds it would be elected again',
      4,
      [
        [2, 'none', 3],
        [3, 'none', 2],
        [4, 'none', 2],
      ],
    ],
    [
      'too many lack what is committed: the next one could not commit anything either',
      5,
      [
        [2, 'none', 2],
        [3, 'none', 1],
        [4, 'none', 1],
        [5, 'none', 1],
      ],
    ],
  ] as const)('as long as %s it leads on', (_, voters, rooms) => {
    expect(lead(voters, rooms).role).toBe('leader')
  })

  test('once its first entry is committed it leads on, whatever happens to the disks', () => {
    const bench = leader()
    expect(propose(bench, GROWS)).toBe('appended')
    bench.settle()
    for (let passed = 0; passed < 2 * electionMaxMs; passed += heartbeatMs) {
      bench.pass(heartbeatMs)
      for (const from of [2, 3]) bench.receive(answer(bench, from, 'none'))
    }
    expect(bench.role).toBe('leader')
  })
})

test('a learner that is short of room, or has not reported its room, is not promoted: changes could become impossible', () => {
  const configuration = { ...votersUpTo(2), voters: [id(1)], learners: [id(2)] }
  const bench = new Bench({ base: 5, term: 1, configuration })
  bench.lead()
  bench.acknowledge()
  const seen = (['low', 'none', 'enough'] as const).map((room) => {
    const { lastIndex } = bench.raft
    bench.receive(answer(bench, 2, room))
    return bench.raft.lastIndex - lastIndex
  })
  expect(seen).toEqual([0, 0, 1])
})

test('it hands over at once when the room ends, not only with the next heartbeat', () => {
  const bench = leader()
  for (const from of [2, 3]) bench.receive(answer(bench, from, 'enough'))
  setRoom(bench, 'none')
  expect(bench.takeOf('timeout-now')).toHaveLength(1)
})

test('a follower without room takes the first entry of a term: without it no reads would be served', () => {
  const bench = new Bench()
  setRoom(bench, 'none')
  bench.receive(append(2, 1, [0, 0], [1]))
  bench.settle()
  expect(bench.takeOf('append-accepted')).toMatchObject([{ index: 1 }])
})

test('a leader sends a follower without room entries of the core, up to the first other entry', () => {
  const bench = new Bench()
  bench.lead()
  bench.take()
  const { lastIndex } = bench.raft
  expect(propose(bench, GROWS)).toBe('appended')
  bench.receive(answer(bench, 2, 'none'))
  const entries = bench.takeOf('append').flatMap((message) => message.entries)
  expect(entries.map(({ index }) => index)).toEqual([lastIndex])
})

test('a follower without room writes no change, says so, and goes on when there is room again', () => {
  const bench = new Bench()
  const texts = { ...append(2, 1, [1, 1]), entries: [pastEntry(2, 1, 'a'), pastEntry(3, 1, 'b')] }
  bench.receive(append(2, 1, [0, 0], [1]))
  bench.settle()
  bench.take()
  setRoom(bench, 'none')
  bench.receive(texts)
  bench.settle()
  expect({ terms: bench.terms, said: bench.take() }).toEqual({ terms: [1], said: [] })
  const heartbeat = {
    from: 2,
    term: 1,
    commit: asIndex(1),
    round: 2,
    confirmed: undefined,
    appliedByMajority: asIndex(0),
  } as const
  bench.receive({ type: 'heartbeat', ...heartbeat })
  bench.settle()
  expect(bench.takeOf('heartbeat-answer')).toMatchObject([{ room: 'none', lastIndex: 1 }])
  setRoom(bench, 'low')
  bench.receive(texts)
  bench.settle()
  expect(bench.terms).toEqual([1, 1, 1])
  expect(bench.takeOf('append-accepted')).toMatchObject([{ index: 3 }])
})

test('a follower without room gets no changes, and everything that it lacks once it has room', () => {
  const bench = leader()
  const { lastIndex } = bench.raft
  bench.receive(answer(bench, 2, 'none'))
  bench.take()
  for (let count = 0; count < 3; count++) expect(propose(bench, GROWS)).toBe('appended')
  bench.acknowledge([3])
  bench.pass(TIMING.heartbeatMs)
  bench.receive(answer(bench, 2, 'none'))
  const sent = bench.takeOf('append').flatMap((message) => (message.to === id(2) ? message.entries : []))
  expect(sent).toEqual([])
  bench.receive(answer(bench, 2, 'low'))
  const entries = bench.takeOf('append').flatMap((message) => (message.to === id(2) ? message.entries : []))
  expect(entries.map(({ index }) => index)).toEqual([1, 2, 3].map((more) => lastIndex + more))
})

test('the entries that a follower without room lacks are not read for each change that the others take', () => {
  const bench = new Bench({ limits: { tailBytesMax: 1, applyBytesMax: 1 } })
  bench.lead()
  bench.acknowledge()
  bench.receive(answer(bench, 2, 'none'))
  const write = (): void => {
    expect(propose(bench, GROWS)).toBe('appended')
    bench.acknowledge([3])
  }
  for (let count = 0; count < 5; count++) write()
  const reads = vi.spyOn(TestLog.prototype, 'entries')
  onTestFinished(() => reads.mockRestore())
  const readOf = (act: () => void): readonly number[] => {
    reads.mockClear()
    act()
    const { next } = bench.raft.status().progress[0] ?? {}
    return reads.mock.results.flatMap(({ value }, at) =>
      reads.mock.calls[at]?.[0] === next ? [value.length] : [],
    )
  }
  expect(readOf(write)).toEqual([])
  // With each of its answers the leader checks whether the next entry is for it, and reads no further.
  expect(new Set(readOf(() => bench.receive(answer(bench, 2, 'none'))))).toEqual(new Set([1]))
})

test('a replica that is behind the commit index is not asked to take over: meanwhile no entry would be accepted', () => {
  const bench = new Bench({ base: 5, commit: 5, term: 1 })
  bench.lead()
  bench.take()
  setRoom(bench, 'low')
  for (const from of [2, 3]) bench.receive(answer(bench, from, 'enough'))
  bench.pass(TIMING.heartbeatMs)
  expect(bench.raft.status().transferTarget).toBeUndefined()
  bench.acknowledge([3])
  bench.pass(TIMING.heartbeatMs)
  expect(bench.takeOf('timeout-now').map(({ to }) => to)).toEqual([id(3)])
})

test('after a failed hand-over deletes are accepted for a while before the next', () => {
  const bench = leader()
  for (const from of [2, 3]) bench.receive(answer(bench, from, 'enough'))
  setRoom(bench, 'low')
  expect(propose(bench, SHRINKS)).toBe('transferring')
  const pass = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += TIMING.heartbeatMs) {
      bench.pass(TIMING.heartbeatMs)
      for (const from of [2, 3]) bench.receive(answer(bench, from, 'enough'))
    }
  }
  pass(TIMING.electionMaxMs + TIMING.heartbeatMs)
  expect(propose(bench, SHRINKS)).toBe('appended')
  bench.acknowledge()
  pass(5 * TIMING.electionMaxMs)
  expect(propose(bench, SHRINKS)).toBe('appended')
  bench.acknowledge()
  pass(5 * TIMING.electionMaxMs)
  expect(bench.raft.status().transferTarget).toBe(id(2))
})

test('a leader that is short keeps no log for a follower that could not write it', () => {
  const bench = leader()
  const { lastIndex } = bench.raft
  bench.receive(answer(bench, 2, 'none'))
  for (let count = 0; count < 3; count++) propose(bench, GROWS)
  bench.acknowledge([3])
  expect(bench.raft.neededAfter).toBe(lastIndex)
  bench.receive(answer(bench, 3, 'low'))
  setRoom(bench, 'low')
  expect(bench.raft.neededAfter).toBe(bench.raft.lastIndex)
})

/** It needs an entry that this leader's log no longer has. */
const behind = (bench: Bench, from: number, room: DiskRoom): Incoming[] => [
  answer(bench, from, room),
  {
    type: 'append-rejected',
    from,
    term: bench.raft.term,
    index: asIndex(bench.raft.lastIndex - 1),
    ...{ hintIndex: asIndex(0), hintTerm: asTerm(0), lastIndex: asIndex(0) },
    ...{ round: bench.round, sentAt: 1 },
  },
]

test('a follower that needs a snapshot is offered one when it has room for it', () => {
  const bench = new Bench({ base: 5, commit: 5, term: 1 })
  bench.lead()
  bench.acknowledge([3])
  for (const room of ['low', 'none', 'low'] as const) {
    for (const message of behind(bench, 2, room)) bench.receive(message)
    bench.pass(TIMING.heartbeatMs)
    expect(bench.takeSnapshots()).toEqual([])
  }
  bench.receive(answer(bench, 2, 'enough'))
  expect(bench.takeSnapshots()).toMatchObject([{ to: id(2) }])
})
