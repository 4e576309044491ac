// Latencies as an HDR histogram: every percentile is exact to three figures, from nanoseconds to hours.

import { createHistogram } from 'node:perf_hooks'

const NS_PER_MS = 1e6

export class Latencies {
  readonly #histogram = createHistogram({ figures: 3 })

  record(ms: number): void {
    this.#histogram.record(Math.max(1, Math.round(ms * NS_PER_MS)))
  }

  get count(): number {
    return this.#histogram.count
  }

  /** In milliseconds; 0 when nothing was recorded. `percent` is above 0 and up to 100. */
  percentile(percent: number): number {
    return this.count === 0 ? 0 : this.#histogram.percentile(percent) / NS_PER_MS
  }

  get max(): number {
    return this.count === 0 ? 0 : this.#histogram.max / NS_PER_MS
  }
}
