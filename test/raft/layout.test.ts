// The bytes of entries, changes of the configuration, lease settings and applied states never change: the log and the
// snapshots of every user hold them. A change needs a new version of the record.

import { expect, test } from 'vitest'
import {
  decodeAppliedState,
  decodeChange,
  decodeLeaderLeases,
  encodeAppliedState,
  encodeChange,
  encodeLeaderLeases,
} from '../../src/raft/configuration.ts'
import { newFrame, readHeader, sealFrame, stampFrame } from '../../src/raft/entry.ts'
import {
  type AppliedRaftState,
  asIndex,
  asReplicaId,
  asTerm,
  type ConfigurationChange,
} from '../../src/raft/types.ts'
import { crc32 } from './harness/frames.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unspaced = (text: string): string => text.replaceAll(/\s/g, '')

const [one, greatest] = [asReplicaId('1'), asReplicaId('18446744073709551615')]
const member = { id: greatest, name: 'n1', peer: 'ä:1', url: 'http://\u{1f600}' }

test('a frame', () => {
  const header = { kind: 20, version: 3, proposer: greatest, boot: 2 ** 32 - 2, seq: 2 ** 48 - 3 }
  const frame = newFrame(header, 2)
  frame.set([7, 8], 54)
  stampFrame(sealFrame(frame, crc32), asTerm(2 ** 40 + 5), asIndex(Number.MAX_SAFE_INTEGER), 6)
  expect(hex(frame)).toBe(
    unspaced(`000000380b2837650000010000000005001fffffffffffff000000000000000614030000ffffffff
      fffffffffffffffefffffffffffd0708`),
  )
  expect(readHeader(frame)).toMatchObject(header)
})

test.each<[string, ConfigurationChange, string]>([
  [
    'of every step',
    {
      kind: 'change',
      steps: [
        { kind: 'add-learner', member },
        { kind: 'promote', id: one },
        { kind: 'demote', id: greatest },
        { kind: 'remove', id: one },
        { kind: 'update', member: { ...member, url: '' } },
      ],
    },
    `0100000500ffffffffffffffff0002006e0031000300e4003a003100090068007400740070003a002f002fd83dde0001
     000000000000000102ffffffffffffffff03000000000000000104ffffffffffffffff0002006e0031000300e4003a00
     310000`,
  ],
  ['that leaves a joint configuration', { kind: 'leave-joint' }, '0101'],
])('a change %s', (_, change, bytes) => {
  expect(hex(encodeChange(change))).toBe(unspaced(bytes))
  expect(decodeChange(encodeChange(change))).toEqual(change)
})

test('a lease setting', () => {
  const setting = { on: true, durationMs: 2 ** 32 - 1 }
  expect(hex(encodeLeaderLeases(setting))).toBe('0101ffffffff')
  expect(decodeLeaderLeases(encodeLeaderLeases(setting))).toEqual(setting)
})

test('an applied state', () => {
  const id = asReplicaId
  const state: AppliedRaftState = {
    configuration: {
      ...{ voters: [one, id('2')], votersOutgoing: [id('3')], learners: [id('4')], learnersNext: [] },
      ...{ demoted: [id('5')], removed: [greatest], members: [member, { ...member, name: '', peer: '' }] },
    },
    leaderLeases: { on: false, durationMs: 750 },
  }
  expect(hex(encodeAppliedState(state))).toBe(
    unspaced(`01000200000000000000010000000000000002000100000000000000030001000000000000000400
      00000100000000000000050001ffffffffffffffff0002ffffffffffffffff0002006e0031000300
      e4003a003100090068007400740070003a002f002fd83dde00ffffffffffffffff00000000000900
      68007400740070003a002f002fd83dde0000000002ee`),
  )
  expect(decodeAppliedState(encodeAppliedState(state))).toEqual(state)
})
