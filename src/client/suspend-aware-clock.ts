// Measures time that has passed, sleep of the machine included. On Linux `performance.now()` stops during sleep, and
// the time of day can be set back. `os.uptime()` counts sleep (CLOCK_BOOTTIME on Linux, GetTickCount64 on Windows, the
// time since boot on macOS), but only in steps. So the larger of two differences counts: too much is safe here, too
// little is not.

import { uptime } from 'node:os'

/** One step of `os.uptime()`: Linux reports hundredths of a second. */
const STEP_MS = process.platform === 'linux' ? 20 : 1_000

/** Counts from the moment at which it was started. */
export interface Stopwatch {
  /** Milliseconds that have passed since. */
  elapsedMs(): number
}

/** The clocks of this machine, in milliseconds. Tests have others. */
export interface Clocks {
  /** Does not go back. */
  readonly monotonicMs: () => number
  /** Counts sleep of the machine; its steps are at most `stepMs` long. */
  readonly uptimeMs: () => number
  readonly stepMs: number
}

export const machineClocks: Clocks = {
  monotonicMs: () => performance.now(),
  uptimeMs: () => uptime() * 1_000,
  stepMs: STEP_MS,
}

export function startStopwatch({ monotonicMs, uptimeMs, stepMs } = machineClocks): Stopwatch {
  const [monotonic, up] = [monotonicMs(), uptimeMs()]
  return {
    elapsedMs: () => Math.max(monotonicMs() - monotonic, uptimeMs() - up - stepMs),
  }
}
