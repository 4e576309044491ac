// How busy this process is: how late its timers run, and how many files it has open.

import { readdirSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

const RESOLUTION_MS = 20

/** How late timers run (the event loop's lag), measured by a timer that runs every 20 ms. */
export class EventLoopLag {
  #histogram: ReturnType<typeof monitorEventLoopDelay> | undefined

  start(): void {
    this.#histogram ??= monitorEventLoopDelay({ resolution: RESOLUTION_MS })
    this.#histogram.enable()
  }

  stop(): void {
    this.#histogram?.disable()
    this.#histogram = undefined
  }

  /** In seconds, since it was taken last. Empty as long as nothing was measured. */
  take(): readonly (readonly [quantile: string, seconds: number])[] {
    const histogram = this.#histogram
    if (histogram === undefined || histogram.count === 0) return []
    // What is measured is the time from one run of the timer to the next.
    const seconds = (ns: number): number => Math.max(0, ns / 1e9 - RESOLUTION_MS / 1000)
    const now = [
      ['0.5', seconds(histogram.percentile(50))],
      ['0.99', seconds(histogram.percentile(99))],
      ['1', seconds(histogram.max)],
    ] as const
    histogram.reset()
    return now
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
