// The monotonic clock of one machine: rate × true time + offset, with jumps forward. It remembers its history, so that
// its values can be compared with true time.

/** A process's view of its machine's clock. Like the real one it begins near zero with each process. */
export class ProcessClock {
  readonly #machine: MachineClock
  readonly #zero: number

  /** `age`: the value that it shows now. */
  constructor(machine: MachineClock, trueMs: number, age: number) {
    this.#machine = machine
    this.#zero = machine.at(trueMs) - age
  }

  at(trueMs: number): number {
    return this.#machine.at(trueMs) - this.#zero
  }
}

interface Stretch {
  readonly from: number
  readonly rate: number
  readonly offset: number
}

/** Tolerance of timers: one that fires early by a rounding error would otherwise be set again and again. */
const ROUNDING_MS = 1e-6

export class MachineClock {
  readonly #first: Stretch
  #now: Stretch
  readonly #past: Stretch[] = []

  constructor(rate: number, offset: number) {
    this.#first = { from: 0, rate, offset }
    this.#now = this.#first
  }

  get rate(): number {
    return this.#now.rate
  }

  get usualRate(): number {
    return this.#first.rate
  }

  /** How much more it shows than without any fault. */
  aheadMs(trueMs: number): number {
    return this.at(trueMs) - trueMs * this.#first.rate - this.#first.offset
  }

  at(trueMs: number): number {
    const { rate, offset } = this.#now
    return trueMs * rate + offset
  }

  /** How long until it shows `delayMs` more. */
  wait(delayMs: number): number {
    return delayMs <= 0 ? 0 : delayMs / this.#now.rate + ROUNDING_MS
  }

  /** The true time when it showed `local`, or jumped over it. */
  trueTime(local: number): number {
    let end = Number.POSITIVE_INFINITY
    for (const { from, rate, offset } of [...this.#past, this.#now].reverse()) {
      if (from * rate + offset <= local) return Math.min((local - offset) / rate, end)
      end = from
    }
    return end
  }

  jump(trueMs: number, ms: number): void {
    this.#past.push(this.#now)
    this.#now = { ...this.#now, from: trueMs, offset: this.#now.offset + ms }
  }

  setRate(trueMs: number, rate: number): void {
    const local = this.at(trueMs)
    this.#past.push(this.#now)
    this.#now = { from: trueMs, rate, offset: local - trueMs * rate }
  }
}
