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

  /** Whether anybody sees it. */
  get isVisible(): boolean {
    return this.#visible
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

/** How far a long command has come. */
export interface Advance {
  readonly keys: number
  /** The part that is done, from 0 to 1; undefined: the whole is unknown. */
  readonly part: number | undefined
}

const RATE_OVER_MS = 5_000
const SAMPLE_EVERY_MS = 500

/** The rate of the last seconds, and the time that is left at this rate. */
export class Rate {
  readonly #now: () => number
  readonly #samples: (Advance & { readonly at: number })[] = []

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
    this.#samples.push({ at: now(), keys: 0, part: 0 })
  }

  /** As in "2150 keys/s, 13 s left"; empty at the very beginning. */
  text({ keys, part: measured }: Advance): string {
    const at = this.#now()
    // A source may have grown since it was measured.
    const part = measured === undefined ? undefined : Math.min(1, measured)
    const samples = this.#samples
    if (at - (samples.at(-1)?.at ?? 0) >= SAMPLE_EVERY_MS) samples.push({ at, keys, part })
    while (samples.length > 1 && at - (samples[1]?.at ?? at) >= RATE_OVER_MS) samples.shift()
    const [first] = samples
    const seconds = (at - (first?.at ?? at)) / 1_000
    if (first === undefined || seconds * 1_000 < SAMPLE_EVERY_MS) return ''
    const perSecond = `${Math.round((keys - first.keys) / seconds)} keys/s`
    const grown = part === undefined ? 0 : part - (first.part ?? 0)
    if (part === undefined || grown <= 0) return perSecond
    return `${perSecond}, ${timeLeft((seconds * (1 - part)) / grown)} left`
  }
}

function timeLeft(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`
  return seconds < 6_000 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`
}

const BAR_COLUMNS = 10

/** As in "███░░░░░░░  30 %". */
export function bar(part: number): string {
  const full = Math.floor(Math.min(1, part) * BAR_COLUMNS)
  return `${'█'.repeat(full)}${'░'.repeat(BAR_COLUMNS - full)} ${String(Math.floor(Math.min(1, part) * 100)).padStart(3)} %`
}
