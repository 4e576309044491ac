// The real clock. Its twin in the simulator has the same three methods and no relation to the time on the wall.

import { performance } from 'node:perf_hooks'
import type { Clock, Timer } from './types.ts'

export const systemClock: Clock = {
  // CLOCK_MONOTONIC: goes on while the process is stopped by a signal, so a paused leader finds its lease over. It
  // stands still while the whole machine is suspended (a laptop asleep, a virtual machine paused or moved): a leader
  // that comes back from that takes its lease to last, and the age of its state to be less than it is. Node has no
  // other clock to offer.
  now: () => performance.now(),
  after(delayMs, run): Timer {
    const timer = setTimeout(run, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
  soon(run) {
    setImmediate(run)
  },
}
