// Findings of a run or a study, and the verdict that follows.

import type { Verdict } from './checker/index.ts'
import { EXIT } from './exit-codes.ts'

/** Something that must not happen, or a reason why nothing is proven. */
export interface Finding {
  readonly kind: 'violation' | 'recovery' | 'stopped' | 'undecided' | 'proves-nothing' | 'interrupted'
  readonly message: string
}

/** The fields that all results begin with. */
export interface Conclusion {
  readonly verdict: Verdict | 'failed'
  readonly exit_code: number
  /** The first findings only: a broken store breaks many promises at once. */
  readonly findings: readonly Finding[]
  readonly findings_count: number
}

const FINDINGS_MAX = 50

export function concludeFrom(findings: readonly Finding[]): Conclusion {
  const { verdict, exit_code } = verdictOn(findings)
  const shown = findings.slice(0, FINDINGS_MAX)
  return { verdict, exit_code, findings: shown, findings_count: findings.length }
}

function verdictOn(findings: readonly Finding[]): Pick<Conclusion, 'verdict' | 'exit_code'> {
  const has = (...kinds: readonly Finding['kind'][]): boolean =>
    findings.some(({ kind }) => kinds.includes(kind))
  if (has('violation', 'recovery', 'stopped')) return { verdict: 'violation', exit_code: EXIT.violation }
  if (has('proves-nothing', 'interrupted')) return { verdict: 'failed', exit_code: EXIT.failed }
  if (has('undecided')) return { verdict: 'undecided', exit_code: EXIT.undecided }
  return { verdict: 'pass', exit_code: EXIT.ok }
}
