// 1,000 random histories of a cluster's configuration, compared with a model that keeps one role for each replica and
// makes every change at once, without joint configurations (thesis §4.3: both must end in the same configuration).

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  applyChange,
  bootstrapConfiguration,
  decodeAppliedState,
  encodeAppliedState,
  isJoint,
  sameConfiguration,
} from '../../src/raft/configuration.ts'
import type { Configuration } from '../../src/raft/types.ts'
import { runs } from '../runs.ts'
import { stepsOf } from './harness/changes.ts'
import { id, LEASES_OFF, memberNamed } from './harness/members.ts'

interface Step {
  readonly sign: '+' | '-' | '~' | ''
  readonly who: number
}

/** The role of each replica; no entry: never seen. */
type Roles = Map<number, 'voter' | 'learner' | 'removed'>

/** undefined: the change is not allowed. */
function naive(before: Roles, steps: readonly Step[]): Roles | undefined {
  if (new Set(steps.map(({ who }) => who)).size < steps.length) return undefined
  const roles = new Map(before)
  for (const { sign, who } of steps) {
    const role = roles.get(who)
    if (sign === '+' && role === undefined) roles.set(who, 'learner')
    else if (sign === '' && role === 'learner') roles.set(who, 'voter')
    else if (sign === '~' && role === 'voter') roles.set(who, 'learner')
    else if (sign === '-' && (role === 'voter' || role === 'learner')) roles.set(who, 'removed')
    else return undefined
  }
  return [...roles.values()].includes('voter') ? roles : undefined
}

const withRole = (roles: Roles, expected: string) =>
  [...roles]
    .filter(([, role]) => role === expected)
    .map(([who]) => id(who))
    .sort()

function checkShape(configuration: Configuration): void {
  const { voters, votersOutgoing, learners, learnersNext, members } = configuration
  for (const ids of [voters, votersOutgoing, learners, learnersNext, members.map((member) => member.id)]) {
    const numbers = ids.map(Number)
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
  }
  expect(voters.length).toBeGreaterThan(0)
  // A learner counts in no majority, not even in the old half.
  for (const learner of [...learners, ...learnersNext]) expect(voters).not.toContain(learner)
  for (const learner of learners) expect(votersOutgoing).not.toContain(learner)
  for (const next of learnersNext) expect(votersOutgoing).toContain(next)
  const everyone = new Set([...voters, ...votersOutgoing, ...learners, ...learnersNext])
  expect(new Set(members.map((member) => member.id))).toEqual(everyone)
}

const steps = fc.array(
  fc.record({
    sign: fc.constantFrom<Step['sign'][]>('+', '-', '~', ''),
    who: fc.integer({ min: 1, max: 7 }),
  }),
  { minLength: 1, maxLength: 4 },
)

test('changes through joint configurations have the same result as direct changes', () => {
  fc.assert(
    fc.property(fc.array(steps, { minLength: 1, maxLength: 12 }), (changes) => {
      let configuration = bootstrapConfiguration(memberNamed('n1', id(1)))
      let roles: Roles = new Map([[1, 'voter']])
      for (const change of changes) {
        const expected = naive(roles, change)
        const text = change.map(({ sign, who }) => `${sign}${who}`).join(' ')
        const result = applyChange(configuration, { kind: 'change', steps: stepsOf(text) })
        expect(result.ok).toBe(expected !== undefined)
        if (!result.ok || expected === undefined) continue

        checkShape(result.configuration)
        const sameVoters = `${withRole(roles, 'voter')}` === `${withRole(expected, 'voter')}`
        expect(isJoint(result.configuration)).toBe(!sameVoters)
        // Both majorities must agree: the old one and the new one.
        expect(result.configuration.votersOutgoing).toEqual(sameVoters ? [] : configuration.voters)
        expect([...result.configuration.voters]).toEqual(withRole(expected, 'voter'))

        const left = sameVoters ? result : applyChange(result.configuration, { kind: 'leave-joint' })
        if (!left.ok) throw new Error(left.detail)
        configuration = left.configuration
        roles = expected
        checkShape(configuration)
        expect([...configuration.learners]).toEqual(withRole(roles, 'learner'))
        expect([...configuration.removed].sort()).toEqual(withRole(roles, 'removed'))
        const { configuration: back } = decodeAppliedState(
          encodeAppliedState({ configuration, leaderLeases: LEASES_OFF }),
        )
        expect(sameConfiguration(back, configuration)).toBe(true)
      }
    }),
    { numRuns: runs(1_000) },
  )
})
