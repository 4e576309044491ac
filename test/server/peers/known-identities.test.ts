// Replicas that a node does not know, and requests to the members to describe them.

import { expect, test } from 'vitest'
import { asReplicaId, type ReplicaId } from '../../../src/raft/types.ts'
import { KnownIdentities } from '../../../src/server/peers/known-identities.ts'
import type { Frame } from '../../../src/server/peers/wires.ts'

const SELF = { replicaId: asReplicaId('1'), name: 'n1', peer: 'n1:7401' }

test('callers of one network do not keep a new member of another one from being described', () => {
  let now = 0
  const asked: ReplicaId[] = []
  const known = new KnownIdentities(
    { now: () => now },
    {
      self: () => SELF,
      configured: () => undefined,
      send: (frame) => {
        if (frame.type === 'member-request') asked.push(frame.id)
      },
    },
  )
  const member = asReplicaId('4')
  for (; now < 1_000; now++) {
    known.seek(asReplicaId(`${1_000 + now}`), '10.0.0.9')
    // As often as a replica that is refused.
    if (now % 500 === 123) known.seek(member, '10.0.0.4')
  }
  expect(asked.filter((id) => id === member)).toHaveLength(2)
  expect(asked).toHaveLength(4 + 2)
  // From however many networks, the members get no more requests than that.
  asked.length = 0
  for (let network = 0; network < 1_000; network++) known.seek(member, `10.1.${network}`)
  expect(asked.length).toBeLessThanOrEqual(64)
  // Later callers of further networks are described again.
  for (let network = 0; network < 1_000; network++) {
    asked.length = 0
    now += 250
    known.seek(member, `10.2.${network}`)
    expect(asked).toEqual([member])
  }
})

test('a node describes itself and the members of its configuration, not what it has only heard of', () => {
  const member = { name: 'n2', peer: 'n2:7401' }
  const described: (readonly [ReplicaId | undefined, Frame])[] = []
  const known = new KnownIdentities(
    { now: () => 0 },
    {
      self: () => SELF,
      configured: (id) => (id === '2' ? member : undefined),
      send: (frame, to) => void described.push([to, frame]),
    },
  )
  const caller = asReplicaId('7')
  for (const id of ['2', '3']) known.learn(asReplicaId(id), { name: 'old', peer: 'old:7401' })
  for (const id of ['1', '2', '3']) known.answer(caller, asReplicaId(id))
  const { replicaId, ...self } = SELF
  expect(described).toEqual([
    [caller, { type: 'member-answer', id: replicaId, member: self }],
    [caller, { type: 'member-answer', id: '2', member }],
  ])
})
