// How many requests of one kind were answered, with which status and how fast. There are tens of thousands a second: a
// request is an addition to three fields.

import type { Series } from './metric-list.ts'

const STATUS_MAX = 599

export class DurationHistogram {
  /** Upper bounds of the buckets in seconds. */
  readonly #bounds: readonly number[]
  /** Counts by bucket, not cumulative. The last bucket is for longer durations. */
  readonly #buckets: Float64Array
  #seconds = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#buckets = new Float64Array(bounds.length + 1)
  }

  add(seconds: number): void {
    const bounds = this.#bounds
    let bucket = 0
    while (bucket < bounds.length && seconds > (bounds[bucket] ?? 0)) bucket++
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1
    this.#seconds += seconds
  }

  series(labels: Series['labels']): Series[] {
    let count = 0
    const buckets = [...this.#buckets].map((inBucket, i) => {
      count += inBucket
      return { labels: { le: this.#bounds[i] ?? '+Inf', ...labels }, value: count, suffix: '_bucket' }
    })
    return [
      ...buckets,
      { labels, value: this.#seconds, suffix: '_sum' },
      { labels, value: count, suffix: '_count' },
    ]
  }
}

/** Names of the labels: of the kind of a request, and of the status of its response. */
interface RequestLabels {
  readonly kind: string
  readonly status: string
}

export class RequestMetrics {
  readonly #durations: DurationHistogram
  readonly #statuses = new Float64Array(STATUS_MAX + 1)
  readonly #labels: RequestLabels

  /** `bounds`: upper bounds of the buckets in seconds. */
  constructor(bounds: readonly number[], labels: RequestLabels) {
    this.#durations = new DurationHistogram(bounds)
    this.#labels = labels
  }

  add(status: number, seconds: number): void {
    this.#statuses[status] = (this.#statuses[status] ?? 0) + 1
    this.#durations.add(seconds)
  }

  /** Number of requests by status, for each status that occurred. */
  counts(kind: string): Series[] {
    const labels = this.#labels
    return [...this.#statuses.entries()]
      .filter(([, count]) => count > 0)
      .map(([status, value]) => ({ labels: { [labels.kind]: kind, [labels.status]: status }, value }))
  }

  /** None before the first request. */
  durations(kind: string): Series[] {
    const isUsed = this.#statuses.some((count) => count > 0)
    return isUsed ? this.#durations.series({ [this.#labels.kind]: kind }) : []
  }
}
