// Are the transactions of a history strictly serializable: is there an order of all of them, one after another, that
// explains everything that they read and in which none comes before one that had ended before it began?
//
// No search for this order: each thing that was read says which transactions must come before which, and if these
// statements go round in a circle, there is no order (Adya's dependency graphs; Kingsbury and Alvaro's Elle). This
// takes time in proportion to the history. It reports no history that has an order. It can miss a history that has
// none, where a recorder has left out revisions of answers (versions.ts).

import { type History, HistoryError } from '../../workload/history.ts'
import type { Anomaly } from '../anomaly.ts'
import { type Cycle, type CycleName, type Edge, findCycles } from './cycles.ts'
import { type Fact, findDependencies } from './dependencies.ts'
import { RW, WR, WW } from './graph.ts'
import { type CheckedTransaction, collectTransactions, type TransactionStep } from './transaction.ts'
import { type DirectAnomaly, orderVersions } from './versions.ts'

export interface TransactionsOptions {
  /** 'serializable': the order need not be that in which they ended. Default: 'strict-serializable'. */
  readonly level?: 'strict-serializable' | 'serializable' | undefined
}

export interface TransactionsResult {
  readonly verdict: 'pass' | 'violation'
  readonly findings: readonly TransactionAnomaly[]
  readonly counts: {
    readonly transactions: number
    readonly keys: number
    readonly dependencies: number
  }
}

interface TransactionAnomaly extends Anomaly {
  readonly check: 'transactions'
  readonly name: CycleName | DirectAnomaly['name']
  /** The message in several lines: what it is, each transaction, each dependency. */
  readonly lines: readonly string[]
}

/** Throws HistoryError when the answers name no revisions, which are the order of versions. */
export function checkTransactions(history: History, options: TransactionsOptions = {}): TransactionsResult {
  const transactions = collectTransactions(history)
  const { all } = transactions
  if (!isJudgeable(all))
    throw new HistoryError('transactions are judged by the revisions in answers, and there are none')
  const findings: TransactionAnomaly[] = []
  const keys = orderVersions(transactions, history.header.initial ?? null, (anomaly) =>
    findings.push(directly(anomaly, all)),
  )
  const inRealTime = options.level !== 'serializable'
  const { graph, facts } = findDependencies(all, keys, inRealTime)
  const dependencies = graph.edges
  for (const cycle of findCycles(graph, all.length)) findings.push(explained(cycle, facts, all))
  return {
    verdict: findings.length > 0 ? 'violation' : 'pass',
    findings,
    counts: {
      transactions: all.length,
      keys: keys.length,
      dependencies,
    },
  }
}

type Transactions = readonly CheckedTransaction[]

/** A history of nothing but absent keys and unknown outcomes needs no revisions. */
function isJudgeable(all: Transactions): boolean {
  const steps = all.flatMap((transaction) => transaction.steps)
  return steps.some(({ version }) => version !== undefined) || !steps.some(shouldNameRevision)
}

const shouldNameRevision = (step: TransactionStep): boolean =>
  step.f === 'read' ? typeof step.value === 'string' : step.end !== Number.POSITIVE_INFINITY

function directly(
  { name, key, message, transactions, calls }: DirectAnomaly,
  all: Transactions,
): TransactionAnomaly {
  const distinct = [...new Set(transactions)]
  const text = `${name}: ${message.replaceAll(/\bT([01])\b/g, (_, place) => transactionName(all, transactions[Number(place)] ?? 0))}`
  return {
    check: 'transactions',
    name,
    key,
    message: text,
    lines: [text, ...distinct.map((one) => `  ${describe(all, one)}`)],
    calls: [...distinct.flatMap((one) => all[one]?.ids ?? []), ...calls],
  }
}

function explained(cycle: Cycle, known: readonly Fact[], all: Transactions): TransactionAnomaly {
  const facts = [...known]
  const edges = shortened(cycle.edges, facts)
  const members = edges.map(({ from }) => from)
  const keys = new Set(edges.flatMap(({ fact }) => facts[fact]?.key.key ?? []))
  const name = isLostUpdate(edges, facts) ? `${cycle.name} (lost update)` : cycle.name
  const what = `${name}: no order of ${members.map((one) => transactionName(all, one)).join(' and ')} explains what they read and wrote`
  const reasons = edges.map((edge) => edgeReason(edge, facts, all))
  return {
    check: 'transactions',
    name: cycle.name,
    key: keys.size === 1 ? [...keys][0] : undefined,
    message: `${what}: ${reasons.join('; ')}`,
    lines: [
      what,
      ...[...members].sort((a, b) => a - b).map((one) => `  ${describe(all, one)}`),
      ...reasons.map((reason, place) => {
        const { from, to } = edges[place] ?? { from: 0, to: 0 }
        return `  ${reason}, so ${transactionName(all, from)} is before ${transactionName(all, to)}`
      }),
    ],
    calls: members.flatMap((one) => all[one]?.ids ?? []).sort((a, b) => a - b),
  }
}

/** Overwrites of one key that follow each other become one, if at least two edges are left. */
function shortened(edges: readonly Edge[], facts: Fact[]): readonly Edge[] {
  // A cycle of nothing but overwrites has no such place.
  const begin = Math.max(
    0,
    edges.findIndex(({ kind }) => kind !== WW),
  )
  const short: Edge[] = []
  for (const edge of [...edges.slice(begin), ...edges.slice(0, begin)]) {
    const last = short.at(-1)
    const [one, other] = [facts[last?.fact ?? -1], facts[edge.fact]]
    const isSame = last?.kind === WW && edge.kind === WW && one !== undefined && one.key === other?.key
    if (isSame && last.from !== edge.to) {
      const fact = facts.push({ ...one, to: other.to }) - 1
      short[short.length - 1] = { ...last, to: edge.to, fact }
    } else short.push(edge)
  }
  return short
}

/** Two transactions that both changed a key, and one of them changed what it had read before the other changed it. */
function isLostUpdate(edges: readonly Edge[], facts: readonly Fact[]): boolean {
  const [one, other] = edges
  if (edges.length !== 2 || one === undefined || other === undefined) return false
  const kinds = new Set([one.kind, other.kind])
  return kinds.has(RW) && kinds.has(WW) && facts[one.fact]?.key === facts[other.fact]?.key
}

function edgeReason({ from, to, kind, fact }: Edge, facts: readonly Fact[], all: Transactions): string {
  const [one, other] = [transactionName(all, from), transactionName(all, to)]
  const why = facts[fact]
  if (why === undefined) return `${one} ended before ${other} began`
  const { key } = why.key
  const version = (place: number | undefined): string =>
    place === undefined ? 'a later version' : (why.key.versions[place]?.name ?? '')
  if (kind === WW)
    return `${one} wrote ${version(why.from)} of ${key} before ${other} wrote ${version(why.to)}`
  if (kind === WR) return `${other} read ${version(why.from)} of ${key}, which ${one} wrote`
  return `${one} read ${version(why.from)} of ${key} before ${other} wrote ${version(why.to)}`
}

/** Name of a transaction by its first call, which the report shows under the same number. */
const transactionName = (all: Transactions, transaction: number): string =>
  `T${all[transaction]?.ids[0] ?? '?'}`

const STEPS_SHOWN_MAX = 12

function describe(all: Transactions, transaction: number): string {
  const found = all[transaction]
  if (found === undefined) return ''
  const { ids, client, steps, end } = found
  const shown = steps.slice(0, STEPS_SHOWN_MAX).map(stepWords)
  if (steps.length > shown.length) shown.push('…')
  const outcome = end === Number.POSITIVE_INFINITY ? ' (outcome unknown)' : ''
  return `${transactionName(all, transaction)} = client ${client}, ${ids.length > 1 ? 'operations' : 'operation'} ${ids.join(', ')}${outcome}: ${shown.join(', ')}`
}

function stepWords(step: TransactionStep): string {
  const at = step.version === undefined ? '' : ` at revision ${step.version}`
  const value = step.value === undefined ? '' : step.value === null ? 'nothing' : short(step.value)
  if (step.f === 'read') return `read ${step.key} → ${value}${at}`
  if (step.piece !== undefined) return `append ${short(step.piece)} to ${step.key}${at}`
  return step.value === null ? `delete ${step.key}${at}` : `write ${step.key} = ${value}${at}`
}

const short = (text: string): string => JSON.stringify(text.length <= 40 ? text : `…${text.slice(-40)}`)
