// Judges a store by one history of what its clients observed. README.md explains how.

import { type History, HistoryError } from '../workload/history.ts'
import { type Anomaly, anomalyText } from './anomaly.ts'
import { checkDurability } from './durability.ts'
import { checkIdempotency } from './idempotency.ts'
import { checkLinearizability, type Linearizability } from './linearizability.ts'
import { checkLogged } from './log-verdict.ts'
import { MODELS } from './models/index.ts'
import type { KeyModel } from './models/model.ts'
import { checkReads } from './reads.ts'
import { checkRevisionAccounting } from './revision-accounting.ts'
import { checkRevisions } from './revisions.ts'
import { checkTransactions, type TransactionsResult } from './transactions/index.ts'
import { countUnjudged } from './unjudged.ts'

export { FORMATS, type HistoryFormat, parse } from './formats/index.ts'
export type { Anomaly, Linearizability }
export { anomalyText, MODELS }

interface CheckerOptions {
  /** Replaces the model that the history names, or that fits its answers. */
  readonly model?: string | undefined
  /** How many configurations the search of one key may enter; beyond that it is undecided. */
  readonly configurationsMax?: number | undefined
}

/** `undecided`: the search ran out of its budget. */
export type Verdict = 'pass' | 'violation' | 'undecided'

export interface CheckResult {
  readonly verdict: Verdict
  readonly findings: readonly Anomaly[]
  readonly linearizability: Linearizability
  /** Texts about keys for which the budget was too small. */
  readonly undecided: readonly string[]
  /** How many answers could not be judged, by the missing field. */
  readonly unjudged: Readonly<Record<string, number>>
  readonly counts: {
    readonly operations: number
    readonly unknown: number
    readonly failed: number
    /** Number of answers with a revision. */
    readonly revisions: number
    readonly reads: { readonly linearizable: number; readonly lease: number; readonly stale: number }
    /** Number of reads that were lists. */
    readonly lists: number
    /** The history says that it holds all changes, so every revision was accounted for. */
    readonly complete: boolean
    /** Number of requests that were sent more than once with one idempotency token. */
    readonly repeated: number
    /** Number of nodes whose final content is in the history. */
    readonly finals: number
  }
}

/** Throws HistoryError when the history cannot be judged. */
export function check(history: History, options: CheckerOptions = {}): CheckResult {
  const linearizability = checkLinearizability(
    history,
    modelFor(history, options.model),
    options.configurationsMax,
  )
  const revisions = checkRevisions(history)
  const reads = checkReads(history)
  const idempotency = checkIdempotency(history)
  const findings = [
    ...linearizabilityFindings(linearizability),
    ...revisions.findings,
    ...reads.findings,
    ...idempotency.findings,
    ...checkDurability(history),
    ...checkRevisionAccounting(history),
  ]
  const undecided = linearizability.keys
    .filter(({ verdict }) => verdict === 'undecided')
    .map(({ key }) => `the search for an order of the operations on ${key} ran out of its budget`)
  return {
    verdict: findings.length > 0 ? 'violation' : undecided.length > 0 ? 'undecided' : 'pass',
    findings,
    linearizability,
    undecided,
    unjudged: countUnjudged(history),
    counts: {
      operations: history.calls.length,
      unknown: history.calls.filter(({ outcome }) => outcome.kind === 'unknown').length,
      failed: history.calls.filter(({ outcome }) => outcome.kind === 'fail').length,
      revisions: revisions.answers,
      reads: reads.answered,
      lists: history.calls.filter(({ op, outcome }) => op.f === 'range' && outcome.kind === 'ok').length,
      complete: history.header.complete === true,
      repeated: idempotency.repeated,
      finals: history.finals.length,
    },
  }
}

export interface HistoryJudgement {
  readonly verdict: Verdict
  /** All of them. */
  readonly findings: readonly Anomaly[]
  readonly check: CheckResult
  /** undefined: no operation of the history belongs to a transaction. */
  readonly transactions: TransactionsResult | undefined
}

/**
 * Everything that a history shows: `check`, and the order of its transactions if there are any; or, if it has a log,
 * what that says of it.
 */
export function judge(history: History, options: CheckerOptions = {}): HistoryJudgement {
  if (history.header.log !== undefined) return judgeLogged(history)
  const needed = needsLog(history)
  if (needed !== undefined)
    throw new HistoryError(`operations such as ${needed} are judged by a log, and there is none`)
  const checked = check(history, options)
  const hasTransactions = history.calls.some(({ transaction }) => transaction !== undefined)
  const transactions = hasTransactions ? checkTransactions(history) : undefined
  const findings = [...(transactions?.findings ?? []), ...checked.findings]
  return {
    verdict: findings.length > 0 ? 'violation' : checked.verdict,
    findings,
    check: checked,
    transactions,
  }
}

/** Something that only a log can judge. */
function needsLog({ calls, storeCalls, watches }: History): string | undefined {
  if (storeCalls[0] !== undefined) return storeCalls[0].op.f
  if (watches.length > 0) return 'watch'
  if (calls.some(({ op }) => 'at' in op)) return 'get at a revision'
  return calls.some(({ op }) => op.f === 'put' && (op.lease ?? op.ttlMs) !== undefined)
    ? 'put with a lease'
    : undefined
}

function judgeLogged(history: History): HistoryJudgement {
  const { findings, compared } = checkLogged(history)
  const verdict = findings.length > 0 ? 'violation' : 'pass'
  const { calls, storeCalls, finals, header } = history
  const all = [...calls, ...storeCalls]
  const count = (kind: string): number => all.filter(({ outcome }) => outcome.kind === kind).length
  const lists = calls.filter(({ op, outcome }) => op.f === 'range' && outcome.kind === 'ok').length
  const counts: CheckResult['counts'] = {
    operations: all.length,
    unknown: count('unknown'),
    failed: count('fail'),
    revisions: compared,
    reads: checkReads(history).answered,
    lists,
    complete: header.complete === true,
    repeated: 0,
    finals: finals.length,
  }
  const linearizability = { verdict: 'linearizable', model: 'log', keys: [], configurations: 0 } as const
  const check = { verdict, findings, linearizability, undecided: [], unjudged: {}, counts } as const
  return { verdict, findings, check, transactions: undefined }
}

function modelFor(history: History, modelName: string | undefined): KeyModel<unknown> {
  const name = modelName ?? history.header.model ?? (hasRevisions(history) ? 'versioned-register' : 'kv')
  const model = MODELS.get(name)
  if (model !== undefined) return model
  throw new HistoryError(
    `there is no model ${JSON.stringify(name)}; there are ${[...MODELS.keys()].join(', ')}`,
  )
}

const hasRevisions = ({ calls }: History): boolean =>
  calls.some(({ outcome }) => outcome.kind === 'ok' && outcome.result.modRevision !== undefined)

function linearizabilityFindings({ keys, model }: Linearizability): Anomaly[] {
  return keys.flatMap(({ key, failure }) => {
    if (failure === undefined) return []
    const { id, node } = failure.blocked
    const what = id === undefined ? `what ${node} holds at the end` : `operation ${id}`
    return [
      {
        check: 'linearizability',
        key,
        message: `${what} fits nowhere: no order of the operations on ${key} explains it together with those that ended before it (model ${model})`,
        calls: id === undefined ? [] : [id],
      } satisfies Anomaly,
    ]
  })
}
