// The answers of HTTP as a client decodes them: status, header fields and JSON become results, problems and heads.

import { decodeUtf8 } from '../../bytes/utf8.ts'
import type { HttpAnswerForm } from '../definition.ts'
import type { NodeAnswerHead } from '../forms/answer-head.ts'
import {
  judgeProblem,
  problemOfOther,
  type RefusedAnswer,
  type ServedAnswer,
  type UnreadableAnswer,
} from '../forms/answers.ts'
import { DisagreementError, disagree, isObject, isWholeNumber, tryParseJson } from '../forms/decode.ts'
import { asRevision, type ReadConsistency } from '../forms/index.ts'
import { decodeProblem, isOfNode, type ProblemAnswer } from '../forms/problems.ts'

/** Header fields of an answer, lower case. Every answer of a node has `kv-cluster`, `kv-node` and `kv-revision`. */
export type AnswerHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** A complete answer. */
export interface HttpAnswer {
  readonly kind: 'answered'
  readonly status: number
  readonly headers: AnswerHeaders
  readonly body: Uint8Array
}

export function decodeHead(headers: AnswerHeaders): NodeAnswerHead {
  const revision = headerNumber(headers, 'kv-revision')
  return {
    clusterId: headerText(headers, 'kv-cluster'),
    node: headerText(headers, 'kv-node'),
    revision: isWholeNumber(revision) ? asRevision(revision) : undefined,
    served: consistencyFrom(headers['kv-consistency']),
    stalenessMs: headerNumber(headers, 'kv-staleness-ms'),
    replayed: headers['idempotency-replayed'] === 'true' ? true : undefined,
  }
}

function headerNumber(headers: AnswerHeaders, name: string): number | undefined {
  const value = headers[name]
  if (typeof value !== 'string' || !/^[0-9]+(\.[0-9]+)?$/.test(value)) return undefined
  return Number(value)
}

function headerText(headers: AnswerHeaders, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

const consistencyFrom = (text: unknown): ReadConsistency | undefined =>
  text === 'linearizable' || text === 'lease' || text === 'stale' ? text : undefined

/** The outcome of a request in its answer. */
export function decodeAnswer<Q, R>(
  { http }: { readonly http: Partial<HttpAnswerForm<Q, R>> },
  request: Q,
  { status, headers, body }: HttpAnswer,
): ServedAnswer<R> | UnreadableAnswer | RefusedAnswer {
  const head = decodeHead(headers)
  const document = tryParseJson(decodeUtf8(body))
  if (status !== OK && status < 400)
    return { kind: 'unreadable', cause: new DisagreementError(`its status is ${status}`), head }
  if (status >= 400) {
    const sent = decodeProblem(document, status)
    // The problem of another program may have a code too. It does not tell what became of a change.
    const isKnown = sent !== undefined && (head.clusterId !== undefined || isOfConnection(sent))
    const problem = isKnown ? judgeProblem(sent) : problemOfOther(status, headerText(headers, 'content-type'))
    const absence = http.decodeAbsence?.(problem)
    return absence === undefined ? { kind: 'refused', problem, head } : { kind: 'served', ...absence, head }
  }
  try {
    if (http.decodeResult === undefined) return disagree('the node does not stream')
    const fields = isObject(document) ? document : disagree('the body is not a JSON object')
    return { kind: 'served', result: http.decodeResult(fields, request, head), head }
  } catch (cause) {
    if (cause instanceof DisagreementError) return { kind: 'unreadable', cause, head }
    throw cause
  }
}

/** The status of every answer that was served. */
const OK = 200
/** Whether a node has refused a connection, or bytes that are no HTTP. Such an answer names no cluster. */
const isOfConnection = (problem: ProblemAnswer): boolean =>
  CONNECTION_CODES.has(problem.code) && isOfNode(problem)

const CONNECTION_CODES = new Set(['overloaded', 'bad_request', 'unauthenticated'])
