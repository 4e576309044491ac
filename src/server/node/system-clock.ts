// The real clock. The simulator's clock has the same methods and shows virtual time.

import { performance } from 'node:perf_hooks'
import type { NodeClock, Timer } from './clock.ts'

export const systemClock: NodeClock = {
  // CLOCK_MONOTONIC advances while the process is stopped by a signal, so a paused leader finds that its lease has
  // expired. It stands still while the whole machine is suspended (a laptop asleep, a virtual machine paused or
  // moved). A leader that resumes after that assumes that its lease still holds and that its state is newer than it
  // is. Node has no other clock.
  now: () => performance.now(),
  wallTimeMs: () => Date.now(),
  after(delayMs, run): Timer {
    const timer = setTimeout(run, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
  soon(run) {
    setImmediate(run)
  },
}
