// The theme for what was seen least: faults, pairs of faults and requests that wait for triggers, chosen by what the
// search has not tried yet (coverage.ts), together with faults that cause those triggers.

import type { Random } from '../../workload/random.ts'
import type { Rare } from '../coverage.ts'
import { anyCut, dies, drawAction, follower, plainly } from '../faults/fault-builders.ts'
import { type SimFault, type SimFaultKind, USUAL_FAULTS } from '../faults/fault-kinds.ts'
import { TRIGGERS, type Trigger } from '../faults/trigger-wait.ts'
import type { SimConfig } from '../schedule/config.ts'
import { OP_KINDS, type OpKind, type ScheduledOp } from '../schedule/schedule.ts'
import type { DrawContext, MachineTarget } from '../schedule/shape.ts'

export function triggeredConfig(rng: Random, config: SimConfig): SimConfig {
  return {
    ...config,
    ms: 60_000,
    spares: rng.pick([1, 2]),
    clients: 2 * config.clients,
    timeoutMs: rng.pick([300, 1000]),
    // So that triggers follow each other, and a replica that was away briefly needs a snapshot.
    delayMs: rng.pick([0.2, 1, 5]),
    jitterMs: rng.pick([0.3, 1, 10]),
    tail: 0,
    clocks: rng.pick([0, 1, 2]),
    limits: {
      ...config.limits,
      logTailEntries: rng.pick([0, 1, 5]),
      logBehindEntries: rng.pick([0, 10]),
      compactEntriesMin: 1,
    },
  }
}

/** Faults that cause a trigger if it would not happen otherwise. */
function drawCause(trigger: Trigger, { rng, config }: DrawContext, at: number): SimFault[] {
  const { electionMaxMs } = config
  const ms = rng.int(electionMaxMs / 2, 3 * electionMaxMs)
  switch (trigger) {
    case 'elected':
    case 'pre-candidate':
    case 'candidate':
    case 'voted':
    case 'leaderless':
    case 'deposed':
    case 'superseded':
    case 'truncated':
      return [
        rng.pick<SimFault>([
          { at, ...dies, target: 'leader', ms },
          { at, kind: 'isolate', target: 'leader', ...anyCut(rng, ms) },
          { at, kind: 'pause', target: 'leader', ms },
        ]),
      ]
    case 'hands-over':
      return [{ at, kind: 'transfer', target: 'leader', to: follower(rng) }]
    case 'joint':
    case 'left':
    case 'let-go':
    case 'reconfigured': {
      const kind = rng.pick(['replace', 'demote', 'remove'])
      return [{ at, kind, asked: 'leader', member: rng.int(0, 12), evenSmall: rng.chance(0.3) }]
    }
    case 'sends-snapshot':
    case 'offered':
    case 'staged':
    case 'installed':
      return [
        rng.pick<SimFault>([
          { at, kind: 'wipe', target: follower(rng) },
          { at, kind: 'isolate', target: follower(rng), ...plainly(ms) },
          { at, ...dies, target: follower(rng), ms },
        ]),
      ]
    case 'ahead':
      return [{ at, kind: 'stall-disk', target: follower(rng), ms: rng.int(50, electionMaxMs) }]
    case 'applied-late': {
      const entryMs = rng.int(20, electionMaxMs)
      return [
        {
          at,
          kind: 'slow-apply',
          target: rng.pick<MachineTarget>([follower(rng), 'leader']),
          entryMs,
          ms: 2 * ms,
        },
      ]
    }
    case 'connected':
    case 'disconnected':
      return [{ at, kind: 'break', target: rng.pick<MachineTarget>(['leader', follower(rng)]) }]
    case 'opening':
    case 'started':
    case 'died':
      return [
        { at, ...dies, target: rng.pick<MachineTarget>(['leader', follower(rng)]), ms: rng.int(5, 500) },
      ]
    case 'stopped':
      return [{ at, kind: 'pause', target: rng.pick<MachineTarget>(['leader', follower(rng)]), ms }]
    case 'committed':
    case 'compacted':
    case 'answered':
    case 'forwarded':
    case 'read-asked':
      return []
  }
}

interface Wish {
  readonly trigger: Trigger
  readonly fault?: SimFaultKind
  readonly op?: OpKind
}

function drawWish(rng: Random, rare: Rare): Wish {
  const drawn = rare.events[rng.int(0, Math.max(1, rare.events.length))]
  if (drawn === undefined || rng.chance(0.2))
    return {
      trigger: rng.pick(TRIGGERS),
      fault: rng.pick(USUAL_FAULTS),
    }
  const [trigger, what, kind] = drawn
  return what === 'fault' ? { trigger, fault: kind } : { trigger, op: kind }
}

/** At one trigger: one fault or two, and requests to the machines that it is about. */
export function drawTriggered(
  rng: Random,
  config: SimConfig,
  rare: Rare,
): { readonly faults: SimFault[]; readonly ops: ScheduledOp[] } {
  const drawing = { rng, config, longMs: 3 * config.electionMaxMs }
  const faults: SimFault[] = []
  const ops: ScheduledOp[] = []
  for (let at = 2000; at < config.ms; at += rng.int(1, 4) * config.electionMaxMs) {
    const { trigger, fault, op } = drawWish(rng, rare)
    const waiting = { at, when: trigger, times: rng.pick([1, 1, 3]) }
    const after = rng.pick([0, 0, rng.ms(0, config.electionMinMs)])
    faults.push(...drawCause(trigger, drawing, at + 1))
    if (fault !== undefined) faults.push(...drawFault(fault, { ...waiting, after }, drawing))
    const pair = rare.pairs[rng.int(0, Math.max(1, rare.pairs.length))]
    if (pair !== undefined && rng.chance(0.5))
      for (const kind of pair) faults.push(...drawFault(kind, { ...waiting, after }, drawing))
    for (const kind of op === undefined ? [rng.pick(OP_KINDS)] : [op, op, op])
      ops.push({
        ...waiting,
        after: rng.pick([0, after]),
        kind,
        client: rng.int(0, config.clients),
        node: rng.pick<MachineTarget>(['subject', 'subject', 'other', 'leader']),
        key: rng.int(0, config.keys),
        x: rng.int(0, 1000),
      })
  }
  return { faults, ops }
}

/** A fault of the machine that the trigger is about, or of the other one; none if the schedule forbids the kind. */
function drawFault(
  kind: SimFaultKind,
  waiting: { readonly at: number; readonly when: Trigger; readonly after: number; readonly times: number },
  drawing: DrawContext,
): SimFault[] {
  const { rng, config } = drawing
  if ((kind === 'lossy' && config.harsh === 0) || (kind === 'jump' && config.clocks !== 2)) return []
  const action = drawAction(kind, drawing)
  const who = rng.pick<MachineTarget>(['subject', 'subject', 'subject', 'other'])
  if ('target' in action) return [{ ...waiting, ...action, target: who }]
  if ('from' in action && rng.chance(0.8)) return [{ ...waiting, ...action, from: who }]
  return [{ ...waiting, ...action }]
}
