// Transactions of a workload over the public HTTP API (POST /v1/txn).

import { isObject } from '../../../../src/operations/forms/decode.ts'
import type { StoreStep, StoreTransaction } from '../../../workload/transaction.ts'
import { bodyFromName, nameFromBody } from '../../values.ts'
import { endAll, endsFrom, isRead, type StepResult, wrongTransaction } from '../transactions.ts'
import type { RequestEnd } from '../wire.ts'
import type { HttpClient } from './http-client.ts'
import { asWholeNumber, changeAnswer, isReplay, parseMeta, readAnswer } from './key-requests.ts'

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
  const answer = txn.steps.every(isRead) ? readAnswer(end) : changeAnswer(end)
  if ('kind' in answer) return endAll(txn, answer)
  const { succeeded, results } = answer.json
  const revision = asWholeNumber(answer.json.revision)
  const replayed = idempotency === undefined ? undefined : isReplay(end)
  const isWhole = typeof succeeded === 'boolean' && Array.isArray(results) && revision !== undefined
  const ends = isWhole ? endsFrom({ succeeded, revision, results, replayed }, txn, decodeStep) : undefined
  return ends ?? wrongTransaction(txn, JSON.stringify(answer.json))
}

// ---------------------------------------------------------------------------------------------------------------------

const bodyOfTransaction = ({ unchanged, steps, before }: StoreTransaction): unknown => ({
  compare: [...unchanged].map(([key, to]) => ({ key, target: 'mod_revision', op: '=', to })),
  success: steps.map((step) => encodeOperation(step, before)),
  ...(unchanged.size > 0 && { failure: steps.filter(isRead).map((step) => encodeOperation(step, before)) }),
})

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

function decodeStep(result: unknown, step: StoreStep): StepResult | 'forgotten' | undefined {
  if (!isObject(result)) return undefined
  switch (step.f) {
    case 'get':
      return isObject(result.get) && result.get.omitted === true ? 'forgotten' : decodeRead(result, step.key)
    case 'del': {
      const deleted = isObject(result.delete) ? result.delete.deleted : undefined
      return deleted === 0 || deleted === 1 ? { deleted } : undefined
    }
    case 'put':
    case 'append':
      return isObject(result.put) ? parseMeta(result.put) : undefined
  }
}

function decodeRead({ get }: Readonly<Record<string, unknown>>, key: string): StepResult | undefined {
  if (!isObject(get) || !Array.isArray(get.kvs)) return undefined
  const [record]: readonly unknown[] = get.kvs
  if (record === undefined) return { value: null }
  const meta = isObject(record) && record.key === key ? parseMeta(record) : undefined
  if (!isObject(record) || meta === undefined || typeof record.value !== 'string') return undefined
  return { value: nameFromBody(record.value), ...meta }
}
