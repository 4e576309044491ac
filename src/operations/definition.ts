// The description of an operation. Each operation has a file with its request, its result, its facts and its form on
// each wire; index.ts joins them. Nobody else keeps a list of operations: what depends on the kind reads a fact.

import type { AnswerHead } from './forms/answer-head.ts'
import type { Fields } from './forms/decode.ts'
import type { ProblemAnswer } from './forms/problems.ts'
import type { AccessDemand, LeaseDemand } from './forms/rights.ts'
import type { RequestHeaders } from './http/conditions.ts'
import type { HttpRequestHead, UnencodedResponse, WholeResponse } from './http/form.ts'
import type { Schema } from './http/json-schema.ts'
import type { ParameterTable } from './http/parameters.ts'
import type { OutgoingRequest } from './http/requests.ts'
import type { Route } from './http/route.ts'

/**
 * `read`: it changes nothing that outlives it. A keep-alive and a watch are reads too: they may be made again at any
 * node. `change`: it proposes an entry of the log, or changes the members or the leader.
 */
export type OperationEffect = 'read' | 'change'

/** The names of operations in metrics. The set is small: each has a histogram. */
export const OPERATION_LABELS = ['put', 'get', 'delete', 'range', 'batch', 'other'] as const
export type OperationLabel = (typeof OPERATION_LABELS)[number]

/**
 * How a client may send an operation again while the outcome of a try is unknown. `by-id`: under the same idempotency.
 * `by-revision`: under a revision that the operation raises, so at most one of its copies is applied.
 */
export type Repeat = 'freely' | 'by-id' | 'by-revision' | 'never'

/** Access to an operation for clients who are no users, while rights are checked. */
export interface OpenAccess {
  /** Whoever is answered well is known from then on. Credentials that come with it are not read. */
  readonly isLogin: boolean
  /** Limit of the request, in bytes. */
  readonly requestBytesMax: number
}

export interface OperationFacts<O> {
  readonly effect: OperationEffect
  /** Whether the audit log has a line for it when it records changes only. A refusal always has one. */
  readonly isAudited: boolean
  readonly label: OperationLabel
  /** Unless given, a read may be sent again freely, and a change never. */
  readonly repeat?: (operation: O) => Repeat
  /** Whether the leader takes part in a read: another node asks it first. */
  readonly needsLeader?: (operation: O) => boolean
  /** Whether the node computes on a password, for a tenth of a second of a core. */
  readonly hashesPassword?: (operation: O) => boolean
  /** Whether its answer in HTTP is a stream: it begins, and its end is open. */
  readonly isStreamed?: (operation: O) => boolean
  /** The stream has no end of its own. */
  readonly isEndless?: true
  /** The name of the operation in the spans of clients; its kind unless given. */
  readonly resource?: 'auth' | 'cluster' | 'leases' | 'sessions'
  /** All rights that the user of this name needs. */
  readonly demands: (operation: O, user: string) => readonly AccessDemand[]
  /** Clients who are no users may call it; undefined: they may not. */
  readonly open?: OpenAccess
  /** Whether a node that joins the cluster may call it with the certificate of a node. */
  readonly isForJoining?: true
}

/** Facts of a change that is an entry of the log. */
export interface EntryFacts<O> extends OperationFacts<O> {
  readonly effect: 'change'
  /** Whether the entry may make the store larger. A nearly full disk refuses it. A batch depends on its changes. */
  readonly room: 'takes' | 'frees' | 'depends'
  /** The demands on leases alone, which apply decides again. Most changes have none, and pay nothing for them. */
  readonly leases: (operation: O) => readonly LeaseDemand[]
}

/**
 * The request of an operation under /v1/kv, which the listener finds by method and path: the hot ones are among them.
 * No other operation has this form (`KeyKind` of index.ts): it needs routes, as in `RouteForm`.
 */
export interface KeyRequestForm<Q> {
  readonly summary: string
  /** Parameters of the query, beside `key` and `timeout`. */
  readonly parameters: ParameterTable
  /** Body of an answer with status 200, in JSON. */
  readonly answers: Schema
  /**
   * Decodes the request, a put without its value: it is judged before its body arrives. `rowsMax`: the largest page.
   * Throws `ApiError`.
   */
  readonly decode: (request: HttpRequestHead, rowsMax?: number) => Q
  readonly encode: (request: Q) => OutgoingRequest
}

/** The result in the answer of HTTP, as a client decodes it. */
export interface HttpAnswerForm<Q, D> {
  /** `body`: that of an answer with status 200. Throws `DisagreementError`. */
  readonly decodeResult: (body: Fields, request: Q, head: AnswerHead) => D
  /** The result that an answer with this problem stands for; undefined: it is a refusal. */
  readonly decodeAbsence?: (problem: ProblemAnswer) => { readonly result: D } | undefined
}

/** The requests of an operation with routes, which fastify finds: every one but those of single keys and ranges. */
export interface RouteForm<Q> {
  readonly routes: readonly Route<Q>[]
  readonly encode: (request: Q) => OutgoingRequest
}

/** The result of an operation in HTTP, if its answer is one whole. */
export interface HttpResultForm<Q, R, H extends AnswerHead = AnswerHead> {
  /** `headers`: those of the HTTP request. */
  readonly encodeResult: (
    result: R,
    head: H,
    request: Q,
    headers: RequestHeaders,
  ) => WholeResponse | UnencodedResponse
}

/** An operation under /v1/kv whose answer is one whole. `D`: the result as a client decodes it. */
export interface KeyForm<Q, R, H extends AnswerHead = AnswerHead, D = R>
  extends KeyRequestForm<Q>,
    HttpResultForm<Q, R, H>,
    HttpAnswerForm<Q, D> {}

/** An operation with routes whose answer is one whole. */
export interface HttpForm<Q, R, H extends AnswerHead = AnswerHead, D = R>
  extends RouteForm<Q>,
    HttpResultForm<Q, R, H>,
    HttpAnswerForm<Q, D> {}
