import { expect, test } from 'vitest'
import { Forwards } from '../../../jepsen-lite/sim/world/forwards.ts'
import type { ForwardMessage } from '../../../src/raft/types.ts'
import { asReplicaId, asTerm } from '../../../src/raft/types.ts'

const leader = { name: 'n1', role: 'leader', term: 5 }
const origin = { name: 'n2', role: 'follower', term: 5 }

const forward = (...seqs: readonly number[]): ForwardMessage => ({
  ...{ type: 'forward', from: asReplicaId('2'), to: asReplicaId('1'), term: asTerm(5), boot: 1 },
  proposals: seqs.map((seq) => ({ seq, frame: new Uint8Array() })),
})

test('what is heard before an earlier one, for which its process waits, is found', () => {
  const forwards = new Forwards()
  forwards.left(origin, forward(1), false)
  forwards.left(origin, forward(2), false)
  expect(forwards.arrives(origin, leader, forward(2))).toMatchObject({ invariant: 'NODE-14' })
})

test('what a snapshot has hidden is not missed, whether the next one leaves while that is installed or after it', () => {
  for (const installs of [true, false]) {
    const forwards = new Forwards()
    forwards.left(origin, forward(1), false)
    if (!installs) forwards.installed(origin)
    forwards.left(origin, forward(2), installs)
    if (installs) forwards.installed(origin)
    expect(forwards.arrives(origin, leader, forward(2))).toBeUndefined()
  }
})

test('what left while a snapshot was installed is missed', () => {
  const forwards = new Forwards()
  forwards.left(origin, forward(1), true)
  forwards.left(origin, forward(2), true)
  forwards.installed(origin)
  forwards.left(origin, forward(3), false)
  expect(forwards.arrives(origin, leader, forward(3))).toMatchObject({ invariant: 'NODE-14' })
})
