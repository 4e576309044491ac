// All relays of a run are in this process: while it does not run, no node hears another. So the history notes when the
// machine did not let it run. This explains some elections.

import type { Recorder } from '../workload/history.ts'

const POLL_MS = 50
/** Half of the shortest election timeout. */
const STALL_MS_MIN = 250

/** The returned function ends it. */
export function noteStalls(recorder: Recorder): () => void {
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    const ms = Math.round(now - last - POLL_MS)
    if (ms >= STALL_MS_MIN) recorder.note('stall', { ms })
    last = now
  }, POLL_MS)
  return () => clearInterval(timer)
}
