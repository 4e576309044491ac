// How many requests of one kind were answered, with which status and how fast. There are tens of thousands a second,
// and the histogram of the Prometheus client takes a microsecond for each, and more where it is seldom called: here a
// request is an addition to three fields.

const STATUS_MAX = 599

export interface Value {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
  readonly metricName?: string
}

/** A histogram. */
export class RequestHistogram {
  /** Upper bounds of the buckets in seconds. */
  readonly #bounds: readonly number[]
  /** Not cumulative; the last one is for longer durations. */
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

  /** The series, with these labels. */
  series(name: string, labels: Value['labels']): Value[] {
    let count = 0
    const buckets = [...this.#buckets].map((inBucket, i) => {
      count += inBucket
      return {
        labels: { le: this.#bounds[i] ?? '+Inf', ...labels },
        value: count,
        metricName: `${name}_bucket`,
      }
    })
    return [
      ...buckets,
      { labels, value: this.#seconds, metricName: `${name}_sum` },
      { labels, value: count, metricName: `${name}_count` },
    ]
  }
}

export class RequestMetrics {
  readonly #durations: RequestHistogram
  readonly #statuses = new Float64Array(STATUS_MAX + 1)

  /** `bounds`: upper bounds of the buckets in seconds. */
  constructor(bounds: readonly number[]) {
    this.#durations = new RequestHistogram(bounds)
  }

  add(status: number, seconds: number): void {
    this.#statuses[status] = (this.#statuses[status] ?? 0) + 1
    this.#durations.add(seconds)
  }

  /** For each status that occurred. */
  counts(operation: string): [labels: { operation: string; status: string }, count: number][] {
    return [...this.#statuses.entries()]
      .filter(([, count]) => count > 0)
      .map(([status, count]) => [{ operation, status: String(status) }, count])
  }

  /** The series of a histogram; none before the first request. */
  durations(name: string, operation: string): Value[] {
    return this.#statuses.some((count) => count > 0) ? this.#durations.series(name, { operation }) : []
  }
}
