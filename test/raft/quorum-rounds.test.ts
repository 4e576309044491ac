import { expect, test } from 'vitest'
import { QuorumRounds } from '../../src/raft/quorum-rounds.ts'
import type { LogIndex, MonotonicMs } from '../../src/raft/types.ts'

test('an echo confirms the rounds up to its own, once, and none that began later', () => {
  const rounds = new QuorumRounds()
  for (const at of [10, 20, 30]) rounds.begin(at as MonotonicMs, at as LogIndex, [])
  expect(rounds.confirm(0)).toEqual([])
  expect(rounds.confirm(2).map(({ startedAt }) => startedAt)).toEqual([10, 20])
  expect(rounds.open.map(({ number }) => number)).toEqual([3])
  expect(rounds.confirm(2)).toEqual([])
  expect(rounds.confirm(4).map(({ startedAt }) => startedAt)).toEqual([30])
  expect(rounds.open).toEqual([])
  expect(rounds.confirm(4)).toEqual([])
  expect(rounds.begin(40 as MonotonicMs, undefined, []).number).toBe(4)
})
