// When a leader refuses a change that would be well-formed: those who are left must be able to go on.

import { expect, test } from 'vitest'
import { emptyConfiguration } from '../../src/raft/index.ts'
import { whyNotChange } from '../../src/raft/membership.ts'
import type { Configuration, ConfigurationChange } from '../../src/raft/types.ts'
import { id } from './harness/members.ts'

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

/** Asked of a leader that hears from `heard`. */
const why = (change: ConfigurationChange, heard: readonly number[]) =>
  whyNotChange(change, {
    configuration: five,
    unapplied: undefined,
    committedInTerm: true,
    isActive: (replica) => heard.map(id).includes(replica),
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
