// Scenarios about voters that are removed permanently. Small clusters grow by one and shrink by one again, from 2 to 1,
// from 4 to 3 and between. As soon as the operator learns that the change is done, the machine is deleted. The
// remaining members must not need it, whatever fault follows. Each scenario adds a fault that could keep them from
// learning that the change is done.

import type { Random } from '../../workload/random.ts'
import {
  allPlaces,
  anyCut,
  drawAction,
  follower,
  noPlaces,
  plainly,
  whole,
} from '../faults/fault-builders.ts'
import type { SimFault } from '../faults/fault-kinds.ts'
import type { Trigger } from '../faults/trigger-wait.ts'
import type { SimConfig } from '../schedule/config.ts'
import type { ScheduledOp } from '../schedule/schedule.ts'
import type { MachineTarget } from '../schedule/shape.ts'
import { roomy } from './leadership.ts'

/** Clients that write during the removal, in addition to the others. */
const WRITERS = 6

export function removalsConfig(rng: Random, config: SimConfig): SimConfig {
  const heartbeatMs = rng.pick([50, 100])
  const electionMinMs = 10 * heartbeatMs
  return {
    ...config,
    // Sizes where a majority of the remaining members may not be enough without the removed one.
    nodes: Math.min(config.nodes, rng.pick([2, 4])),
    spares: 2,
    grow: 0,
    ms: rng.pick([10_000, 30_000]),
    clients: 2 + WRITERS,
    timeoutMs: rng.pick([300, 1000, 2000]),
    heartbeatMs,
    electionMinMs,
    electionMaxMs: electionMinMs * rng.pick([1.1, 1.5, 2]),
    // In a harsh run, a cut may lose the messages that it holds back.
    harsh: rng.pick([0, 1, 1]),
    lost: 0,
    doubled: 0,
    reordered: 0,
    delayMs: rng.pick([0.2, 1, 5]),
    jitterMs: rng.pick([0.3, 1, 10]),
    tail: 0,
    commitDelayMs: rng.pick([0, config.commitDelayMs, heartbeatMs]),
    limits: roomy(config.limits),
  }
}

export function drawRemovals(rng: Random, config: SimConfig): SimFault[] {
  const { electionMaxMs } = config
  const faults: SimFault[] = []
  for (let at = 2000; at < config.ms; at += rng.int(2, 4) * electionMaxMs) {
    if (rng.chance(0.4)) faults.push(hindrance(rng, config, at - rng.int(1, 30)))
    faults.push(removal(rng, config, at), ...loss(rng, config, at, at + 6 * electionMaxMs > config.ms))
    // A learner becomes a voter soon.
    faults.push({ at: at + rng.int(1, electionMaxMs), kind: 'join', target: rng.int(0, 6) })
  }
  return faults.map(whole)
}

/** The node that gets the request may be the leader or the removed one. The machine is deleted at once, or soon. */
function removal(rng: Random, config: SimConfig, at: number): SimFault {
  const kind = rng.pick(['remove', 'remove', 'remove', 'demote', 'replace'])
  const role = rng.pick<MachineTarget>(['leader', 'follower-0'])
  const member = rng.pick<MachineTarget>([role, rng.int(0, 12)])
  return {
    at,
    ...drawAction(kind, { rng, config, longMs: 0 }),
    asked: rng.pick<MachineTarget>(['leader', 'leader', role, follower(rng)]),
    member,
    evenSmall: true,
    ...(rng.chance(0.85) ? { deletedAfterMs: rng.pick([0, 0, 0, rng.ms(0, 60)]) } : {}),
  }
}

/** The remaining members learn slowly. */
function hindrance(rng: Random, { heartbeatMs, electionMinMs }: SimConfig, at: number): SimFault {
  const ms = rng.int(heartbeatMs, electionMinMs)
  const target = rng.pick<MachineTarget>(['leader', follower(rng)])
  return rng.pick<SimFault>([
    { at, kind: 'slow-link', from: 'leader', to: follower(rng), delayMs: rng.int(10, heartbeatMs), ms },
    { at, kind: 'stall-disk', target, ms: rng.int(20, 300) },
    { at, kind: 'slow-disk', target, factor: 20, ms },
    { at, kind: 'slow-apply', target, entryMs: 40, ms },
  ])
}

/** Data that was about to be written or sent is lost: for a short time, or near the end permanently. */
function loss(rng: Random, config: SimConfig, at: number, isLate: boolean): SimFault[] {
  const { electionMaxMs, delayMs, jitterMs } = config
  const waiting = {
    at,
    when: rng.pick<Trigger>(['let-go', 'let-go', 'let-go', 'left', 'left', 'joint']),
    after: rng.pick([0, 0, 0, rng.ms(0, 3 * (delayMs + jitterMs) + 5)]),
  }
  const forGood = isLate && rng.chance(0.8) ? config.ms : undefined
  const silent = rng.chance(0.5)
  const crash = {
    ...({ ...waiting, kind: 'crash', point: 'now', skip: 0 } as const),
    inFlight: rng.pick(['lost' as const, 'lost' as const, 'kept' as const]),
    silent,
    ms: forGood ?? rng.pick([rng.int(5, 300), rng.int(1, 3) * electionMaxMs]),
    ...(rng.chance(0.5) ? { unheard: true } : {}),
  }
  const cutMs = forGood ?? rng.int(1, 4) * electionMaxMs
  const cut = rng.chance(0.5) ? plainly(cutMs) : anyCut(rng, cutMs)
  const isolated = { ...waiting, kind: 'isolate', target: 'subject', ...cut } as const
  // The leader knows first. The removed replica must not be the only other one that is notified.
  const confided = { ...isolated, when: 'left', companion: 'other' } as const
  // A machine that was cut off with its knowledge dies before the cut ends.
  const dies = { ...crash, target: 'subject', after: waiting.after + rng.int(1, electionMaxMs) } as const
  const first = rng.pick<SimFault>([
    { ...crash, target: 'subject' },
    { ...crash, target: 'subject' },
    { ...crash, target: 'leader' },
    { ...crash, target: 'leader' },
    { ...crash, target: follower(rng) },
    { ...waiting, kind: 'crash-many', places: allPlaces, inFlight: ['lost'], silent, ms: rng.int(5, 300) },
    isolated,
    confided,
    { ...confided, after: 0 },
    { ...confided, after: 0 },
    { ...waiting, kind: 'half-deaf', target: 'leader', unheardBy: allPlaces, deafTo: noPlaces, ...cut },
  ])
  return first.kind !== 'crash' && rng.chance(0.7)
    ? [first, { ...dies, when: first.when ?? waiting.when }]
    : [first]
}

/** Writes at the leader during a removal, so that logs differ by the entries after the change. */
export function drawRemovalWriters(rng: Random, { ms, electionMaxMs, keys }: SimConfig): ScheduledOp[] {
  const ops: ScheduledOp[] = []
  for (let at = 2000; at < ms; at += 2 * electionMaxMs)
    for (let client = 2; client < 2 + WRITERS; client++)
      ops.push({
        at,
        when: rng.pick(['joint', 'left', 'let-go']),
        times: 2,
        after: rng.ms(0, 20),
        kind: 'put',
        client,
        node: rng.pick<MachineTarget>(['leader', 'leader', 'subject', follower(rng)]),
        key: rng.int(0, keys),
        x: rng.int(0, 1000),
      })
  return ops.map((op) => ({ ...op, at: Math.round(op.at) }))
}
