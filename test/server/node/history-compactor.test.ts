// The times at which the leader proposes compaction. Each of its entries is applied at once.

import { expect, test } from 'vitest'
import type { Request } from '../../../src/kv/index.ts'
import { HistoryCompactor } from '../../../src/server/node/upkeep/history-compactor.ts'
import { ask, MemoryStore, putOf } from '../../kv/store.ts'
import { SimulatedCluster } from '../simulated-cluster.ts'

const KEPT = 100

class Leader {
  readonly store: MemoryStore
  proposals = 0
  isLeading = true
  isRefused = false
  timeMs = 0
  /** Results that have not been delivered. */
  readonly #answers: (() => void)[] = []
  readonly compactor: HistoryCompactor

  constructor(historyRevisionsMax = KEPT) {
    this.store = new MemoryStore({ historyRevisionsMax, historyAgeMs: 1_000_000 })
    this.compactor = new HistoryCompactor(this)
  }

  get state() {
    return this.store.state
  }

  clusterTimeMs(): number | undefined {
    return this.isLeading ? this.timeMs : undefined
  }

  get(rowKey: Uint8Array): Uint8Array | undefined {
    return this.store.rows.get(Buffer.from(rowKey).toString('hex'))
  }

  propose({ command }: Request, done: (ok: boolean) => void): void {
    this.proposals++
    this.#answers.push(() => {
      if (!this.isRefused) this.store.apply(ask(command), this.timeMs)
      done(!this.isRefused)
    })
  }

  /** Continues until no proposal is in flight. */
  settle(): void {
    for (let answer = this.#answers.shift(); answer !== undefined; answer = this.#answers.shift()) answer()
  }

  put(count: number): void {
    for (let at = 0; at < count; at++) this.store.apply(ask(putOf('k', `${at}`)), this.timeMs)
  }

  /** The number of revisions that are kept. */
  get kept(): number {
    return this.state.revision - this.state.history.compacted
  }
}

test('history ends step by step until what is kept is within the settings, although nothing else is written', () => {
  const leader = new Leader()
  leader.put(2500)
  leader.compactor.check(false)
  leader.settle()
  expect(leader.proposals).toBeGreaterThan(2)
  expect(leader.kept).toBeLessThanOrEqual(KEPT + 16)
  const { proposals } = leader
  leader.compactor.check(false)
  leader.compactor.check(true)
  expect(leader.proposals).toBe(proposals)
})

test('so do events that are too old, however many there are', () => {
  const leader = new Leader(10_000)
  leader.put(2500)
  leader.timeMs = 2_000_000
  leader.compactor.check(true)
  leader.settle()
  expect(leader.proposals).toBeGreaterThan(2)
  expect(leader.kept).toBeLessThanOrEqual(16)
})

test('one step is under way at a time, and one that has failed is not tried again at once', () => {
  const leader = new Leader()
  leader.put(300)
  leader.isRefused = true
  leader.compactor.check(false)
  leader.compactor.check(true)
  expect(leader.proposals).toBe(1)
  leader.settle()
  expect(leader.proposals).toBe(1)
  leader.isRefused = false
  leader.compactor.check(false)
  leader.settle()
  expect(leader.kept).toBeLessThanOrEqual(KEPT + 16)
})

test('the age of events counts when it is looked at, and only a leader proposes', () => {
  const leader = new Leader()
  leader.put(10)
  leader.timeMs = 2_000_000
  leader.compactor.check(false)
  expect(leader.proposals).toBe(0)
  leader.isLeading = false
  leader.compactor.check(true)
  expect(leader.proposals).toBe(0)
  leader.isLeading = true
  leader.compactor.check(true)
  leader.settle()
  expect([leader.proposals, leader.kept]).toEqual([1, 0])
})

test('history ends by its age on every node although nothing more is written', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading } = cluster
  for (const done of [leading.set({ historyAgeMs: 1000 }), leading.put('k', '1'), leading.put('k', '2')])
    cluster.until(() => done.result !== undefined)
  const { revision } = leading.running
  expect(leading.running.history.compacted).toBeLessThan(revision)
  cluster.until(() => cluster.nodes.every(({ running }) => running.history.compacted === revision))
})
