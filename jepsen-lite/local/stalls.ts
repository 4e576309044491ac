// Every relay of a run lives in this process: while it does not run, no node hears another. So when the machine keeps
// it waiting, that is written down, and an election that nobody can explain finds its cause.

import type { Recorder } from '../history.ts'

const POLL_MS = 50
/** Half of the shortest election time-out. */
const STALL_MS_MIN = 250

/** The function returned ends it. */
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
