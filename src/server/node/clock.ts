// The clock of a node. The driver reads time and waits only through it, so that the simulator can run the driver in
// virtual time.

import type { MonotonicMs } from '../../raft/types.ts'

export interface Timer {
  cancel(): void
}

export interface Clock {
  /**
   * Monotonic time: it is never set back, and advances while the process is stopped (not while the whole machine is
   * suspended, see `system-clock.ts`).
   */
  now(): MonotonicMs
  after(delayMs: number, run: () => void): Timer
  /**
   * Runs at the end of this turn of the event loop, so that events that arrived together are handled together. Calls
   * may run in any order.
   */
  soon(run: () => void): void
}

/** The clock of a node that takes changes. */
export interface NodeClock extends Clock {
  /** The time of day, in milliseconds since 1970. It may be set back: people read it, and nothing depends on it. */
  wallTimeMs(): number
}
