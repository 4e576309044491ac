// One operation of a history over the public HTTP API: which requests it takes, and which of the three ends it comes to. What a failed request
// means for the store is read off docs/reference/errors.md and nothing else: where that leaves room for doubt, the outcome is unknown.

import type { Operation, Result, Row } from '../history.ts'
import type { HttpClient, HttpEnd, HttpRequest } from './http.ts'

export type OperationEnd =
  | { readonly kind: 'ok'; readonly result: Result }
  /** Certainly not applied. `unreachable`: the node did not even take the connection. */
  | { readonly kind: 'fail'; readonly why: string; readonly unreachable: boolean }
  | { readonly kind: 'unknown'; readonly why: string }

type Answer = Extract<HttpEnd, { kind: 'answer' }>

/** Sends a request to the node of the operation. */
type Ask = (request: HttpRequest) => Promise<HttpEnd>

export async function perform(
  client: HttpClient,
  port: number,
  op: Operation,
  timeoutMs: number,
): Promise<OperationEnd> {
  const deadline = performance.now() + timeoutMs
  const ask: Ask = (request) => client.ask(port, request, Math.max(1, deadline - performance.now()))
  switch (op.f) {
    case 'get': {
      const end = await ask(getRequest(op.key, readQuery(op)))
      return readEnd(end, (answer) => ({ ...recordRead(answer), ...reflected(answer), ...served(answer) }))
    }
    case 'range': {
      const query = [`prefix=${encodeURIComponent(op.prefix ?? '')}`, 'limit=10000', ...readQuery(op)].join(
        '&',
      )
      const end = await ask({ method: 'GET', target: `/v1/kv?${query}` })
      return readEnd(end, (answer) => ({ ...rowsOf(answer), ...served(answer) }))
    }
    case 'put':
      return changeEnd(await ask(putRequest(op.key, op.value, { ...conditionOf(op), ...once(op) })))
    case 'del':
      return changeEnd(await ask(deleteRequest(op.key, { ...conditionOf(op), ...once(op) })))
    case 'acquire':
      return changeEnd(await ask(putRequest(op.key, op.owner, { 'If-None-Match': '*', ...once(op) })))
    case 'release':
      return changeEnd(await ask(deleteRequest(op.key, { ...ifRevision(op.token), ...once(op) })))
    case 'cas':
      return compareAndSet(ask, op)
    case 'append':
      return append(ask, op, deadline)
  }
}

/** A read, then a put under the condition that nothing has changed since. A put that comes too late has taught nothing. */
async function compareAndSet(ask: Ask, op: Extract<Operation, { f: 'cas' }>): Promise<OperationEnd> {
  const read = readEnd(await ask(getRequest(op.key)), (answer) => ({
    ...recordRead(answer),
    ...reflected(answer),
  }))
  if (read.kind !== 'ok') return read
  const { value = null, modRevision, ...rest } = read.result
  if (value !== op.from)
    return { kind: 'ok', result: { ...rest, value, current: modRevision ?? null, applied: false } }
  const put = await ask(putRequest(op.key, op.to, { ...unchanged(modRevision), ...once(op) }))
  const end = changeEnd(put)
  if (end.kind !== 'ok' || end.result.applied !== false) return end
  return { kind: 'fail', why: 'the key changed between its read and its put', unreachable: false }
}

/** The same for an append, until it is made: a condition that fails says that nothing was written. */
async function append(
  ask: Ask,
  op: Extract<Operation, { f: 'append' }>,
  deadline: number,
): Promise<OperationEnd> {
  while (performance.now() < deadline) {
    const read = readEnd(await ask(getRequest(op.key)), recordRead)
    if (read.kind !== 'ok') return read
    const value = (read.result.value ?? '') + op.value
    const put = await ask(putRequest(op.key, value, { ...unchanged(read.result.modRevision), ...once(op) }))
    const end = changeEnd(put)
    if (end.kind !== 'ok') return end
    if (end.result.applied !== false) return { kind: 'ok', result: { ...end.result, value } }
  }
  return { kind: 'fail', why: 'others were faster until the time ran out', unreachable: false }
}

// ---------------------------------------------------------------------------------------------------------------------
// Requests

const keyTarget = (key: string): string => `/v1/kv/${encodeURIComponent(key)}`

const getRequest = (key: string, query: readonly string[] = []): HttpRequest => ({
  method: 'GET',
  target: `${keyTarget(key)}${query.length > 0 ? `?${query.join('&')}` : ''}`,
})

const putRequest = (key: string, value: string, headers: Record<string, string>): HttpRequest => ({
  method: 'PUT',
  target: keyTarget(key),
  headers,
  body: value,
})

const deleteRequest = (key: string, headers: Record<string, string>): HttpRequest => ({
  method: 'DELETE',
  target: keyTarget(key),
  headers,
})

function readQuery(op: Extract<Operation, { f: 'get' | 'range' }>): string[] {
  const query: string[] = []
  if (op.consistency !== undefined) query.push(`consistency=${op.consistency}`)
  if (op.maxStalenessMs !== undefined) query.push(`max_staleness=${op.maxStalenessMs}ms`)
  if (op.minRevision !== undefined) query.push(`min_revision=${op.minRevision}`)
  return query
}

const ifRevision = (revision: number): Record<string, string> => ({ 'If-Match': `"${revision}"` })

const unchanged = (modRevision: number | undefined): Record<string, string> =>
  modRevision === undefined ? { 'If-None-Match': '*' } : ifRevision(modRevision)

function conditionOf(op: { readonly ifRevision?: number; readonly ifAbsent?: true }): Record<string, string> {
  if (op.ifRevision !== undefined) return ifRevision(op.ifRevision)
  return op.ifAbsent === true ? { 'If-None-Match': '*' } : {}
}

const once = (op: { readonly idempotency?: string }): Record<string, string> =>
  op.idempotency === undefined ? {} : { 'Idempotency-Key': op.idempotency }

// ---------------------------------------------------------------------------------------------------------------------
// Answers

/** A read that was not answered has changed nothing, whatever happened. */
function readEnd(end: HttpEnd, result: (answer: Answer) => Result): OperationEnd {
  if (end.kind !== 'answer') return { kind: 'fail', why: end.why, unreachable: end.kind === 'not-sent' }
  if (end.status === 200 || (end.status === 404 && codeOf(end) === 'not_found'))
    return { kind: 'ok', result: result(end) }
  return { kind: 'fail', why: codeOf(end), unreachable: false }
}

function changeEnd(end: HttpEnd): OperationEnd {
  if (end.kind === 'not-sent') return { kind: 'fail', why: end.why, unreachable: true }
  if (end.kind === 'no-answer') return { kind: 'unknown', why: end.why }
  if (end.status === 200) return { kind: 'ok', result: { ...madeChange(end), ...answeredBy(end) } }
  if (end.status === 412) {
    const { current } = json(end)
    const modRevision = isObject(current) ? numberOf(current.mod_revision) : undefined
    const result = { applied: false, current: modRevision ?? null, ...reflected(end), ...answeredBy(end) }
    return { kind: 'ok', result }
  }
  // 504 outcome_unknown and 500 internal may have been written; every other refusal came before the log.
  return end.status === 504 || end.status === 500
    ? { kind: 'unknown', why: codeOf(end) }
    : { kind: 'fail', why: codeOf(end), unreachable: false }
}

function madeChange(answer: Answer): Result {
  const { revision, mod_revision, version, deleted } = json(answer)
  return {
    ...optional('revision', numberOf(revision)),
    ...optional('modRevision', numberOf(mod_revision)),
    ...optional('version', numberOf(version)),
    ...(deleted === 0 || deleted === 1 ? { deleted } : {}),
  }
}

function answeredBy(answer: Answer): Result {
  return answer.headers['idempotency-replayed'] === 'true' ? { replayed: true } : {}
}

function recordRead(answer: Answer): Result {
  if (answer.status === 404) return { value: null }
  const modRevision = Number(/^"(\d+)"$/.exec(header(answer, 'etag') ?? '')?.[1])
  return { value: answer.body, ...optional('modRevision', numberOf(modRevision)) }
}

function rowsOf(answer: Answer): Result {
  const { kvs, revision } = json(answer)
  if (!Array.isArray(kvs)) throw new TypeError('a range without kvs')
  return { rows: kvs.map(rowOf), ...optional('revision', numberOf(revision)) }
}

export function rowOf(record: unknown): Row {
  if (!isObject(record) || typeof record.key !== 'string' || typeof record.value !== 'string')
    throw new TypeError(`not a record of text: ${JSON.stringify(record)}`)
  return { key: record.key, value: record.value, modRevision: Number(record.mod_revision) }
}

const reflected = (answer: Answer): Result => optional('revision', numberOf(header(answer, 'kv-revision')))

function served(answer: Answer): Result {
  const consistency = header(answer, 'kv-consistency')
  const known = (['linearizable', 'lease', 'stale'] as const).find((name) => name === consistency)
  return {
    ...optional('served', known),
    ...optional('stalenessMs', numberOf(header(answer, 'kv-staleness-ms'))),
  }
}

function header(answer: Answer, name: string): string | undefined {
  const value = answer.headers[name]
  return typeof value === 'string' ? value : undefined
}

function codeOf(answer: Answer): string {
  const { code } = json(answer)
  return typeof code === 'string' ? code : `status ${answer.status}`
}

function json(answer: Answer): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(answer.body)
    return isObject(parsed) ? parsed : {}
  } catch {
    return {}
  }
}

function numberOf(value: unknown): number | undefined {
  if (value === undefined || value === '') return undefined
  const number = Number(value)
  return Number.isFinite(number) ? number : undefined
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/** A field only if there is a value for it. */
function optional<Name extends keyof Result>(name: Name, value: Result[Name] | undefined): Result {
  return value === undefined ? {} : { [name]: value }
}
