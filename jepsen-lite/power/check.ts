// Opens the states of a plan, the extreme ones around syncs first, and judges each at every cut that may leave it.
// Before that, some of them are damaged.

import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../workload/random.ts'
import { damaged } from './damage.ts'
import type { DiskImage, DiskState } from './disk.ts'
import { Opener } from './open.ts'
import type { Plan, PlannedState, PowerCut } from './plan.ts'
import { Judge, type PowerFault } from './power-verdict.ts'
import { type Files, putFiles } from './record.ts'

export interface PowerViolation {
  /** `silent`: it was damaged more than a power cut can do, and opened with less data than it had. */
  readonly kind: PowerFault['kind'] | 'silent'
  readonly what: string
  readonly session: number
  /** How the state comes about. */
  readonly state: string
  /** The power is cut after this event. */
  readonly after: string
  /** Where a copy of the directory is kept. */
  readonly kept?: string
}

/** Limit of the violations that are reported and kept. */
const DETAILS_MAX = 20
/** After this many the check ends: the verdict is clear, and states that break a process take long. */
const VIOLATIONS_MAX = 100

interface Job {
  readonly session: number
  readonly plan: Plan
  readonly planned: PlannedState
}

export interface PowerCheckOptions {
  /** Limit of different states. */
  readonly states: number
  /** How many states are damaged in addition. */
  readonly damaged: number
  readonly out: string | undefined
  readonly progress: (line: string) => void
}

export class PowerCheck {
  readonly #options: PowerCheckOptions
  readonly #plans: readonly Plan[]
  readonly #dir: string
  readonly #opened = new Set<string>()
  readonly #done = new Set<PlannedState>()
  readonly #outcomes = { opened: 0, empty: 0, refused: 0, broken: 0 }
  readonly details: PowerViolation[] = []
  readonly violations = { lost: 0, refused: 0, strange: 0, broken: 0, silent: 0 }
  readonly #damaged = { refused: 0, found: 0, unharmed: 0, silent: 0 }
  #judged = 0

  /** `dir`: where states are built. */
  constructor(options: PowerCheckOptions, plans: readonly Plan[], dir: string) {
    this.#options = options
    this.#plans = plans
    this.#dir = dir
  }

  /** Runs until the number of states or the time limit is reached. */
  async run(random: Random, deadline: number): Promise<void> {
    const opener = new Opener()
    const jobs = this.#orderJobs(random)
    let reportedAt = performance.now()
    try {
      const whole = jobs.filter(({ planned }) => planned.wholeAt !== undefined)
      for (let count = 0; count < this.#options.damaged && !this.#isTimeUp(deadline); count++)
        await this.#openDamaged(random.pick(whole), random, opener)
      for (const job of jobs) {
        if (this.#opened.size >= this.#options.states || this.#isTimeUp(deadline)) break
        await this.#open(job, opener)
        if (performance.now() - reportedAt < 1000) continue
        reportedAt = performance.now()
        this.#options.progress(`opened ${this.#opened.size} states`)
      }
    } finally {
      opener.close()
    }
  }

  #isTimeUp(deadline: number): boolean {
    const found = Object.values(this.violations).reduce((sum, count) => sum + count, 0)
    return found >= VIOLATIONS_MAX || performance.now() >= deadline
  }

  counts() {
    const sum = (of: (plan: Plan) => number): number =>
      this.#plans.reduce((total, plan) => total + of(plan), 0)
    const isDone = (state: PlannedState): boolean => this.#done.has(state)
    return {
      disk_events: sum(({ cuts }) => cuts.length - 1),
      syncs: sum(({ syncs }) => syncs.length),
      syncs_covered: sum(
        ({ syncs }) =>
          syncs.filter((near) => near.filter((state) => state.isExtremeAtSync).every(isDone)).length,
      ),
      syncs_covered_wholly: sum(({ syncs }) => syncs.filter((near) => near.every(isDone)).length),
      cuts: sum(({ cuts }) => cuts.length),
      states_known: sum(({ states }) => states.length),
      states: this.#opened.size,
      judged: this.#judged,
      outcomes: this.#outcomes,
      damaged: this.#damaged,
    }
  }

  #orderJobs(random: Random): Job[] {
    const jobs = this.#plans.flatMap((plan, at) =>
      plan.states.map((planned) => ({ session: at + 1, plan, planned })),
    )
    const rank = ({ planned }: Job): number => (planned.isExtremeAtSync ? 0 : planned.isAtSync ? 1 : 2)
    return random.shuffled(jobs).sort((a, b) => rank(a) - rank(b))
  }

  async #open(job: Job, opener: Opener): Promise<void> {
    const { plan, planned } = job
    const files = filesOfState(plan.disk, planned.state)
    const isNew = this.#addState(files)
    putFiles(this.#dir, files)
    const outcome = await opener.open(this.#dir)
    this.#done.add(planned)
    if (isNew) this.#outcomes[outcome.kind]++
    const judge = new Judge(plan.reference, outcome)
    for (const number of planned.cuts) {
      const cut = plan.cuts[number]
      if (cut === undefined) continue
      this.#judged++
      const fault = judge.at(cut.demand)
      if (fault !== undefined) return this.#recordViolation(job, planned.how, cut, fault, files)
    }
  }

  async #openDamaged(job: Job, random: Random, opener: Opener): Promise<void> {
    const { plan, planned } = job
    const cut = plan.cuts[planned.wholeAt ?? 0]
    const files = filesOfState(plan.disk, planned.state)
    if (cut === undefined || files === undefined) return
    const { files: broken, how } = damaged(files, random)
    putFiles(this.#dir, broken)
    const outcome = await opener.open(this.#dir)
    if (outcome.kind === 'refused') this.#damaged.refused++
    else if (outcome.kind === 'broken') this.#damaged.found++
    else {
      const fault = new Judge(plan.reference, outcome).at(cut.demand)
      if (fault === undefined) this.#damaged.unharmed++
      else {
        this.#damaged.silent++
        this.#recordViolation(job, how, cut, { kind: 'silent', what: fault.what }, broken)
      }
    }
  }

  /** Whether these files were not checked before: several power cuts may leave equal files. */
  #addState(files: Files): boolean {
    const hash = createHash('sha1')
    for (const [name, content] of [...(files ?? [])].sort(([a], [b]) => (a < b ? -1 : 1)))
      hash.update(`${name}\0${content.length}\0`).update(content)
    const digest = files === undefined ? 'gone' : hash.digest('base64')
    if (this.#opened.has(digest)) return false
    this.#opened.add(digest)
    return true
  }

  #recordViolation(
    { session }: Job,
    state: string,
    { after }: PowerCut,
    { kind, what }: Pick<PowerViolation, 'kind' | 'what'>,
    files: Files,
  ): void {
    this.violations[kind]++
    if (this.details.length >= DETAILS_MAX) return
    const { out } = this.#options
    const violation = { kind, what, session, state, after }
    const kept = out === undefined ? undefined : join(out, `state-${this.details.length + 1}`)
    this.details.push(kept === undefined ? violation : { ...violation, kept })
    if (kept === undefined) return
    mkdirSync(kept, { recursive: true })
    putFiles(join(kept, 'files'), files)
    writeFileSync(join(kept, 'violation.json'), `${JSON.stringify(violation, undefined, 2)}\n`)
  }
}

export const filesOfState = (disk: DiskImage, state: DiskState): Files =>
  state === undefined
    ? undefined
    : new Map([...state].map(([name, content]) => [name, disk.readContent(content)]))
