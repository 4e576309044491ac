import { WriteStream } from 'node:tty'
import { styleText } from 'node:util'
import { io, type OutputStream } from './io.ts'

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
