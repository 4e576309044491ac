// What a run wrote of itself into results.json: its verdict is worth more than the checker's, which saw only the
// history.

import type { Verdict } from '../checker/index.ts'
import { HistoryError } from '../history.ts'
import type { RunFound } from './index.ts'

/** What the checker finds in the history now counts, whatever the run took it for. */
export const withVerdict = (run: RunFound, found: Verdict['verdict']): RunFound =>
  found === 'violation' || (found === 'undecided' && run.verdict === 'pass')
    ? { ...run, verdict: found }
    : run

export function runFoundIn(text: string): RunFound {
  const { verdict, findings, skipped } = fieldsOf(parsed(text))
  if (typeof verdict !== 'string' || !Array.isArray(findings))
    throw new HistoryError('results.json beside it is not what a run writes')
  return {
    verdict,
    findings: findings
      .map(fieldsOf)
      .map(({ kind, message }) => ({ kind: String(kind), message: String(message) })),
    skipped: Object.fromEntries(Object.entries(fieldsOf(skipped)).map(([kind, why]) => [kind, String(why)])),
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const fieldsOf = (value: unknown): { readonly [name: string]: unknown } =>
  typeof value === 'object' && value !== null ? { ...value } : {}
