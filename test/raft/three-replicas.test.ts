// The whole driver of three cores, without faults: read this first. Disks are arrays and complete at once, messages
// arrive in order, and time passes only when nothing else happens. `harness/` has the same with all faults.

import { expect, test } from 'vitest'
import { Raft } from '../../src/raft/raft.ts'
import { asIndex, asTerm, type Input, type Message } from '../../src/raft/types.ts'
import { TestLog } from './harness/disk.ts'
import { crc32, textFrame, textOf } from './harness/frames.ts'
import { id, LEASES_OFF, votersUpTo } from './harness/members.ts'
import { LIMITS, TIMING } from './harness/node.ts'

type Event = Input extends infer One ? (One extends Input ? Omit<One, 'now'> : never) : never

const STEPS_MAX = 10_000

test('three replicas elect a leader, and all of them apply what it accepts', () => {
  let now = 0
  const inbox: Message[] = []
  const replicas = [1, 2, 3].map((number) => {
    // Entry 1 is in the snapshot with which each of them begins. It names the three voters.
    const log = new TestLog(asIndex(1), asTerm(1), [])
    const raft = new Raft({
      id: id(number),
      boot: 1,
      hardState: { term: asTerm(1), vote: undefined, commit: asIndex(1) },
      appliedIndex: asIndex(1),
      applied: { configuration: votersUpTo(3), leaderLeases: LEASES_OFF },
      ...{ clusterTimeMs: 0, log, limits: LIMITS, timing: TIMING, crc32, now },
      commandRefusal: () => undefined,
      diskRoom: () => ({ bytes: 2 ** 20, items: 1000 }),
      // Election timeouts differ, so that one replica is the first.
      random: () => number / 10,
    })
    const applied: string[] = []

    const step = (event: Event): void => {
      const { write, messages, committed, outcomes } = raft.step({ ...event, now } as Input)
      if (write !== undefined) log.write(write)
      inbox.push(...messages.map(({ message }) => message))
      if (write !== undefined) step({ kind: 'stored', write: write.number, termWrite: write.number })
      for (const entry of committed) {
        applied.push(textOf(entry) ?? 'no-op')
        step({ kind: 'applied', index: entry.index })
      }
      for (const { outcome } of outcomes) applied.push(`(${outcome})`)
    }
    return { raft, applied, step }
  })

  const run = (until: () => boolean): void => {
    for (let steps = 0; !until(); steps++) {
      if (steps === STEPS_MAX) throw new Error('the replicas do not arrive')
      const message = inbox.shift()
      if (message !== undefined)
        replicas.find(({ raft }) => raft.id === message.to)?.step({ kind: 'message', message })
      else {
        now = Math.min(...replicas.map(({ raft }) => raft.deadline()))
        for (const { step } of replicas) step({ kind: 'tick' })
      }
    }
  }

  run(() => replicas.some(({ raft }) => raft.status().role === 'leader'))
  const leader = replicas.find(({ raft }) => raft.status().role === 'leader')
  leader?.step({ kind: 'propose', proposals: [{ seq: 1, frame: textFrame(leader.raft.id, 1, 1, 'hello') }] })
  run(() => replicas.every(({ applied }) => applied.includes('hello')))
  expect(replicas.map(({ applied }) => applied)).toEqual([
    ['no-op', 'hello', '(committed)'],
    ['no-op', 'hello'],
    ['no-op', 'hello'],
  ])
})
