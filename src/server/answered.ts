// How many requests of one kind were answered, with which status and how fast. There are tens of thousands a second,
// and the histogram of the Prometheus client takes a microsecond for each: here a request is an addition to three
// fields.

const STATUS_MAX = 599

interface Value {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
  readonly metricName?: string
}

export class Answered {
  /** Upper bounds of the buckets in seconds. */
  readonly #bounds: readonly number[]
  /** Not cumulative; the last one is for longer durations. */
  readonly #buckets: Float64Array
  readonly #statuses = new Float64Array(STATUS_MAX + 1)
  #seconds = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#buckets = new Float64Array(bounds.length + 1)
  }

  add(status: number, seconds: number): void {
    const bounds = this.#bounds
    let bucket = 0
    while (bucket < bounds.length && seconds > (bounds[bucket] ?? 0)) bucket++
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1
    this.#statuses[status] = (this.#statuses[status] ?? 0) + 1
    this.#seconds += seconds
  }

  /** For each status that occurred. */
  counts(operation: string): [labels: { operation: string; status: string }, count: number][] {
    return [...this.#statuses.entries()]
      .filter(([, count]) => count > 0)
      .map(([status, count]) => [{ operation, status: String(status) }, count])
  }

  /** The series of a histogram; none before the first request. */
  durations(name: string, operation: string): Value[] {
    let count = 0
    const buckets = [...this.#buckets].map((inBucket, i) => {
      count += inBucket
      const labels = { le: this.#bounds[i] ?? '+Inf', operation }
      return { labels, value: count, metricName: `${name}_bucket` }
    })
    if (count === 0) return []
    return [
      ...buckets,
      { labels: { operation }, value: this.#seconds, metricName: `${name}_sum` },
      { labels: { operation }, value: count, metricName: `${name}_count` },
    ]
  }
}
