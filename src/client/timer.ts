// setTimeout with any delay. Node keeps delays in 31 bits, and runs a longer one at once.

const DELAY_MAX_MS = 2 ** 31 - 1

/** Runs `run` after `delayMs`, Infinity included; returns how to take it back. An unreferenced timer keeps no process alive. */
export function after(delayMs: number, run: () => void, { unref = false } = {}): () => void {
  let timer: NodeJS.Timeout
  const arm = (leftMs: number) => {
    const isLast = leftMs <= DELAY_MAX_MS
    timer = isLast ? setTimeout(run, leftMs) : setTimeout(() => arm(leftMs - DELAY_MAX_MS), DELAY_MAX_MS)
    if (unref) timer.unref()
  }
  arm(delayMs)
  return () => clearTimeout(timer)
}
