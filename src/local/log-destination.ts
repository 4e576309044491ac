// Where the log of a node goes: a file or a pipe that may not take a line just now.

import { type DestinationStream, pino } from 'pino'

/** Of lines that cannot be written so much is kept for when they can. */
const WAITING_BYTES_MAX = 1024 * 1024

const AGAIN_MS = 250

/**
 * Lines that cannot be written (a full disk, a reader that is gone or stands still) wait until they can, and are lost
 * when they are too many: no reason to end a node, nor to hold it up.
 */
export function logDestination(fd: number): DestinationStream {
  const options = { fd, sync: true, maxLength: WAITING_BYTES_MAX, retryEAGAIN: () => false }
  const destination = pino.destination(options)
  let isWaiting = false
  const again = (): void => {
    isWaiting = false
    destination.write('')
  }
  // That of pino drops all lines from then on when a reader is gone, even if another one comes.
  return destination.removeAllListeners('error').on('error', () => {
    if (!isWaiting) setTimeout(again, AGAIN_MS).unref()
    isWaiting = true
  })
}
