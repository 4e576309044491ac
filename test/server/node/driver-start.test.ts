// A storage that has failed before its driver starts: a read in the background of what was being opened.

import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { encodeState, initialState } from '../../../src/kv/index.ts'
import { emptyConfiguration, encodeAppliedState } from '../../../src/raft/index.ts'
import { Driver } from '../../../src/server/node/driver.ts'
import { driverLimits, raftLimits, raftTiming } from '../../../src/server/node/limits.ts'
import type { Network } from '../../../src/server/node/network.ts'
import type { NodeEnd } from '../../../src/server/options.ts'
import { FaultyEngine } from '../../storage/faulty.ts'
import { memoryDisk, openDisk } from '../../storage/replicas.ts'
import { applied, hardState } from '../../storage/samples.ts'
import { VirtualClock } from '../virtual-clock.ts'

const network: Network = {
  setPeers() {},
  send() {},
  sendStateHash() {},
  requestKeepAlive() {},
  answerKeepAlive() {},
  requestReport: () => false,
  answerReport() {},
  sendTraces() {},
  sendSnapshot() {},
  inspect: () => ({}),
  close() {},
}

test('ends the node at once, and nothing goes on behind its end', async () => {
  const state = { configuration: emptyConfiguration, leaderLeases: { on: false, durationMs: 0 } }
  const record = { ...applied(1, 1), raft: encodeAppliedState(state), kv: encodeState(initialState()) }
  let isBroken = false
  const faults = {
    beforeRead: () => {
      if (isBroken) throw new Error('EIO: the disk is gone')
    },
  }
  const disk = memoryDisk({ hardState: hardState(1, 1), applied: record })
  const storage = await openDisk(
    disk,
    undefined,
    faults,
    {},
    (engine) => new FaultyEngine(engine, faults),
    false,
  )
  isBroken = true
  await turn()
  await turn()
  const clock = new VirtualClock()
  const ends: NodeEnd[] = []
  let looks = 0
  const driver = new Driver({
    ...{ clock, storage, timing: raftTiming, raftLimits, limits: driverLimits, random: () => 0 },
    disk: {
      freeBytes: () => {
        looks++
        return 0
      },
      hasReserve: false,
      takeReserve() {},
      giveBackReserve() {},
    },
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    observer: { proposalEnded() {}, batchStored() {}, entriesApplied() {}, roleChanged() {} },
    peerAddress: () => 'n1:1',
    onEnd: (end) => ends.push(end),
  })
  driver.start(network)
  expect(ends).toEqual([{ kind: 'failed', reason: expect.stringContaining('EIO: the disk is gone') }])
  clock.advance(2 * driverLimits.scrubEveryMs)
  expect(looks).toBe(0)
  expect(ends).toHaveLength(1)
})
