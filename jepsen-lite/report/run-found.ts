// What a run wrote of itself into results.json: its verdict is worth more than the checker's, which saw only the history.

import { HistoryError } from '../history.ts'
import type { RunFound } from './index.ts'

export function runFoundIn(text: string): RunFound {
  const { verdict, findings, skipped } = fieldsOf(JSON.parse(text))
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

const fieldsOf = (value: unknown): { readonly [name: string]: unknown } =>
  typeof value === 'object' && value !== null ? { ...value } : {}
