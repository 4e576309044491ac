// Limits the calls that a client has under way. Further calls wait, first come, first served, before any byte of them
// leaves. Ten thousand calls that begin at once would only delay each other and the nodes, so that none ends in time.
//
// One timer watches all that wait.

import { AbortListeners } from './abort-listeners.ts'
import { after } from './timer.ts'

/** A call that waits for its turn. */
interface Waiting {
  readonly deadline: number
  readonly signal: AbortSignal | undefined
  readonly resolve: (isAcquired: boolean) => void
  /** It does not wait any more, but is in the queue still. */
  hasLeft: boolean
}

/** So many whose turn has come, or that have left, are kept in the queue. */
const PASSED_MAX = 10_000

export class ConcurrencyLimiter {
  readonly #max: number
  #taken = 0
  /** In their order, from the head on. */
  #queue: Waiting[] = []
  #head = 0
  /** How many of them have left. */
  #left = 0
  readonly #signals = new AbortListeners<Waiting>((waiting) => this.#giveUp(waiting))
  #stopTimer = () => {}
  #timerAt = Number.POSITIVE_INFINITY
  #isClosed = false
  #usualMs = 0
  /** When a call first ended while all turns were taken. Those that began before also had to make the connections. */
  #warmAt = Number.POSITIVE_INFINITY

  constructor(max: number) {
    this.#max = max
  }

  /**
   * The usual duration of a call from its turn on: a moving average in which the newest call counts an eighth. The
   * first calls that took all turns, which make the connections, do not count, nor do those before.
   */
  get usualMs(): number {
    return this.#usualMs
  }

  /** Number of calls that have a turn. */
  get acquired(): number {
    return this.#taken
  }

  /** Number of calls that wait for a turn. */
  get waiting(): number {
    return this.#queue.length - this.#head - this.#left
  }

  /** Takes a turn at once if there is room, and returns whether it did. The caller must give it back. */
  tryAcquire(): boolean {
    // No call waits while there is room: a turn that is given back goes to the next call at once.
    if (this.#taken >= this.#max) return false
    this.#taken += 1
    return true
  }

  /**
   * Waits behind earlier calls. Resolves to whether the turn has come; false: the time is over, it was aborted, or the
   * client is closed.
   */
  wait(withinMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.#isClosed || signal?.aborted === true) {
        resolve(false)
        return
      }
      const deadline = performance.now() + withinMs
      const waiting = { deadline, signal, resolve, hasLeft: false }
      this.#queue.push(waiting)
      this.#signals.enter(signal, waiting)
      this.#watch(deadline)
    })
  }

  /** Gives the turns back of `calls` that took this long. */
  releaseAfter(ms: number, calls = 1): void {
    const now = performance.now()
    if (calls > 0 && now - ms >= this.#warmAt) this.#usualMs += (ms - this.#usualMs) / 8
    if (this.#taken >= this.#max) this.#warmAt = Math.min(this.#warmAt, now)
    for (let left = calls; left > 0; left--) this.release()
  }

  release(): void {
    if (this.#head >= PASSED_MAX) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    for (;;) {
      const next = this.#queue[this.#head]
      if (next === undefined) {
        this.#taken -= 1
        return
      }
      this.#head += 1
      if (!next.hasLeft) {
        this.#end(next, true)
        return
      }
      this.#left -= 1
    }
  }

  /** None waits any longer. */
  close(): void {
    this.#isClosed = true
    this.#leave(() => true)
  }

  /** One of them. Each of many may have its own signal, so the queue is not copied for each. */
  #giveUp(waiting: Waiting): void {
    waiting.hasLeft = true
    this.#left += 1
    this.#end(waiting, false)
    if (this.#left >= PASSED_MAX && this.#left >= this.waiting) this.#leave(() => false)
  }

  #leave(which: (waiting: Waiting) => boolean): void {
    const all = this.#queue.slice(this.#head).filter(({ hasLeft }) => !hasLeft)
    this.#queue = all.filter((waiting) => !which(waiting))
    this.#head = 0
    this.#left = 0
    for (const waiting of all) if (which(waiting)) this.#end(waiting, false)
  }

  #end(waiting: Waiting, isAcquired: boolean): void {
    this.#signals.leave(waiting.signal, waiting)
    waiting.resolve(isAcquired)
    if (this.waiting > 0) return
    this.#queue = []
    this.#head = 0
    this.#left = 0
    this.#stopTimer()
    this.#timerAt = Number.POSITIVE_INFINITY
  }

  /** The timer runs at the earliest deadline. */
  #watch(deadline: number): void {
    if (deadline >= this.#timerAt) return
    this.#stopTimer()
    this.#timerAt = deadline
    this.#stopTimer = after(deadline - performance.now(), () => this.#expire())
  }

  #expire(): void {
    this.#timerAt = Number.POSITIVE_INFINITY
    const now = performance.now()
    this.#leave(({ deadline }) => deadline <= now)
    const next = this.#queue.reduce(
      (least, { deadline }) => Math.min(least, deadline),
      Number.POSITIVE_INFINITY,
    )
    if (next < Number.POSITIVE_INFINITY) this.#watch(next)
  }
}
