// The tables on the terminal, at most 100 columns wide.

import type { Figures } from '../scenarios/scenario.ts'
import { type Measurement, type Result, type Summary, summariesOf } from './result.ts'
import { shown, table } from './table.ts'

/** Headers, and the figures below them. */
const LOAD_COLUMNS = [
  ['ops/s', 'ops_per_s'],
  ['p50 ms', 'p50_ms'],
  ['p99', 'p99_ms'],
  ['p99.9', 'p999_ms'],
  ['max', 'max_ms'],
  ['CPU µs', 'server_cpu_us'],
  ['generator', 'generator_cpu_us'],
  ['errors', 'errors'],
] as const

const RATIO_COLUMNS = [
  ['ops/s', 'ops_per_s'],
  ['p50', 'p50_ms'],
  ['p99', 'p99_ms'],
  ['p99.9', 'p999_ms'],
  ['CPU', 'server_cpu_us'],
  ['generator', 'generator_cpu_us'],
] as const

const FOLLOWERS = ['follower1', 'follower2'] as const

export function report(result: Result): string {
  const summaries = summariesOf(result.measurements)
  const loads = summaries.filter(({ figures }) => figures.ops_per_s !== undefined)
  const stalls = summaries.filter(({ scenario }) => scenario.startsWith('stalls'))
  const others = summaries.filter(
    (summary) => summary.figures.ops_per_s === undefined && !stalls.includes(summary),
  )
  const sections = [
    about(result),
    loads.length > 0 && loadTable(loads),
    loads.length > 0 && nodeTable(loads),
    errorLines(result.measurements),
    others.length > 0 && otherTable(others),
    stalls.length > 0 && stallTable(stalls),
    loads.some(isOther) && ratioTable(loads),
  ]
  return sections.filter((section) => section !== false && section !== '').join('\n\n')
}

function about({ machine, versions, given, left_out, settings }: Result): string {
  const { cores, processor, memory_gb, kernel, file_system, fdatasync_ms } = machine
  return [
    `${cores} cores (${processor}), ${shown(memory_gb)} GB, Linux ${kernel}`,
    `disk: ${file_system}, fdatasync of 4 KiB ${shown(fdatasync_ms)} ms`,
    pairs(versions),
    pairs(settings),
    ...Object.entries(given).map(([side, how]) => `${side}: ${how}`),
    ...leftOutLines(left_out),
  ].join('\n')
}

/** Scenarios that a system lacks for the same reason share a line. */
function leftOutLines(leftOut: Result['left_out']): string[] {
  const groups = Map.groupBy(leftOut, ({ system, reason }) => `${system}: ${reason}`)
  return [...groups].map(
    ([about, group]) => `without ${group.map(({ scenario }) => scenario).join(', ')} of ${about}`,
  )
}

const pairs = (values: Readonly<Record<string, string | number>>): string =>
  Object.entries(values)
    .map(
      ([name, value]) => `${name.replaceAll('_', ' ')} ${typeof value === 'number' ? shown(value) : value}`,
    )
    .join(', ')

function loadTable(summaries: readonly Summary[]): string {
  const rows = summaries.map(({ scenario, side, figures }) => [
    scenario,
    side,
    ...LOAD_COLUMNS.map(([, name]) => shown(figures[name])),
  ])
  return table(['scenario', 'side', ...LOAD_COLUMNS.map(([header]) => header)], rows, 2)
}

/** Failed operations by kind. */
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
  const systems = [...new Set(summaries.filter(isOther).map(({ system }) => system))]
  const rows = summaries
    .filter((summary) => !isOther(summary))
    .flatMap(({ scenario, figures }) =>
      Object.entries(figures).map(([name, value]) => {
        const comparisons = systems.flatMap((system) => {
          const other = summaries.find((each) => each.system === system && each.scenario === scenario)
          const otherValue = other?.figures[name]
          return [shown(otherValue), ratio(value, otherValue)]
        })
        return [scenario, name.replaceAll('_', ' '), shown(value), ...comparisons]
      }),
    )
  const header = ['scenario', 'figure', 'quorate', ...systems.flatMap((system) => [system, 'ratio'])]
  return table(header, rows, 2)
}

/** Each side of quorate divided by each other system: above 1 is better for operations a second, else below 1. */
function ratioTable(summaries: readonly Summary[]): string {
  const rows = summaries.flatMap((summary) => {
    if (isOther(summary)) return []
    const others = summaries.filter((each) => isOther(each) && each.scenario === summary.scenario)
    return others.map((other) => {
      const ratios = RATIO_COLUMNS.map(([, name]) => ratio(summary.figures[name], other.figures[name]))
      return [summary.scenario, `${summary.side} / ${other.side}`, ...ratios]
    })
  })
  return table(['scenario', 'ratio', ...RATIO_COLUMNS.map(([header]) => header)], rows, 2)
}

/** Longest turns of the event loop: CPU time of the thread, and the time that passed, of each node. */
function stallTable(summaries: readonly Summary[]): string {
  const rows = summaries.flatMap(({ scenario, figures }) =>
    [...new Set(Object.keys(figures).map((name) => name.split('.')[0] ?? ''))].map((request) => [
      scenario,
      request,
      ...STALLED.map(
        (node) =>
          `${shown(figures[`${request}.${node}_cpu_ms`])} / ${shown(figures[`${request}.${node}_ms`])}`,
      ),
      shown(figures[`${request}.elections`]),
    ]),
  )
  return table(['scenario', 'longest turn, ms of CPU / of time', ...STALLED, 'elections'], rows, 2)
}

const STALLED = ['n1', 'n2', 'n3'] as const

const isOther = ({ system }: Summary): boolean => system !== 'quorate'

const ratio = (value: number | undefined, other: number | undefined): string =>
  value === undefined || other === undefined || other === 0 ? '–' : `${shown(value / other)} ×`
