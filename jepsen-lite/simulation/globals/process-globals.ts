// The process whose code runs, as the replaced globals see it.

import type { Random } from '../../workload/random.ts'

export interface Cancellable {
  cancel(): void
}

/** Clocks, timers and outlets that a simulated process gives the code that runs in it. */
export interface ProcessGlobals {
  readonly name: string
  /** Milliseconds since the process began, by its clock. With fractions. */
  monotonicMs(): number
  /** Milliseconds since 1970, by its clock. */
  wallTimeMs(): number
  /** Runs it once after this many milliseconds of its clock. */
  setTimer(delayMs: number, run: () => void, hasRef?: () => boolean): Cancellable
  /** Runs it in the next turn of its event loop. */
  soon(run: () => void): Cancellable
  readonly random: Random
  /** Text that the process writes: `console.*` and `process.stdout` and `stderr`. */
  write(stream: 'stdout' | 'stderr', text: string): void
  /**
   * Throws, and notes it: `call` (for example "net.connect") is real I/O. Nobody receives what it throws of a function
   * that was kept from before, `isKept`.
   */
  refuse(call: string, isKept?: boolean): never
  /** Its code has thrown, and nothing handles the error. */
  threw(error: unknown): void
  /** Requests of `fetch`. */
  fetch(request: Request): Promise<Response>
  /**
   * Work on the thread pool begins. Call the result with what delivers its outcome. Virtual time stands still until
   * then, and outcomes are delivered in the order of the beginnings.
   */
  beginWork(): (deliver: () => void) => void
}

let current: (() => ProcessGlobals | undefined) | undefined

/** The process whose code runs; undefined: that of the test runner, or no globals are replaced. */
export const currentProcess = (): ProcessGlobals | undefined => current?.()

/** Sets how the current process is found; undefined: there is none. */
export function setCurrentProcess(find: (() => ProcessGlobals | undefined) | undefined): void {
  current = find
}
