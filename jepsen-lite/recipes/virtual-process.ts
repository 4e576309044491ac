// The processes of clients. What their code takes from its process (clocks, timers, random numbers) is replaced during
// a run: it is that of the process whose turn it is. Their promises are run between two events of the simulation. So
// nothing of such a run depends on the time that it takes.

import { createRequire, syncBuiltinESMExports } from 'node:module'
import type { uptime } from 'node:os'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { DRAW } from '../sim/schedule/random-purposes.ts'
import { type Event, type EventOwner, IO, TIMER, type Time } from '../sim/world/time.ts'
import { Random } from '../workload/random.ts'
import { replaceRandomness } from './random-globals.ts'

/** Clocks of clients differ by less than their sessions allow for (src/client/lease-sessions.ts). */
const DRIFT_MAX = 0.005
/** The first number of an owner of events that is no node: the numbers of nodes are lower. */
const FIRST_NUMBER = 1_000_000
/** The time on the clock of a process when it begins, in milliseconds. */
const FIRST_MS = 1000

const require = createRequire(import.meta.url)
const os: { uptime: typeof uptime } = require('node:os')
const real = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  now: performance.now.bind(performance),
  uptime: os.uptime,
}

/** All processes of clients of one run. */
export class VirtualProcesses {
  readonly #time: Time
  readonly #seed: number
  #current: VirtualProcess | undefined
  #count = 0
  /** Client code has run since its promises were run. */
  #isTouched = false

  constructor(time: Time, seed: number) {
    this.#time = time
    this.#seed = seed
  }

  begin(name: string): VirtualProcess {
    const number = FIRST_NUMBER + this.#count++
    const random = new Random(this.#seed, DRAW.recipe, number)
    return new VirtualProcess(name, number, this.#time, random, (host, run) => this.enter(host, run))
  }

  /** Runs code that belongs to this process, and may wait for promises. */
  enter(host: VirtualProcess, run: () => void): void {
    this.#current = host
    this.#isTouched = true
    run()
  }

  /** Runs the promises of what has run, if anything has. */
  async settle(): Promise<void> {
    if (!this.#isTouched) return
    do await nextTurn()
    while (process.getActiveResourcesInfo().includes('Immediate'))
    this.#isTouched = false
    this.#current = undefined
  }

  /**
   * From now on code finds the processes of this run, and the clock of the simulation where it is the turn of none.
   * Returns a function that ends that.
   */
  replaceGlobals(): () => void {
    const timers: object = {
      setTimeout: (run: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) =>
        this.#current?.setTimer(ms ?? 0, () => run(...args)) ?? real.setTimeout(run, ms, ...args),
      clearTimeout: (timer: unknown) =>
        timer instanceof HostTimer ? timer.cancel() : real.clearTimeout(timer as NodeJS.Timeout),
    }
    Object.assign(globalThis, timers)
    performance.now = () => this.#current?.now() ?? FIRST_MS + this.#time.now
    const restoreRandomness = replaceRandomness(() => this.#current?.random)
    os.uptime = () => (this.#current === undefined ? real.uptime() : this.#current.now() / 1000)
    syncBuiltinESMExports()
    return () => {
      const { setTimeout, clearTimeout } = real
      Object.assign(globalThis, { setTimeout, clearTimeout })
      performance.now = real.now
      os.uptime = real.uptime
      syncBuiltinESMExports()
      restoreRandomness()
    }
  }
}

/** The timer that `setTimeout` returns. */
class HostTimer {
  readonly #event: Event

  constructor(event: Event) {
    this.#event = event
  }

  cancel(): void {
    this.#event.cancel()
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }
}

export class VirtualProcess implements EventOwner {
  readonly name: string
  readonly number: number
  readonly random: Random
  readonly #time: Time
  readonly #rate: number
  readonly #bornAt: number
  readonly #enter: (host: VirtualProcess, run: () => void) => void
  live = true
  paused = false
  #kept: Event[] = []

  constructor(
    name: string,
    number: number,
    time: Time,
    random: Random,
    enter: (host: VirtualProcess, run: () => void) => void,
  ) {
    this.name = name
    this.number = number
    this.random = random
    this.#time = time
    this.#bornAt = time.now
    this.#rate = 1 + DRIFT_MAX * random.between(-1, 1)
    this.#enter = enter
  }

  /** Milliseconds by its clock, which advances while the process is paused. */
  now(): number {
    return FIRST_MS + (this.#time.now - this.#bornAt) * this.#rate
  }

  /** Something reaches it from outside, this many milliseconds from now. */
  after(ms: number, run: () => void): Event {
    return this.#push(this.#time.now + ms, IO, run)
  }

  setTimer(ms: number, run: () => void): HostTimer {
    return new HostTimer(this.#push(this.#time.now + Math.max(1, ms) / this.#rate, TIMER, run))
  }

  #push(at: number, kind: number, run: () => void): Event {
    return this.#time.push(at, kind, this, () => this.#enter(this, run))
  }

  // ---- what is done to it

  defer(event: Event): void {
    this.#kept.push(event)
  }

  /** Pauses the process, as SIGSTOP does. */
  stop(): void {
    this.paused = true
  }

  /** First its timers run, then it sees what has arrived. */
  resume(): void {
    this.paused = false
    const kept = this.#kept
    this.#kept = []
    for (const kind of [TIMER, IO]) for (const event of kept) if (event.kind === kind) this.#time.late(event)
  }

  /** Ends the process, as SIGKILL does. */
  kill(): void {
    this.live = false
    this.#kept = []
  }
}
