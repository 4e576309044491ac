// Watchers whose last message is so old that they are due for a progress message. All share one timer: a wheel of
// slots (Varghese and Lauck, 1987), each for one tick of time. A watcher is in the slot of the time at which it may be
// due. Sending it an event does not move it. When its slot is reached, it moves to the slot of its new time.

import type { Clock, Timer } from '../clock.ts'

const TICK_MS = 50
const SLOTS = 256
/** Watchers that are called before the event loop does other work. */
const CALLS_AT_ONCE = 512
/** A watcher that stays due is checked again after this part of its interval. */
const AGAIN = 1 / 32

/** An item of the wheel. */
interface Silent {
  readonly progressMs: number
  /** The time of its last message. */
  readonly sentAt: number
  /** The phase, in [0, 1). Items with the same phase are due at the same time. */
  readonly phase: number | undefined
  slot: number
}

export class ProgressWheel<T extends Silent> {
  readonly #clock: Clock
  /**
   * Sets `sentAt`, so that the item is due later. Otherwise it stays due, and is called again before items due since.
   */
  readonly #due: (silent: T) => void
  readonly #slots: Set<T>[] = Array.from({ length: SLOTS }, () => new Set())
  /** The last tick that was processed. */
  #tick: number
  #size = 0
  /** The watchers of the slots that were reached, and the number of those that were called. */
  #reached: readonly T[] = []
  #called = 0
  #timer: Timer | undefined

  constructor(clock: Clock, due: (silent: T) => void) {
    this.#clock = clock
    this.#due = due
    this.#tick = this.#now()
  }

  get isRunning(): boolean {
    return this.#timer !== undefined
  }

  add(silent: T): void {
    if (this.#size++ === 0) this.#tick = this.#now()
    this.#put(silent)
    this.#timer ??= this.#clock.after(TICK_MS, () => this.#turn())
  }

  remove(silent: T): void {
    if (this.#slots[silent.slot]?.delete(silent)) this.#size--
    if (this.#size > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#reached = []
    this.#called = 0
  }

  #turn(): void {
    this.#timer = this.#clock.after(TICK_MS, () => this.#turn())
    // They are due since an earlier tick.
    if (this.#called < this.#reached.length) return
    const now = this.#now()
    const due: T[] = []
    const overdue: T[] = []
    // After a pause of the process, one round of the wheel is enough.
    for (let tick = Math.max(this.#tick + 1, now - SLOTS + 1); tick <= now; tick++)
      for (const silent of this.#slots[tick % SLOTS] ?? [])
        (dueTick(silent) < tick ? overdue : due).push(silent)
    this.#tick = now
    this.#reached = [...overdue, ...due]
    this.#called = 0
    this.#call()
  }

  /** Calls some of the watchers that are due. Then the event loop does other work. */
  #call(): void {
    const part = this.#reached.slice(this.#called, this.#called + CALLS_AT_ONCE)
    this.#called += part.length
    for (const silent of part) {
      // An earlier call may have ended this watcher.
      if (!this.#slots[silent.slot]?.delete(silent)) continue
      if (dueTick(silent) <= this.#tick) this.#due(silent)
      this.#put(silent)
    }
    if (this.#called < this.#reached.length) this.#clock.soon(() => this.#call())
  }

  #put(silent: T): void {
    const ticks = dueTick(silent) - this.#tick
    const later = ticks > 0 ? ticks : Math.ceil((silent.progressMs * AGAIN) / TICK_MS)
    const tick = this.#tick + Math.min(later, SLOTS - 1)
    silent.slot = tick % SLOTS
    this.#slots[silent.slot]?.add(silent)
  }

  #now(): number {
    return Math.floor(this.#clock.now() / TICK_MS)
  }
}

/** The last tick that is not later than its time, or with a phase a tick of its phase before that. */
function dueTick({ sentAt, progressMs, phase }: Silent): number {
  const latest = Math.floor((sentAt + progressMs) / TICK_MS)
  if (phase === undefined) return latest
  // The ticks of a phase are half an interval apart, so an item is due in the second half of its interval.
  const half = Math.floor(progressMs / TICK_MS / 2)
  const offset = Math.floor(phase * half)
  const due = latest - ((latest - offset) % half)
  // Watchers without events are due at every second tick of their phase. Without this, two of them that began half an
  // interval apart would alternate, and their progress would never share a message.
  const isOdd = ((due - offset) / half) % 2 === 1
  return isOdd && due - half >= Math.floor(sentAt / TICK_MS) + half ? due - half : due
}
