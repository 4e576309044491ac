// Transactions of a workload over the public HTTP API (POST /v1/txn).

import { isObject } from '../../src/operations/forms/decode.ts'
import type { RecordedResult } from '../workload/history.ts'
import type { StoreStep, StoreTransaction } from '../workload/transaction.ts'
import type { HttpClient } from './http.ts'
import { asWholeNumber, changeAnswer, isReplay, parseMeta, type RequestEnd, readAnswer } from './perform.ts'
import { bodyFromName, nameFromBody } from './values.ts'

type ChangingStep = Exclude<StoreStep, { f: 'get' }>

/** One end for each of its operations. */
export async function performTransaction(
  client: HttpClient,
  port: number,
  txn: StoreTransaction,
  timeoutMs: number,
): Promise<readonly RequestEnd[]> {
  const body = JSON.stringify(bodyOfTransaction(txn))
  const { idempotency } = txn
  const headers = {
    'Content-Type': 'application/json',
    ...(idempotency !== undefined && { 'Idempotency-Key': idempotency }),
  }
  const end = await client.send(port, { method: 'POST', target: '/v1/txn', headers, body }, timeoutMs)
  const changes = txn.steps.some(({ f }) => f !== 'get')
  const all = (one: RequestEnd): RequestEnd[] => txn.steps.map(() => one)
  const answer = changes ? changeAnswer(end) : readAnswer(end)
  if ('kind' in answer) return all(answer)
  const replayed = idempotency === undefined ? undefined : isReplay(end)
  const ends = decodeEnds(answer.json, txn, replayed)
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
  success: steps.map((step) => encodeOperation(step, before)),
  ...(unchanged.size > 0 && { failure: steps.filter(isRead).map((step) => encodeOperation(step, before)) }),
})

const isRead = ({ f }: StoreStep): boolean => f === 'get'

function encodeOperation(step: StoreStep, before: ReadonlyMap<string, string>): unknown {
  const { key } = step
  switch (step.f) {
    case 'get':
      return { get: { key } }
    case 'del':
      return { delete: { key } }
    case 'put':
      return { put: { key, value: bodyFromName(step.value) } }
    case 'append':
      return { put: { key, value: (before.get(key) ?? '') + step.value } }
  }
}

/** undefined: it is not the answer to this transaction. */
function decodeEnds(
  json: Readonly<Record<string, unknown>>,
  txn: StoreTransaction,
  replayed: boolean | undefined,
): RequestEnd[] | undefined {
  const { succeeded, results } = json
  const revision = asWholeNumber(json.revision)
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
  const ends: RequestEnd[] = []
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
        ? decodeRead(result, step.key, asOf)
        : decodeChange(result, step, revision, txn)
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
const isAllUnchanged = ({ unchanged, steps }: StoreTransaction, ends: readonly RequestEnd[]): boolean =>
  [...unchanged].every(([key, revision]) => {
    const end = ends[steps.findIndex((step) => step.f === 'get' && step.key === key)]
    return end?.kind === 'ok' && (end.result.modRevision ?? 0) === revision
  })

function decodeRead(
  { get }: Readonly<Record<string, unknown>>,
  key: string,
  asOf: { readonly revision?: number },
): RecordedResult | undefined {
  if (!isObject(get) || !Array.isArray(get.kvs)) return undefined
  const [record]: readonly unknown[] = get.kvs
  if (record === undefined) return { value: null, ...asOf }
  const meta = isObject(record) && record.key === key ? parseMeta(record) : undefined
  if (!isObject(record) || meta === undefined || typeof record.value !== 'string') return undefined
  return { value: nameFromBody(record.value), ...meta, ...asOf }
}

function decodeChange(
  result: Readonly<Record<string, unknown>>,
  step: ChangingStep,
  revision: number,
  { before }: StoreTransaction,
): RecordedResult | undefined {
  if (step.f === 'del') {
    const deleted = isObject(result.delete) ? result.delete.deleted : undefined
    return deleted === 0 || deleted === 1 ? { deleted, revision } : undefined
  }
  const meta = isObject(result.put) ? parseMeta(result.put) : undefined
  if (meta === undefined) return undefined
  const value = step.f === 'append' ? { value: (before.get(step.key) ?? '') + step.value } : {}
  return { ...value, ...meta, revision }
}
