// The terminal of a serving process. A write to a stopped terminal (Ctrl-S, a container whose output is not read)
// blocks until it is resumed, unless the terminal was opened as non-blocking.

import { constants, openSync } from 'node:fs'

let opened: number | undefined

/** A descriptor for the terminal of stderr, on which a write fails with EAGAIN instead of waiting. */
export function terminal(): number {
  opened ??= openAnew()
  return opened
}

function openAnew(): number {
  try {
    return openSync('/dev/fd/2', constants.O_WRONLY | constants.O_NOCTTY | constants.O_NONBLOCK)
  } catch {
    // The terminal may belong to another user, or the system may have no such path.
    return 2
  }
}
