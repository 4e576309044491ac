/** The longest time that a timer takes: some 25 days. */
const TIMER_MS_MAX = 2 ** 31 - 1

export interface Patience {
  readonly limitMs: number
  /** How often to look. Without it only changes and the limit lead to a look. */
  readonly everyMs?: number
  /** Calls `look` whenever something may have changed, until the returned function is called. */
  readonly onChange?: (look: () => void) => () => void
}

/**
 * Looks again and again until `found` returns something, for the last time when the time is up. undefined: not in time.
 */
export function until<T>(
  found: () => T | undefined,
  { limitMs, everyMs, onChange }: Patience,
): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      clearTimeout(timer)
      clearInterval(interval)
      unwatch?.()
      settle()
    }
    const look = (isLast: boolean): void => {
      try {
        const result = found()
        if (result !== undefined || isLast) end(() => resolve(result))
      } catch (error) {
        end(() => reject(error))
      }
    }
    const timer = setTimeout(() => look(true), Math.min(limitMs, TIMER_MS_MAX))
    const interval = everyMs === undefined ? undefined : setInterval(() => look(false), everyMs)
    const unwatch = onChange?.(() => look(false))
    look(false)
  })
}
