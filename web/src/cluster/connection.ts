// Requests of the page to the cluster, over HTTP, in the forms of src/operations. A node serves its own console, so the
// page asks that node. The console of a local cluster passes requests on to any of its nodes.

import { signal } from '@preact/signals'
import { decodeUtf8 } from '../../../src/bytes/utf8.ts'
import type { HttpAnswerForm, OperationEffect } from '../../../src/operations/definition.ts'
import type { NodeAnswerHead } from '../../../src/operations/forms/answer-head.ts'
import { type JudgedProblem, judgeProblem } from '../../../src/operations/forms/answers.ts'
import { tryParseJson } from '../../../src/operations/forms/decode.ts'
import { decodeProblem } from '../../../src/operations/forms/problems.ts'
import { type AnswerHeaders, decodeAnswer, decodeHead } from '../../../src/operations/http/answers.ts'
import { type OutgoingRequest, withQuery } from '../../../src/operations/http/requests.ts'
import { controlToken, dropUserToken, userToken } from './credentials.ts'

/** One definition of src/operations, as the page reads it. */
export interface PageOperation<Q, R> {
  readonly effect: OperationEffect
  readonly http: Partial<HttpAnswerForm<Q, R>> & { readonly encode: (request: Q) => OutgoingRequest }
}

export interface RequestOptions {
  readonly signal?: AbortSignal
  /** The time in which the node shall answer, in milliseconds. */
  readonly timeoutMs?: number
  /** The time beyond it after which an answer counts as lost. */
  readonly graceMs?: number
  /** The only endpoint to try, in place of all. */
  readonly endpoint?: NodeEndpoint
}

/** A node has answered with a problem. */
export class RefusedError extends Error {
  readonly problem: JudgedProblem

  constructor(problem: JudgedProblem) {
    super(problem.detail)
    this.problem = problem
  }
}

/** No node has answered. `written`: what became of a change. */
export class NoAnswerError extends Error {
  readonly written: 'no' | 'unknown'

  constructor(message: string, written: 'no' | 'unknown') {
    super(message)
    this.written = written
  }
}

export interface RequestAnswer<R> {
  readonly result: R
  readonly head: NodeAnswerHead
}

/** Where requests go: a path before that of the request. */
export interface NodeEndpoint {
  readonly node: string
  readonly base: string
}

/** The endpoints of the cluster, the one in use first. */
let endpoints: readonly NodeEndpoint[] = [{ node: '', base: '' }]

/**
 * `lost`: no endpoint has answered since `since` (of `Date.now()`). Pages show what they have, and say that it is old.
 */
export const contact = signal<
  { readonly state: 'open' } | { readonly state: 'lost'; readonly since: number }
>({
  state: 'open',
})

/** The last read that needs a leader was refused, because there is none. */
export const leaderless = signal(false)

/** The newest answer to a stale read. */
export interface StaleAnswer {
  readonly node: string
  readonly revision: number | undefined
  /** A time of `Date.now()`. */
  readonly readAt: number
  /** Upper bound on its age then; undefined: the node cannot prove one. */
  readonly ageMs: number | undefined
}

export const newestStale = signal<StaleAnswer | undefined>(undefined)

/** Requests are refused because nobody is logged in, or not any more. */
export const needsLogin = signal(false)
/** The dialog in which a user logs in is open. It opens by itself once, until somebody has logged in. */
export const isLoginOpen = signal(false)

export function setEndpoints(given: readonly NodeEndpoint[]): void {
  endpoints = given
}

const TIMEOUT_MS = 5_000
const GRACE_MS = 2_000

/** Makes one request. Throws `RefusedError` or `NoAnswerError`, or `DisagreementError` for an unreadable answer. */
export async function run<Q, R>(
  operation: PageOperation<Q, R>,
  request: Q,
  { signal, timeoutMs = TIMEOUT_MS, graceMs = GRACE_MS, endpoint }: RequestOptions = {},
): Promise<RequestAnswer<R>> {
  const token = userToken.peek()
  const outgoing = operation.http.encode(request)
  const path = withQuery(outgoing.path, { timeout: `${timeoutMs}ms` })
  const isRead = operation.effect === 'read'
  const canRepeat = isRead || outgoing.headers['Idempotency-Key'] !== undefined
  const limitMs = timeoutMs + graceMs
  const response = await send({ ...outgoing, path }, { signal, limitMs, isRead, canRepeat, endpoint })
  const body = await readBody(response, operation.effect)
  const answer = decodeAnswer(operation, request, {
    kind: 'answered',
    status: response.status,
    headers: responseHeaders(response),
    body,
  })
  if (answer.kind === 'served') {
    if (endpoint === undefined) noteFreshness(answer.head)
    return answer
  }
  if (answer.kind === 'unreadable') {
    if (operation.effect === 'read') throw answer.cause
    throw new NoAnswerError(`the answer cannot be read (${answer.cause.message})`, 'unknown')
  }
  if (endpoint === undefined && LEADERLESS.has(answer.problem.code)) {
    // Another node may be on the side of the leader.
    demote(endpoints[0])
    if (operation.effect === 'read') noteLeaderless(() => run(operation, request, { timeoutMs, graceMs }))
  }
  throw refusal(answer.problem, token, operation.effect)
}

const LEADERLESS = new Set(['no_leader', 'no_quorum'])

/** Makes the read again that was refused because there is no leader. */
let repeatRefused: (() => Promise<unknown>) | undefined
let isRepeating = false

function noteLeaderless(repeat: () => Promise<unknown>): void {
  repeatRefused = repeat
  leaderless.value = true
}

/**
 * Finds out whether reads work again: a node that knows a leader may still not reach it. The read that was refused is
 * one that the user may make.
 */
export async function checkLeader(): Promise<void> {
  if (!leaderless.peek() || isRepeating || repeatRefused === undefined) return
  isRepeating = true
  try {
    await repeatRefused()
    leaderless.value = false
  } catch (error) {
    // A refusal for another reason comes from a leader, or says that this read proves nothing.
    if (error instanceof RefusedError && !error.problem.passing) leaderless.value = false
  } finally {
    isRepeating = false
  }
}

/** Takes the head of an answer to a read. */
function noteFreshness({ served, node = '', revision, stalenessMs }: NodeAnswerHead): void {
  if (served === 'linearizable') leaderless.value = false
  if (served === 'stale') newestStale.value = { node, revision, readAt: Date.now(), ageMs: stalenessMs }
}

/** Makes a request whose answer is a stream of lines. It resolves when the answer begins. */
export async function openStream<Q>(
  operation: PageOperation<Q, unknown>,
  request: Q,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  const token = userToken.peek()
  const response = await send(operation.http.encode(request), { signal, isRead: true, canRepeat: true })
  if (response.status === 200 && response.body !== null) return response.body
  const document = tryParseJson(decodeUtf8(await readBody(response, 'read')))
  throw refusal(judgeProblem(decodeProblem(document, response.status)), token, 'read')
}

/** Requests something that is no operation, such as the metrics. */
export async function fetchText(
  path: string,
  { signal, timeoutMs = TIMEOUT_MS, endpoint }: RequestOptions = {},
): Promise<string> {
  const token = userToken.peek()
  const outgoing = { method: 'GET', path, headers: {}, body: undefined }
  const limitMs = timeoutMs
  const response = await send(outgoing, { signal, limitMs, isRead: true, canRepeat: true, endpoint })
  const text = decodeUtf8(await readBody(response, 'read'))
  if (response.status === 200) return text
  throw refusal(judgeProblem(decodeProblem(tryParseJson(text), response.status)), token, 'read')
}

interface SendOptions {
  readonly signal?: AbortSignal | undefined
  /** Limit on each try; undefined: none. */
  readonly limitMs?: number
  readonly isRead: boolean
  /** Another try cannot apply a change twice. */
  readonly canRepeat: boolean
  /** The only endpoint to try. */
  readonly endpoint?: NodeEndpoint | undefined
}

/**
 * Sends the request through the first endpoint that answers. A change is not tried at another endpoint after one that
 * hangs: its caller decides on further tries.
 */
async function send(
  { method, path, headers, body }: OutgoingRequest,
  { signal, limitMs, isRead, canRepeat, endpoint: only }: SendOptions,
): Promise<Response> {
  let cause: unknown
  // A try that nobody received says nothing about the tries before.
  let written: 'no' | 'unknown' = 'no'
  for (const endpoint of only === undefined ? endpoints : [only]) {
    const limit = limitMs === undefined ? [] : [AbortSignal.timeout(limitMs)]
    try {
      const response = await fetch(`${endpoint.base}${path}`, {
        method,
        headers: { ...headers, ...credentialHeaders() },
        body: body === undefined ? null : new Uint8Array(body),
        signal: AbortSignal.any([...(signal === undefined ? [] : [signal]), ...limit]),
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error',
      })
      // The console of a local cluster answers so for a node that does not answer.
      if (response.status === 502 && response.headers.get('kv-node') === null) {
        cause = new Error(`${endpoint.node} does not answer`)
        if (await isNotSent(response)) continue
        written = 'unknown'
        if (canRepeat) continue
        break
      }
      if (only === undefined) {
        prefer(endpoint)
        contact.value = { state: 'open' }
      }
      return response
    } catch (error) {
      written = 'unknown'
      if (signal?.aborted && !isTimeout(signal.reason)) throw error
      if (only === undefined) demote(endpoint)
      cause = error
      if (!canRepeat || signal?.aborted || (!isRead && limit[0]?.aborted)) break
    }
  }
  if (only === undefined && contact.peek().state === 'open')
    contact.value = { state: 'lost', since: Date.now() }
  const reason = cause instanceof Error ? cause.message : String(cause)
  throw new NoAnswerError(`no answer (${reason})`, method === 'GET' ? 'no' : written)
}

/** Whether the console of a local cluster knows that the node has received nothing. */
async function isNotSent(response: Response): Promise<boolean> {
  const problem = decodeProblem(tryParseJson(await response.text()), response.status)
  return problem?.code === 'not_ready'
}

const isTimeout = (reason: unknown): boolean =>
  reason instanceof DOMException && reason.name === 'TimeoutError'

/** The endpoint that has answered is the first one from now on. */
function prefer(endpoint: NodeEndpoint): void {
  if (endpoints[0] !== endpoint) endpoints = [endpoint, ...endpoints.filter((other) => other !== endpoint)]
}

/** An endpoint that hangs used up the time of its request: the next request begins at another one. */
function demote(endpoint: NodeEndpoint | undefined): void {
  if (endpoint !== undefined && endpoints[0] === endpoint) endpoints = [...endpoints.slice(1), endpoint]
}

/** Header fields that say who makes the requests of the page. */
export function credentialHeaders(): Record<string, string> {
  const headers: Record<string, string> = {}
  if (userToken.peek() !== undefined) headers.Authorization = `Bearer ${userToken.peek()}`
  if (controlToken !== undefined) headers['Quorate-Control'] = controlToken
  return headers
}

async function readBody(response: Response, effect: OperationEffect): Promise<Uint8Array> {
  try {
    return new Uint8Array(await response.arrayBuffer())
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new NoAnswerError(`the answer broke off (${reason})`, effect === 'read' ? 'no' : 'unknown')
  }
}

const responseHeaders = (response: Response): AnswerHeaders => Object.fromEntries(response.headers)

/** The head of an answer that is read as a stream, or by hand. */
export const readHead = (response: Response): NodeAnswerHead => decodeHead(responseHeaders(response))

/** `token`: that of the request. */
function refusal(problem: JudgedProblem, token: string | undefined, effect: OperationEffect): RefusedError {
  if (problem.code === 'unauthenticated') {
    dropUserToken(token)
    // The answer to a request that was made before the login says nothing about the new token.
    if (userToken.peek() === undefined) {
      if (!needsLogin.peek()) isLoginOpen.value = true
      needsLogin.value = true
    }
  }
  return new RefusedError(effect === 'read' ? { ...problem, written: 'no' } : problem)
}

/** Whether the error leaves open what became of a change. */
export function isOutcomeUnknown(error: unknown): boolean {
  if (error instanceof NoAnswerError) return error.written === 'unknown'
  return error instanceof RefusedError && error.problem.written === 'unknown'
}

/** The error of a request as a sentence for the user. */
export function describeError(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return isOutcomeUnknown(error) ? `${text}; it is not known whether the change was made` : text
}
