// Runs a scenario with one seed after the other, each with faults of its own, until a run fails. Then it shrinks the
// faults of that run.

import { Random } from '../workload/random.ts'
import { SimulationError } from './error.ts'
import { isNode } from './schedule/fault.ts'
import { drawSchedule, SimulatedSchedule, shrinkSchedule } from './schedule/index.ts'

const SEEDS = 2 ** 32

/** Runs the scenario once. Rejects with a `SimulationError` if the run fails. */
export type SeedRun = (seed: number, schedule: SimulatedSchedule) => Promise<SeedRunResult>

export interface SeedRunResult {
  readonly virtualMs: number
  readonly events: number
  /** How many faults have begun. */
  readonly faults: number
  /** Virtual time from which on no fault begins. */
  readonly faultsEndedMs: number
  /** Names of the processes of the scenario. */
  readonly processes: readonly string[]
}

export interface SeedSearchPlan {
  /** The first seed. The next ones count up. */
  readonly seed: number
  readonly seeds: number
  /** Size of the cluster. */
  readonly nodes?: number | undefined
  /** The faults of every run. undefined: each seed draws its own, after one run without any. */
  readonly schedule?: SimulatedSchedule | undefined
}

export interface SeedProgress {
  readonly runs: number
  /** Seeds of which no run has failed. */
  readonly passed: number
  /** Virtual time of all runs that have not failed. */
  readonly virtualMs: number
  /** The run that has failed, while its schedule is being shrunk. */
  readonly failed?: SeedFailure
}

export interface SeedFailure {
  readonly seed: number
  readonly schedule: SimulatedSchedule
  readonly error: SimulationError
}

export interface SeedSearchResult {
  readonly runs: number
  readonly passed: number
  readonly virtualMs: number
  readonly events: number
  /** How many faults have begun in the runs that have not failed. */
  readonly faults: number
  readonly processes: readonly string[]
  /** Processes that the schedule of the plan names, and that no run has had. */
  readonly missing: readonly string[]
  readonly failure?: {
    readonly first: SeedFailure
    /** The same failure with the simplest schedule that was found. */
    readonly shrunk: SeedFailure
    readonly shrinkRuns: number
  }
}

/** Calls `onProgress` after each run. Rejects if the scenario cannot be run. */
export async function searchSeeds(
  run: SeedRun,
  plan: SeedSearchPlan,
  onProgress: (progress: SeedProgress) => void,
): Promise<SeedSearchResult> {
  const search = new SeedSearch(run, onProgress)
  return await search.search(plan)
}

class SeedSearch {
  readonly #run: SeedRun
  readonly #onProgress: (progress: SeedProgress) => void
  #runs = 0
  #passed = 0
  #virtualMs = 0
  #events = 0
  #faults = 0
  #faultsEndedMs = 0
  #processes: readonly string[] = []
  #missing: readonly string[] = []

  constructor(run: SeedRun, onProgress: (progress: SeedProgress) => void) {
    this.#run = run
    this.#onProgress = onProgress
  }

  async search({ seed: first, seeds, nodes, schedule: given }: SeedSearchPlan): Promise<SeedSearchResult> {
    const named = given?.faults.flatMap(({ on }) => on) ?? []
    this.#missing = [...new Set(named)].filter((name) => !isNode(name))
    const withoutFaults = new SimulatedSchedule([])
    const failure = given === undefined ? await this.#attempt(first, withoutFaults) : undefined
    if (failure !== undefined) return await this.#shrunk(failure)
    // Later runs last longer because of their faults, which must begin while there is something to disturb.
    const range = { nodes, processes: this.#processes, ms: Math.ceil(this.#faultsEndedMs) }
    for (let count = 0; count < seeds; count++) {
      const seed = (first + count) % SEEDS
      const schedule = given ?? drawSchedule(new Random(seed), range)
      const failed = await this.#attempt(seed, schedule)
      if (failed !== undefined) return await this.#shrunk(failed)
      this.#passed += 1
      this.#report()
    }
    return this.#result
  }

  /** The failure; undefined when the run has passed. */
  async #attempt(seed: number, schedule: SimulatedSchedule): Promise<SeedFailure | undefined> {
    this.#runs += 1
    try {
      const { virtualMs, events, faults, faultsEndedMs, processes } = await this.#run(seed, schedule)
      this.#virtualMs += virtualMs
      this.#events += events
      this.#faults += faults
      this.#faultsEndedMs = faultsEndedMs
      this.#processes = processes
      this.#missing = this.#missing.filter((name) => !processes.includes(name))
      return undefined
    } catch (error) {
      if (error instanceof SimulationError) return { seed, schedule, error }
      throw error
    }
  }

  async #shrunk(first: SeedFailure): Promise<SeedSearchResult> {
    const { seed, schedule, error } = first
    const runsBefore = this.#runs
    let shrunk = first
    this.#report(shrunk)
    await shrinkSchedule(schedule, async (simpler) => {
      const failed = await this.#attempt(seed, simpler)
      const isSame = failed !== undefined && isSameFailure(failed.error, error)
      if (isSame) shrunk = failed
      this.#report(shrunk)
      return isSame
    })
    return { ...this.#result, failure: { first, shrunk, shrinkRuns: this.#runs - runsBefore } }
  }

  #report(failed?: SeedFailure): void {
    const progress = { runs: this.#runs, passed: this.#passed, virtualMs: this.#virtualMs }
    this.#onProgress({ ...progress, ...(failed !== undefined && { failed }) })
  }

  get #result(): SeedSearchResult {
    return {
      runs: this.#runs,
      passed: this.#passed,
      virtualMs: this.#virtualMs,
      events: this.#events,
      faults: this.#faults,
      processes: this.#processes,
      missing: this.#missing,
    }
  }
}

const isSameFailure = (one: SimulationError, other: SimulationError): boolean =>
  one.code === other.code && one.subject === other.subject
