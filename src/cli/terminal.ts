// The terminal of a process that serves. Whoever writes to one that stands still (Ctrl-S, a container whose output
// nobody takes) is held up until it goes on, unless the terminal was opened so that it never holds up anybody.

import { constants, openSync } from 'node:fs'

let opened: number | undefined

/** That of stderr: a descriptor on which a write fails with EAGAIN where it would wait. */
export function terminal(): number {
  opened ??= openAnew()
  return opened
}

function openAnew(): number {
  try {
    return openSync('/dev/fd/2', constants.O_WRONLY | constants.O_NOCTTY | constants.O_NONBLOCK)
  } catch {
    // It may be that of another user, or the system may have no such path.
    return 2
  }
}
