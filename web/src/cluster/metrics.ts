// The text format of Prometheus, as far as a node uses it: counters, gauges and histograms of GET /metrics.

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Samples by the name of their metric. */
export type MetricSamples = ReadonlyMap<string, readonly Sample[]>

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g

export function parseMetrics(text: string): MetricSamples {
  const metrics = new Map<string, Sample[]>()
  for (const line of text.split('\n')) {
    const [, name, labels = '', value] = LINE.exec(line) ?? []
    if (name === undefined) continue
    const samples = metrics.get(name) ?? []
    samples.push({ labels: parseLabels(labels), value: Number(value) })
    metrics.set(name, samples)
  }
  return metrics
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  for (const [, name = '', value = ''] of text.matchAll(LABEL))
    labels[name] = value.replace(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char))
  return labels
}

/** The sum of the samples whose labels fit. undefined: there is none. */
export function sumSamples(
  metrics: MetricSamples,
  name: string,
  fits: (labels: Sample['labels']) => boolean = () => true,
): number | undefined {
  const samples = metrics.get(name)?.filter(({ labels }) => fits(labels))
  return samples === undefined || samples.length === 0
    ? undefined
    : samples.reduce((sum, { value }) => sum + value, 0)
}

/** Counts of a histogram by upper bound, in ascending order. They are cumulative. */
export type Buckets = readonly (readonly [bound: number, count: number])[]

export function readBuckets(
  metrics: MetricSamples,
  name: string,
  fits: (labels: Sample['labels']) => boolean,
): Buckets {
  const byBound = new Map<number, number>()
  for (const { labels, value } of metrics.get(`${name}_bucket`) ?? []) {
    if (!fits(labels)) continue
    const bound = labels.le === '+Inf' ? Infinity : Number(labels.le)
    byBound.set(bound, (byBound.get(bound) ?? 0) + value)
  }
  return [...byBound].sort(([a], [b]) => a - b)
}

/** The counts since `before`. A node that has started again counts from 0. */
export function subtractBuckets(now: Buckets, before: Buckets): Buckets {
  const earlier = new Map(before)
  const counts = now.map(([bound, count]) => [bound, count - (earlier.get(bound) ?? 0)] as const)
  return counts.some(([, count]) => count < 0) ? now : counts
}

/** Adds histograms with the same bounds. */
export function addBuckets(all: readonly Buckets[]): Buckets {
  const sums = new Map<number, number>()
  for (const buckets of all)
    for (const [bound, count] of buckets) sums.set(bound, (sums.get(bound) ?? 0) + count)
  return [...sums].sort(([a], [b]) => a - b)
}

/** The quantile, interpolated within its bucket, as Prometheus does it. undefined: nothing was counted. */
export function quantile(buckets: Buckets, q: number): number | undefined {
  const total = buckets.at(-1)?.[1] ?? 0
  if (total === 0) return undefined
  const rank = q * total
  let lower = 0
  let below = 0
  for (const [bound, count] of buckets) {
    if (count >= rank) {
      if (bound === Infinity) return lower
      return lower + ((bound - lower) * (rank - below)) / (count - below)
    }
    lower = bound
    below = count
  }
  return lower
}
