// The four parts of the Prometheus client that a node uses. The package as a whole loads OpenTelemetry, TLS and what
// reads the metrics of other processes, too: 40 ms for each start of a node.

import { createRequire } from 'node:module'
import type * as prometheus from '@prometheus-io/client'

const require = createRequire(import.meta.url)

export const CounterMetric: typeof prometheus.Counter = require('@prometheus-io/client/lib/counter')
export const Gauge: typeof prometheus.Gauge = require('@prometheus-io/client/lib/gauge')
export const Histogram: typeof prometheus.Histogram = require('@prometheus-io/client/lib/histogram')
export const MetricRegistry: typeof prometheus.Registry = require('@prometheus-io/client/lib/registry')
export type CounterMetric<Label extends string = string> = prometheus.Counter<Label>
export type Histogram<Label extends string = string> = prometheus.Histogram<Label>
export type MetricRegistry = prometheus.Registry
