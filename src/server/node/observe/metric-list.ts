// Metrics that are read at each scrape, and their text in the format of Prometheus (version 0.0.4).

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export interface Series {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
  /** The part of a histogram: `_bucket`, `_sum` or `_count`. */
  readonly suffix?: string
}

interface Metric {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly series: () => readonly Series[] | Promise<readonly Series[]>
}

type Values = Readonly<Record<string, number>>

export class MetricList {
  readonly #metrics: Metric[] = []

  add(metric: Metric): void {
    this.#metrics.push(metric)
  }

  counter(name: string, help: string, value: () => number): void {
    this.add({ name, type: 'counter', help, series: () => [{ labels: {}, value: value() }] })
  }

  /** `value`: undefined while it is not known. There is no series then. */
  gauge(name: string, help: string, value: () => number | undefined): void {
    const series = () => {
      const now = value()
      return now === undefined ? [] : [{ labels: {}, value: now }]
    }
    this.add({ name, type: 'gauge', help, series })
  }

  /** One series for each value of a label. */
  byLabel(
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    label: string,
    values: () => Values | Promise<Values>,
  ): void {
    const series = async () =>
      Object.entries(await values()).map(([each, value]) => ({ labels: { [label]: each }, value }))
    this.add({ name, type, help, series })
  }

  async text(): Promise<string> {
    const texts = this.#metrics.map(async ({ name, type, help, series }) => {
      const lines = (await series()).map((each) => formatSeries(name, each))
      return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines].join('\n')
    })
    return `${(await Promise.all(texts)).join('\n\n')}\n`
  }
}

function formatSeries(name: string, { labels, value, suffix = '' }: Series): string {
  const parts = Object.entries(labels).map(([label, each]) => `${label}="${escapeLabel(String(each))}"`)
  return `${name}${suffix}${parts.length === 0 ? '' : `{${parts.join(',')}}`} ${value}`
}

const escapeLabel = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
