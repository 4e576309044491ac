// When which fault strikes: the kinds that were chosen take turns in an order drawn from the seed; most come alone,
// some two at a time; each stands for a while, is looked at, and is healed before the next.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault, Nemesis, World } from './nemesis.ts'

const HOLD_MS = { min: 1_000, max: 4_000 }
const CALM_MS = { min: 500, max: 2_500 }
/**
 * Most times the store gets to take a write before the next fault, if it does so in this time; else the fault strikes
 * amid its recovery.
 */
const RECOVERY = { chance: 0.75, msMax: 10_000 }
const POLL_MS = 25
/** Of times when two faults strike at once. */
const TWO_AT_ONCE = 0.3
/** A fault that is not healed after this long: the harness hangs, and says so. */
const HEAL_LIMIT_MS = 30_000

/** What became of one fault. */
export interface FaultRecord {
  readonly id: number
  readonly kind: string
  readonly nodes: readonly string[]
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
  /** A write has succeeded that began after this time. */
  readonly worksSince: (time: number) => boolean
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

export const runSchedule = (options: ScheduleOptions): Promise<ScheduleResult> => new Schedule(options).run()

class Schedule {
  readonly #options: ScheduleOptions
  readonly #able: readonly Nemesis[]
  readonly #faults: FaultRecord[] = []
  readonly #rounds = new Map<string, number>()
  readonly #skipped: Record<string, string> = {}
  readonly #idle: Record<string, string> = {}
  readonly #turns: Nemesis[] = []

  constructor(options: ScheduleOptions) {
    this.#options = options
    this.#able = options.nemeses.filter((nemesis) => {
      const missing = nemesis.missing?.(this.#worldOf(nemesis.kind))
      if (missing === undefined) return true
      this.#skipped[nemesis.kind] = missing
      options.say(`${nemesis.kind} skipped because ${missing}`)
      return false
    })
    for (const { kind } of this.#able) this.#idle[kind] = 'its turn did not come'
  }

  async run(): Promise<ScheduleResult> {
    const { world, signal, now, durationMs } = this.#options
    const { random } = world
    const deadline = now() + durationMs
    while (this.#able.length > 0 && now() < deadline && !signal.aborted) {
      const standing: Standing[] = []
      const count = this.#able.length > 1 && random.chance(TWO_AT_ONCE) ? 2 : 1
      for (let turn = 0; turn < count; turn++) {
        const struck = await this.#strike(this.#nextTurn())
        if (struck !== undefined) standing.push(struck)
      }
      const least = Math.max(HOLD_MS.min, ...standing.map(({ fault }) => fault.holdMsMin ?? 0))
      const most = Math.max(least, Math.min(HOLD_MS.max, deadline - now()))
      if (standing.length > 0) await pause(random.between(least, most), signal)
      // In either order: the second may be healed under the first.
      for (const one of random.shuffled(standing)) await this.#heal(one)
      await this.#calm(deadline)
    }
    return { faults: this.#faults, skipped: this.#skipped, idle: this.#idle }
  }

  #worldOf(kind: string): World {
    return { ...this.#options.world, round: this.#rounds.get(kind) ?? 0 }
  }

  #nextTurn(): Nemesis {
    if (this.#turns.length === 0) this.#turns.push(...this.#options.world.random.shuffled(this.#able))
    const nemesis = this.#turns.shift()
    if (nemesis === undefined) throw new RangeError('nobody is able to do harm')
    return nemesis
  }

  async #strike(nemesis: Nemesis): Promise<Standing | undefined> {
    const { note, say } = this.#options
    const { kind } = nemesis
    const injected = await nemesis.inject(this.#worldOf(kind))
    if (typeof injected === 'string') {
      if (!this.#rounds.has(kind)) this.#idle[kind] = injected
      note('no fault', { fault: kind, why: injected })
      return undefined
    }
    delete this.#idle[kind]
    this.#rounds.set(kind, (this.#rounds.get(kind) ?? 0) + 1)
    const { nodes, details = {} } = injected
    const id = this.#faults.length + 1
    const record: FaultRecord = { id, kind, nodes, healedAt: Number.NaN, effect: undefined }
    this.#faults.push(record)
    note('inject', { fault: kind, id, nodes, ...details })
    say(`${kind} ${nodes.join(' ')}`)
    return { fault: injected, record }
  }

  async #heal({ fault, record }: Standing): Promise<void> {
    const { now, note, say } = this.#options
    record.effect = await fault.effect()
    await within(HEAL_LIMIT_MS, `healing ${record.kind}`, Promise.resolve(fault.heal()))
    record.healedAt = now()
    const { kind, id, nodes, effect } = record
    note('heal', { fault: kind, id, nodes, effect: effect ?? null })
    if (effect === undefined) say(`${kind} ${nodes.join(' ')}: without effect`)
  }

  async #calm(deadline: number): Promise<void> {
    const { world, signal, now, worksSince } = this.#options
    const { random } = world
    const healedAt = now()
    const patienceMs = random.chance(RECOVERY.chance) ? RECOVERY.msMax : 0
    while (!worksSince(healedAt) && now() < healedAt + patienceMs && !signal.aborted)
      await pause(POLL_MS, signal)
    const calmMs = random.between(CALM_MS.min, CALM_MS.max)
    await pause(Math.min(calmMs, Math.max(0, deadline - now())), signal)
  }
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
