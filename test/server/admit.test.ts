// Whom a node lets speak to it.

import { expect, test } from 'vitest'
import { SimulatedCluster } from './simulated-cluster.ts'

function pair() {
  const cluster = SimulatedCluster.formed(3)
  return { cluster, leader: cluster.leading, follower: cluster.follower }
}

test('a member is admitted', () => {
  const { leader, follower } = pair()
  expect(leader.running.events.admit(follower.running.events.greeting())).toBeUndefined()
})

test('a replica that was removed is refused and stopped', () => {
  const { cluster, leader, follower } = pair()
  const greeting = follower.running.events.greeting()
  let removed = false
  const change = { kind: 'change', steps: [{ kind: 'remove', id: follower.id }] } as const
  leader.running.change(change, 5000, () => {
    removed = true
  })
  cluster.until(() => removed)
  expect(leader.running.events.admit(greeting)).toMatchObject({
    refuse: expect.stringContaining('was removed from the cluster'),
    stop: true,
  })
})

test('a replica of an older version is refused and stopped once the cluster uses what it does not know', () => {
  const { leader, follower } = pair()
  const greeting = { ...follower.running.events.greeting(), clusterVersion: 1 }
  expect(leader.running.events.admit(greeting)).toEqual({
    refuse: expect.stringMatching(/knows cluster versions up to 1, and the cluster is at cluster version 2/),
    stop: true,
  })
})
