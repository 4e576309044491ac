// The choice among stopped replicas: which log is the most complete, and whether a majority of the voters is there.

import { expect, test } from 'vitest'
import {
  findBestReplica,
  hasBestLog,
  type ReplicaSummary,
  type StoppedMember,
  votersAmong,
} from '../../src/server/replica/stopped-replica.ts'

const member = (id: number, role: StoppedMember['role'] = 'voter'): StoppedMember => ({
  ...{ name: `n${id}`, replicaId: String(id), role },
  ...{ peer: `10.0.0.${id}:7401`, url: `http://10.0.0.${id}:7301` },
})

const replica = (
  id: number,
  lastTerm: number,
  lastIndex: number,
  members: readonly StoppedMember[] = [],
): ReplicaSummary => ({
  ...{ dir: `d${id}`, name: `n${id}`, clusterId: '7', replicaId: String(id), members },
  ...{ term: lastTerm + id, lastIndex, lastTerm, commitIndex: 1, appliedIndex: 1, revision: id, keys: id },
})

test('the last term decides, and only between equal ones the length', () => {
  const [old, long, short] = [replica(1, 4, 900), replica(2, 5, 12), replica(3, 5, 11)]
  for (const all of [
    [old, long, short],
    [short, long, old],
    [long, old, short],
  ])
    expect(findBestReplica(all)).toBe(long)
  expect(findBestReplica([old])).toBe(old)
  expect(findBestReplica([])).toBeUndefined()
  expect(findBestReplica([long, { ...old, clusterId: '8' }])).toBeUndefined()
  expect([old, long, short].map((each) => hasBestLog(each, [old, long, short]))).toEqual([false, true, false])
  // Two equal logs are both the best one.
  expect(hasBestLog(replica(4, 5, 12), [long])).toBe(true)
})

test.each([
  ['two of three', [1, 2, 3], [], [1, 3], true],
  ['one of three', [1, 2, 3], [], [2], false],
  ['half of four', [1, 2, 3, 4], [], [1, 2], false],
  ['three of four', [1, 2, 3, 4], [], [1, 2, 4], true],
  ['one of two', [1, 2], [], [1], false],
  ['the only one', [1], [], [1], true],
  ['one of three, and two learners', [1, 2, 3], [4, 5], [1, 4, 5], false],
  ['two of three, and a replica that is no member', [1, 2, 3], [], [1, 2, 9], true],
] as const)('%s', (_, voters, learners, found, isMajority) => {
  const members = [...voters.map((id) => member(id)), ...learners.map((id) => member(id, 'learner'))]
  const here = found.filter((id) => (voters as readonly number[]).includes(id)).map((id) => `n${id}`)
  const all = found.map((id) => replica(id, 1, 1))
  expect(votersAmong(all, replica(1, 1, 1, members))).toEqual({ count: voters.length, here, isMajority })
  // Replicas of another cluster do not count.
  const foreign = all.map((each) => ({ ...each, clusterId: '8' }))
  expect(votersAmong(foreign, replica(1, 1, 1, members))).toMatchObject({ here: [], isMajority: false })
})
