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
