// When a leader refuses a change that would be well-formed: those who are left must be able to go on.

import { expect, test } from 'vitest'
import { ENTRY_CONFIGURATION, emptyConfiguration, encodeChange } from '../../src/raft/index.ts'
import { whyNotChange } from '../../src/raft/membership.ts'
import type { Configuration, ConfigurationChange } from '../../src/raft/types.ts'
import { Bench } from './harness/bench.ts'
import { sealed } from './harness/frames.ts'
import { id } from './harness/members.ts'
import { TIMING } from './harness/node.ts'

const numbers = [1, 2, 3, 4, 5]
const five: Configuration = {
  ...emptyConfiguration,
  voters: numbers.map(id),
  members: numbers.map((n) => ({ id: id(n), name: `n${n}`, peer: `n${n}:1`, url: `http://n${n}:2` })),
}

const remove = (...gone: readonly number[]): ConfigurationChange => ({
  kind: 'change',
  steps: gone.map((n) => ({ kind: 'remove', id: id(n) })),
})

/** Asked of a leader that hears from `heard`, and is too new to have heard of `unheard`. */
const why = (change: ConfigurationChange, heard: readonly number[], unheard: readonly number[] = []) =>
  whyNotChange(change, {
    configuration: five,
    unapplied: undefined,
    committedInTerm: true,
    isActive: (replica) => heard.map(id).includes(replica),
    isUnheard: (replica) => unheard.map(id).includes(replica),
    isCaughtUp: () => true,
  })

test('voters may leave as long as a majority of those that stay is heard', () => {
  expect(why(remove(4, 5), [1, 2])).toBeUndefined()
  expect(why(remove(2), [1, 3, 4])).toBeUndefined()
})

test('nobody is removed who is needed: a majority of those that stay must be heard', () => {
  const detail = 'the cluster would lose its quorum: of the 3 voters then left, n4, n5 cannot be reached'
  expect(why(remove(2, 3), [1, 2, 3])).toEqual({ reason: 'membership', detail })
  expect(why(remove(1), [1, 2, 3])).toMatchObject({ reason: 'membership' })
})

test('a leader that is too new to have heard of all waits before it says that somebody cannot be reached', () => {
  const detail = 'the leader is new and has not heard of n4, n5 yet; try again'
  expect(why(remove(2, 3), [1, 2, 3], [4, 5])).toEqual({ reason: 'membership-pending', detail })
  expect(why(remove(2, 3), [1, 2, 3], [4])).toEqual({ reason: 'membership-pending', detail })
  expect(why(remove(2, 3), [1], [4])).toEqual({ reason: 'membership-pending', detail })
  expect(why(remove(1, 2), [1, 2], [4])).toMatchObject({ reason: 'membership' })

  const bench = new Bench()
  bench.lead()
  bench.acknowledge([2])
  let seq = 0
  const refusal = (): string | undefined => {
    const body = encodeChange(remove(2))
    const frame = sealed(ENTRY_CONFIGURATION, id(1), 1, ++seq, body)
    bench.step({ kind: 'propose', proposals: [{ seq, frame }] })
    const [outcome] = bench.outputs.at(-1)?.outcomes ?? []
    return outcome?.outcome === 'refused' ? outcome.refusal.reason : undefined
  }
  expect(refusal()).toBe('membership-pending')
  for (let passed = 0; passed < TIMING.electionMaxMs; passed += TIMING.heartbeatMs) {
    bench.pass(TIMING.heartbeatMs)
    bench.acknowledge([2])
  }
  expect(refusal()).toBe('membership')
  bench.acknowledge([3])
  expect(refusal()).toBeUndefined()
})
