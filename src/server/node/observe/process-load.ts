// How busy this process is: how late its timers run, and how many files it has open.

import { readdirSync } from 'node:fs'
import { createHistogram } from 'node:perf_hooks'

const PAUSE_MS = 50

/**
 * How late timers run (the event loop's lag), measured by a timer that runs every 50 ms. `monitorEventLoopDelay` of
 * Node.js loses what holds the event loop up while, or right after, it is reset.
 */
export class EventLoopLag {
  readonly #histogram = createHistogram()
  #timer: NodeJS.Timeout | undefined
  #measuredAt = 0

  start(): void {
    this.#measuredAt = performance.now()
    this.#timer ??= setInterval(() => this.#measure(), PAUSE_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#histogram.reset()
  }

  /** In seconds, since it was taken last. Empty as long as nothing was measured. */
  take(): readonly (readonly [statistic: string, seconds: number])[] {
    // The timer may be late just now.
    if (this.#timer !== undefined && performance.now() - this.#measuredAt > 2 * PAUSE_MS) this.#measure()
    const histogram = this.#histogram
    if (histogram.count === 0) return []
    const seconds = (us: number): number => us / 1e6
    const now = [
      ['median', seconds(histogram.percentile(50))],
      ['p99', seconds(histogram.percentile(99))],
      ['max', seconds(histogram.max)],
    ] as const
    histogram.reset()
    return now
  }

  #measure(): void {
    const now = performance.now()
    const lateMs = now - this.#measuredAt - PAUSE_MS
    this.#measuredAt = now
    this.#histogram.record(Math.max(1, Math.round(1000 * lateMs)))
  }
}

/** Open file descriptors of this process. Undefined where the system does not list them. */
export function openFiles(): number | undefined {
  try {
    // One of them is the directory that is being read.
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return undefined
  }
}
