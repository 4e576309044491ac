// Transfers that a leader begins by itself, because its disk is slow or it is no longer a voter, and transfers that
// fail.

import { describe, expect, test } from 'vitest'
import { ENTRY_CONFIGURATION, encodeChange } from '../../src/raft/index.ts'
import { asIndex, type Output } from '../../src/raft/types.ts'
import { Bench, type BenchOptions, heartbeatAnswer, leader } from './harness/bench.ts'
import { stepsOf } from './harness/changes.ts'
import { sealed, TEXT } from './harness/frames.ts'
import { id, votersUpTo } from './harness/members.ts'
import { TIMING } from './harness/node.ts'

const { heartbeatMs, electionMinMs, electionMaxMs } = TIMING
const answer = (bench: Bench, from: number, applied = 0): void =>
  bench.receive(heartbeatAnswer(bench, from, { applied }))

/** Advances time while the others respond to every heartbeat. */
function pass(bench: Bench, ms: number, others: readonly number[] = [2, 3]): void {
  for (let passed = 0; passed < ms && bench.role === 'leader'; passed += heartbeatMs) {
    bench.pass(heartbeatMs)
    for (const from of others) if (bench.role === 'leader') answer(bench, from)
  }
}

let seq = 1000
function propose(bench: Bench, kind: number, body: Uint8Array = new Uint8Array(8)): unknown {
  const number = ++seq
  bench.step({ kind: 'propose', proposals: [{ seq: number, frame: sealed(kind, id(1), 1, number, body) }] })
  const [outcome] = bench.outputs.at(-1)?.outcomes ?? []
  if (outcome?.outcome !== 'refused') return 'appended'
  return 'detail' in outcome.refusal ? outcome.refusal.detail : outcome.refusal.reason
}

const target = (bench: Bench): unknown => bench.raft.status().transferTarget
const transfers = (bench: Bench): Output['transfer'][] =>
  bench.outputs.flatMap(({ transfer }) => (transfer === undefined ? [] : [transfer]))
const why = (bench: Bench): unknown => bench.outputs.findLast(({ roleChange }) => roleChange)?.roleChange?.why

/** A write that stays in flight on a stalled disk; the others have committed it. */
function stall(bench: Bench, others: readonly number[] = [2, 3]): void {
  propose(bench, TEXT)
  for (let passed = 0; passed < electionMinMs; passed += heartbeatMs) {
    bench.nowMs += heartbeatMs
    for (const from of others) answer(bench, from)
  }
  bench.take()
  bench.step({ kind: 'tick' })
}

describe('because its disk stalls', () => {
  test('to the follower that has most of the log, and it leads until that one is elected', () => {
    const bench = leader()
    propose(bench, TEXT)
    bench.acknowledge([3])
    stall(bench)
    expect([bench.role, target(bench)]).toEqual(['leader', id(3)])
  })

  test('it steps down when the target does not take over', () => {
    const bench = leader()
    stall(bench)
    expect(target(bench)).toBe(id(2))
    pass(bench, electionMaxMs)
    expect([bench.role, why(bench)]).toEqual([
      'follower',
      'handing over failed: n2 did not take over in time',
    ])
  })

  test('it steps down when no voter of the new configuration is there to take over', () => {
    const bench = new Bench({
      configuration: { ...votersUpTo(2), voters: [id(1)], votersOutgoing: [1, 2].map(id) },
    })
    bench.lead()
    stall(bench, [2])
    expect([bench.role, why(bench)]).toEqual(['follower', 'own disk stalls and nobody can take over'])
  })

  test('not when every write is as slow, even if a write that waited for another one is faster', () => {
    const bench = leader()
    // Each takes the usual time of the earlier ones.
    for (const ms of [electionMinMs - 50, 1.5 * electionMinMs, 2 * electionMinMs, 50, 2 * electionMinMs]) {
      propose(bench, TEXT)
      pass(bench, ms)
      expect([ms, bench.role, target(bench)]).toEqual([ms, 'leader', undefined])
      bench.node.store()
    }
    propose(bench, TEXT)
    pass(bench, 4 * electionMinMs)
    expect(target(bench)).toBe(id(2))
  })

  test.each(['of an entry', 'of rows only'])(
    'not while another write waits for its disk, which finished one %s less than that time ago',
    (kind) => {
      const bench = leader()
      const { process } = bench.node
      propose(bench, TEXT)
      if (kind === 'of an entry') propose(bench, TEXT)
      pass(bench, 0.6 * electionMinMs)
      if (kind === 'of an entry') bench.node.store()
      else bench.step({ kind: 'stored', write: process.storedWrite, termWrite: process.storedTermWrite })
      pass(bench, 0.9 * electionMinMs)
      expect([bench.role, target(bench)]).toEqual(['leader', undefined])
      pass(bench, 0.9 * electionMinMs)
      expect(target(bench)).toBe(id(2))
    },
  )

  test('the only voter has no successor and stays leader', () => {
    const bench = leader({ voters: 1 })
    propose(bench, TEXT)
    bench.pass(2 * electionMaxMs)
    expect([bench.role, target(bench)]).toEqual(['leader', undefined])
    bench.settle()
    expect(bench.raft.commit).toBe(bench.raft.lastIndex)
  })
})

describe('because its disk lags behind those of a majority, although it does not stall', () => {
  /** The others acknowledge everything at once. The leader's disk completes one write with every second heartbeat. */
  function lag(bench: Bench, ms: number, others: readonly number[] = [2, 3]): void {
    for (let beat = 0; beat * heartbeatMs < ms && bench.role === 'leader'; beat++) {
      propose(bench, TEXT)
      for (const from of others)
        bench.receive({
          ...{ type: 'append-accepted', from, term: bench.raft.term, index: bench.raft.lastIndex },
          ...{ round: bench.round, sentAt: 1, applied: asIndex(0) },
        })
      if (beat % 2 === 1) bench.node.store()
      bench.pass(heartbeatMs)
    }
  }

  test('as soon as it lacks for two election timeouts what was committed', () => {
    const bench = leader()
    // After this time the disk is behind by half of it.
    lag(bench, 4 * electionMaxMs)
    expect([bench.role, target(bench)]).toEqual(['leader', undefined])
    lag(bench, 1.5 * electionMaxMs)
    expect([bench.role, target(bench)]).toEqual(['leader', id(2)])
  })

  test('if that fails it continues to lead, and tries again as late', () => {
    const bench = leader()
    lag(bench, 5.5 * electionMaxMs)
    expect(target(bench)).toBe(id(2))
    lag(bench, electionMaxMs)
    expect([bench.role, target(bench)]).toEqual(['leader', undefined])
    lag(bench, electionMaxMs)
    expect(target(bench)).toBe(id(2))
  })

  test('not while the others are no faster', () => {
    const bench = leader()
    for (let beat = 0; beat * heartbeatMs < 10 * electionMaxMs; beat++) {
      propose(bench, TEXT)
      if (beat % 2 === 1) {
        bench.node.store()
        for (const from of [2, 3])
          bench.receive({
            ...{
              type: 'append-accepted',
              from,
              term: bench.raft.term,
              index: asIndex(bench.raft.status().stableIndex),
            },
            ...{ round: bench.round, sentAt: 1, applied: asIndex(0) },
          })
      }
      bench.pass(heartbeatMs)
    }
    expect([bench.role, target(bench)]).toEqual(['leader', undefined])
  })
})

describe('because it was removed', () => {
  /** A leader that has applied its removal. The others have not reported that yet. */
  function removed(options: BenchOptions = {}): Bench {
    const bench = leader(options)
    bench.node.change({ kind: 'change', steps: stepsOf('-1') })
    for (let turns = 0; turns < 3; turns++) bench.acknowledge()
    expect(bench.raft.configuration.voters).toEqual([2, 3].map(id))
    expect(bench.raft.inspect()).toMatchObject({ retiring: 1, transfer: 0 })
    bench.take()
    return bench
  }
  const asked = (bench: Bench): unknown[] => bench.takeOf('timeout-now').map(({ to }) => to)

  test('when a majority of the others has applied that, and not before', () => {
    const bench = removed()
    const { lastIndex } = bench.raft
    answer(bench, 2, lastIndex)
    answer(bench, 3, lastIndex - 1)
    expect([bench.role, asked(bench)]).toEqual(['leader', []])
    answer(bench, 3, lastIndex)
    expect([asked(bench), bench.role, why(bench)]).toEqual([
      ...[[id(2)], 'follower', 'no longer a voter: handed over'],
    ])
    expect(bench.raft.leader).toBeUndefined()
  })

  test('the others are probed at once', () => {
    const bench = leader()
    bench.node.change({ kind: 'change', steps: stepsOf('-1') })
    bench.acknowledge()
    bench.take()
    bench.acknowledge()
    expect(bench.takeOf('heartbeat').filter(({ round }) => round > 0)).toHaveLength(2)
  })

  test('in the end also to one that has not reported that it has applied it', () => {
    const bench = removed()
    pass(bench, electionMaxMs - heartbeatMs)
    expect([bench.role, asked(bench)]).toEqual(['leader', []])
    pass(bench, heartbeatMs)
    expect([bench.role, asked(bench)]).toEqual(['follower', [id(2)]])
  })

  test('and steps down when no replica is there then', () => {
    const bench = removed()
    bench.nowMs += electionMaxMs
    bench.step({ kind: 'read', reads: [] })
    expect([bench.role, asked(bench), why(bench)]).toEqual([
      ...['follower', [], 'no longer a voter, and nobody can take over'],
    ])
  })

  test('a stalling disk does not make it hand over sooner', () => {
    const bench = removed()
    stall(bench)
    expect([bench.role, target(bench)]).toEqual(['leader', undefined])
  })

  test('meanwhile it accepts commands, but no other change, and serves no reads by a lease', () => {
    const bench = removed({ leases: { on: true, durationMs: 2000 } })
    pass(bench, 2 * heartbeatMs)
    expect(bench.raft.status().leaderLeaseValid).toBe(false)
    const change = encodeChange({ kind: 'change', steps: stepsOf('+9') })
    expect(propose(bench, ENTRY_CONFIGURATION, change)).toBe('transferring')
    expect(propose(bench, TEXT)).toBe('appended')
  })

  test('the successor gets the whole log first; if that takes too long, it steps down all the same', () => {
    for (const catchesUp of [true, false]) {
      const bench = removed()
      const { lastIndex } = bench.raft
      propose(bench, TEXT)
      bench.settle()
      for (const from of [2, 3]) answer(bench, from, lastIndex)
      expect([bench.role, target(bench), asked(bench)]).toEqual(['leader', id(2), []])
      if (catchesUp) {
        bench.acknowledge([2])
        expect([bench.role, asked(bench)]).toEqual(['follower', [id(2)]])
      } else {
        pass(bench, electionMaxMs)
        expect([bench.role, asked(bench), why(bench)]).toEqual([
          ...['follower', [], 'handing over failed: n2 did not take over in time'],
        ])
      }
    }
  })
})

test('a hand-over ends when its target is no longer a voter', () => {
  const bench = leader()
  bench.node.change({ kind: 'change', steps: stepsOf('-3') })
  bench.step({ kind: 'transfer', to: id(3) })
  expect([target(bench), transfers(bench)]).toEqual([id(3), []])
  bench.acknowledge([2])
  expect([target(bench), transfers(bench)]).toEqual([
    undefined,
    [{ outcome: 'aborted', detail: 'n3 is no longer a voter' }],
  ])
  expect(bench.role).toBe('leader')
})

test('a transfer continues when another replica is no longer a voter', () => {
  const bench = leader()
  bench.node.change({ kind: 'change', steps: stepsOf('-2') })
  bench.step({ kind: 'transfer', to: id(3) })
  const index = asIndex(bench.raft.lastIndex)
  bench.acknowledge([2])
  expect([bench.raft.applied, target(bench), transfers(bench)]).toEqual([index, id(3), []])
})

test('without a named target a reachable replica is chosen, however much of the log another one holds', () => {
  const bench = leader()
  propose(bench, TEXT)
  bench.acknowledge([2])
  for (let passed = 0; passed < electionMaxMs; passed += heartbeatMs) {
    bench.pass(heartbeatMs)
    answer(bench, 3)
  }
  bench.step({ kind: 'transfer', to: undefined })
  expect(target(bench)).toBe(id(3))
})
