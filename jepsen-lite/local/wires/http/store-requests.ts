// Operations of a history that are not about single keys, over the public HTTP API: ranges that are deleted,
// compaction, leases.

import type { RecordedResult } from '../../../workload/history.ts'
import type { OneRequest, RequestEnd } from '../wire.ts'
import type { ClientHttpRequest, HttpClient, HttpEnd } from './http-client.ts'
import { asWholeNumber, changeAnswer, json, problemCode, readAnswer } from './key-requests.ts'

const JSON_TYPE = { 'Content-Type': 'application/json' }

export async function performStore(
  client: HttpClient,
  port: number,
  op: OneRequest,
  timeoutMs: number,
): Promise<RequestEnd> {
  const end = await client.send(port, encodeStoreRequest(op), timeoutMs)
  const refused = REFUSED[op.f]
  if (
    refused !== undefined &&
    end.kind === 'answer' &&
    end.status === refused.status &&
    problemCode(end) === refused.code
  )
    return { kind: 'ok', result: { applied: false } }
  const answer = op.f === 'lease' ? readAnswer(end) : changeAnswer(end)
  if ('kind' in answer) return answer
  const result = decodeStoreResult(op, answer.json)
  if (result !== undefined) return { kind: 'ok', result }
  const wrong = `an answer that does not fit: ${shown(end)}`
  return op.f === 'lease'
    ? { kind: 'fail', why: 'wrong answer', unreachable: false, wrong }
    : { kind: 'unknown', why: 'wrong answer', wrong }
}

/** Refusals that are answers: it is compacted already, or there is no such lease. */
const REFUSED: Readonly<
  Partial<Record<OneRequest['f'], { readonly status: number; readonly code: string }>>
> = {
  compact: { status: 410, code: 'compacted' },
  'keep-alive': { status: 404, code: 'lease_not_found' },
  revoke: { status: 404, code: 'lease_not_found' },
  lease: { status: 404, code: 'lease_not_found' },
}

function encodeStoreRequest(op: OneRequest): ClientHttpRequest {
  switch (op.f) {
    case 'del-range': {
      const bounds = (['prefix', 'start', 'end'] as const)
        .filter((name) => op[name] !== undefined)
        .map((name) => `${name}=${encodeURIComponent(op[name] ?? '')}`)
      return { method: 'DELETE', target: `/v1/kv?${bounds.join('&')}` }
    }
    case 'compact':
      return post('/v1/compact', { revision: op.revision })
    case 'grant':
      return post('/v1/leases', { ttl: `${op.ttlMs}ms` })
    case 'keep-alive':
      return post(`/v1/leases/${op.lease}/keepalive`, undefined)
    case 'revoke':
      return { method: 'DELETE', target: `/v1/leases/${op.lease}` }
    case 'lease':
      return { method: 'GET', target: `/v1/leases/${op.lease}` }
  }
}

const post = (target: string, body: unknown): ClientHttpRequest => ({
  method: 'POST',
  target,
  headers: JSON_TYPE,
  ...(body !== undefined && { body: JSON.stringify(body) }),
})

function decodeStoreResult(
  op: OneRequest,
  answer: Readonly<Record<string, unknown>>,
): RecordedResult | undefined {
  const revision = asWholeNumber(answer.revision)
  const ttlMs = asWholeNumber(answer.ttl_ms)
  switch (op.f) {
    case 'del-range':
    case 'revoke': {
      const removed = asWholeNumber(answer.deleted)
      return removed === undefined || revision === undefined ? undefined : { removed, revision }
    }
    case 'compact':
      return revision === undefined || asWholeNumber(answer.compact_revision) !== op.revision
        ? undefined
        : { revision }
    case 'grant': {
      const { id } = answer
      const isGranted = typeof id === 'string' && ttlMs !== undefined && ttlMs >= op.ttlMs
      return isGranted ? { lease: id, ttlMs } : undefined
    }
    case 'keep-alive':
      return ttlMs === undefined ? undefined : { ttlMs }
    case 'lease': {
      const leftMs = asWholeNumber(answer.remaining_ttl_ms)
      return leftMs === undefined ? undefined : { ttlMs: leftMs }
    }
  }
}

const shown = (end: HttpEnd): string =>
  end.kind === 'answer' ? JSON.stringify(json(end)).slice(0, 200) : end.why
