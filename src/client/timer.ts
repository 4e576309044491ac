// setTimeout with any delay. Node keeps delays in 31 bits, and runs a longer one at once; of a negative one it warns.

const DELAY_MAX_MS = 2 ** 31 - 1

/**
 * Runs `run` after `delayMs`, Infinity included, and soon if that has passed; returns how to take it back. An
 * unreferenced timer keeps no process alive.
 */
export function after(delayMs: number, run: () => void, { unref = false } = {}): () => void {
  let timer: NodeJS.Timeout
  const arm = (leftMs: number) => {
    const isLast = leftMs <= DELAY_MAX_MS
    timer = isLast ? setTimeout(run, leftMs) : setTimeout(() => arm(leftMs - DELAY_MAX_MS), DELAY_MAX_MS)
    if (unref) timer.unref()
  }
  arm(Math.max(0, delayMs))
  return () => clearTimeout(timer)
}

/**
 * Like `after`; but a process that was busy when the time was up sees first what has come meanwhile, such as an answer.
 */
export function afterLastLook(delayMs: number, run: () => void, options?: { unref?: boolean }): () => void {
  let look: NodeJS.Immediate | undefined
  const stopTimer = after(delayMs, () => (look = setImmediate(run)), options)
  return () => {
    stopTimer()
    clearImmediate(look)
  }
}
