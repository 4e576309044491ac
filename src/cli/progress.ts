// A line on stderr with the progress of a long command; only on a terminal.

import { styleText } from 'node:util'

const EVERY_MS = 100
const CLEAR_LINE = '\r\u001b[2K'

/** Clears the line of any progress that may be shown. */
export function clearProgress(): void {
  if (process.stderr.isTTY === true) process.stderr.write(CLEAR_LINE)
}

export class Progress {
  readonly #visible: boolean
  readonly #startedAt = performance.now()
  #shownAt: number | undefined

  constructor(wanted = true) {
    this.#visible = wanted && process.stderr.isTTY === true
  }

  /** `text` is called only when the line is shown. */
  show(text: () => string): void {
    const now = performance.now()
    if (!this.#visible || (this.#shownAt !== undefined && now - this.#shownAt < EVERY_MS)) return
    this.#shownAt = now
    process.stderr.write(`${CLEAR_LINE}${styleText('dim', text(), { stream: process.stderr })}`)
  }

  /** Called before each other line on stderr. */
  clear(): void {
    if (this.#visible && this.#shownAt !== undefined) process.stderr.write(CLEAR_LINE)
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1_000
  }
}

export const keyCount = (keys: number): string => (keys === 1 ? '1 key' : `${keys} keys`)

export function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`
}
