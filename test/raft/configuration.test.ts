// The result of a change, or the reason why it is not allowed, and the bytes of changes and configurations.

import { describe, expect, test } from 'vitest'
import {
  applyChange,
  bootstrapConfiguration,
  compareIds,
  decodeAppliedState,
  decodeChange,
  decodeLeaderLeases,
  emptyConfiguration,
  encodeAppliedState,
  encodeChange,
  encodeLeaderLeases,
  isJoint,
  isMember,
  isVoter,
  sameConfiguration,
} from '../../src/raft/configuration.ts'
import { asReplicaId, type Configuration, type ConfigurationChange } from '../../src/raft/types.ts'
import { showConfiguration, stepsOf } from './harness/changes.ts'
import { configurationOf, id, LEASES_OFF, memberNamed } from './harness/members.ts'

/** `leave` leaves a joint configuration, anything else is a list of steps. */
const changeOf = (text: string): ConfigurationChange =>
  text === 'leave' ? { kind: 'leave-joint' } : { kind: 'change', steps: stepsOf(text) }

const start = (voters: readonly number[], learners: readonly number[] = []): Configuration =>
  configurationOf(
    [...voters, ...learners].map((one) => memberNamed(`n${one}`, id(one))),
    learners.map(id),
  )

/** Applies one change after another. The last one may be refused. */
function changed(configuration: Configuration, ...changes: readonly string[]): string {
  let current = configuration
  for (const [at, text] of changes.entries()) {
    const result = applyChange(current, changeOf(text))
    if (!result.ok) {
      if (at < changes.length - 1) throw new Error(`${text}: ${result.detail}`)
      expect(result.detail).toMatch(/\S/)
      return 'refused'
    }
    current = result.configuration
  }
  return showConfiguration(current)
}

test('a cluster begins as one voter', () => {
  const configuration = bootstrapConfiguration(memberNamed('n1', id(1)))
  expect(showConfiguration(configuration)).toBe('voters=1')
  expect(configuration.members).toEqual([memberNamed('n1', id(1))])
})

describe('a change that leaves the voters alone takes effect at once', () => {
  test.each([
    [start([1]), '+2', 'voters=1 learners=2'],
    [start([1]), '+3 +2', 'voters=1 learners=2,3'],
    [start([1], [2, 3]), '-2', 'voters=1 learners=3 removed=2'],
    [start([1], [2]), '-2 +3', 'voters=1 learners=3 removed=2'],
    [start([1], [2]), '2:db', 'voters=1 learners=2'],
    [start([1, 2]), '1:db 2:cache', 'voters=1,2'],
  ])('%o %s: %s', (configuration, change, result) => {
    expect(changed(configuration, change)).toBe(result)
  })
})

describe('a change of voters is joint, and ends in what was requested', () => {
  test.each([
    [start([1], [2]), '2', 'voters=1,2 outgoing=1', 'voters=1,2'],
    [start([1], [2, 3]), '2 3', 'voters=1,2,3 outgoing=1', 'voters=1,2,3'],
    [start([1, 2, 3]), '-2', 'voters=1,3 outgoing=1,2,3', 'voters=1,3 removed=2'],
    [start([1, 2, 3]), '-2 -3', 'voters=1 outgoing=1,2,3', 'voters=1 removed=2,3'],
    [start([1, 2, 3], [4]), '-1 4', 'voters=2,3,4 outgoing=1,2,3', 'voters=2,3,4 removed=1'],
    // A replacement: the new replica is a learner first.
    [start([1, 2, 3]), '-1 +4', 'voters=2,3 outgoing=1,2,3 learners=4', 'voters=2,3 learners=4 removed=1'],
    // A demoted voter becomes a learner only when the old half no longer counts.
    [start([1, 2, 3]), '~3', 'voters=1,2 outgoing=1,2,3 next=3 demoted=3', 'voters=1,2 learners=3 demoted=3'],
    [
      start([1, 2], [3]),
      '~1 3',
      'voters=2,3 outgoing=1,2 next=1 demoted=1',
      'voters=2,3 learners=1 demoted=1',
    ],
  ])('%o %s: %s, then %s', (configuration, change, entered, left) => {
    expect(changed(configuration, change)).toBe(entered)
    expect(changed(configuration, change, 'leave')).toBe(left)
  })

  test('a leaving voter is a member, with its address, until the joint configuration is left', () => {
    const entered = applyChange(start([1, 2, 3]), changeOf('-3'))
    if (!entered.ok) throw new Error(entered.detail)
    expect(isMember(entered.configuration, id(3))).toBe(true)
    expect(isVoter(entered.configuration, id(3))).toBe(true)
    expect(isJoint(entered.configuration)).toBe(true)
    const left = applyChange(entered.configuration, changeOf('leave'))
    if (!left.ok) throw new Error(left.detail)
    expect(isMember(left.configuration, id(3))).toBe(false)
    expect(isVoter(left.configuration, id(3))).toBe(false)
    expect(isJoint(left.configuration)).toBe(false)
  })

  test('a demoted replica that is promoted is no longer marked as demoted', () => {
    expect(changed(start([1, 2, 3]), '~3', 'leave', '3', 'leave')).toBe('voters=1,2,3')
    expect(changed(start([1, 2, 3]), '~3', 'leave', '-3')).toBe('voters=1,2 removed=3')
  })
})

describe('refused', () => {
  test.each([
    ['nobody would vote', start([1]), ['-1']],
    ['only learners would be left', start([1], [2]), ['~1']],
    ['all voters removed, whatever learners are there', start([1, 2], [3]), ['-1 -2']],
    ['no step at all', start([1]), ['']],
    ['a second change inside a joint configuration', start([1, 2, 3]), ['-3', '-2']],
    ['even one that concerns no voter', start([1, 2, 3]), ['-3', '+4']],
    ['leaving where nothing was entered', start([1, 2]), ['leave']],
    ['leaving twice', start([1, 2, 3]), ['-3', 'leave', 'leave']],
    ['adding a member again', start([1, 2]), ['+2']],
    ['adding a learner again', start([1], [2]), ['+2']],
    ['promoting a replica that is no member', start([1]), ['2']],
    ['promoting a voter', start([1, 2]), ['2']],
    ['demoting a learner', start([1], [2]), ['~2']],
    ['demoting a replica that is no member', start([1]), ['~2']],
    ['removing a replica that is no member', start([1]), ['-2']],
    ['changing the address of a replica that is no member', start([1]), ['2:db']],
    ['a name that another member has', start([1, 2]), ['2:n1']],
    ['a new member under a name that is taken', start([1, 2]), ['+3:n1']],
    ['what is no name', start([1]), ['+2:No_Name']],
    ['a removed learner under its old id', start([1], [2]), ['-2', '+2']],
    ['a removed voter under its old id', start([1, 2]), ['-2', 'leave', '+2']],
    ['one replica named twice in a change', start([1], [2]), ['2 -2']],
  ])('%s', (_, configuration, changes) => {
    const steps = changes.map((text) => text)
    if (steps[0] === '')
      expect(applyChange(configuration, { kind: 'change', steps: [] })).toMatchObject({ ok: false })
    else expect(changed(configuration, ...steps)).toBe('refused')
  })

  test('a name is free again once its replica is gone, in the same change too', () => {
    expect(changed(start([1], [2]), '-2 +3:n2')).toBe('voters=1 learners=3 removed=2')
  })

  test('removed ids are remembered up to 128', () => {
    let configuration = start([1])
    for (let one = 2; one < 202; one++) {
      for (const text of [`+${one}`, `-${one}`]) {
        const result = applyChange(configuration, changeOf(text))
        if (!result.ok) throw new Error(result.detail)
        configuration = result.configuration
      }
    }
    expect(configuration.removed.length).toBe(128)
    expect(configuration.removed.at(-1)).toBe(id(201))
  })
})

test('ids are compared as numbers', () => {
  const ids = ['10', '9', '2', '18446744073709551615', '9223372036854775808', '1', '2'].map(asReplicaId)
  expect([...ids].sort(compareIds)).toEqual([
    '1',
    '2',
    '2',
    '9',
    '10',
    '9223372036854775808',
    '18446744073709551615',
  ])
  const signs = [compareIds(id(1), id(2)), compareIds(id(2), id(2)), compareIds(id(3), id(2))]
  expect(signs.map(Math.sign)).toEqual([-1, 0, 1])
})

test('the empty configuration has nothing in it', () => {
  expect(Object.values(emptyConfiguration).flat()).toEqual([])
})

describe('the sentence of a refusal names what is wrong', () => {
  test.each([
    [start([1]), '2', 'replica 2 is no member'],
    [start([1, 2]), '2', 'replica 2 is a voter already'],
    [start([1], [2]), '~2', 'replica 2 is a learner already'],
    [start([1]), '~2', 'replica 2 is no member'],
    [start([1]), '+2:No_Name', 'not a name: "No_Name" (1 to 63 of a-z, 0-9 and -)'],
    [start([1]), '1:No_Name', 'not a name: "No_Name" (1 to 63 of a-z, 0-9 and -)'],
    [start([1, 2]), '-1 2:n1 +3:n1', 'the name n1 is taken by another member'],
  ])('%o %s: %s', (configuration, change, detail) => {
    expect(applyChange(configuration, changeOf(change))).toEqual({ ok: false, detail })
  })
})

test('a voter that joins in the same change in which another leaves is a member once, in the order of ids', () => {
  const entered = applyChange(start([1, 2, 10], [9]), changeOf('-10 9'))
  if (!entered.ok) throw new Error(entered.detail)
  expect(entered.configuration.members.map((member) => member.id)).toEqual([1, 2, 9, 10].map(id))
})

describe('bytes', () => {
  test.each(['+2', '2 -3 ~4 5:db', 'leave'])('a change comes back from its bytes: %s', (text) => {
    expect(decodeChange(encodeChange(changeOf(text)))).toEqual(changeOf(text))
  })

  test('a lease setting and an applied state come back from their bytes', () => {
    expect(decodeLeaderLeases(encodeLeaderLeases({ on: true, durationMs: 750 }))).toEqual({
      on: true,
      durationMs: 750,
    })
    const entered = applyChange(start([1, 2, 3], [4]), changeOf('~3 4'))
    if (!entered.ok) throw new Error(entered.detail)
    const state = { configuration: entered.configuration, leaderLeases: LEASES_OFF }
    const back = decodeAppliedState(encodeAppliedState(state))
    expect(back).toEqual(state)
    expect(sameConfiguration(back.configuration, state.configuration)).toBe(true)
  })

  test('a leave-joint change with extra bytes, and a step of an unknown kind, are refused', () => {
    const leave = encodeChange(changeOf('leave'))
    expect(() => decodeChange(Uint8Array.from([...leave, 0]))).toThrow('is longer than its content')
    const unknown = Uint8Array.from(encodeChange(changeOf('-2')))
    unknown[4] = 9
    expect(() => decodeChange(unknown)).toThrow(
      'a step of a configuration change is not known to this version of quorate',
    )
  })

  test.each([
    ['a change', decodeChange, encodeChange(changeOf('+2'))],
    ['a lease setting', decodeLeaderLeases, encodeLeaderLeases(LEASES_OFF)],
    [
      'an applied state',
      decodeAppliedState,
      encodeAppliedState({ configuration: start([1, 2]), leaderLeases: LEASES_OFF }),
    ],
  ])('%s that is cut off or of another version is refused', (_, decode, bytes) => {
    for (let length = 0; length < bytes.length; length++)
      expect(() => decode(bytes.subarray(0, length))).toThrow(RangeError)
    const newer = Uint8Array.from(bytes)
    newer[0] = 99
    const what =
      /^version 99 of a (configuration change|lease setting|applied state) is not known to this version/
    expect(() => decode(newer)).toThrow(what)
    expect(() => decode(Uint8Array.from([...bytes, 0]))).toThrow('is longer than its content')
  })
})
