// One line on stderr that says how far a long command has come; only where a person watches.

import { styleText } from 'node:util'

const EVERY_MS = 100
const CLEAR_LINE = '\r\u001b[2K'

/** Of whatever command. */
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

  /** `text` is asked for only when it is shown. */
  show(text: () => string): void {
    const now = performance.now()
    if (!this.#visible || (this.#shownAt !== undefined && now - this.#shownAt < EVERY_MS)) return
    this.#shownAt = now
    process.stderr.write(`${CLEAR_LINE}${styleText('dim', text(), { stream: process.stderr })}`)
  }

  /** Before any other line on stderr. */
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
