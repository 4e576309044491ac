// A process that was stopped for a while finds its timers due and its mail unread. It must read the mail first.

import { expect, test } from 'vitest'
import { encodeState, initialState } from '../../src/kv/index.ts'
import { encodeAppliedState, type Message } from '../../src/raft/index.ts'
import { asIndex, asTerm } from '../../src/raft/types.ts'
import { Driver } from '../../src/server/driver.ts'
import { driverLimits, raftLimits, raftTiming } from '../../src/server/limits.ts'
import type { Clock, Timer } from '../../src/server/types.ts'
import { MemoryDisk } from '../../src/storage/index.ts'
import { id, LEASES_OFF, votersUpTo } from '../raft/harness/members.ts'
import { openDisk } from '../storage/replicas.ts'

/** Timers fire when they are told to, as late as one likes. */
class StallingClock implements Clock {
  nowMs = 1000
  #timers: { readonly at: number; readonly run: () => void }[] = []
  #soon: (() => void)[] = []

  now(): number {
    return this.nowMs
  }
  after(delayMs: number, run: () => void): Timer {
    const timer = { at: this.nowMs + delayMs, run }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      },
    }
  }
  soon(run: () => void): void {
    this.#soon.push(run)
  }

  fireDue(): void {
    const due = this.#timers.filter(({ at }) => at <= this.nowMs)
    this.#timers = this.#timers.filter(({ at }) => at > this.nowMs)
    for (const { run } of due) run()
  }
  /** One turn of the event loop, and what it brings about. */
  turn(): void {
    for (const run of this.#soon.splice(0)) run()
  }
}

test('after a stall a follower hears its leader before it campaigns', async () => {
  const disk = new MemoryDisk()
  const state = { configuration: votersUpTo(3), leases: LEASES_OFF }
  disk.format(
    { clusterId: '1', replicaId: id(1), name: 'n1', formatVersion: 1 },
    {
      hardState: { term: asTerm(1), vote: undefined, commit: asIndex(0) },
      applied: {
        index: asIndex(0),
        term: asTerm(0),
        raft: encodeAppliedState(state),
        kv: encodeState(initialState()),
      },
    },
  )
  const clock = new StallingClock()
  const sent: Message[] = []
  const nothing = (): void => {}
  const driver = new Driver({
    clock,
    storage: await openDisk(disk),
    timing: raftTiming,
    raftLimits,
    limits: driverLimits,
    random: () => 0.5,
    logger: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    observer: { proposalEnded: nothing, batchStored: nothing, entriesApplied: nothing, roleChanged: nothing },
    peerAddress: () => 'n1:1',
    onEnd: nothing,
  })
  driver.start({
    setPeers: nothing,
    send: (message) => void sent.push(message),
    sendStateHash: nothing,
    sendSnapshot: nothing,
    close: nothing,
  })
  const heartbeat = (): void =>
    driver.message({
      ...{ type: 'heartbeat', from: id(2), to: id(1), term: asTerm(1) },
      ...{ commit: asIndex(0), round: 1, confirmed: undefined },
    })
  heartbeat()
  expect(driver.leaderName).toBe('n2')
  clock.nowMs += 10 * raftTiming.electionMaxMs
  clock.fireDue()
  clock.turn()
  heartbeat()
  clock.turn()
  expect(sent.map(({ type }) => type)).not.toContain('pre-vote-request')
  expect(driver.leaderName).toBe('n2')
  driver.crash()
})
