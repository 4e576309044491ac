// Transactions of the store (POST /v1/txn). In a history each of its operations is a call of its own, and all have the
// same `transaction` number: reads and changes of keys as everywhere else. They are open at the same time, so each gets
// a lane of its own.
//
// A transaction first reads, then changes keys if they are still at the revisions at which an earlier one has read
// them. If they are not, it reads the same keys, and its changes have certainly failed.
//
// With an idempotency token it may be sent again, under the same number. A repeat is answered with the first outcome,
// but without what was read.

import type { HistoryOperation, RecordedResult, Recorder } from '../workload/history.ts'
import type { HttpClient } from './http.ts'
import {
  changeAnswer,
  isObject,
  isReplay,
  metaOf,
  type OperationEnd,
  readAnswer,
  wholeOf,
} from './perform.ts'
import { bodyOf, nameOf } from './values.ts'

export type StoreStep = Extract<HistoryOperation, { f: 'get' | 'put' | 'del' | 'append' }>
type ChangingStep = Exclude<StoreStep, { f: 'get' }>

export interface StoreTransaction {
  readonly f: 'txn'
  /** In the history; of all attempts, if it is sent several times. */
  readonly number: number
  readonly idempotency: string | undefined
  /** The keys that it changes, and the revision at which each must be; 0: it does not exist. */
  readonly unchanged: ReadonlyMap<string, number>
  /** Reads first. */
  readonly steps: readonly StoreStep[]
  /** The value that an append finds, if its key is unchanged. */
  readonly before: ReadonlyMap<string, string>
}

/** Writes all of its operations into a history. The returned function writes their ends. */
export function recordTransaction(
  recorder: Recorder,
  client: number,
  node: string,
  { steps, number, idempotency }: StoreTransaction,
): (ends: readonly OperationEnd[]) => void {
  const ids = steps.map((step, at) =>
    recorder.invoke(
      at === 0 ? client : `${client}.${at + 1}`,
      node,
      // For the checker each change is a request, with a token of its own.
      idempotency === undefined || step.f === 'get' ? step : { ...step, idempotency: `${idempotency}/${at}` },
      number,
    ),
  )
  return (ends) => {
    for (const [at, id] of ids.entries()) {
      const end = ends[at]
      if (end?.kind === 'ok') recorder.ok(id, end.result)
      else if (end?.kind === 'fail') recorder.fail(id, end.why)
      else recorder.unknown(id, end?.why ?? 'no answer')
    }
  }
}

/** One end for each of its operations. */
export async function performTransaction(
  client: HttpClient,
  port: number,
  txn: StoreTransaction,
  timeoutMs: number,
): Promise<readonly OperationEnd[]> {
  const body = JSON.stringify(bodyOfTransaction(txn))
  const { idempotency } = txn
  const headers = {
    'Content-Type': 'application/json',
    ...(idempotency !== undefined && { 'Idempotency-Key': idempotency }),
  }
  const end = await client.send(port, { method: 'POST', target: '/v1/txn', headers, body }, timeoutMs)
  const changes = txn.steps.some(({ f }) => f !== 'get')
  const all = (one: OperationEnd): OperationEnd[] => txn.steps.map(() => one)
  const answer = changes ? changeAnswer(end) : readAnswer(end)
  if ('kind' in answer) return all(answer)
  const replayed = idempotency === undefined ? undefined : isReplay(end)
  const ends = endsIn(answer.json, txn, replayed)
  if (ends !== undefined) return ends
  const wrong = `an answer that does not fit the transaction: ${JSON.stringify(answer.json).slice(0, 300)}`
  return all(
    changes
      ? { kind: 'unknown', why: 'wrong answer', wrong }
      : { kind: 'fail', why: 'wrong answer', unreachable: false, wrong },
  )
}

// ---------------------------------------------------------------------------------------------------------------------

const bodyOfTransaction = ({ unchanged, steps, before }: StoreTransaction): unknown => ({
  compare: [...unchanged].map(([key, to]) => ({ key, target: 'mod_revision', op: '=', to })),
  success: steps.map((step) => operationOf(step, before)),
  ...(unchanged.size > 0 && { failure: steps.filter(isRead).map((step) => operationOf(step, before)) }),
})

const isRead = ({ f }: StoreStep): boolean => f === 'get'

function operationOf(step: StoreStep, before: ReadonlyMap<string, string>): unknown {
  const { key } = step
  switch (step.f) {
    case 'get':
      return { get: { key } }
    case 'del':
      return { delete: { key } }
    case 'put':
      return { put: { key, value: bodyOf(step.value) } }
    case 'append':
      return { put: { key, value: (before.get(key) ?? '') + step.value } }
  }
}

/** undefined: it is not the answer to this transaction. */
function endsIn(
  json: Readonly<Record<string, unknown>>,
  txn: StoreTransaction,
  replayed: boolean | undefined,
): OperationEnd[] | undefined {
  const { succeeded, results } = json
  const revision = wholeOf(json.revision)
  if (typeof succeeded !== 'boolean' || !Array.isArray(results) || revision === undefined) return undefined
  if (!succeeded && txn.unchanged.size === 0) return undefined
  const done = succeeded ? txn.steps : txn.steps.filter(isRead)
  if (results.length !== done.length) return undefined
  // Reads beside changes show the state before the revision of these changes. If they are all deletes, they may
  // have made none.
  const changes = succeeded ? txn.steps.filter(({ f }) => f !== 'get') : []
  const mayHaveMadeNone = changes.every(({ f }) => f === 'del')
  const asOf = changes.length === 0 ? { revision } : mayHaveMadeNone ? {} : { revision: revision - 1 }
  let at = 0
  const ends: OperationEnd[] = []
  for (const step of txn.steps) {
    if (!succeeded && step.f !== 'get') {
      ends.push(
        isCondition(step, txn)
          ? { kind: 'ok', result: { applied: false, revision } }
          : { kind: 'fail', why: 'a key was not as before', unreachable: false },
      )
      continue
    }
    const result: unknown = results[at++]
    if (replayed === true && step.f === 'get') {
      if (!isObject(result) || !isObject(result.get) || result.get.omitted !== true) return undefined
      ends.push({ kind: 'fail', why: 'what was read is not remembered', unreachable: false })
      continue
    }
    const read = isObject(result)
      ? step.f === 'get'
        ? readIn(result, step.key, asOf)
        : changeIn(result, step, revision, txn)
      : undefined
    if (read === undefined) return undefined
    const repeated = replayed !== undefined && step.f !== 'get' ? { replayed } : {}
    ends.push({ kind: 'ok', result: { ...read, ...repeated } })
  }
  return !succeeded && isAllUnchanged(txn, ends) ? undefined : ends
}

/** The only comparison is the condition of this change, which the history has. So it is known why it was refused. */
const isCondition = (step: ChangingStep, { unchanged }: StoreTransaction): boolean =>
  unchanged.size === 1 &&
  (step.f === 'put' || step.f === 'del') &&
  (step.ifRevision ?? step.ifAbsent) !== undefined

/** The reads beside the refusal show that every key is as it was compared. */
const isAllUnchanged = ({ unchanged, steps }: StoreTransaction, ends: readonly OperationEnd[]): boolean =>
  [...unchanged].every(([key, revision]) => {
    const end = ends[steps.findIndex((step) => step.f === 'get' && step.key === key)]
    return end?.kind === 'ok' && (end.result.modRevision ?? 0) === revision
  })

function readIn(
  { get }: Readonly<Record<string, unknown>>,
  key: string,
  asOf: { readonly revision?: number },
): RecordedResult | undefined {
  if (!isObject(get) || !Array.isArray(get.kvs)) return undefined
  const [record]: readonly unknown[] = get.kvs
  if (record === undefined) return { value: null, ...asOf }
  const meta = isObject(record) && record.key === key ? metaOf(record) : undefined
  if (!isObject(record) || meta === undefined || typeof record.value !== 'string') return undefined
  return { value: nameOf(record.value), ...meta, ...asOf }
}

function changeIn(
  result: Readonly<Record<string, unknown>>,
  step: ChangingStep,
  revision: number,
  { before }: StoreTransaction,
): RecordedResult | undefined {
  if (step.f === 'del') {
    const deleted = isObject(result.delete) ? result.delete.deleted : undefined
    return deleted === 0 || deleted === 1 ? { deleted, revision } : undefined
  }
  const meta = isObject(result.put) ? metaOf(result.put) : undefined
  if (meta === undefined) return undefined
  const value = step.f === 'append' ? { value: (before.get(step.key) ?? '') + step.value } : {}
  return { ...value, ...meta, revision }
}
