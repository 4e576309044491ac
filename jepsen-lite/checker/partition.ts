// From the calls of a history to the operations on each key. One key at a time can be judged alone, because a store of
// independent keys is linearizable exactly when every key is (Herlihy & Wing: locality).

import {
  type History,
  type HistoryCall,
  HistoryError,
  type HistoryOperation,
  type ListedRow,
  type RecordedResult,
} from '../workload/history.ts'
import { type KeyInterval, SortedKeys } from './keys.ts'
import { coveredBy } from './list-range.ts'
import type { KeyModel, KeyOperation, ModelStep } from './models/model.ts'
import type { SearchCall } from './search.ts'

/** One operation on one key. */
export interface KeyCall<State> extends SearchCall<State> {
  /**
   * Id of the call in the history, or of the first attempt when it was sent several times. undefined: the final content
   * of a node.
   */
  readonly id: number | undefined
  readonly client: string | number
  readonly node: string
  readonly op: KeyOperation
  /** undefined: unknown. */
  readonly result: RecordedResult | undefined
  readonly startMs: number
  readonly endMs: number | undefined
}

/** A request with its known or possible effect. The attempts with one idempotency token count as one. */
export interface CheckedRequest {
  readonly calls: readonly HistoryCall[]
  readonly result: RecordedResult | undefined
  readonly start: number
  /** Infinity when the outcome is unknown. */
  readonly end: number
  readonly endMs: number | undefined
}

/** Smallest keys first: a violation in a small key is found before a large one uses up the budget. */
export function partition<State>(history: History, model: KeyModel<State>): Map<string, KeyCall<State>[]> {
  const keys = new Map<string, KeyCall<State>[]>()
  const add = (call: Omit<KeyCall<State>, 'step'>): void => {
    const step: ModelStep<State> | undefined = model.computeStep(call.op, call.result)
    if (step === undefined) return
    const calls = keys.get(call.op.key)
    if (calls === undefined) keys.set(call.op.key, [{ ...call, step }])
    else calls.push({ ...call, step })
  }
  const names = collectKeys(history)
  for (const request of collectRequests(history)) {
    for (const call of perKey(request, names)) {
      if (!model.operations.includes(request.calls[0]?.op.f ?? 'get')) {
        throw new HistoryError(`the model ${model.name} knows no ${call.op.f}`)
      }
      add(call)
    }
  }
  for (const call of finalReads(history, names)) add(call)
  return new Map([...keys].sort(([, a], [, b]) => a.length - b.length))
}

/**
 * The requests of every call that can have had an effect or has returned data, except reads that promised only a stale
 * answer.
 */
export function collectRequests(history: History): CheckedRequest[] {
  const calls = history.calls.filter((call) => call.outcome.kind !== 'fail' && !isStaleRead(call))
  if (history.header.forgetsTokens === true)
    return calls.map((call) => requestFrom([isReplay(call) ? inDoubt(call) : call]))
  // Another request with the same token is a separate request. idempotency.ts checks why it was answered.
  const attempts = Map.groupBy(calls, (call) =>
    'idempotency' in call.op && call.op.idempotency !== undefined ? operationText(call.op) : call,
  )
  return [...attempts.values()].map(requestFrom).sort((a, b) => a.start - b.start)
}

/** Equal for equal operations. */
export const operationText = (op: HistoryOperation): string => JSON.stringify(Object.entries(op).sort())

const isReplay = ({ outcome }: HistoryCall): boolean =>
  outcome.kind === 'ok' && outcome.result.replayed === true

const inDoubt = (call: HistoryCall): HistoryCall => ({
  ...call,
  outcome: { kind: 'unknown', why: 'another attempt may have been the one that was applied' },
})

/**
 * The request was applied before the first answer of any attempt. If exactly one attempt is answered as new, that
 * attempt applied it, so it was not applied before that attempt began.
 */
function requestFrom(calls: readonly HistoryCall[]): CheckedRequest {
  let start = Math.min(...calls.map((call) => call.start))
  let first: HistoryCall | undefined
  for (const call of calls) {
    if (call.outcome.kind === 'ok' && (first === undefined || call.end < first.end)) first = call
  }
  if (first?.outcome.kind !== 'ok') {
    return { calls, result: undefined, start, end: Number.POSITIVE_INFINITY, endMs: undefined }
  }
  const [fresh, another] = calls.filter(isFresh)
  // If a repeat was answered before it, or two are answered as new, idempotency.ts reports that.
  if (fresh !== undefined && another === undefined && fresh.start < first.end) start = fresh.start
  return { calls, result: first.outcome.result, start, end: first.end, endMs: first.endMs }
}

const isFresh = ({ outcome }: HistoryCall): boolean =>
  outcome.kind === 'ok' && outcome.result.replayed === false

/** Whether a read may be stale: by the consistency in the answer, which it promises, or else by the requested one. */
export function isStaleRead({ op, outcome }: HistoryCall): boolean {
  if (op.f !== 'get' && op.f !== 'range') return false
  const served = outcome.kind === 'ok' ? outcome.result.served : undefined
  return (served ?? op.consistency) === 'stale'
}

/** The interval of all keys. */
export const ALL: KeyInterval = { from: '', to: undefined }

/** Every key that a request names or an answer shows. */
export function collectKeys({ calls, finals }: History): SortedKeys {
  const keys = new Set<string>()
  for (const { op, outcome } of calls) {
    if (op.f !== 'range') keys.add(op.key)
    if (outcome.kind === 'ok') for (const { key } of outcome.result.rows ?? []) keys.add(key)
  }
  for (const { rows } of finals) for (const { key } of rows) keys.add(key)
  return new SortedKeys(keys)
}

type UnplacedCall = Omit<KeyCall<never>, 'step'>

/** A range read saw each key in its interval, including the missing ones. */
export function* perKey(request: CheckedRequest, names: SortedKeys): Generator<UnplacedCall> {
  const [call] = request.calls
  if (call === undefined) return
  const { id, client, node, op, startMs } = call
  const { result, start, end, endMs } = request
  const base = { id, client, node, startMs, endMs, start, end }
  if (op.f !== 'range') {
    yield { ...base, op, result }
    return
  }
  const covered = result && coveredBy(op, result)
  if (result?.rows === undefined || covered === undefined) return
  const rows = new Map(result.rows.map((row) => [row.key, row]))
  for (const key of names.in(covered))
    yield { ...base, op: { f: 'get', key }, result: readResultFrom(rows.get(key), result.revision) }
}

/** The final content of the nodes counts as a read of every key on every node, after everything else. */
function* finalReads({ finals }: History, names: SortedKeys): Generator<UnplacedCall> {
  for (const { node, time, position, revision, rows } of finals) {
    const found = new Map(rows.map((row) => [row.key, row]))
    for (const key of names.in(ALL)) {
      yield {
        id: undefined,
        client: 'at the end',
        node,
        op: { f: 'get', key },
        result: readResultFrom(found.get(key), revision),
        start: position,
        end: position,
        startMs: time,
        endMs: time,
      }
    }
  }
}

function readResultFrom(row: ListedRow | undefined, revision: number | undefined): RecordedResult {
  const value = row === undefined ? null : row.value
  return {
    ...(value !== undefined && { value }),
    ...(row !== undefined && { modRevision: row.modRevision }),
    ...(revision !== undefined && { revision }),
  }
}
