// When which fault strikes: the kinds that were chosen take turns in an order drawn from the seed; most come alone, some two at a time; each stands
// for a while, is looked at, and is healed before the next.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault, Nemesis, World } from './nemesis.ts'

const HOLD_MS = { min: 1_000, max: 4_000 }
const CALM_MS = { min: 500, max: 2_500 }
/** Of times when two faults strike at once. */
const TWO_AT_ONCE = 0.3
/** A fault that is not healed after this long: the harness hangs, and says so. */
const HEAL_LIMIT_MS = 30_000

/** What became of one fault. */
export interface FaultRecord {
  readonly id: number
  readonly kind: string
  readonly nodes: readonly string[]
  readonly injectedAt: number
  healedAt: number
  /** What shows that it took effect. */
  effect: string | undefined
}

export interface ScheduleOptions {
  readonly nemeses: readonly Nemesis[]
  /** What every nemesis is given beside its round. */
  readonly world: Omit<World, 'round'>
  readonly durationMs: number
  readonly signal: AbortSignal
  readonly now: () => number
  readonly note: (what: string, details: Readonly<Record<string, unknown>>) => void
  readonly say: (line: string) => void
}

export interface ScheduleResult {
  readonly faults: readonly FaultRecord[]
  /** Kinds that cannot be done here, and why. */
  readonly skipped: Readonly<Record<string, string>>
  /** Kinds whose turn never came, or that found nothing to do. */
  readonly idle: Readonly<Record<string, string>>
}

export async function runSchedule(options: ScheduleOptions): Promise<ScheduleResult> {
  const { world, signal, now, note, say } = options
  const { random } = world
  const faults: FaultRecord[] = []
  const rounds = new Map<string, number>()
  const skipped: Record<string, string> = {}
  const idle: Record<string, string> = {}
  const worldOf = (kind: string): World => ({ ...world, round: rounds.get(kind) ?? 0 })
  const able = options.nemeses.filter((nemesis) => {
    const missing = nemesis.missing?.(worldOf(nemesis.kind))
    if (missing === undefined) return true
    skipped[nemesis.kind] = missing
    say(`${nemesis.kind} skipped because ${missing}`)
    return false
  })
  for (const { kind } of able) idle[kind] = 'its turn did not come'

  const deadline = now() + options.durationMs
  const turns: Nemesis[] = []
  const nextTurn = (): Nemesis | undefined => {
    if (turns.length === 0) turns.push(...random.shuffled(able))
    return turns.shift()
  }

  async function strike(nemesis: Nemesis): Promise<Standing | undefined> {
    const { kind } = nemesis
    const injected = await nemesis.inject(worldOf(kind))
    if (typeof injected === 'string') {
      idle[kind] ??= injected
      note('no fault', { fault: kind, why: injected })
      return undefined
    }
    delete idle[kind]
    rounds.set(kind, (rounds.get(kind) ?? 0) + 1)
    const { nodes, details = {} } = injected
    const id = faults.length + 1
    const record: FaultRecord = {
      id,
      kind,
      nodes,
      injectedAt: now(),
      healedAt: Number.NaN,
      effect: undefined,
    }
    faults.push(record)
    note('inject', { fault: kind, id, nodes, ...details })
    say(`${kind} ${nodes.join(' ')}`)
    return { fault: injected, record }
  }

  async function heal({ fault, record }: Standing): Promise<void> {
    record.effect = await fault.effect()
    await within(HEAL_LIMIT_MS, `healing ${record.kind}`, Promise.resolve(fault.heal()))
    record.healedAt = now()
    const { kind, id, nodes, effect } = record
    note('heal', { fault: kind, id, nodes, effect: effect ?? null })
    if (effect === undefined) say(`${kind} ${nodes.join(' ')}: without effect`)
  }

  while (able.length > 0 && now() < deadline && !signal.aborted) {
    const count = able.length > 1 && random.chance(TWO_AT_ONCE) ? 2 : 1
    const standing: Standing[] = []
    for (let turn = 0; turn < count; turn++) {
      const nemesis = nextTurn()
      const struck = nemesis === undefined ? undefined : await strike(nemesis)
      if (struck !== undefined) standing.push(struck)
    }
    const least = Math.max(HOLD_MS.min, ...standing.map(({ fault }) => fault.holdMsMin ?? 0))
    const most = Math.max(least, Math.min(HOLD_MS.max, deadline - now()))
    if (standing.length > 0) await pause(random.between(least, most), signal)
    // In either order: the second may be healed under the first.
    for (const one of random.shuffled(standing)) await heal(one)
    await pause(Math.min(random.between(CALM_MS.min, CALM_MS.max), Math.max(0, deadline - now())), signal)
  }
  return { faults, skipped, idle }
}

interface Standing {
  readonly fault: Fault
  readonly record: FaultRecord
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {})
}

async function within<T>(limitMs: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${limitMs} ms`)), limitMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
