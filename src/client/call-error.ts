// Makes one error from all tries of a call that did not succeed. It says "nothing was written" only if that is certain
// for every try.

import type { Repeat } from '../operations/definition.ts'
import type { JudgedProblem } from '../operations/forms/answers.ts'
import { DisagreementError, isWholeNumber } from '../operations/forms/decode.ts'
import { metaFrom, unexpected } from './decode.ts'
import type { Endpoint } from './endpoints.ts'
import {
  AbortedError,
  CompactedError,
  type ErrorDetails,
  OutcomeUnknownError,
  PreconditionFailedError,
  QuorateError,
  UnavailableError,
  UnreachableError,
} from './errors.ts'
import { tlsFailureText } from './tls.ts'
import type { Answer, MaybeApplied, NotSent } from './transport/transport.ts'

/** How a call ended. */
export type CallEnd<Answer> =
  | { readonly kind: 'answered'; readonly answer: Answer }
  /** A node refused it permanently. */
  | { readonly kind: 'refused'; readonly error: QuorateError }
  | { readonly kind: 'out-of-time' }
  /** There is time, but no further try is allowed. */
  | { readonly kind: 'no-more-tries' }
  | { readonly kind: 'aborted'; readonly reason: unknown }
  | { readonly kind: 'closed' }
  | { readonly kind: 'threw'; readonly error: unknown }

/** Evidence from the tries of a call. */
export interface Tries {
  /** Set when a try may have been applied, or may still be: the evidence for that. */
  unknown: Error | undefined
  /** The last answer that says that nothing was done. */
  refusal: QuorateError | undefined
  /** The last try without an answer. */
  lastFailure: Error | undefined
  /** Whether any endpoint accepted a connection. */
  reached: boolean
  /** The URL of the last endpoint that accepted a connection and did not answer in time. */
  silentUrl: string | undefined
}

/** An endpoint that a call has tried. */
export interface TriedEndpoint {
  readonly endpoint: Endpoint
  /** Why the last try without an answer has failed. */
  readonly failure: string | undefined
  /** It is no node of the cluster, or does not serve this host name: it is not tried again. */
  readonly foreign: QuorateError | undefined
}

/** `untried`: the endpoints that the call had no time to try. */
export function callError(
  end: Exclude<CallEnd<unknown>, { kind: 'answered' }>,
  tries: Tries,
  call: { readonly timeoutMs: number },
  tried: readonly TriedEndpoint[],
  untried: readonly Endpoint[],
): unknown {
  switch (end.kind) {
    case 'threw':
      return end.error
    case 'aborted':
      return interruptedError('the call was aborted', 'aborted', tries, end.reason)
    case 'closed':
      return interruptedError('the client was closed', 'closed', tries, undefined)
    case 'refused':
      return tries.unknown === undefined || end.error.written === 'unknown' || isOutcome(end.error)
        ? end.error
        : unknownOutcome(
            `sent, and no node said what became of it; another try was refused: ${end.error.message}`,
            end.error,
          )
    case 'out-of-time':
      return withoutAnswer(tries, ` within ${shortTime(call.timeoutMs)}`, tried, untried)
    case 'no-more-tries':
      return withoutAnswer(tries, '', tried, untried)
  }
}

/** A failed condition is the outcome of the idempotency key itself, whichever try carried it. */
const isOutcome = (error: QuorateError): boolean => error instanceof PreconditionFailedError

/** `within`: the time limit, if that has ended the call. */
function withoutAnswer(
  tries: Tries,
  within: string,
  tried: readonly TriedEndpoint[],
  untried: readonly Endpoint[],
): QuorateError {
  const { unknown, refusal, lastFailure: cause, reached, silentUrl } = tries
  const foreign = tried.flatMap((each) => each.foreign ?? [])
  // A foreign endpoint says nothing about later tries at other endpoints.
  const isForeign = foreign.some((error) => error === unknown)
  if (unknown instanceof QuorateError && !isForeign) return unknown
  if (unknown !== undefined) {
    return unknownOutcome(`sent, but no node said${within} what became of it (${unknown.message})`, unknown)
  }
  if (refusal !== undefined) return refusal
  const left = [
    ...foreign.map((error) => `; ${error.message}`),
    ...(untried.length === 0 ? [] : [`; ${NO_TIME} ${urlsOf(untried)}`]),
  ].join('')
  if (reached) {
    const why = silentUrl === undefined ? cause?.message : `what listens at ${silentUrl} does not answer`
    const last = why === undefined || why === SILENT ? '' : ` (${why})`
    return new UnavailableError(`no answer${within}${last}${left}`, {
      code: 'timeout',
      written: 'no',
      endpoint: silentUrl,
      cause,
    })
  }
  const [only, ...others] = foreign
  const unreachable = tried.filter((each) => each.foreign === undefined)
  if (unreachable.length === 0 && only !== undefined && others.length === 0 && untried.length === 0)
    return only
  const message =
    unreachable.length === 0
      ? left.replace(/^; /, '')
      : `cannot connect to ${failureList(unreachable)}${left}`
  return new UnreachableError(message, { code: 'unreachable', written: 'no', cause })
}

/** The time of the call was over before an endpoint was tried. */
export const NO_TIME = 'there was no time to try'

const urlsOf = (endpoints: readonly Endpoint[]): string => endpoints.map(({ url }) => url).join(', ')

/** Endpoints and why they failed, each reason once. */
function failureList(tried: readonly TriedEndpoint[]): string {
  const reasons = new Set(tried.map(({ failure }) => failure ?? SILENT))
  const groups = [...reasons].map((reason) => {
    const urls = urlsOf(
      tried.filter(({ failure = SILENT }) => failure === reason).map((each) => each.endpoint),
    )
    return reasons.size === 1 ? `${urls}: ${reason}` : `${urls} (${reason})`
  })
  return groups.join(', ')
}

export function unknownOutcome(message: string, cause: Error): OutcomeUnknownError {
  return new OutcomeUnknownError(message, { code: 'outcome_unknown', written: 'unknown', cause })
}

function interruptedError(
  what: string,
  code: 'aborted' | 'closed',
  tries: Tries,
  cause: unknown,
): AbortedError {
  const unknown = tries.unknown !== undefined
  const written = unknown ? 'unknown' : 'no'
  return new AbortedError(unknown ? `${what}; the write may have been applied` : what, {
    code,
    written,
    cause,
  })
}

/**
 * The answer of a node of another cluster, whatever its content. A node refuses a request that names another cluster,
 * so only reads are ever served.
 */
export function foreignError(
  answer: Answer,
  { url }: Endpoint,
  clusterId: string,
  repeat: Repeat,
): QuorateError {
  const status = answer.kind === 'refused' ? answer.problem.status : 200
  const refused = status >= 400 && status < 500
  return new QuorateError(`${url} belongs to another cluster (${clusterId})`, {
    code: 'wrong_cluster',
    written: repeat === 'freely' || refused ? 'no' : 'unknown',
    status,
    endpoint: url,
    node: answer.head.node,
  })
}

/** The answer does not name its cluster, as every node's answer does. */
export const namelessError = ({ url }: Endpoint, repeat: Repeat): QuorateError =>
  unexpected(
    new DisagreementError('it does not name its cluster'),
    url,
    repeat === 'freely' ? 'no' : 'unknown',
  )

/** A port with TLS has refused a request without it. No code says so, and the node has not read the request. */
export const isOnlyTls = ({ code, detail }: JudgedProblem, { isSecure }: Endpoint): boolean =>
  code === 'bad_request' && !isSecure && detail.includes(ONLY_TLS)

export const onlyTlsError = ({ url }: Endpoint): UnreachableError =>
  new UnreachableError(`${url} ${ONLY_TLS}: use ${url.replace('http:', 'https:')}`, {
    code: 'unreachable',
    written: 'no',
    endpoint: url,
  })

/** Another program listens there: a node would have answered in HTTP. */
export const otherProtocolError = ({ url }: Endpoint, greeting: string, cause: Error): UnreachableError =>
  new UnreachableError(
    `${url}: what listens there does not speak HTTP (it sent ${JSON.stringify(greeting)})`,
    {
      code: 'unreachable',
      written: 'no',
      endpoint: url,
      cause,
    },
  )

export const ONLY_TLS = 'speaks only TLS'

/** One answer's problem as an error. */
export function problemError(
  problem: JudgedProblem,
  node: string | undefined,
  endpoint: Endpoint,
  repeat: Repeat,
): QuorateError {
  const isRead = repeat === 'freely'
  const details = {
    code: isRead && problem.code === 'outcome_unknown' ? 'timeout' : problem.code,
    written: isRead ? ('no' as const) : problem.written,
    status: problem.status,
    endpoint: endpoint.url,
    node,
    retryAfterMs: problem.retryAfterMs,
  }
  // The condition of a change of users and roles is a revision of theirs.
  const isOfAuth = isWholeNumber(problem.fields.auth_revision)
  if (problem.code === 'precondition_failed' && !isOfAuth)
    return preconditionFailed(problem, details, endpoint)
  if (details.code === 'outcome_unknown') return new OutcomeUnknownError(problem.detail, details)
  if (details.code === 'compacted') {
    const { compact_revision, resume_from } = problem.fields
    const compactRevision = isWholeNumber(compact_revision) ? compact_revision : undefined
    const resumeFrom = isWholeNumber(resume_from) ? resume_from : undefined
    return new CompactedError(problem.detail, details, { compactRevision, resumeFrom })
  }
  // Any other program, such as a proxy, is asked again too, but its answer does not tell whether anything was written.
  const isNode = problem.code !== 'unexpected_answer'
  if (problem.passing && isNode) return new UnavailableError(problem.detail, details)
  return new QuorateError(problem.detail, details)
}

/** The outcome of the write. If the answer is not in the agreed form, its sender is unknown, and so is the outcome. */
function preconditionFailed(
  { detail, fields: { current } }: JudgedProblem,
  details: ErrorDetails,
  { url }: Endpoint,
): QuorateError {
  try {
    return new PreconditionFailedError(detail, details, current === null ? null : metaFrom(current))
  } catch (error) {
    if (error instanceof DisagreementError) return unexpected(error, url, 'unknown')
    throw error
  }
}

/** A node accepted a connection, and sent nothing. */
const SILENT = 'no answer'

export const shortTime = (ms: number): string =>
  ms < 100 ? `${Number(ms.toFixed(1))} ms` : `${Number((ms / 1_000).toFixed(3))} s`

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  ENOTFOUND: 'no such host',
  EHOSTUNREACH: 'no route to that host',
}

/** Why a try failed. For several refused addresses of one name, Node's message is empty; its code is more useful. */
export function failureText({ cause, timedOut }: NotSent | MaybeApplied): string {
  if (timedOut) return SILENT
  const reason = tlsFailureText(cause)
  if (reason !== undefined) return reason
  const code = 'code' in cause ? String(cause.code) : ''
  if (code.startsWith('HPE_')) return 'what answers there does not speak HTTP'
  return REASONS[code] ?? (cause.message === '' ? code : cause.message)
}
