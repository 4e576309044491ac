// A line on stderr with the progress of a long command; only on a terminal.

import { io } from './io.ts'
import { paint } from './terminal.ts'

const EVERY_MS = 100
const CLEAR_LINE = '\r\u001b[2K'

/** Clears the line of any progress that may be shown. */
export function clearProgress(): void {
  if (io().stderr.isTTY === true) io().stderr.write(CLEAR_LINE)
}

export class ProgressDisplay {
  readonly #visible: boolean
  readonly #startedAt = performance.now()
  #shownAt: number | undefined

  constructor(isEnabled = true) {
    this.#visible = isEnabled && io().stderr.isTTY === true
  }

  /** `text` is called only when the line is shown. */
  show(text: () => string): void {
    const now = performance.now()
    if (!this.#visible || (this.#shownAt !== undefined && now - this.#shownAt < EVERY_MS)) return
    this.#shownAt = now
    // A line that wraps could not be cleared.
    const line = text().slice(0, (io().stderr.columns || 80) - 1)
    io().stderr.write(`${CLEAR_LINE}${paint('dim', line, io().stderr)}`)
  }

  /** Called before each other line on stderr. */
  clear(): void {
    if (this.#visible && this.#shownAt !== undefined) io().stderr.write(CLEAR_LINE)
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1_000
  }
}

export const keyCount = (keys: number): string => (keys === 1 ? '1 key' : `${keys} keys`)

const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB']

/** A number of bytes with the unit in which it is at least 1, as in "4.2 MB". */
export function byteCount(bytes: number): string {
  const unit = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3))
  return unit === 0 ? `${bytes} bytes` : `${(bytes / 1_000 ** unit).toFixed(1)} ${UNITS[unit]}`
}
