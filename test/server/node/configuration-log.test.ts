// How changes of the members stand in the log of a node.

import { expect, test } from 'vitest'
import { applyChange, bootstrapConfiguration, emptyConfiguration } from '../../../src/raft/configuration.ts'
import { asReplicaId, type ChangeStep, type Configuration, type RaftMember } from '../../../src/raft/index.ts'
import { configurationLog } from '../../../src/server/node/membership/configuration-log.ts'

const member = (name: string): RaftMember => ({
  id: asReplicaId(`1${name.slice(1)}0000000000000000`),
  name,
  peer: `${name}:1`,
  url: `http://${name}`,
})
const [n1, n2, n3] = [member('n1'), member('n2'), member('n3')]

/** The configuration after each change, and the end of those that are joint. */
function after(before: Configuration, ...steps: ChangeStep[]): Configuration {
  const result = applyChange(before, { kind: 'change', steps })
  if (!result.ok) throw new Error(result.detail)
  return result.configuration
}

function left(joint: Configuration): Configuration {
  const result = applyChange(joint, { kind: 'leave-joint' })
  if (!result.ok) throw new Error(result.detail)
  return result.configuration
}

test('a replica becomes a learner, a voter and no member any more, and is called by its name', () => {
  const one = bootstrapConfiguration(n1)
  const learning = after(one, { kind: 'add-learner', member: n2 })
  expect(configurationLog(one, learning)).toEqual({
    ...{ message: 'n2 is a learner', voters: ['n1'], votersOutgoing: [], learners: ['n2'] },
  })
  const joint = after(learning, { kind: 'promote', id: n2.id })
  expect(configurationLog(learning, joint)).toEqual({
    message: 'the voters change from n1 to n1, n2',
    ...{ voters: ['n1', 'n2'], votersOutgoing: ['n1'], learners: [] },
  })
  const two = left(joint)
  expect(configurationLog(joint, two)).toMatchObject({ message: 'n2 is a voter', voters: ['n1', 'n2'] })
  const leaving = after(two, { kind: 'remove', id: n2.id })
  expect(configurationLog(two, leaving).message).toBe('the voters change from n1, n2 to n1')
  expect(configurationLog(leaving, left(leaving))).toMatchObject({
    message: 'n2 is no member any more',
    voters: ['n1'],
  })
  const demoting = after(two, { kind: 'demote', id: n2.id })
  expect(configurationLog(demoting, left(demoting)).message).toBe('n2 is a learner')
})

test('a replica that was sent the state says who belongs to it', () => {
  const two = left(
    after(after(bootstrapConfiguration(n1), { kind: 'add-learner', member: n2 }), {
      kind: 'promote',
      id: n2.id,
    }),
  )
  const three = after(two, { kind: 'add-learner', member: n3 })
  expect(configurationLog(emptyConfiguration, three).message).toBe('n1, n2 are voters; n3 is a learner')
})

test('another address changes no role', () => {
  const one = bootstrapConfiguration(n1)
  const moved = after(one, { kind: 'update', member: { ...n1, url: 'http://elsewhere' } })
  expect(configurationLog(one, moved).message).toBe('names or addresses of members changed')
})

test('a replica that takes the place and the name of another is told from it', () => {
  const one = bootstrapConfiguration(n1)
  const learning = after(one, { kind: 'add-learner', member: n2 })
  const fresh = { ...n2, id: asReplicaId('1900000000000000') }
  const replace: ChangeStep[] = [
    { kind: 'remove', id: n2.id },
    { kind: 'add-learner', member: fresh },
  ]
  expect(configurationLog(learning, after(learning, ...replace)).message).toBe(
    'n2 is a learner; the former replica of n2 is no member any more',
  )
  const voting = left(after(learning, { kind: 'promote', id: n2.id }))
  const joint = after(voting, ...replace)
  expect(configurationLog(joint, left(joint)).message).toBe('the former replica of n2 is no member any more')
})
