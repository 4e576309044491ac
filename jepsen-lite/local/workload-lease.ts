// Clients of leases: they grant some, attach keys to their own and to those of others, keep some alive and let others
// end, revoke some, and ask whether they exist.

import { setTimeout as sleep } from 'node:timers/promises'
import type { AnyOperation, OperationEnd } from '../workload/history.ts'
import type { LocalCluster } from './cluster.ts'
import { json } from './wires/http/key-requests.ts'
import type { WireFeatures } from './wires/wire.ts'
import type { Draw, Surroundings, Workload, WorkloadRequest } from './workload.ts'

/** The cluster grants no less than twice its election timeout. */
const TTLS_MS = [2_000, 2_000, 3_000, 5_000]
/** Leases that all clients know together. */
const KNOWN_MAX = 40
/** When the last lease must have ended: its time, what a new leader may add, and as much for a busy machine. */
const END_MS_MAX = Math.max(...TTLS_MS) + 10_000
/** The lease of a hold of a queue outlives its key, where a put with a time to live has none of its own. */
const HOLD_MS_MAX = 30_000
const POLL_MS = 100

export class LeaseWorkload implements Workload {
  readonly #draw: Draw
  readonly #known: string[]
  readonly #hasTimedPuts: boolean

  constructor(draw: Draw, { leases, features }: Surroundings) {
    this.#draw = draw
    this.#known = leases
    this.#hasTimedPuts = features.timedPuts
  }

  next(): WorkloadRequest {
    const { key, unique, random } = this.#draw
    const draw = random.next()
    const known = this.#known
    if (known.length === 0 || draw < 0.05) return { f: 'grant', ttlMs: random.pick(TTLS_MS) }
    const lease = random.pick(known)
    // Some are kept alive by everybody, some are forgotten.
    if (draw < 0.35) return { f: 'keep-alive', lease: random.pick(known.slice(-(known.length >> 1) - 1)) }
    if (draw < 0.37) return { f: 'revoke', lease }
    if (draw < 0.47) return { f: 'lease', lease }
    if (draw < 0.7) return { f: 'put', key: key(), value: unique(), lease }
    if (draw < 0.78 && this.#hasTimedPuts)
      return { f: 'put', key: key(), value: unique(), ttlMs: random.pick(TTLS_MS) }
    if (draw < 0.83) return { f: 'put', key: key(), value: unique() }
    if (draw < 0.86) return { f: 'del', key: key() }
    return { f: 'get', key: key() }
  }

  ended(op: AnyOperation, end: OperationEnd): void {
    if (end.kind !== 'ok') return
    const { lease, applied } = end.result
    if (op.f === 'grant' && lease !== undefined) {
      this.#known.push(lease)
      if (this.#known.length > KNOWN_MAX) this.#known.shift()
    }
    // One that has ended is asked for a few more times.
    const isGone = applied === false && (op.f === 'keep-alive' || op.f === 'lease' || op.f === 'put')
    if (isGone && op.lease !== undefined && this.#draw.random.chance(0.3)) {
      const at = this.#known.indexOf(op.lease)
      if (at >= 0) this.#known.splice(at, 1)
    }
  }
}

/** Waits until no lease is left. Returns what is wrong if that takes too long. */
export async function leasesEnd(
  cluster: LocalCluster,
  { timedPuts }: WireFeatures,
  signal: AbortSignal,
): Promise<string | undefined> {
  const limitMs = timedPuts ? END_MS_MAX : END_MS_MAX + HOLD_MS_MAX
  const deadline = performance.now() + limitMs
  let left = 'no node reported how many leases there are'
  while (performance.now() < deadline && !signal.aborted) {
    for (const node of cluster.members) {
      const end = await cluster.request(node, 'GET', '/v1/leases', undefined, 1_000)
      const leases = end.kind === 'answer' && end.status === 200 ? json(end).leases : undefined
      if (!Array.isArray(leases)) continue
      if (leases.length === 0) return undefined
      left = `there are ${leases.length} leases, the first of them ${JSON.stringify(leases[0])}`
    }
    await sleep(POLL_MS)
  }
  return `${limitMs} ms after the last client has ended, ${left}`
}
