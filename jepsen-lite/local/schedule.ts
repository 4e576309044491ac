// When each fault is injected: the chosen kinds take turns in a random order from the seed, most of them alone, some
// two at a time. Each is kept for a while, its effect is checked, and it is healed before the next one.

import { pause } from '../../src/client/timer.ts'
import type { InjectedFault, Nemesis, NemesisContext } from './nemesis.ts'

const HOLD_MS = { min: 1_000, max: 4_000 }
const CALM_MS = { min: 500, max: 2_500 }
/**
 * With this chance the schedule waits, for at most this time, until the store accepts a write before the next fault.
 * Otherwise the next fault may come during the recovery.
 */
const RECOVERY = { chance: 0.75, msMax: 10_000 }
const POLL_MS = 25
/** The chance of two faults at once. */
const TWO_AT_ONCE = 0.3
/** If healing a fault takes longer than this, jepsen-lite itself hangs, and the run ends with an error. */
const HEAL_LIMIT_MS = 30_000

/** The record of one fault. */
interface FaultRecord {
  readonly id: number
  readonly kind: string
  readonly nodes: readonly string[]
  healedAt: number
  /** Evidence that it took effect; undefined if there is none. */
  effect: string | undefined
}

interface NemesisScheduleOptions {
  readonly nemeses: readonly Nemesis[]
  /** The context of every nemesis, except its round. */
  readonly world: Omit<NemesisContext, 'round'>
  readonly durationMs: number
  readonly signal: AbortSignal
  readonly now: () => number
  /** Whether a write has succeeded that began after this time. */
  readonly worksSince: (time: number) => boolean
  readonly note: (what: string, details: Readonly<Record<string, unknown>>) => void
  readonly say: (line: string) => void
}

export interface ScheduleResult {
  readonly faults: readonly FaultRecord[]
  /** Kinds that are not possible here, and the reason. */
  readonly skipped: Readonly<Record<string, string>>
  /** Kinds that were never injected, and the reason: they had no turn, or there was no suitable node. */
  readonly idle: Readonly<Record<string, string>>
}

export const runSchedule = (options: NemesisScheduleOptions): Promise<ScheduleResult> =>
  new Schedule(options).run()

class Schedule {
  readonly #options: NemesisScheduleOptions
  readonly #possible: readonly Nemesis[]
  readonly #faults: FaultRecord[] = []
  readonly #rounds = new Map<string, number>()
  readonly #skipped: Record<string, string> = {}
  readonly #idle: Record<string, string> = {}
  readonly #turns: Nemesis[] = []

  constructor(options: NemesisScheduleOptions) {
    this.#options = options
    this.#possible = options.nemeses.filter((nemesis) => {
      const missing = nemesis.missing?.(this.#nemesisContext(nemesis.kind))
      if (missing === undefined) return true
      this.#skipped[nemesis.kind] = missing
      options.say(`${nemesis.kind} skipped because ${missing}`)
      return false
    })
    for (const { kind } of this.#possible) this.#idle[kind] = 'it had no turn'
  }

  async run(): Promise<ScheduleResult> {
    const { world, signal, now, durationMs } = this.#options
    const { random } = world
    const deadline = now() + durationMs
    while (this.#possible.length > 0 && now() < deadline && !signal.aborted) {
      const activeFaults: ActiveFault[] = []
      const count = this.#possible.length > 1 && random.chance(TWO_AT_ONCE) ? 2 : 1
      for (let turn = 0; turn < count; turn++) {
        const active = await this.#injectFault(this.#nextTurn())
        if (active !== undefined) activeFaults.push(active)
      }
      const least = Math.max(HOLD_MS.min, ...activeFaults.map(({ fault }) => fault.holdMsMin ?? 0))
      const most = Math.max(least, Math.min(HOLD_MS.max, deadline - now()))
      if (activeFaults.length > 0) await pause(random.between(least, most), signal)
      // In random order: either of the two may be healed while the other one is still active.
      for (const one of random.shuffled(activeFaults)) await this.#healFault(one)
      await this.#pauseAfterHealing(deadline)
    }
    return { faults: this.#faults, skipped: this.#skipped, idle: this.#idle }
  }

  #nemesisContext(kind: string): NemesisContext {
    return { ...this.#options.world, round: this.#rounds.get(kind) ?? 0 }
  }

  #nextTurn(): Nemesis {
    if (this.#turns.length === 0) this.#turns.push(...this.#options.world.random.shuffled(this.#possible))
    const nemesis = this.#turns.shift()
    if (nemesis === undefined) throw new RangeError('no fault is possible')
    return nemesis
  }

  async #injectFault(nemesis: Nemesis): Promise<ActiveFault | undefined> {
    const { note, say } = this.#options
    const { kind } = nemesis
    const injected = await nemesis.inject(this.#nemesisContext(kind))
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

  async #healFault({ fault, record }: ActiveFault): Promise<void> {
    const { now, note, say } = this.#options
    record.effect = await fault.effect()
    await within(HEAL_LIMIT_MS, `healing ${record.kind}`, Promise.resolve(fault.heal()))
    record.healedAt = now()
    const { kind, id, nodes, effect } = record
    note('heal', { fault: kind, id, nodes, effect: effect ?? null })
    if (effect === undefined) say(`${kind} ${nodes.join(' ')}: without effect`)
  }

  async #pauseAfterHealing(deadline: number): Promise<void> {
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

interface ActiveFault {
  readonly fault: InjectedFault
  readonly record: FaultRecord
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
