// From the calls of a history to transactions: what each read and wrote. Calls with one `transaction` number are the
// steps of one transaction, and every other call is a transaction of its own. A list reads every key that it covers.
//
// A condition that did not hold tells an application that what it has read before is outdated, and that it must begin
// again. So in a transaction of several calls, a read before a refused change does not count if its key is read again,
// or if nothing is written afterwards. Otherwise what is written relies on the outdated read.
//
// Reads that promised only a stale answer are left out, as are reads without an answer. `reads.ts` judges the first.

import type { History, HistoryCall, RecordedResult } from '../../workload/history.ts'
import { plain } from '../models/plain.ts'
import { type CheckedRequest, collectKeys, collectRequests, perKey } from '../partition.ts'

export interface CheckedTransaction {
  /** Ids of its calls, by their start. */
  readonly ids: readonly number[]
  readonly client: string | number
  readonly steps: readonly TransactionStep[]
  /** Positions among the events. `end` is Infinity if the outcome of a change is unknown. */
  readonly start: number
  readonly end: number
}

export type TransactionStep = Read | TransactionWrite

/** Positions of its request among the events. `end` is Infinity if the outcome is unknown. */
interface RequestedOperation {
  readonly start: number
  readonly end: number
}

export interface Read extends RequestedOperation {
  readonly f: 'read'
  readonly key: string
  /** null: no such key; undefined: not known. */
  readonly value: string | null | undefined
  /** The key's mod revision, if known. */
  readonly version: number | undefined
  /** The revision of the store that the answer reflects, if known. */
  readonly revision: number | undefined
}

export interface TransactionWrite extends RequestedOperation {
  readonly f: 'write'
  readonly key: string
  /** null: deleted; undefined: an append whose result is not known. */
  readonly value: string | null | undefined
  /** The value that an append added. */
  readonly piece: string | undefined
  /** The revision that it made, if known. */
  readonly version: number | undefined
}

/** A change that certainly did not happen. */
export interface AbortedWrite extends Pick<TransactionWrite, 'key' | 'value' | 'piece'> {
  readonly id: number
}

export interface Transactions {
  /** Transactions by their start. Those without any step are left out. */
  readonly all: readonly CheckedTransaction[]
  readonly failed: readonly AbortedWrite[]
}

export function collectTransactions(history: History): Transactions {
  const names = collectKeys(history)
  // A request without a number is alone.
  const groups = Map.groupBy(collectRequests(history), (request) => request.calls[0]?.transaction ?? request)
  const all = [...groups.values()].map((requests) => transactionFrom(requests, names))
  return {
    all: all.filter(({ steps }) => steps.length > 0).sort((a, b) => a.start - b.start),
    failed: history.calls.flatMap(abortedWrites),
  }
}

/** `requests` by their start. */
function transactionFrom(
  requests: readonly CheckedRequest[],
  names: ReturnType<typeof collectKeys>,
): CheckedTransaction {
  const steps: TransactionStep[] = []
  /** Number of steps before each refused change. */
  const refusals: number[] = []
  let [start, end] = [Number.POSITIVE_INFINITY, 0]
  for (const request of requests) {
    const [call] = request.calls
    if (call === undefined || (request.result === undefined && isRead(call))) continue
    start = Math.min(start, request.start)
    end = Math.max(end, request.end)
    if (request.result?.applied === false && requests.length > 1) {
      refusals.push(steps.length)
      continue
    }
    for (const { op, result } of perKey(request, names)) steps.push(...stepsFrom(plain(op), result, request))
  }
  const calls = requests.flatMap((request) => request.calls)
  return {
    ids: calls.map(({ id }) => id),
    client: calls[0]?.client ?? '',
    steps: steps.filter((step, at) => !isReplaced(step, at, steps, refusals)),
    start,
    end,
  }
}

function isReplaced(
  { f, key }: TransactionStep,
  at: number,
  steps: readonly TransactionStep[],
  refusals: readonly number[],
): boolean {
  const refusal = refusals.find((before) => before > at)
  if (f !== 'read' || refusal === undefined) return false
  const later = steps.slice(refusal)
  return (
    later.every((step) => step.f === 'read') || later.some((step) => step.f === 'read' && step.key === key)
  )
}

const isRead = ({ op }: HistoryCall): boolean => op.f === 'get' || op.f === 'range'

type Plain = ReturnType<typeof plain>

/** `result` undefined: the outcome is unknown. */
function stepsFrom(
  op: Plain,
  result: RecordedResult | undefined,
  { start, end }: RequestedOperation,
): TransactionStep[] {
  const { key } = op
  const read = (value: string | null | undefined, version?: number): Read => ({
    f: 'read',
    key,
    value,
    version,
    revision: result?.revision,
    start,
    end,
  })
  const write = (
    value: string | null | undefined,
    version = result?.modRevision ?? result?.revision,
  ): TransactionWrite => ({
    f: 'write',
    key,
    value,
    piece: op.f === 'append' ? op.value : undefined,
    version,
    start,
    end,
  })
  if (op.f === 'get') {
    if (result?.value === undefined && result?.modRevision === undefined) return []
    return [read(result.value, result.modRevision)]
  }
  if (result?.applied === false) {
    const { current } = result
    if (current === undefined && result.value === undefined) return []
    return [read(current === null ? null : result.value, current ?? undefined)]
  }
  switch (op.f) {
    case 'put':
      return [write(op.value)]
    case 'del': {
      if (result?.deleted === 0) return [read(null)]
      const isCertain = result !== undefined && (result.deleted === 1 || op.ifRevision !== undefined)
      return [write(null, isCertain ? result.revision : undefined)]
    }
    case 'cas':
      return result === undefined ? [write(op.to)] : [read(op.from), write(op.to)]
    case 'append':
      return [write(result?.value ?? undefined)]
  }
}

function abortedWrites({ id, op, outcome, start, end }: HistoryCall): AbortedWrite[] {
  if (outcome.kind !== 'fail' || op.f === 'get' || op.f === 'range') return []
  const steps = stepsFrom(plain(op), undefined, { start, end })
  return steps.flatMap((step) =>
    step.f === 'write' ? [{ id, key: step.key, value: step.value, piece: step.piece }] : [],
  )
}
