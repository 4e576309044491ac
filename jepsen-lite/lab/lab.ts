// A schedule that a person makes while it runs: forwards, backwards, and on from any moment.
//
// A run cannot be copied, and it goes forwards only. So some runs of the schedule stand still at other moments. The way
// to a moment continues the nearest run before it, and another run is brought to its place later, a little at a time.

import { isBeyondHistory } from '../sim/run.ts'
import type { Schedule } from '../sim/schedule/schedule.ts'
import type { ViewPart } from './fold-views.ts'
import { isOperation, LabRun, type Line, type NewLine } from './lab-run.ts'
import { LAB_MS_MAX } from './lab-schedule.ts'
import type { LabView } from './view.ts'

/** Runs that stand still, at most. */
const STANDING_MAX = 16
/** Distance between them, at least. */
const DISTANCE_MS_MIN = 2500
/** How far a run is brought forwards before the clock is read again. */
const SLICE_MS = 50
/** How far it skips while nothing but heartbeats happens. */
const SKIP_MS_MAX = 10_000

export class Lab {
  #schedule: Schedule
  #current: LabRun
  /** At most one for each multiple of the distance, and none later than the end. */
  readonly #standing = new Map<number, LabRun>()
  /** It is on its way to such a place. */
  #builder: { readonly place: number; readonly run: LabRun } | undefined
  /** The latest moment to which this schedule has run. */
  #end = 0
  /** Lines that were added at this moment. */
  #added: { readonly now: number; readonly lines: ReadonlySet<unknown> } = { now: 0, lines: new Set() }

  constructor(schedule: Schedule) {
    this.#schedule = schedule
    this.#current = new LabRun(schedule)
  }

  get schedule(): Schedule {
    return this.#schedule
  }

  get now(): number {
    return this.#current.now
  }

  get end(): number {
    return this.#end
  }

  /** Hash of all events so far. */
  get trace(): string {
    return this.#current.trace
  }

  view(parts: readonly ViewPart[] = []): LabView {
    return this.#current.view(parts)
  }

  /** Runs to this moment, or goes back to it. It stops before when `isTimeUp`. */
  runTo(ms: number, isTimeUp: () => boolean = () => false): void {
    const until = Math.min(Math.max(0, ms), this.#limitMs)
    if (until < this.now) this.#current = this.#takeBefore(until)
    else this.#continueNearer(until)
    let before: number
    do {
      before = this.now
      this.#current.runTo(Math.min(until, before + SLICE_MS))
    } while (this.now > before && this.now < until && !isTimeUp())
    this.#end = Math.max(this.#end, this.now)
  }

  /** Runs until something has happened that the view shows. */
  step(): void {
    this.#current.step(this.#limitMs)
    this.#end = Math.max(this.#end, this.now)
  }

  /** Runs to the next note that is not minor, or a while if there is none. */
  skip(): void {
    this.#current.skip(Math.min(this.now + SKIP_MS_MAX, this.#limitMs))
    this.#end = Math.max(this.#end, this.now)
  }

  /** A schedule that ends earlier than a run of the lab runs until its cluster has converged and is at rest. */
  get #limitMs(): number {
    return this.#schedule.config.ms < LAB_MS_MAX ? Number.POSITIVE_INFINITY : LAB_MS_MAX
  }

  /**
   * Adds a line at the next millisecond, and forgets all lines and moments after now. Returns it with its time. Throws
   * `RangeError` where the schedule has no lines any more.
   */
  add(line: NewLine): Line {
    const timed: Line = { ...line, at: Math.floor(this.now) + 1 }
    const { now } = this
    const { ms } = this.#schedule.config
    if (timed.at >= ms)
      throw new RangeError(
        `the faults of this run end at ${ms / 1000} s, and then its cluster must converge; go back to act`,
      )
    const { ops, faults } = this.#schedule
    const { lines } = this.#added.now === now ? this.#added : { lines: new Set() }
    this.#added = { now, lines: new Set([...lines, timed]) }
    const isLater = (other: Line): boolean => other.at > now && !lines.has(other)
    if (ops.some(isLater) || faults.some(isLater)) {
      // The current run already has lines that are forgotten.
      this.#schedule = {
        ...this.#schedule,
        ops: ops.filter((op) => !isLater(op)),
        faults: faults.filter((fault) => !isLater(fault)),
      }
      this.#beginAgain(now)
    }
    // A run knows from its beginning whether there are keys that no history has.
    const isFirstBeyond = isBeyondHistory(timed) && !this.#schedule.ops.some(isBeyondHistory)
    this.#append(timed)
    if (isFirstBeyond) this.#beginAgain(now)
    else {
      for (const [place, run] of this.#standing)
        if (place > now) this.#standing.delete(place)
        else run.add(timed)
      this.#builder = undefined
      this.#current.add(timed)
    }
    this.#end = now
    return timed
  }

  /** Runs the whole schedule again to this moment. */
  #beginAgain(now: number): void {
    this.#standing.clear()
    this.#builder = undefined
    this.#current = new LabRun(this.#schedule)
    this.#current.runTo(now)
  }

  #append(line: Line): void {
    const { ops, faults } = this.#schedule
    this.#schedule = isOperation(line)
      ? { ...this.#schedule, ops: [...ops, line] }
      : { ...this.#schedule, faults: [...faults, line] }
  }

  /** The latest run that stands before this moment. It leaves its place. */
  #takeBefore(ms: number): LabRun {
    const places = [...this.#standing.keys()].filter((place) => place <= ms)
    const place = Math.max(...places)
    const run = this.#standing.get(place)
    this.#standing.delete(place)
    return run ?? new LabRun(this.#schedule)
  }

  /** Continues with a run that stands between now and this moment. The run that is left goes to that place. */
  #continueNearer(ms: number): void {
    const place = Math.max(...[...this.#standing.keys()].filter((each) => each <= ms))
    const run = this.#standing.get(place)
    if (run === undefined || place - this.now < DISTANCE_MS_MIN) return
    this.#standing.delete(place)
    this.#builder ??= { place, run: this.#current }
    this.#current = run
  }

  /** Distance between runs that stand still. */
  get #distanceMs(): number {
    return Math.max(DISTANCE_MS_MIN, Math.ceil(this.#end / STANDING_MAX / DISTANCE_MS_MIN) * DISTANCE_MS_MIN)
  }

  /**
   * Brings a missing run nearer to its place until `isTimeUp`. Returns whether something is left to do.
   */
  prepare(isTimeUp: () => boolean): boolean {
    const distance = this.#distanceMs
    for (const place of this.#standing.keys()) if (place % distance > 0) this.#standing.delete(place)
    do {
      this.#builder ??= this.#newBuilder(distance)
      if (this.#builder === undefined) return false
      const { place, run } = this.#builder
      run.runTo(Math.min(place, run.now + SLICE_MS))
      if (run.now >= place || run.isOver) {
        this.#standing.set(place, run)
        this.#builder = undefined
      }
    } while (!isTimeUp())
    return true
  }

  /** The places just before the present moment come first: a person who has gone back often goes further back. */
  #newBuilder(distance: number): { readonly place: number; readonly run: LabRun } | undefined {
    const count = Math.floor(this.#end / distance)
    const present = Math.floor(this.now / distance)
    const missing = Array.from({ length: count }, (_, at) => count - at).filter(
      (number) => !this.#standing.has(number * distance),
    )
    const number = missing.find((each) => each <= present) ?? missing.at(-1)
    return number === undefined ? undefined : { place: number * distance, run: new LabRun(this.#schedule) }
  }
}
