// Leases under faults: leaders crash, are isolated and transfer leadership, at random times. No lease ends before its
// time to live has passed since the last confirmed keep-alive. A lease without keep-alives does end.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { LeaseId } from '../../../../src/operations/forms/index.ts'
import { runs } from '../../../runs.ts'
import { type Promised, SimulatedCluster, type SimulatedNode } from '../../simulated-cluster.ts'

const ID = '7' as LeaseId

type Step =
  | { readonly kind: 'keep-alive'; readonly node: number }
  | { readonly kind: 'crash' | 'isolate' | 'transfer' | 'mend' }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('keep-alive' as const), node: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'crash' as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'isolate' as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'transfer' as const }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'mend' as const }) },
)
const schedule = fc.record({
  ttlMs: fc.integer({ min: 1000, max: 8000 }),
  leaseCheckpointMs: fc.integer({ min: 100, max: 6000 }),
  steps: fc.array(fc.record({ step, waitMs: fc.nat(2500) }), { maxLength: 14 }),
})

class Run {
  readonly #cluster = SimulatedCluster.formed(3)
  readonly #ttlMs: number
  /** The request time of the last confirmed keep-alive; at first that of the grant. */
  #keptAt = 0
  #out: SimulatedNode | undefined
  #restarts = 0

  constructor(ttlMs: number, leaseCheckpointMs: number) {
    this.#ttlMs = ttlMs
    this.#settled(this.#cluster.leading.set({ leaseCheckpointMs }))
    this.#keptAt = this.#now
    this.#settled(this.#cluster.leading.grantLease(ID, ttlMs))
    this.#settled(this.#cluster.leading.putLeased('k', 'v', { id: ID }))
  }

  get #now(): number {
    return this.#cluster.time.now
  }

  #settled<T>(promised: Promised<T>): Promised<T> {
    this.#cluster.until(() => promised.result !== undefined)
    return promised
  }

  /** Returns whether the lease still exists. */
  step({ step, waitMs }: { readonly step: Step; readonly waitMs: number }): boolean {
    const cluster = this.#cluster
    switch (step.kind) {
      case 'keep-alive': {
        const node = cluster.nodes[step.node]
        if (node?.driver === undefined) break
        const askedAt = this.#now
        const kept = this.#settled(node.keepAlive([ID], 1000))
        if (kept.code !== 'ok') break
        if (kept.value[0] === undefined) return this.#isGone()
        expect(kept.value).toEqual([this.#ttlMs])
        this.#keptAt = askedAt
        break
      }
      case 'crash':
      case 'isolate':
        if (this.#out !== undefined || cluster.leader === undefined) break
        this.#out = cluster.leading
        if (step.kind === 'isolate') cluster.isolate(this.#out)
        else this.#out.crash()
        break
      case 'transfer':
        if (cluster.leader !== undefined) cluster.leading.running.transfer(undefined, 1000, () => {})
        break
      case 'mend':
        this.#mend()
        break
    }
    cluster.advance(waitMs)
    return this.#check()
  }

  #mend(): void {
    this.#cluster.heal()
    if (this.#out !== undefined && this.#out.driver === undefined) {
      this.#out.start()
      this.#restarts++
    }
    this.#out = undefined
  }

  /** Returns false if a linearizable read finds that the key is deleted. */
  #check(): boolean {
    const node = this.#cluster.nodes.find((each) => each !== this.#out && each.driver !== undefined)
    const read = node && this.#settled(node.read('k', 3000))
    if (read?.code !== 'ok' || read.value !== undefined) return true
    return this.#isGone()
  }

  #isGone(): false {
    expect(this.#now - this.#keptAt).toBeGreaterThanOrEqual(this.#ttlMs)
    return false
  }

  /** Waits until the lease ends without keep-alives. */
  end(leaseCheckpointMs: number): void {
    this.#mend()
    this.#cluster.until(() => this.#cluster.leader !== undefined)
    while (this.#check()) {
      // A restart adds at most a checkpoint interval, and elections and retries take a little.
      expect(this.#now - this.#keptAt).toBeLessThan(
        this.#ttlMs + leaseCheckpointMs * (1 + this.#restarts) + 30_000,
      )
      this.#cluster.advance(50)
    }
    this.#cluster.converge()
  }
}

test('no lease ends early, and each one ends, whatever happens to leaders', () => {
  fc.assert(
    fc.property(schedule, ({ ttlMs, leaseCheckpointMs, steps }) => {
      const run = new Run(ttlMs, leaseCheckpointMs)
      if (steps.every((each) => run.step(each))) run.end(leaseCheckpointMs)
    }),
    { numRuns: runs(60) },
  )
})
