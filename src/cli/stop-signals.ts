// Ctrl-C and SIGTERM, as a person means them: the first asks to end in order, a second one, some time later, to end at
// once.

/**
 * npm passes on a Ctrl-C that the terminal has delivered already, within a millisecond: signals closer than this are
 * one.
 */
export const SAME_SIGNAL_MS = 500

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'
const SIGNALS: readonly StopSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

/**
 * Calls `first` once, then `again` for each later signal, to the end of the process: what npm passes on may arrive
 * after everything has ended in order, and would end the process as if it had not.
 */
export function onStopSignals(first: (signal: StopSignal) => void, again: () => void): void {
  let firstAt: number | undefined
  const hear = (signal: StopSignal): void => {
    const now = performance.now()
    if (firstAt === undefined) {
      firstAt = now
      first(signal)
    } else if (now - firstAt >= SAME_SIGNAL_MS) {
      again()
    }
  }
  for (const signal of SIGNALS) process.on(signal, hear)
  // Some tools send it to make a program open its log again. Without this it would end the process at once.
  process.on('SIGUSR2', () => {})
}
