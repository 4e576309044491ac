// The results of a run, from its results.json. They include findings that are not in the history, so the checker alone
// cannot see them.

import { tryParseJson } from '../../src/operations/forms/decode.ts'
import type { Verdict } from '../checker/index.ts'
import { HistoryError } from '../workload/history.ts'

export interface RunResults {
  readonly verdict: string
  readonly findings: readonly { readonly kind: string; readonly message: string }[]
  /** Kinds of faults that were not possible, and the reason. */
  readonly skipped: Readonly<Record<string, string>>
}

/**
 * If the checker now finds a violation in the history, it replaces the verdict of the run; `undecided` replaces `pass`.
 */
export const withVerdict = (run: RunResults, found: Verdict): RunResults =>
  found === 'violation' || (found === 'undecided' && run.verdict === 'pass')
    ? { ...run, verdict: found }
    : run

export function parseRunResults(text: string): RunResults {
  const { verdict, findings, skipped } = asFields(tryParseJson(text))
  if (typeof verdict !== 'string' || !Array.isArray(findings))
    throw new HistoryError('results.json in the same directory is not what a run writes')
  return {
    verdict,
    findings: findings
      .map(asFields)
      .map(({ kind, message }) => ({ kind: String(kind), message: String(message) })),
    skipped: Object.fromEntries(Object.entries(asFields(skipped)).map(([kind, why]) => [kind, String(why)])),
  }
}

const asFields = (value: unknown): { readonly [name: string]: unknown } =>
  typeof value === 'object' && value !== null ? { ...value } : {}
