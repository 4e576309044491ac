// The terminal: its colours, and its descriptor for a serving process. A write to a stopped terminal (Ctrl-S, a
// container whose output is not read) blocks until it is resumed, unless the terminal was opened as non-blocking.

import { constants, openSync } from 'node:fs'
import { WriteStream } from 'node:tty'
import { styleText } from 'node:util'
import { io, type OutputStream } from './io.ts'

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

export type Style = Parameters<typeof styleText>[0]

/** Styles text that is escaped already; plain if colours are off for the stream. */
export const paint = (style: Style, text: string, stream: OutputStream = io().stdout): string =>
  hasColors(stream) ? styleText(style, text, { validateStream: false }) : text

/** The rules of Node.js (NO_COLOR, FORCE_COLOR, TERM), by the environment of this command. */
function hasColors(stream: OutputStream): boolean {
  const { env } = io()
  if (env.FORCE_COLOR === undefined && stream.isTTY !== true) return false
  return WriteStream.prototype.getColorDepth(env) > 2
}
