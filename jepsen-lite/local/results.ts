// The results of a run: its verdict and its numbers. A run that proves nothing has failed.

import type { CheckResult, Verdict } from '../checker/index.ts'
import { type Conclusion, concludeFrom, type Finding } from '../finding.ts'
import type { LocalRunOptions } from './options.ts'
import {
  computeLatency,
  type Feature,
  type Latency,
  lackingFeatures,
  type OutcomeCounts,
  type RunStats,
} from './run-stats.ts'
import type { ScheduleResult } from './schedule.ts'

/** Scope and duration of the check. */
export type CheckSummary = CheckResult['counts'] & {
  readonly verdict: Verdict
  readonly model: string
  readonly keys: number
  readonly configurations: number
  readonly ms: number
  readonly unjudged: CheckResult['unjudged']
  /** Number of transactions, if there are any. */
  readonly transactions?: number
}

export interface Results extends Conclusion {
  readonly seed: number
  readonly command: string
  readonly workload: string
  readonly wire: string
  readonly nodes: number
  readonly time_s: number
  readonly operations: Readonly<Record<string, OutcomeCounts>>
  /** Features by name: how often the workload requested each, and how often that was answered. */
  readonly features: Readonly<Record<string, Feature>>
  /** Why operations failed or have an unknown outcome, and how often. */
  readonly reasons: Readonly<Record<string, number>>
  readonly ok_before_first_fault: number
  readonly faults: Readonly<
    Record<string, { injected: number; took_effect: number; recovery_ms: Latency | null }>
  >
  readonly skipped: Readonly<Record<string, string>>
  readonly idle: Readonly<Record<string, string>>
  /** How often a process of clients of recipes was stopped or killed, and how often one of them held something then. */
  readonly clients_struck: { readonly times: number; readonly while_holding: number }
  readonly elections: number
  readonly snapshots_installed: number
  /** Time from the beginning of the last healing until every node was a ready voter. */
  readonly recovered_ms: number | null
  readonly latency_ms: Readonly<Record<string, Latency>>
  readonly checked: CheckSummary
}

interface Facts {
  readonly options: LocalRunOptions
  readonly checked: CheckSummary
  readonly stats: RunStats
  readonly schedule: ScheduleResult
  readonly findings: readonly Finding[]
  readonly calm: { readonly okCount: number; readonly required: number }
  readonly elections: number
  readonly recoveredMs: number | undefined
  readonly snapshotsInstalled: number
}

export function buildResults(facts: Facts): Results {
  const { options, stats, schedule, calm, elections } = facts
  return {
    ...concludeFrom([...facts.findings, ...whyNothingIsProven(facts)]),
    seed: options.seed,
    command: options.command,
    workload: options.workload,
    wire: options.wire,
    nodes: options.nodes,
    time_s: options.timeS,
    operations: Object.fromEntries(stats.operations),
    features: Object.fromEntries([...stats.features, ...stats.effects]),
    reasons: Object.fromEntries([...stats.reasons].sort(([, a], [, b]) => b - a)),
    ok_before_first_fault: calm.okCount,
    faults: faultsByKind(facts),
    skipped: schedule.skipped,
    idle: schedule.idle,
    clients_struck: { times: stats.holders.faults, while_holding: stats.holders.faultsWhileHolding },
    elections,
    snapshots_installed: facts.snapshotsInstalled,
    recovered_ms: facts.recoveredMs ?? null,
    latency_ms: stats.latency(),
    checked: facts.checked,
  }
}

function whyNothingIsProven({ options, schedule, calm, elections, stats }: Facts): Finding[] {
  const reasons = lackingFeatures(stats)
  if (calm.okCount < calm.required)
    reasons.push(
      `only ${calm.okCount} operations succeeded before the first fault; at least ${calm.required} should`,
    )
  if (schedule.faults.every(({ effect }) => effect === undefined)) reasons.push('no fault took effect')
  if (elections === 0) reasons.push('no election happened')
  const findings: Finding[] = reasons.map((message) => ({ kind: 'proves-nothing', message }))
  if (options.signal.aborted) findings.push({ kind: 'interrupted', message: 'the run was interrupted' })
  return findings
}

function faultsByKind({ schedule, stats }: Facts): Results['faults'] {
  const kinds = [...new Set(schedule.faults.map(({ kind }) => kind))]
  return Object.fromEntries(
    kinds.map((kind) => {
      const all = schedule.faults.filter((fault) => fault.kind === kind)
      const recoveries = all
        .map(({ healedAt }) => stats.recoveryAfter(healedAt))
        .filter((ms) => ms !== undefined)
      return [
        kind,
        {
          injected: all.length,
          took_effect: all.filter(({ effect }) => effect !== undefined).length,
          recovery_ms: recoveries.length === 0 ? null : computeLatency(recoveries),
        },
      ]
    }),
  )
}
