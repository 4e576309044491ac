// The theme of whatever was seen least: faults, pairs of faults and requests that wait for triggers, chosen by what a
// search has not been through yet (coverage.ts), beside faults that bring those triggers about.

import type { Rare } from './coverage.ts'
import type { Dice } from './dice.ts'
import { anyCut, dies, drawAction, follower, plainly } from './drawing.ts'
import { FAULT_KINDS, type Fault, type FaultKind } from './fault-kinds.ts'
import { type Config, OP_KINDS, type Op, type OpKind } from './schedule.ts'
import type { Drawing, Target } from './shape.ts'
import { TRIGGERS, type Trigger } from './waiting.ts'

export function triggeredConfig(dice: Dice, config: Config): Config {
  return {
    ...config,
    ...{ ms: 60_000, spares: dice.pick(1, 2), clients: 2 * config.clients, timeoutMs: dice.pick(300, 1000) },
    // So that triggers follow each other, and a replica that was away for a moment needs a snapshot.
    ...{
      delayMs: dice.pick(0.2, 1, 5),
      jitterMs: dice.pick(0.3, 1, 10),
      tail: 0,
      clocks: dice.pick(0, 1, 2),
    },
    limits: {
      ...config.limits,
      ...{ logTailEntries: dice.pick(0, 1, 5), logBehindEntries: dice.pick(0, 10), compactEntriesMin: 1 },
    },
  }
}

/** What brings each trigger about where life does not do so by itself. */
function causeOf(trigger: Trigger, { dice, config }: Drawing, at: number): Fault[] {
  const { electionMaxMs } = config
  const ms = dice.int(electionMaxMs / 2, 3 * electionMaxMs)
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
        dice.pick<Fault>(
          { at, ...dies, target: 'leader', ms },
          { at, kind: 'isolate', target: 'leader', ...anyCut(dice, ms) },
          { at, kind: 'pause', target: 'leader', ms },
        ),
      ]
    case 'hands-over':
      return [{ at, kind: 'transfer', target: 'leader', to: follower(dice) }]
    case 'joint':
    case 'left':
    case 'let-go':
    case 'reconfigured': {
      const kind = dice.pick('replace', 'demote', 'remove')
      return [{ at, kind, asked: 'leader', member: dice.int(0, 12), evenSmall: dice.chance(0.3) }]
    }
    case 'sends-snapshot':
    case 'offered':
    case 'staged':
    case 'installed':
      return [
        dice.pick<Fault>(
          { at, kind: 'wipe', target: follower(dice) },
          { at, kind: 'isolate', target: follower(dice), ...plainly(ms) },
          { at, ...dies, target: follower(dice), ms },
        ),
      ]
    case 'ahead':
      return [{ at, kind: 'stall-disk', target: follower(dice), ms: dice.int(50, electionMaxMs) }]
    case 'applied-late': {
      const entryMs = dice.int(20, electionMaxMs)
      return [
        { at, kind: 'slow-apply', target: dice.pick<Target>(follower(dice), 'leader'), entryMs, ms: 2 * ms },
      ]
    }
    case 'connected':
    case 'disconnected':
      return [{ at, kind: 'break', target: dice.pick<Target>('leader', follower(dice)) }]
    case 'opening':
    case 'started':
    case 'died':
      return [{ at, ...dies, target: dice.pick<Target>('leader', follower(dice)), ms: dice.int(5, 500) }]
    case 'stopped':
      return [{ at, kind: 'pause', target: dice.pick<Target>('leader', follower(dice)), ms }]
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
  readonly fault?: FaultKind
  readonly op?: OpKind
}

function drawWish(dice: Dice, rare: Rare): Wish {
  const drawn = rare.events[dice.int(0, Math.max(1, rare.events.length))]
  if (drawn === undefined || dice.chance(0.2))
    return {
      trigger: dice.pick(...TRIGGERS),
      fault: dice.pick(...(FAULT_KINDS as [FaultKind, ...FaultKind[]])),
    }
  const [trigger, what, kind] = drawn
  return what === 'fault' ? { trigger, fault: kind } : { trigger, op: kind }
}

/** At one trigger: one fault, or two, and requests to those whom it is about. */
export function drawTriggered(
  dice: Dice,
  config: Config,
  rare: Rare,
): { readonly faults: Fault[]; readonly ops: Op[] } {
  const drawing = { dice, config, longMs: 3 * config.electionMaxMs }
  const faults: Fault[] = []
  const ops: Op[] = []
  for (let at = 2000; at < config.ms; at += dice.int(1, 4) * config.electionMaxMs) {
    const { trigger, fault, op } = drawWish(dice, rare)
    const waiting = { at, when: trigger, times: dice.pick(1, 1, 3) }
    const after = dice.pick(0, 0, dice.ms(0, config.electionMinMs))
    faults.push(...causeOf(trigger, drawing, at + 1))
    if (fault !== undefined) faults.push(...struck(fault, { ...waiting, after }, drawing))
    const pair = rare.pairs[dice.int(0, Math.max(1, rare.pairs.length))]
    if (pair !== undefined && dice.chance(0.5))
      for (const kind of pair) faults.push(...struck(kind, { ...waiting, after }, drawing))
    for (const kind of op === undefined ? [dice.pick(...OP_KINDS)] : [op, op, op])
      ops.push({
        ...{ ...waiting, after: dice.pick(0, after), kind, client: dice.int(0, config.clients) },
        ...{
          node: dice.pick<Target>('subject', 'subject', 'other', 'leader'),
          key: dice.int(0, config.keys),
        },
        x: dice.int(0, 1000),
      })
  }
  return { faults, ops }
}

/** Of whom the trigger is about, or with whom. */
function struck(
  kind: FaultKind,
  waiting: { readonly at: number; readonly when: Trigger; readonly after: number; readonly times: number },
  drawing: Drawing,
): Fault[] {
  const { dice, config } = drawing
  if ((kind === 'lossy' && config.harsh === 0) || (kind === 'jump' && config.clocks !== 2)) return []
  const action = drawAction(kind, drawing)
  const who = dice.pick<Target>('subject', 'subject', 'subject', 'other')
  if ('target' in action) return [{ ...waiting, ...action, target: who }]
  if ('from' in action && dice.chance(0.8)) return [{ ...waiting, ...action, from: who }]
  return [{ ...waiting, ...action }]
}
