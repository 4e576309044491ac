// Leases that end in parts, under faults: leaders crash and transfer leadership, nodes receive snapshots,
// and clients put, attach, delete and revoke in between. The oracle of the cluster replays each entry, so all replicas
// delete the same keys at the same revisions. In the end each revoked lease is gone with its keys, and no other key.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { LeaseId } from '../../../../src/operations/forms/index.ts'
import { runs } from '../../../runs.ts'
import { type Promised, SimulatedCluster, type SimulatedNode, valueAt } from '../../simulated-cluster.ts'

const ID = '7' as LeaseId
const KEYS = 12

const kind = <K extends string>(of: K) => fc.constant({ kind: of })
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('attach', 'put', 'delete', 'revoke', 'keep-alive', 'grant'),
      node: fc.nat(2),
      key: fc.nat(KEYS + 3),
    }),
  },
  { weight: 1, arbitrary: kind('crash') },
  { weight: 1, arbitrary: kind('transfer') },
  { weight: 1, arbitrary: kind('compact') },
  { weight: 3, arbitrary: kind('mend') },
)
const schedule = fc.record({
  rangeKeysMax: fc.integer({ min: 1, max: 30 }),
  ttlMs: fc.constantFrom(2000, 600_000),
  steps: fc.array(fc.record({ step, waitMs: fc.nat(60) }), { minLength: 2, maxLength: 25 }),
})
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

const keyOf = (at: number): string => `k${at}`

class Run {
  readonly #cluster = SimulatedCluster.formed(3)
  readonly #open: Promised<unknown>[] = []
  #out: SimulatedNode | undefined

  constructor(rangeKeysMax: number, ttlMs: number) {
    const { leading } = this.#cluster
    this.#settled(leading.set({ rangeKeysMax }))
    this.#settled(leading.grantLease(ID, ttlMs))
    for (let at = 0; at < KEYS; at++) this.#settled(leading.putLeased(keyOf(at), 'v', { id: ID }))
    this.#open.push(leading.revokeLease(ID))
  }

  #settled<T>(promised: Promised<T>): Promised<T> {
    this.#cluster.until(() => promised.result !== undefined)
    return promised
  }

  step(step: Step, waitMs: number): void {
    const cluster = this.#cluster
    if ('node' in step) {
      const node = cluster.nodes[step.node]
      if (node?.driver !== undefined) this.#open.push(this.#request(node, step.kind, keyOf(step.key)))
    } else if (step.kind === 'crash') this.#takeOut()
    else if (step.kind === 'transfer')
      cluster.leader && cluster.leading.running.transfer(undefined, 1000, () => {})
    // Whoever is out needs a snapshot then.
    else if (step.kind === 'compact')
      for (let at = 0; at < 40; at++) cluster.leader && cluster.leading.put('other', `${at}`)
    else this.#mend()
    cluster.advance(waitMs)
  }

  #request(node: SimulatedNode, what: string, key: string): Promised<unknown> {
    switch (what) {
      case 'attach':
        return node.putLeased(key, 'attached', { id: ID })
      case 'put':
        return node.put(key, 'put')
      case 'delete':
        return node.remove(key)
      case 'revoke':
        return node.revokeLease(ID)
      case 'grant':
        return node.grantLease(ID, 600_000)
      default:
        return node.keepAlive([ID])
    }
  }

  #takeOut(): void {
    const cluster = this.#cluster
    if (this.#out !== undefined || cluster.leader === undefined) return
    this.#out = cluster.leading
    this.#out.crash()
  }

  #mend(): void {
    if (this.#out !== undefined && this.#out.driver === undefined) this.#out.start()
    this.#out = undefined
  }

  end(): void {
    const cluster = this.#cluster
    this.#mend()
    cluster.until(
      () => cluster.leader !== undefined && cluster.nodes.every(({ driver }) => driver !== undefined),
    )
    for (const promised of this.#open) cluster.until(() => promised.result !== undefined)
    this.#settled(cluster.leading.revokeLease(ID, 30_000))
    cluster.converge()
    const { model } = cluster.invariants
    expect(model.leaseCount).toBe(0)
    for (const node of cluster.nodes) {
      expect(node.running.lease(ID)).toBeUndefined()
      expect(node.running.keys).toBe(model.keysAt(model.index).length)
      for (const key of model.keysAt(model.index))
        expect(valueAt(node.running, key)).toBe(model.at(key, model.index)?.value)
      for (const [name, count] of Object.entries(node.running.inspect()))
        if (name.startsWith('leases.')) expect([name, count]).toEqual([name, 0])
    }
  }
}

test('a lease that ends in parts is gone in the end with its keys, and with no other key, whatever happens', () => {
  fc.assert(
    fc.property(schedule, ({ rangeKeysMax, ttlMs, steps }) => {
      const run = new Run(rangeKeysMax, ttlMs)
      for (const each of steps) run.step(each.step as Step, each.waitMs)
      run.end()
    }),
    { numRuns: runs(8) },
  )
})
