// Prints what a put allocates on the leader and on a follower, as JSON. `heap.long.test.ts` starts it so that no
// garbage is collected during the count.

import { PerformanceObserver } from 'node:perf_hooks'
import { KINDS, type Kind, Puts } from './puts.ts'
import type { CountedNode, Meter } from './three-nodes.ts'

const BATCH = 1000
const ROUNDS_WARM = 1
const ROUNDS = 2

/** When the rounds were counted, and garbage was collected: never both at a time. */
const counted: { from: number; to: number }[] = []
const collected: number[] = []

/** Bytes that were allocated since it was made, in the heap and in buffers outside of it. */
class AllocationMeter implements Meter {
  readonly bytes = new Map<CountedNode, { heap: number; buffers: number }>()
  #heap = 0
  #buffers = 0
  readonly #ownHeap: number

  constructor() {
    const costs = Array.from({ length: 100 }, () => {
      const before = process.memoryUsage()
      return process.memoryUsage().heapUsed - before.heapUsed
    })
    this.#ownHeap = costs.sort((a, b) => a - b)[50] ?? 0
  }

  begins(): void {
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    this.#heap = heapUsed
    this.#buffers = arrayBuffers
  }

  ends(node: CountedNode): void {
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    const bytes = this.bytes.get(node) ?? { heap: 0, buffers: 0 }
    bytes.heap += heapUsed - this.#heap - this.#ownHeap
    bytes.buffers += arrayBuffers - this.#buffers
    this.bytes.set(node, bytes)
  }
}

function measured(kind: Kind) {
  const puts = new Puts(kind, BATCH)
  const { cluster } = puts
  cluster.meter = new AllocationMeter()
  for (let round = 0; round < ROUNDS_WARM; round++) puts.round()
  const rounds = Array.from({ length: ROUNDS }, () => puts.requests())
  globalThis.gc?.()
  const meter = new AllocationMeter()
  cluster.meter = meter
  const from = performance.now()
  for (const requests of rounds) puts.round(requests)
  counted.push({ from, to: performance.now() })
  cluster.meter = undefined
  const { leader } = cluster
  const [follower] = cluster.followers
  const perPut = (node: CountedNode | undefined) => {
    const { heap, buffers } = (node && meter.bytes.get(node)) ?? { heap: 0, buffers: 0 }
    return { heap: Math.round(heap / ROUNDS / BATCH), buffers: Math.round(buffers / ROUNDS / BATCH) }
  }
  return { leader: perPut(leader), follower: perPut(follower) }
}

const observer = new PerformanceObserver((list) => {
  for (const { startTime } of list.getEntries()) collected.push(startTime)
})
observer.observe({ entryTypes: ['gc'] })
const costs = Object.fromEntries([...KINDS].reverse().map((kind) => [kind, measured(kind)]))
// At least the collections before each count are reported.
while (collected.length < KINDS.length) await new Promise(setImmediate)
const disturbed = collected.filter((at) => counted.some(({ from, to }) => from < at && at < to)).length
console.log(JSON.stringify({ disturbed, costs }))
