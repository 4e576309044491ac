// Triggers, for which operations and faults of a schedule can wait. Critical times in a cluster last a few milliseconds
// (a write is committed and not reported, an election is in flight). Random times rarely hit them, so a schedule can
// name a trigger instead.
//
// A waiting operation or fault runs in a separate event, at the same instant or later, never in the middle of a turn.
// For crashes in the middle of a turn there is `CrashTrigger` in cluster.ts.

import type { Machine, Process } from '../world/process.ts'
import { IO, type Time } from '../world/time.ts'
import type { SimFaultKind } from './fault-kinds.ts'
import type { Trigger, TriggerWait } from './trigger-wait.ts'

/** How long a schedule waits for a trigger. */
export const PATIENCE_MS = 10_000

/** The machines that a trigger is about: the one that did it, and the other one. */
export interface About {
  readonly subject: Machine
  readonly other: Machine | undefined
  /** Faults that the trigger has begun. */
  readonly faults: SimFaultKind[]
}

interface Waiter {
  /** Returns whether it could do anything. If not, the trigger does not count. */
  readonly run: (about: About) => boolean
  readonly afterMs: number
  readonly until: number
  /** The machine that the trigger must be about; undefined: any. */
  readonly subject: Machine | undefined
  left: number
}

export class Triggers {
  readonly #time: Time
  readonly #seen: (trigger: Trigger, machine: Machine) => void
  readonly #waiters = new Map<Trigger, Waiter[]>()

  constructor(time: Time, seen: (trigger: Trigger, machine: Machine) => void) {
    this.#time = time
    this.#seen = seen
  }

  /** Runs at once if it waits for nothing. */
  whenever({ when, after = 0, times = 1 }: TriggerWait, run: (about: About | undefined) => boolean): void {
    if (when === undefined) run(undefined)
    else
      this.#add(when, {
        run,
        afterMs: after,
        until: this.#time.now + PATIENCE_MS,
        subject: undefined,
        left: times,
      })
  }

  /** Runs at the next such trigger about `subject`, without a time limit. */
  next(trigger: Trigger, subject: Machine | undefined, run: () => void): void {
    const once = (): boolean => {
      run()
      return true
    }
    this.#add(trigger, { run: once, afterMs: 0, until: Number.POSITIVE_INFINITY, subject, left: 1 })
  }

  #add(trigger: Trigger, waiter: Waiter): void {
    const waiters = this.#waiters.get(trigger)
    if (waiters === undefined) this.#waiters.set(trigger, [waiter])
    else waiters.push(waiter)
  }

  clear(): void {
    this.#waiters.clear()
  }

  met(trigger: Trigger, process: Process, other?: Process): void {
    this.#seen(trigger, process.machine)
    const waiters = this.#waiters.get(trigger)
    if (waiters === undefined) return
    const time = this.#time
    const about = { subject: process.machine, other: other?.machine, faults: [] }
    const left = waiters.filter((waiter) => {
      if (waiter.until < time.now || waiter.left === 0) return false
      if (waiter.subject !== undefined && waiter.subject !== about.subject) return true
      time.push(time.now + waiter.afterMs, IO, undefined, () => {
        if (waiter.left > 0 && waiter.run(about)) waiter.left--
      })
      return true
    })
    if (left.length > 0) this.#waiters.set(trigger, left)
    else this.#waiters.delete(trigger)
  }
}
