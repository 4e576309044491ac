// Ctrl-C and SIGTERM: the first signal ends the process in order, a second one, some time later, ends it at once.

import { io, withCurrentIo } from './io.ts'

/**
 * npm repeats, within a millisecond, a Ctrl-C that the terminal has already delivered. Signals closer than this count
 * as one.
 */
export const SAME_SIGNAL_MS = 500

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'
/** Beside Ctrl-C. A terminal that is closed sends SIGHUP. */
export const TERMINATING = ['SIGTERM', 'SIGHUP'] as const
const SIGNALS: readonly StopSignal[] = ['SIGINT', ...TERMINATING]

/**
 * Calls `first` once, then `again` for each later signal, until the process ends. A signal repeated by npm may arrive
 * after everything has ended in order. Without a handler it would end the process with the wrong exit code.
 *
 * `reread`: called for SIGHUP instead. Service managers send it so that a program reads its files again.
 */
export function onStopSignals(
  first: (signal: StopSignal) => void,
  again: () => void,
  reread?: () => void,
): void {
  let firstAt: number | undefined
  const receive = withCurrentIo((signal: StopSignal): void => {
    if (signal === 'SIGHUP' && reread !== undefined) {
      reread()
      return
    }
    const now = performance.now()
    if (firstAt === undefined) {
      firstAt = now
      first(signal)
    } else if (now - firstAt >= SAME_SIGNAL_MS) {
      again()
    }
  })
  for (const signal of SIGNALS) io().signals.on(signal, receive)
  // Some tools send it so that a program reopens its log. Without a handler it would end the process.
  io().signals.on('SIGUSR2', () => {})
}
