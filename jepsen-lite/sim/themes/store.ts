// Requests to the whole store, in some runs beside everything else: transactions, ranges, history, leases, watches.
// Which of them a run has is drawn, as with other requests. Watches move to machines that something has just happened
// to: a snapshot was installed, a process began, a leader was elected, a log was compacted.

import type { Random } from '../../workload/random.ts'
import type { Trigger } from '../faults/trigger-wait.ts'
import type { SimConfig } from '../schedule/config.ts'
import { type ScheduledOp, STORE_OPS, type StoreOp } from '../schedule/schedule.ts'

/** How often a run has them, and about how many. */
const ODDS = 0.3
const COUNT = 110

const WEIGHTS: Partial<Record<StoreOp, number>> = {
  txn: 4,
  append: 4,
  attach: 4,
  'keep-alive': 3,
  grant: 2,
  'read-at': 2,
  watch: 2,
  unwatch: 2,
}

/** When a watch is begun, or moves. */
const WATCHED: readonly Trigger[] = [
  'installed',
  'installed',
  'started',
  'elected',
  'deposed',
  'applied-late',
  'compacted',
  'answered',
  'committed',
]
const MOVES = 14

export function drawStore(rng: Random, config: SimConfig): ScheduledOp[] {
  if (!rng.chance(ODDS)) return []
  const { ms, clients, keys, nodes, spares } = config
  const kinds = STORE_OPS.filter(() => rng.chance(0.7)).flatMap((kind) =>
    Array<StoreOp>(WEIGHTS[kind] ?? 1).fill(kind),
  )
  const draw = (at: number, kind: StoreOp): ScheduledOp => ({
    at,
    kind,
    client: rng.int(0, clients),
    key: rng.int(0, keys),
    x: rng.int(0, 100_000),
    node: rng.chance(0.4) ? 'leader' : rng.int(0, nodes + spares),
  })
  const ops: ScheduledOp[] = []
  for (let at = 800; kinds.length > 0 && at < ms; ) {
    const burst = rng.chance(0.3) ? rng.int(2, 10) : 1
    for (let count = 0; count < burst; count++) ops.push(draw(at + rng.ms(0, 60), rng.pick(kinds)))
    at += rng.int(1, Math.max(2, Math.round((2 * burst * ms) / COUNT)))
  }
  if (!kinds.includes('watch')) return ops
  for (let count = 0; count < MOVES; count++) {
    const kind = rng.pick(['watch', 'unwatch', 'unwatch'] as const)
    const when = { when: rng.pick(WATCHED), after: rng.pick([0, 0, rng.ms(0, 200)]) }
    ops.push({ ...draw(rng.int(0, ms), kind), node: 'subject', ...when })
  }
  return ops
}
