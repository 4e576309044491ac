// The verdicts on recorded histories: the checkers of jepsen-lite, with an error that explains and a report to look at.

import {
  type Check,
  type Checks,
  checkOptions,
  checkValue,
  choiceCheck,
  positiveCheck,
  textCheck,
} from '../../src/client/validators.ts'
import { anomalyText, type CheckResult, check } from '../checker/index.ts'
import {
  checkTransactions as judgeTransactions,
  type TransactionsOptions,
  type TransactionsResult,
} from '../checker/transactions/index.ts'
import { RecordedHistory } from '../history/recorded-history.ts'
import { formatOperation, formatOutcome } from '../report/format-operation.ts'
import { renderReport } from '../report/index.ts'
import { writeReport } from '../report/write-report.ts'
import type { History } from '../workload/history.ts'

export interface CheckOptions {
  /** Where to write an HTML page about the history if something is wrong with it. Default: nowhere. */
  readonly report?: string | undefined
}

export interface LinearizableOptions extends CheckOptions {
  /** How many configurations the search of one key may enter before it is undecided. Default: 5,000,000. */
  readonly configurationsMax?: number | undefined
}

export interface TransactionOptions extends CheckOptions {
  /** 'serializable': any order is valid, whichever operation ended first. Default: 'strict-serializable'. */
  readonly level?: 'strict-serializable' | 'serializable' | undefined
}

/** The size of a history with which nothing is wrong. A history of failures proves little. */
export interface CheckedHistory {
  readonly operations: number
  /** Number of operations of unknown outcome. */
  readonly unknown: number
  /** Certainly not carried out. */
  readonly failed: number
}

/** The history shows something that must not happen, or it could not be decided. The message explains it. */
export class AnomalyError extends Error {
  override readonly name = 'AnomalyError'
  readonly verdict: 'violation' | 'undecided'
  /** One sentence each. */
  readonly anomalies: readonly string[]
  /** The HTML page, if one was asked for and could be written. */
  readonly report: string | undefined

  constructor(
    message: string,
    verdict: AnomalyError['verdict'],
    anomalies: readonly string[],
    report: string | undefined,
  ) {
    super(message)
    this.verdict = verdict
    this.anomalies = anomalies
    this.report = report
  }
}

/**
 * Is there, for each key, an order of the operations that explains every answer? Also checks revisions, lists and the
 * levels of reads.
 *
 * @throws AnomalyError when there is none, or the search takes too long
 * @throws Error when the history has no operations
 */
export function checkLinearizable(
  history: RecordedHistory,
  options: LinearizableOptions = {},
): CheckedHistory {
  const read = begin('checkLinearizable', history, options, LINEARIZABLE)
  const verdict = check(read, { configurationsMax: options.configurationsMax })
  const counts = countCalls(read)
  if (verdict.verdict === 'pass') return counts
  const { undecided } = verdict
  const anomalies = verdict.verdict === 'violation' ? verdict.findings.map(anomalyText) : undecided
  const head =
    verdict.verdict === 'violation'
      ? `the history is not linearizable (${sizeText(counts)})`
      : `it is undecided whether the history is linearizable (${sizeText(counts)})`
  const lines = [...indented(anomalies), ...witnessLines(verdict)]
  throw failureMessage(verdict.verdict, head, lines, anomalies, { history: read, verdict }, options)
}

/**
 * Is there an order of all transactions, one after another, that explains what they read? A transaction is what was
 * done in one `history.transaction(body)`; every other operation is one by itself.
 *
 * @throws AnomalyError when there is none
 * @throws Error when the history has no operations
 */
export function checkTransactions(
  history: RecordedHistory,
  options: TransactionOptions = {},
): CheckedHistory {
  const read = begin('checkTransactions', history, options, TRANSACTIONS)
  const transactions = judgeTransactions(read, { level: options.level } satisfies TransactionsOptions)
  const counts = countCalls(read)
  const { findings } = transactions
  if (findings.length === 0) return counts
  const level = options.level ?? 'strict-serializable'
  const head = `the transactions are not ${level.replace('-', ' ')} (${transactions.counts.transactions} transactions, ${sizeText(counts)})`
  const lines = findings.slice(0, SHOWN_MAX).flatMap((finding) => finding.lines.map((line) => `  ${line}`))
  const anomalies = findings.map(({ message }) => message)
  const reported = { history: read, verdict: check(read), transactions }
  throw failureMessage('violation', head, [...lines, ...more(findings)], anomalies, reported, options)
}

const CHECK: Checks<CheckOptions> = { report: textCheck }
const LINEARIZABLE: Checks<LinearizableOptions> = {
  ...CHECK,
  configurationsMax: positiveCheck,
}
const TRANSACTIONS: Checks<TransactionOptions> = {
  ...CHECK,
  level: choiceCheck('strict-serializable', 'serializable'),
}
const SHOWN_MAX = 5

function begin(
  where: string,
  history: RecordedHistory,
  options: object,
  checks: Readonly<Record<string, Check>>,
): History {
  checkValue(where, 'history', history, (value) =>
    value instanceof RecordedHistory
      ? undefined
      : 'a RecordedHistory, such as that of recorded(client).history',
  )
  checkOptions(where, options, checks)
  const read = history.read()
  if (read.calls.length > 0) return read
  throw new Error(`${where}: the history has no operations, so it proves nothing. Are the clients recorded?`)
}

function countCalls({ calls }: History): CheckedHistory {
  const count = (kind: string): number => calls.filter(({ outcome }) => outcome.kind === kind).length
  return { operations: calls.length, unknown: count('unknown'), failed: count('fail') }
}

const sizeText = ({ operations, unknown, failed }: CheckedHistory): string =>
  `${operations} operations, ${unknown} of unknown outcome, ${failed} failed`

const more = (all: readonly unknown[]): string[] =>
  all.length > SHOWN_MAX ? [`  … and ${all.length - SHOWN_MAX} more`] : []

const indented = (texts: readonly string[]): string[] => [
  ...texts.slice(0, SHOWN_MAX).map((text) => `  ${text}`),
  ...more(texts),
]

/** A few operations that cannot be explained even without the others. */
function witnessLines({ linearizability }: CheckResult): string[] {
  const broken = linearizability.keys.find(({ failure }) => failure !== undefined)
  if (broken?.failure === undefined) return []
  const lines = broken.failure.witness().map(({ id, client, op, result, startMs, endMs }) => {
    const answer = result === undefined ? 'outcome unknown' : formatOutcome({ kind: 'ok', result })
    return `    ${id ?? ''}  client ${client}  ${startMs}–${endMs ?? '?'} ms  ${formatOperation(op)} → ${answer}`
  })
  return [`  These operations on ${broken.key} cannot be explained even without the others:`, ...lines]
}

function failureMessage(
  verdict: AnomalyError['verdict'],
  head: string,
  lines: readonly string[],
  anomalies: readonly string[],
  reported: {
    readonly history: History
    readonly verdict: CheckResult
    readonly transactions?: TransactionsResult
  },
  { report }: CheckOptions,
): AnomalyError {
  if (report === undefined)
    return new AnomalyError([head, ...lines].join('\n'), verdict, anomalies, undefined)
  const { path, line } = writeReport(report, () => renderReport(reported))
  return new AnomalyError([head, ...lines, `  ${line}`].join('\n'), verdict, anomalies, path)
}
