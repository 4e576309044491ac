// The terminal of a process that serves. A write to one that stands still (Ctrl-S, a container whose output
// nobody reads) waits until it goes on, unless the terminal was opened without blocking.

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
