// Requests on keys over the public HTTP API. Only docs/reference/errors.md says what a failed request means for the
// store; in doubt, the outcome is unknown.
//
// An answer that docs/reference/http.md does not allow is also reported as `wrong`. The requests sent here are correct,
// so a 400 is as wrong as a list without its last line.

import { isObject, isWholeNumber, tryParseJson } from '../../../../src/operations/forms/decode.ts'
import type {
  HistoryOperation,
  LeaseFields,
  ListedRow,
  RecordedRange,
  RecordedResult,
  RecordedRow,
  TokenField,
} from '../../../workload/history.ts'
import { bodyFromName, nameFromBody } from '../../values.ts'
import type { KeyRequests } from '../perform.ts'
import { metaFrom, optional, type RequestEnd, type RowMeta, WrongAnswer } from '../wire.ts'
import type { ClientHttpRequest, HttpClient, HttpEnd } from './http-client.ts'

type Answer = Extract<HttpEnd, { kind: 'answer' }>
type Change = Extract<HistoryOperation, { readonly f: 'put' | 'del' }>

export function httpKeyRequests(client: HttpClient, port: number, deadline: number): KeyRequests {
  const send = (request: ClientHttpRequest): Promise<HttpEnd> =>
    client.send(port, request, Math.max(1, deadline - performance.now()))
  return {
    async get(op) {
      const end = await send(getRequest(op.key, readQuery(op)))
      const isForgotten = op.at !== undefined && end.kind === 'answer' && end.status === 410
      if (isForgotten && problemCode(end) === 'compacted') return { kind: 'ok', result: { applied: false } }
      return readEnd(end, (answer) => ({
        ...recordRead(answer),
        ...parseReadRevision(parseWholeNumber(header(answer, 'kv-revision'))),
        ...served(answer),
      }))
    },
    async range(op) {
      const end = await send(rangeRequest(op))
      return readEnd(end, (answer) => ({
        ...(op.stream ? parseStream(answer) : parsePage(answer)),
        ...served(answer),
      }))
    },
    async put(op) {
      const end = await send(
        putRequest(op.key, op.value, { ...conditionHeaders(op), ...once(op) }, attachedTo(op)),
      )
      const isGone = op.lease !== undefined && end.kind === 'answer' && end.status === 404
      if (isGone && problemCode(end) === 'lease_not_found') return { kind: 'ok', result: { applied: false } }
      return changeEnd(end, op)
    },
    async del(op) {
      return changeEnd(await send(deleteRequest(op.key, { ...conditionHeaders(op), ...once(op) })), op)
    },
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Requests

const keyTarget = (key: string): string => `/v1/kv/${encodeURIComponent(key)}`

const getRequest = (key: string, query: readonly string[] = []): ClientHttpRequest => ({
  method: 'GET',
  target: `${keyTarget(key)}${query.length > 0 ? `?${query.join('&')}` : ''}`,
})

function rangeRequest(op: RecordedRange): ClientHttpRequest {
  const { prefix, start, end, after, limit, order, keysOnly, count, countOnly, stream } = op
  const query = Object.entries({
    prefix,
    start,
    end,
    after,
    limit,
    order,
    keys_only: keysOnly,
    count,
    count_only: countOnly,
  })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
  const headers = stream ? { Accept: 'application/x-ndjson' } : {}
  return { method: 'GET', target: `/v1/kv?${[...query, ...readQuery(op)].join('&')}`, headers }
}

const attachedTo = ({ lease, ttlMs }: LeaseFields): string =>
  lease !== undefined ? `?lease=${lease}` : ttlMs !== undefined ? `?ttl=${ttlMs}ms` : ''

const putRequest = (
  key: string,
  value: string,
  headers: Record<string, string>,
  query = '',
): ClientHttpRequest => ({
  method: 'PUT',
  target: `${keyTarget(key)}${query}`,
  headers,
  body: bodyFromName(value),
})

const deleteRequest = (key: string, headers: Record<string, string>): ClientHttpRequest => ({
  method: 'DELETE',
  target: keyTarget(key),
  headers,
})

function readQuery(op: Extract<HistoryOperation, { f: 'get' | 'range' }>): string[] {
  const query: string[] = []
  if (op.consistency !== undefined) query.push(`consistency=${op.consistency}`)
  if (op.maxStalenessMs !== undefined) query.push(`max_staleness=${op.maxStalenessMs}ms`)
  if (op.f === 'get' && op.at !== undefined) query.push(`revision=${op.at}`)
  if (op.minRevision !== undefined) query.push(`min_revision=${op.minRevision}`)
  return query
}

const ifRevision = (revision: number): Record<string, string> => ({ 'If-Match': `"${revision}"` })

function conditionHeaders(op: {
  readonly ifRevision?: number
  readonly ifAbsent?: true
}): Record<string, string> {
  if (op.ifRevision !== undefined) return ifRevision(op.ifRevision)
  return op.ifAbsent === true ? { 'If-None-Match': '*' } : {}
}

const once = (op: TokenField): Record<string, string> =>
  op.idempotency === undefined ? {} : { 'Idempotency-Key': op.idempotency }

// ---------------------------------------------------------------------------------------------------------------------
// Answers

/** A read changes nothing, so a read that was not answered has failed and is never unknown. */
function readEnd(end: HttpEnd, result: (answer: Answer) => RecordedResult): RequestEnd {
  if (end.kind !== 'answer') return { kind: 'fail', why: end.why, unreachable: end.kind === 'not-sent' }
  if (end.status !== 200 && !(end.status === 404 && problemCode(end) === 'not_found')) return refusal(end)
  try {
    return { kind: 'ok', result: result(end) }
  } catch (error) {
    if (error instanceof Refusal) return { kind: 'fail', why: error.message, unreachable: false }
    if (!(error instanceof WrongAnswer)) throw error
    return { kind: 'fail', why: 'wrong answer', unreachable: false, wrong: error.message }
  }
}

/** The document of a POST that changes something, or the end of the operation if it was not answered with 200. */
export function changeAnswer(end: HttpEnd): RequestEnd | { readonly json: Record<string, unknown> } {
  if (end.kind === 'answer' && end.status === 200) return { json: json(end) }
  return notMade(end)
}

/** The document of a POST that only reads, or the end of the operation if it was not answered with 200. */
export function readAnswer(end: HttpEnd): RequestEnd | { readonly json: Record<string, unknown> } {
  if (end.kind === 'answer' && end.status === 200) return { json: json(end) }
  if (end.kind !== 'answer') return { kind: 'fail', why: end.why, unreachable: end.kind === 'not-sent' }
  return refusal(end)
}

export const isReplay = (end: HttpEnd): boolean =>
  end.kind === 'answer' && header(end, 'idempotency-replayed') === 'true'

function changeEnd(end: HttpEnd, change: Change): RequestEnd {
  if (end.kind !== 'answer') return notMade(end)
  if (end.status === 200) {
    const made = madeChange(end, change)
    // The change was made, but the answer does not say at which revision.
    if (made === undefined)
      return {
        kind: 'unknown',
        why: 'wrong answer',
        wrong: `200 without a correct result: ${shown(end)}`,
      }
    return { kind: 'ok', result: { ...made, ...replayedBy(end, change) } }
  }
  if (end.status === 412 && typeof json(end).code === 'string') return conditionFailed(end, change)
  return notMade(end)
}

/** The end of a change that was not answered with its result. */
function notMade(end: HttpEnd): RequestEnd {
  if (end.kind === 'not-sent') return { kind: 'fail', why: end.why, unreachable: true }
  if (end.kind === 'no-answer') return { kind: 'unknown', why: end.why }
  // Only the code of an error says that the change was not made.
  if (typeof json(end).code !== 'string')
    return { kind: 'unknown', why: problemCode(end), wrong: `${end.status} without a code: ${shown(end)}` }
  // After 504 outcome_unknown and 500 internal, the change may have been written; after all other refusals it was not.
  return end.status === 504 || end.status === 500 ? { kind: 'unknown', why: problemCode(end) } : refusal(end)
}

/** The answer must contain the current state of the key, and the revision of the store. */
function conditionFailed(answer: Answer, change: Change): RequestEnd {
  const { code, current } = json(answer)
  const meta = isObject(current) && current.key === change.key ? parseMeta(current) : undefined
  const revision = parseWholeNumber(header(answer, 'kv-revision'))
  const isWhole = code === 'precondition_failed' && (current === null || meta !== undefined)
  if (!isWhole || revision === undefined)
    return wrongRefusal(`412 without the state of the key or the revision of the store: ${shown(answer)}`)
  const { modRevision = null } = meta ?? {}
  return {
    kind: 'ok',
    result: { applied: false, current: modRevision, revision, ...replayedBy(answer, change) },
  }
}

const wrongRefusal = (wrong: string): RequestEnd => ({
  kind: 'fail',
  why: 'wrong answer',
  unreachable: false,
  wrong,
})

/** Status codes with which a server may refuse correct requests. */
export const REFUSALS: ReadonlySet<number> = new Set([429, 500, 503, 504, 507])

function refusal(answer: Answer): RequestEnd {
  const why = problemCode(answer)
  const end = { kind: 'fail', why, unreachable: false } as const
  return REFUSALS.has(answer.status) ? end : { ...end, wrong: `${answer.status} ${why}: ${shown(answer)}` }
}

const shown = ({ body }: Answer): string => body.slice(0, 200)

/** The result of a change: of a delete the number of deleted keys, of a put the state of its key. */
function madeChange(answer: Answer, { f }: Change): RecordedResult | undefined {
  const body = json(answer)
  const revision = asWholeNumber(body.revision)
  if (revision === undefined) return undefined
  if (f !== 'del') {
    const meta = parseMeta(body)
    return meta && { revision, ...meta }
  }
  const { deleted } = body
  return deleted === 0 || deleted === 1 ? { revision, deleted } : undefined
}

/** Whether the store had applied the request before, which the answer to an idempotency token says. */
function replayedBy(answer: Answer, { idempotency }: TokenField): RecordedResult {
  return idempotency === undefined ? {} : { replayed: header(answer, 'idempotency-replayed') === 'true' }
}

function recordRead(answer: Answer): RecordedResult {
  if (answer.status === 404) return { value: null }
  const [, tag] = /^"([0-9]+)"$/.exec(header(answer, 'etag') ?? '') ?? []
  const modRevision = parseWholeNumber(tag)
  if (modRevision === undefined) throw new WrongAnswer('a value without its revision')
  return { value: nameFromBody(answer.body), modRevision }
}

function parsePage(answer: Answer): RecordedResult {
  const { kvs, more, next, count, revision } = json(answer)
  if (!Array.isArray(kvs)) throw new WrongAnswer(`a page without kvs: ${shown(answer)}`)
  if (typeof more !== 'boolean') throw new WrongAnswer('a page without more')
  return {
    rows: kvs.map(parseListedRow),
    more,
    ...optional('next', typeof next === 'string' ? next : undefined),
    ...optional('count', asWholeNumber(count)),
    ...parseReadRevision(revision),
  }
}

/** The last line of a stream has its revision, or the error that ended it. */
function parseStream(answer: Answer): RecordedResult {
  const lines = answer.body.split('\n')
  if (lines.pop() !== '') throw new WrongAnswer('a stream whose last line does not end')
  const records = lines.map(tryParseJson)
  const last = records.pop()
  if (isObject(last) && isObject(last.error)) throw new Refusal(String(last.error.code))
  if (!isObject(last) || last.end !== true) throw new WrongAnswer('a stream without an end line')
  return {
    rows: records.map(parseListedRow),
    ...optional('count', asWholeNumber(last.count)),
    ...parseReadRevision(last.revision),
  }
}

/** A stream that ended with an error. */
class Refusal extends Error {}

function parseReadRevision(value: unknown): RecordedResult {
  const revision = asWholeNumber(value)
  if (revision === undefined) throw new WrongAnswer('a read without a revision')
  return { revision }
}

function parseListedRow(record: unknown): ListedRow {
  if (!isObject(record) || typeof record.key !== 'string')
    throw new WrongAnswer(`not a record: ${JSON.stringify(record)}`)
  const { key, value } = record
  if (value !== undefined && typeof value !== 'string')
    throw new WrongAnswer(`the value of ${key} is not a text`)
  const meta = parseMeta(record)
  if (meta === undefined)
    throw new WrongAnswer(`the record of ${key} contradicts itself: ${metaShown(record)}`)
  return { key, ...(value !== undefined && { value: nameFromBody(value) }), ...meta }
}

/** The metadata of a key. Returns undefined if they contradict each other. */
export function parseMeta(record: Readonly<Record<string, unknown>>): RowMeta | undefined {
  const [created, modRevision, version] = [record.create_revision, record.mod_revision, record.version].map(
    asWholeNumber,
  )
  if (created === undefined || modRevision === undefined || version === undefined) return undefined
  return metaFrom(created, modRevision, version)
}

const metaShown = ({ create_revision, mod_revision, version }: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({ create_revision, mod_revision, version })

/** A row with its value. */
export function parseRow(record: unknown): RecordedRow {
  const { value, ...row } = parseListedRow(record)
  if (value === undefined) throw new TypeError(`no value: ${JSON.stringify(record)}`)
  return { ...row, value }
}

const DECIMAL = /^[0-9]+(\.[0-9]+)?$/

function served(answer: Answer): RecordedResult {
  const consistency = header(answer, 'kv-consistency')
  const known = (['linearizable', 'lease', 'stale'] as const).find((name) => name === consistency)
  if (known === undefined) throw new WrongAnswer(`a read that was served as ${consistency}`)
  const claimed = header(answer, 'kv-staleness-ms')
  const stalenessMs = claimed !== undefined && DECIMAL.test(claimed) ? Number(claimed) : undefined
  if (claimed !== undefined && stalenessMs === undefined) throw new WrongAnswer(`an age of ${claimed} ms`)
  return {
    served: known,
    ...optional('stalenessMs', stalenessMs),
  }
}

function header(answer: Answer, name: string): string | undefined {
  const value = answer.headers[name]
  return typeof value === 'string' ? value : undefined
}

export function problemCode(answer: Answer): string {
  const { code } = json(answer)
  return typeof code === 'string' ? code : `status ${answer.status}`
}

/** Returns an empty object if the answer is not a JSON object. */
export function json(answer: Answer): Record<string, unknown> {
  const document = tryParseJson(answer.body)
  return isObject(document) ? document : {}
}

/** A number of JSON; undefined if it is not a whole number of at least 0. */
export function asWholeNumber(value: unknown): number | undefined {
  return isWholeNumber(value) ? value : undefined
}

/** A number in a header; undefined if it is not a whole number of at least 0. */
function parseWholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]+$/.test(text) ? asWholeNumber(Number(text)) : undefined
}
