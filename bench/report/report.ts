// The tables on the terminal, at most 100 columns wide.

import type { Figures } from '../scenarios/scenario.ts'
import { type Measurement, type Result, type Summary, summariesOf } from './result.ts'
import { shown, table } from './table.ts'

const FOLLOWERS = ['follower1', 'follower2'] as const

export function report(result: Result): string {
  const summaries = summariesOf(result.measurements)
  const loads = summaries.filter(({ figures }) => figures.ops_per_s !== undefined)
  const others = summaries.filter(({ figures }) => figures.ops_per_s === undefined)
  const sections = [
    about(result),
    loads.length > 0 && loadTable(loads),
    loads.length > 0 && nodeTable(loads),
    errorLines(result.measurements),
    others.length > 0 && otherTable(others),
    summaries.some(({ system }) => system === 'etcd') && ratioTable(loads),
  ]
  return sections.filter((section) => section !== false && section !== '').join('\n\n')
}

function about({ machine, versions, given, settings }: Result): string {
  const { cores, processor, memory_gb, kernel, file_system, fdatasync_ms } = machine
  return [
    `${cores} cores (${processor}), ${shown(memory_gb)} GB, Linux ${kernel}`,
    `disk: ${file_system}, fdatasync of 4 KiB ${shown(fdatasync_ms)} ms`,
    pairs(versions),
    pairs(settings),
    ...Object.entries(given).map(([side, how]) => `${side}: ${how}`),
  ].join('\n')
}

const pairs = (values: Readonly<Record<string, string | number>>): string =>
  Object.entries(values)
    .map(
      ([name, value]) => `${name.replaceAll('_', ' ')} ${typeof value === 'number' ? shown(value) : value}`,
    )
    .join(', ')

function loadTable(summaries: readonly Summary[]): string {
  const header = [
    'scenario',
    'side',
    'ops/s',
    'p50 ms',
    'p99',
    'p99.9',
    'max',
    'CPU µs',
    'generator',
    'errors',
  ]
  const names = [
    'ops_per_s',
    'p50_ms',
    'p99_ms',
    'p999_ms',
    'max_ms',
    'server_cpu_us',
    'generator_cpu_us',
    'errors',
  ]
  const rows = summaries.map(({ scenario, side, figures }) => [
    scenario,
    side,
    ...names.map((name) => shown(figures[name])),
  ])
  return table(header, rows, 2)
}

/** What failed, by kind. */
const errorLines = (measurements: readonly Measurement[]): string =>
  measurements
    .flatMap(({ scenario, side, round, errors = {} }) =>
      Object.entries(errors).map(
        ([kind, count]) => `errors in ${scenario}, ${side}, round ${round}: ${shown(count)} × ${kind}`,
      ),
    )
    .join('\n')

/** The cost of a node: of the leader, and the mean of the followers. */
function nodeTable(summaries: readonly Summary[]): string {
  const header = ['scenario', 'side', 'CPU µs', 'RssAnon MB', 'VmRSS MB', 'written B/op', 'syncs/op']
  const rows = summaries.map(({ scenario, side, figures }) => [
    scenario,
    side,
    byNode(figures, 'cpu_us'),
    byNode(figures, 'rss_anon_mb'),
    byNode(figures, 'vm_rss_mb'),
    byNode(figures, 'written_bytes_per_op'),
    shown(figures['leader.syncs_per_op']),
  ])
  return table(header, rows, 2)
}

function byNode(figures: Figures, name: string): string {
  const followers = FOLLOWERS.flatMap((role) => figures[`${role}.${name}`] ?? [])
  const mean = followers.reduce((sum, each) => sum + each, 0) / followers.length
  const leader = figures[`leader.${name}`]
  return leader === undefined ? '–' : `${shown(leader)} / ${shown(mean)}`
}

function otherTable(summaries: readonly Summary[]): string {
  const rows = summaries
    .filter(({ system }) => system === 'quorate')
    .flatMap(({ scenario, figures }) => {
      const etcd = summaries.find((other) => other.scenario === scenario && other.system === 'etcd')?.figures
      return Object.entries(figures).map(([name, value]) => [
        scenario,
        name.replaceAll('_', ' '),
        shown(value),
        ...(etcd === undefined ? [] : [shown(etcd[name]), ratio(value, etcd[name])]),
      ])
    })
  return table(['scenario', 'figure', 'quorate', 'etcd', 'ratio'], rows, 2)
}

/** Each side of quorate divided by etcd: above 1 is better for operations a second, below 1 for all others. */
function ratioTable(summaries: readonly Summary[]): string {
  const names = ['ops_per_s', 'p50_ms', 'p99_ms', 'p999_ms', 'server_cpu_us', 'generator_cpu_us']
  const rows = summaries
    .filter(({ system }) => system === 'quorate')
    .flatMap(({ scenario, side, figures }) => {
      const etcd = summaries.find((other) => other.scenario === scenario && other.system === 'etcd')
      if (etcd === undefined) return []
      return [
        [
          scenario,
          `${side} / ${etcd.side}`,
          ...names.map((name) => ratio(figures[name], etcd.figures[name])),
        ],
      ]
    })
  return table(['scenario', 'ratio', 'ops/s', 'p50', 'p99', 'p99.9', 'CPU', 'generator'], rows, 2)
}

const ratio = (value: number | undefined, other: number | undefined): string =>
  value === undefined || other === undefined || other === 0 ? '–' : `${shown(value / other)} ×`
