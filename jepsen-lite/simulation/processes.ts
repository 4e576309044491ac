// The processes of a simulation. What their code takes from its process (clocks, timers, random numbers) is that of the
// simulated process whose code it is: an AsyncLocalStorage says which one that is. Their promises are run between two
// events of the simulation. So nothing of a run depends on the time that it takes.

import { AsyncLocalStorage } from 'node:async_hooks'
import { DRAW } from '../sim/schedule/random-purposes.ts'
import { type Event, type EventOwner, IO, TIMER, type Time } from '../sim/world/time.ts'
import { Random } from '../workload/random.ts'
import { type Cancellable, type ProcessGlobals, realImmediate, replaceGlobals } from './globals/index.ts'

/** Clocks of clients differ by less than their sessions allow for (src/client/lease-sessions.ts). */
const DRIFT_MAX = 0.005
/** The first number of an owner of events that is no node: the numbers of nodes are lower. */
const FIRST_NUMBER = 1_000_000
/** The time on the clock of a process when it begins, in milliseconds. */
const FIRST_MS = 1000
/** The time of day at which a simulation begins. */
const EPOCH_MS = Date.UTC(2026, 0, 1)
/** Wall clocks of machines differ by up to so much: half of them have been set by NTP, the others by hand. */
const WALL_CLOCKS_MS = [50, 5_000]
/** A turn of an event loop takes this long, so that code that waits for turns lets time pass. */
const TURN_MS = 0.001
/** Code that reads its clock so often in one instant waits for a time that never comes. */
const READS_MAX = 1_000_000

/** The outcome of a call of a process that was killed: its code may run on until its next step, without effect. */
export const neverSettled = (): Promise<never> => new Promise(() => {})

/** Services of a simulation for its processes, and its observers. */
export interface ProcessHost {
  /** The process does something that must be the same in each run. `isUsual`: a timer, of which there are many. */
  observe?(process: VirtualProcess, what: string, isUsual: boolean): void
  /** A process uses the client of another one. */
  misused?(process: VirtualProcess, of: VirtualProcess): Error
  /** Code of the process runs although no event of the simulation has led to it. */
  strayed?(process: VirtualProcess): void
  /** An event of the process has thrown. */
  threw?(process: VirtualProcess, error: unknown): void
  written?(process: VirtualProcess, stream: 'stdout' | 'stderr', text: string): void
  /** `isKept`: a function that its code has kept from before the run. */
  refused?(process: VirtualProcess, call: string, isKept: boolean): Error
  /** Code of the process reads its clock without end. */
  spun?(process: VirtualProcess): Error
  fetch?(process: VirtualProcess, request: Request): Promise<Response>
}

/** Work on the thread pool, with what delivers its outcome when that is known. */
interface Work {
  deliver: (() => void) | undefined
}

/** All processes of one run. */
export class VirtualProcesses {
  readonly #time: Time
  readonly #seed: number
  readonly #context = new AsyncLocalStorage<VirtualProcess | undefined>()
  readonly host: ProcessHost
  #count = 0
  /** Code of processes has run since its promises were run. */
  #isTouched = false
  /** An event, or what it has led to, runs. */
  #isTurn = false
  /** Work in the order of its beginning. */
  readonly #works: Work[] = []

  constructor(time: Time, seed: number, host: ProcessHost = {}) {
    this.#time = time
    this.#seed = seed
    this.host = host
  }

  /** `rate`: of its clock. Without one it is drawn. */
  begin(name: string, rate?: number): VirtualProcess {
    const number = FIRST_NUMBER + this.#count++
    const random = new Random(this.#seed, DRAW.recipe, number)
    return new VirtualProcess(name, number, this, this.#time, random, this.#wallClockMs(name), rate)
  }

  /** The error of the wall clock of its machine: the same whenever a process of this name begins. */
  #wallClockMs(name: string): number {
    const random = new Random(this.#seed, DRAW.wallClock).named(name)
    return random.pick(WALL_CLOCKS_MS) * random.between(-1, 1)
  }

  /** Runs code that belongs to this process, and may wait for promises. */
  enter<T>(process: VirtualProcess | undefined, run: () => T): T {
    this.#isTouched = true
    return this.#context.run(process, run)
  }

  /** The same for an event of a process, whose code may throw. */
  runEvent(process: VirtualProcess, run: () => void): void {
    try {
      this.enter(process, run)
    } catch (error) {
      process.threw(error)
    }
  }

  /** Whether an event, or what it has led to, runs. */
  get isTurn(): boolean {
    return this.#isTurn
  }

  /** Runs code of a process that only looks, and waits for no promise. */
  look<T>(process: VirtualProcess, run: () => T): T {
    return this.#context.run(process, run)
  }

  /** The error of a process that uses the client of another one. */
  misused(process: VirtualProcess, of: VirtualProcess): Error {
    return this.host.misused?.(process, of) ?? new Error(`${process.name} uses a client of ${of.name}`)
  }

  /** Runs code as if it belonged to no process. */
  leave<T>(run: () => T): T {
    return this.#context.run(undefined, run)
  }

  /** Whether the owner of an event is a process that runs. Events of a killed one never happen. */
  has(owner: unknown): boolean {
    return owner instanceof VirtualProcess && owner.live
  }

  /** The process whose code runs; undefined: that of nodes, or of the program around the simulation. */
  get current(): VirtualProcess | undefined {
    const process = this.#context.getStore()
    if (process !== undefined && !this.#isTurn) this.host.strayed?.(process)
    return process
  }

  /** The process whose code runs, for observers: nothing follows from it. */
  get running(): VirtualProcess | undefined {
    return this.#isTurn ? this.#context.getStore() : undefined
  }

  /** Whether the code that runs is that of a process that was killed. */
  get isOfKilled(): boolean {
    return this.#context.getStore()?.live === false
  }

  /** The outcome of work that has begun is delivered after those of work that has begun before. */
  beginWork(): (deliver: () => void) => void {
    const work: Work = { deliver: undefined }
    this.#works.push(work)
    return (deliver) => {
      work.deliver = deliver
    }
  }

  /** Runs the promises of what has run; undefined: there are none. */
  settle(): Promise<void> | undefined {
    return this.#isTouched ? this.#settled() : undefined
  }

  async #settled(): Promise<void> {
    do {
      this.#isTouched = false
      await this.#turn()
      // Time stands still meanwhile. One outcome is delivered, then its promises run: whether the next one is known
      // already depends on real time.
      if (this.#works[0]?.deliver !== undefined) {
        this.#isTouched = true
        this.#works.shift()?.deliver?.()
      }
    } while (this.#isTouched || this.#works.length > 0)
  }

  /** Lets the test runner do what waits: its timers, and its messages. */
  yieldTurn(): Promise<void> {
    return this.#turn()
  }

  /** Resolves in a turn of the real event loop, after the promises of the present one. */
  #turn(): Promise<void> {
    return new Promise((resolve) => {
      realImmediate(() => {
        this.#isTurn = true
        resolve()
      })
      // After all promises that the first one leads to, and before anything that the operating system reports.
      realImmediate(() => {
        this.#isTurn = false
      })
    })
  }

  /** From now on code finds what its process has. Call the result to end that. */
  async replaceGlobals(): Promise<() => void> {
    // Vitest, when it has sent a message, gives `process.nextTick` back in the next tick.
    await this.#turn()
    const restore = replaceGlobals(() => this.current)
    await this.#turn()
    return restore
  }
}

export class VirtualProcess implements EventOwner, ProcessGlobals {
  readonly name: string
  readonly number: number
  readonly random: Random
  readonly #processes: VirtualProcesses
  readonly #time: Time
  readonly #usualRate: number
  #rate: number
  /** The true time and the time on its clock when that got its rate. */
  #since: number
  #sinceMs = FIRST_MS
  /** The time of day at the beginning of its clock. */
  readonly #wallFirstMs: number
  live = true
  #isStopped = false
  /** Its event loop is blocked until this true time. */
  #blockedUntil = 0
  /** The true time at which its clock was read last, and how often since it is that time. */
  #readAt = 0
  #reads = 0
  #kept: Event[] = []

  constructor(
    name: string,
    number: number,
    processes: VirtualProcesses,
    time: Time,
    random: Random,
    wallClockMs: number,
    rate = 1 + DRIFT_MAX * random.between(-1, 1),
  ) {
    this.name = name
    this.number = number
    this.random = random
    this.#processes = processes
    this.#time = time
    this.#wallFirstMs = EPOCH_MS + time.now + wallClockMs
    this.#since = time.now
    this.#usualRate = rate
    this.#rate = rate
  }

  /** The true time, also behind what blocks its event loop. */
  get #trueMs(): number {
    return Math.max(this.#time.now, this.#blockedUntil)
  }

  #localMs(trueMs: number): number {
    return this.#sinceMs + (trueMs - this.#since) * this.#rate
  }

  #trueTime(localMs: number): number {
    return this.#since + (localMs - this.#sinceMs) / this.#rate
  }

  /** Something reaches it from outside, this many milliseconds from now. */
  after(ms: number, run: () => void): Event {
    return this.#push(this.#time.now + ms, IO, run)
  }

  /** Something of its machine happens this many milliseconds from now, whether or not it runs. */
  outside(ms: number, run: () => void): void {
    this.#time.push(this.#trueMs + ms, IO, undefined, () => this.#processes.enter(undefined, run))
  }

  #push(at: number, kind: number, run: () => void, localMs?: number, hasRef?: () => boolean): Event {
    const enter = (): void => this.#processes.runEvent(this, run)
    return this.#time.push(at, kind, this, enter, hasRef, localMs)
  }

  // ---- what its code finds

  monotonicMs(): number {
    const now = this.#trueMs
    if (now !== this.#readAt) {
      this.#readAt = now
      this.#reads = 0
    }
    if (++this.#reads > READS_MAX)
      throw this.#processes.host.spun?.(this) ?? new Error('its clock stands still')
    return this.#localMs(now)
  }

  wallTimeMs(): number {
    return this.#wallFirstMs + this.monotonicMs() - FIRST_MS
  }

  setTimer(delayMs: number, run: () => void, hasRef?: () => boolean): Cancellable {
    const dueMs = this.#localMs(this.#trueMs) + Math.max(1, delayMs)
    this.#observe(`a timer of ${delayMs} ms`, true)
    return this.#push(this.#trueTime(dueMs), TIMER, run, dueMs, hasRef)
  }

  soon(run: () => void): Cancellable {
    this.#observe('an immediate', true)
    return this.#push(this.#trueMs + TURN_MS, IO, run)
  }

  write(stream: 'stdout' | 'stderr', text: string): void {
    if (!this.live) return
    this.#observe(`output ${text.trimEnd()}`)
    this.#processes.host.written?.(this, stream, text)
  }

  refuse(call: string, isKept = false): never {
    const refused = this.live ? this.#processes.host.refused : undefined
    throw refused?.(this, call, isKept) ?? new Error(`${call} in a simulated process`)
  }

  threw(error: unknown): void {
    const { threw } = this.#processes.host
    if (threw === undefined) throw error
    // A microtask of a process may run after the process was killed.
    if (!this.live) return
    threw(this, error)
  }

  fetch(request: Request): Promise<Response> {
    const { fetch } = this.#processes.host
    if (fetch === undefined) return Promise.reject(new TypeError('nothing answers requests here'))
    return fetch(this, request)
  }

  beginWork(): (deliver: () => void) => void {
    const end = this.#processes.beginWork()
    return (deliver) =>
      end(() => {
        if (this.paused) this.after(0, deliver)
        else if (this.live) this.#processes.runEvent(this, deliver)
      })
  }

  #observe(what: string, isUsual = false): void {
    if (this.live) this.#processes.host.observe?.(this, what, isUsual)
  }

  /** Timers that would keep a real process alive. */
  get timers(): number {
    const isOpen = ({ kind, subject, owner }: Event): boolean =>
      owner === this && kind === TIMER && typeof subject === 'function' && subject() === true
    return this.#time.waiting(isOpen).length
  }

  // ---- what is done to it

  /** Whether it is stopped, as SIGSTOP does. */
  get stopped(): boolean {
    return this.#isStopped
  }

  /** Whether its event loop is blocked: it will continue by itself. */
  get blocked(): boolean {
    return this.#time.now < this.#blockedUntil
  }

  get paused(): boolean {
    return this.#isStopped || this.blocked
  }

  defer(event: Event): void {
    this.#kept.push(event)
  }

  /** Pauses the process, as SIGSTOP does. Its clock advances. */
  stop(): void {
    this.#isStopped = true
  }

  resume(): void {
    this.#isStopped = false
    this.#continue()
  }

  /** Its event loop does nothing else for so long. What runs now finds that this time has passed. */
  block(ms: number, ended: () => void): void {
    const until = this.#trueMs + ms
    this.#blockedUntil = until
    this.#time.push(until, IO, undefined, () => {
      // It may have been blocked for longer meanwhile.
      if (this.#blockedUntil !== until) return
      ended()
      this.#continue()
    })
  }

  /** First its timers run, then it sees what has arrived. */
  #continue(): void {
    if (this.paused) return
    const kept = this.#kept
    this.#kept = []
    for (const kind of [TIMER, IO]) for (const event of kept) if (event.kind === kind) this.#time.late(event)
  }

  /** Its clock runs so many times as fast as it did at first. */
  skew(ratio: number): void {
    // Its code may have read a clock behind what blocks it.
    const now = this.#trueMs
    this.#sinceMs = this.#localMs(now)
    this.#since = now
    this.#rate = this.#usualRate * ratio
    this.#time.reschedule(this, ({ detail, at }) =>
      typeof detail === 'number' ? this.#trueTime(detail) : at,
    )
  }

  /** Ends the process, as SIGKILL does. */
  kill(): void {
    this.live = false
    this.#kept = []
  }
}
