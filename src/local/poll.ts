/** The longest delay of a timer: some 25 days. */
const TIMER_MS_MAX = 2 ** 31 - 1

interface PollOptions {
  readonly timeoutMs: number
  /** Interval between two checks. Without it, only a change or the timeout leads to another check. */
  readonly intervalMs?: number
  /** Calls `onChange` whenever the result may have changed, until the returned function is called. */
  readonly subscribe?: (onChange: () => void) => () => void
}

/**
 * Repeats `check` until it returns a value, for the last time when the timeout has passed. Returns undefined after the
 * timeout. The first check runs at once.
 */
export async function poll<T>(
  check: () => T | undefined | Promise<T | undefined>,
  { timeoutMs, intervalMs = TIMER_MS_MAX, subscribe }: PollOptions,
): Promise<T | undefined> {
  const deadline = performance.now() + timeoutMs
  let changed = false
  let wake = (): void => {}
  const unsubscribe = subscribe?.(() => {
    changed = true
    wake()
  })
  try {
    for (;;) {
      changed = false
      const remainingMs = deadline - performance.now()
      const result = await check()
      if (result !== undefined || remainingMs <= 0) return result
      // A change during the check is checked again at once.
      if (changed) continue
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(remainingMs, intervalMs, TIMER_MS_MAX))
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  } finally {
    unsubscribe?.()
  }
}
