// The destination of a node's log: a file or a pipe that may be unable to take a line.

import { type DestinationStream, pino } from 'pino'

/** Lines that cannot be written are kept up to this size, until they can be written. */
const WAITING_BYTES_MAX = 1024 * 1024

const AGAIN_MS = 250

/**
 * Lines that cannot be written (a full disk, a reader that is gone or does not read) wait until they can, and are
 * dropped when they are too many. They neither end a node nor delay it.
 */
export function logDestination(fd: number): DestinationStream {
  const options = { fd, sync: true, maxLength: WAITING_BYTES_MAX, retryEAGAIN: () => false }
  const destination = pino.destination(options)
  let isWaiting = false
  const again = (): void => {
    isWaiting = false
    destination.write('')
  }
  // The error handler of pino drops all lines once a reader is gone, even if another reader connects.
  return destination.removeAllListeners('error').on('error', () => {
    if (!isWaiting) setTimeout(again, AGAIN_MS).unref()
    isWaiting = true
  })
}
