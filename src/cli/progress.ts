// A line on stderr with the progress of a long command; only on a terminal.

import { paint } from './colors.ts'
import { io } from './io.ts'

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

export function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`
}
