// The error of a run that has failed: what failed, and how to run the same again.

/**
 * The kind of a failure.
 *
 * - `failed`: the body, or the main function of a process, has thrown, or a promise was rejected and nobody handled it
 * - `always`, `eventually`: a promise of the test did not hold, or the body has ended before it was so
 * - `deadlock`: nothing is left to happen, and the body waits
 * - `virtual_time`: the body has not ended within `virtualMsMax`, or code reads its clock in a loop without end
 * - `real_io`: a process used the network, the disk or another program
 * - `not_deterministic`: two runs of the same seed and schedule differ
 * - `cluster`: the nodes have broken a rule of Raft or of the store, which is a bug of quorate
 */
export type SimulationErrorCode =
  | 'failed'
  | 'always'
  | 'eventually'
  | 'deadlock'
  | 'virtual_time'
  | 'real_io'
  | 'not_deterministic'
  | 'cluster'

/** Facts about the run that has failed. */
export interface FailedRun {
  readonly seed: number
  /** Text of the schedule. Empty: no faults. */
  readonly schedule: string
  /**
   * Runs that fail in the same way have the same: the name of a rule, or an error with its place.
   *
   * @internal
   */
  readonly subject: string
  /** Virtual time of the failure, in milliseconds since the body began. */
  readonly virtualMs: number
  /** The last steps of the run, oldest first. */
  readonly trace: readonly string[]
}

/** Steps that the message shows. */
const SHOWN_MAX = 12

/** Why a run of `simulate` has failed. */
export class SimulationError extends Error {
  override readonly name = 'SimulationError'
  readonly code: SimulationErrorCode
  /** @internal */
  readonly what: string
  /** @internal */
  readonly subject: string
  readonly seed: number
  readonly schedule: string
  readonly virtualMs: number
  readonly trace: readonly string[]
  #report: string | undefined

  constructor(code: SimulationErrorCode, what: string, run: FailedRun, options?: ErrorOptions) {
    const { seed, schedule, subject, virtualMs, trace } = run
    const again = schedule === '' ? `{ seed: ${seed} }` : `{ seed: ${seed}, schedule: '${schedule}' }`
    const lines = [
      what,
      `After ${showMs(virtualMs)} of virtual time. The same again: simulate(${again}, …)`,
      ...(trace.length === 0 ? [] : ['The last steps:']),
      ...trace.slice(-SHOWN_MAX).map((line) => `  ${line}`),
    ]
    super(lines.join('\n'), options)
    this.code = code
    this.what = what
    this.subject = subject
    this.seed = seed
    this.schedule = schedule
    this.virtualMs = virtualMs
    this.trace = trace
    // They would hide the message where the whole error is printed.
    for (const name of ['trace', 'subject']) Object.defineProperty(this, name, { enumerable: false })
  }

  /** Path of the report; undefined: none was written. */
  get report(): string | undefined {
    return this.#report
  }

  /**
   * Adds the report, which is written when the run is over, and a line about it to the message.
   *
   * @internal
   */
  addReport({ path, line }: { readonly path: string | undefined; readonly line: string }): void {
    const { message, stack } = this
    this.#report = path
    this.message = `${message}\n${line}`
    // The stack begins with the message.
    if (stack !== undefined) this.stack = stack.replace(message, () => this.message)
  }
}

export const showMs = (ms: number): string => `${(ms / 1000).toFixed(3)} s`
