// The real clock. Its twin in the simulator has the same three methods and no relation to the time on the wall.

import { performance } from 'node:perf_hooks'
import type { Clock, Timer } from './types.ts'

export const systemClock: Clock = {
  // CLOCK_MONOTONIC: goes on while the process is stopped by a signal, so a paused leader finds its lease over.
  now: () => performance.now(),
  after(delayMs, run): Timer {
    const timer = setTimeout(run, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
  soon(run) {
    setImmediate(run)
  },
}
